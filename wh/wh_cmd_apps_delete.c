/* wh apps delete: asks for the app's name, since nothing brings it back. */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL || !wh_cli_confirm(cli, "apps delete", app))
        return WH_EXIT_USAGE;
    const char *path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), NULL);
    int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
    if (rc == 0)
        rc = wh_cli_http(cli, "DELETE", path, NULL, reply.etag, &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        json_t *out = json_pack("{s:s}", "deleted", app);
        wh_cli_json(out);
        json_decref(out);
    }
    wh_cli_note(cli, "%s is deleted\n", wh_cli_clean(cli, app));
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"yes", 'y', NULL, "do not ask"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_apps_delete = {.words = "apps delete",
                                         .args = "APP",
                                         .max_args = 1,
                                         .run = run,
                                         .options = options,
                                         .doc = "delete an app"};
