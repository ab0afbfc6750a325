/* wh hooks delete */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc =
        wh_cli_http(cli, "DELETE",
                    apr_pstrcat(cli->p, "/v1/hooks/", wh_cli_http_escape(cli, cli->args[0]), NULL),
                    NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        json_t *out = json_pack("{s:s}", "deleted", cli->args[0]);
        wh_cli_json(out);
        json_decref(out);
    }
    wh_cli_note(cli, "The hook is deleted; its deliveries are refused from now on\n");
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_hooks_delete = {.words = "hooks delete",
                                          .args = "HOOK",
                                          .min_args = 1,
                                          .max_args = 1,
                                          .run = run,
                                          .doc = "delete a webhook"};
