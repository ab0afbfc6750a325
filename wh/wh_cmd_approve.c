/* wh approve: lets a deployment of somebody else's code begin. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "POST",
                         apr_pstrcat(cli->p, "/v1/deployments/",
                                     wh_cli_http_escape(cli, cli->args[0]), "/approve", NULL),
                         NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    wh_cli_note(cli, "Deployment %s of %s may begin; it gets no secrets\n",
                wh_cli_get(cli, reply.body, "id"), wh_cli_get(cli, reply.body, "app"));
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_approve = {.words = "approve",
                                     .args = "DEPLOYMENT",
                                     .min_args = 1,
                                     .max_args = 1,
                                     .run = run,
                                     .doc = "let a fork's deployment begin, without secrets"};
