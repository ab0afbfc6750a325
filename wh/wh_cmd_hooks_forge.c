/* wh hooks forge: another token for the forge's API. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *token = wh_cmd_hooks_token(cli);
    if (token == NULL)
        return WH_EXIT_USAGE;
    json_t *body = json_pack("{s:o}", "forge", wh_cmd_hooks_forge(cli, token));
    if (body == NULL) {
        wh_cli_error("the token is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    int rc = wh_cli_http(
        cli, "PATCH",
        apr_pstrcat(cli->p, "/v1/hooks/", wh_cli_http_escape(cli, cli->args[0]), NULL), body, NULL,
        &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_note(cli, "It is being registered at the forge: `wh hooks` says how that stands.\n");
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"forge-api", 0, "URL", "where the API is, if not where it was"},
    {"repository", 0, "OWNER/NAME", "how the forge calls it, if not as before"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks_forge_token = {
    .words = "hooks forge",
    .args = "HOOK",
    .min_args = 1,
    .max_args = 1,
    .run = run,
    .options = options,
    .doc = "give a webhook the token that stdin has, for its forge's API"};
