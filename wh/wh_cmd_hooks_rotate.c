/* wh hooks rotate: the only time the next secret is shown. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    apr_int64_t overlap = 86400;
    int rc = wh_cli_opts_int(cli, "overlap", 0, 2592000, &overlap);
    if (rc != 0)
        return rc;
    json_t *body = json_pack("{s:I}", "overlap", (json_int_t)overlap);
    rc = wh_cli_http(cli, "POST",
                     apr_pstrcat(cli->p, "/v1/hooks/", wh_cli_http_escape(cli, cli->args[0]),
                                 "/rotate", NULL),
                     body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    wh_cli_out("url     %s\nsecret  %s\n", wh_cli_get(cli, reply.body, "url"),
               wh_cli_get(cli, reply.body, "secret"));
    wh_cli_note(cli, "Give the new secret to the forge; it is not shown again.\n"
                     "The former one is taken until %s.\n",
                wh_cli_when(cli, wh_cli_get(cli, reply.body, "previous_secret_until")));
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"overlap", 0, "SECONDS", "how long the former secret is taken too (86400, a day)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks_rotate = {.words = "hooks rotate",
                                          .args = "HOOK",
                                          .min_args = 1,
                                          .max_args = 1,
                                          .run = run,
                                          .options = options,
                                          .doc = "make a webhook's next secret"};
