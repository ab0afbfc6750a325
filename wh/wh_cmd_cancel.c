/* wh cancel: asks for it, and stays until nothing of it runs any more. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

#define LOOK_BACK "10"

static int open_still(const wh_cli_t *cli, const json_t *deployment)
{
    return strcmp(wh_cli_get(cli, deployment, "status"), "completed") != 0;
}

/* Of an app the newest that is not over, else the newest: the server then says that it is. */
static int find(wh_cli_t *cli, const char *app_or_id, json_t **out)
{
    wh_cli_reply_t reply;
    size_t i;
    json_t *one;
    int rc = wh_cli_deployment_find(cli, app_or_id, out);
    if (rc != 0 || wh_cli_deployment_is_id(app_or_id) || open_still(cli, *out))
        return rc;
    wh_cli_http_try(cli, "GET",
                    apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app_or_id),
                                "/deployments?limit=" LOOK_BACK, NULL),
                    NULL, NULL, &reply);
    json_array_foreach(json_object_get(reply.body, "items"), i, one)
    {
        if (open_still(cli, one)) {
            *out = one;
            break;
        }
    }
    return 0;
}

/* How it ended: it may have been quicker than we. */
static int ended(wh_cli_t *cli, const json_t *deployment)
{
    const char *conclusion = wh_cli_get(cli, deployment, "conclusion");
    if (cli->json)
        wh_cli_json(deployment);
    if (strcmp(conclusion, "canceled") == 0 || strcmp(conclusion, "skipped") == 0) {
        wh_cli_note(cli, "Nothing of it runs any more; what was live before goes on serving\n");
        return WH_EXIT_OK;
    }
    wh_cli_error("it was over before it could be canceled: %s", conclusion);
    return strcmp(conclusion, "succeeded") == 0 ? WH_EXIT_CONFLICT : WH_EXIT_FAIL;
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    json_t *deployment;
    apr_int64_t timeout_s = 0;
    int rc = wh_cli_opts_int(cli, "timeout", 1, 86400, &timeout_s);
    rc = rc != 0 ? rc : find(cli, cli->args[0], &deployment);
    if (rc != 0)
        return rc;
    const char *id = wh_cli_get(cli, deployment, "id");
    rc = wh_cli_http(cli, "POST", apr_pstrcat(cli->p, "/v1/deployments/", id, "/cancel", NULL),
                     NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    wh_cli_note(cli, "Deployment %s is being canceled\n", id);
    if (wh_cli_opts_get(cli, "no-wait") != NULL || !wh_cli_deployment_is_id(id)) {
        if (cli->json && reply.body != NULL)
            wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    rc = wh_cli_watch(cli, id, timeout_s, &deployment);
    return rc != 0 ? rc : ended(cli, deployment);
}

static const wh_cli_option_t options[] = {
    {"no-wait", 0, NULL, "ask for it and come back at once"},
    {"timeout", 0, "SECONDS", "do not wait longer (exit code 124)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_cancel = {.words = "cancel",
                                    .args = "DEPLOYMENT|APP",
                                    .min_args = 1,
                                    .max_args = 1,
                                    .run = run,
                                    .options = options,
                                    .doc = "end a deployment under way (an app: its newest)"};
