/* wh sync */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL)
        return WH_EXIT_USAGE;
    const char *path =
        apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/sync", NULL);
    int rc = wh_cli_http(cli, "POST", path, NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_out("%s: its branch is looked up now; wh apps info %s shows what came of it\n", app,
                   app);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_sync = {.words = "sync",
                                  .args = "APP",
                                  .max_args = 1,
                                  .run = run,
                                  .options = options,
                                  .doc = "look the app's branch up now, deploy a new commit"};
