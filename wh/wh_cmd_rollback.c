/* wh rollback: an environment shows again what it showed before, or what is named. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    const char *to = wh_cli_opts_get(cli, "to"), *env = wh_cli_opts_get(cli, "environment");
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL)
        return WH_EXIT_USAGE;
    json_t *body = json_object();
    if (to != NULL)
        json_object_set_new(body, "to", json_string(to[0] == '#' || to[0] == 'v' ? to + 1 : to));
    if (env != NULL)
        json_object_set_new(body, "environment", json_string(env));
    int rc = wh_cli_switch(
        cli, apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/rollback", NULL),
        body);
    json_decref(body);
    return rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"to", 0, "N", "number or id of a deployment (what was live before)"},
    {"environment", 'e', "ENV", "the environment (production)"},
    WH_CLI_SWITCH,
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_rollback = {.words = "rollback",
                                      .args = "APP [--to N]",
                                      .max_args = 1,
                                      .run = run,
                                      .options = options,
                                      .doc = "go back to an earlier deployment, at once"};
