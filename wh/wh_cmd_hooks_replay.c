/* wh hooks replay: a delivery once more, by what is wanted now. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "POST",
                         apr_pstrcat(cli->p, "/v1/hooks/", wh_cli_http_escape(cli, cli->args[0]),
                                     "/deliveries/", wh_cli_http_escape(cli, cli->args[1]),
                                     "/replay", NULL),
                         NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    if (reply.status == 202)
        wh_cli_out("deployment  %s\n", wh_cli_get(cli, reply.body, "id"));
    else
        wh_cli_out("ignored     %s\n", wh_cli_get(cli, reply.body, "ignored"));
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_hooks_replay = {.words = "hooks replay",
                                          .args = "HOOK DELIVERY",
                                          .min_args = 2,
                                          .max_args = 2,
                                          .run = run,
                                          .doc = "take a delivery once more"};
