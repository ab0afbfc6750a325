/* wh cancel */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    json_t *deployment;
    int rc = wh_cli_deployment_find(cli, cli->args[0], &deployment);
    if (rc != 0)
        return rc;
    const char *id = wh_cli_get(cli, deployment, "id");
    rc = wh_cli_http(cli, "POST", apr_pstrcat(cli->p, "/v1/deployments/", id, "/cancel", NULL),
                     NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json && reply.body != NULL)
        wh_cli_json(reply.body);
    wh_cli_note(cli, "Deployment %s is being canceled; what was live before goes on serving\n", id);
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_cancel = {.words = "cancel",
                                    .args = "DEPLOYMENT|APP",
                                    .min_args = 1,
                                    .max_args = 1,
                                    .run = run,
                                    .doc = "end a deployment under way (an app: its newest)"};
