/* wh apps, wh apps list */
#include "config.h"

#include "wh/wh_cmd.h"

static const char *first_url(wh_cli_t *cli, const json_t *app)
{
    const json_t *url = json_array_get(json_object_get(app, "urls"), 0);
    return json_is_string(url) ? wh_cli_clean(cli, json_string_value(url)) : "";
}

static const wh_cli_column_t columns[] = {
    {"APP", "slug", NULL},
    {"KIND", "kind", NULL},
    {"STATE", NULL, wh_cli_deployment_observed},
    {"URL", NULL, first_url},
    {"REPOSITORY", "repository.url", NULL},
    {NULL, NULL, NULL},
};

static int run(wh_cli_t *cli)
{
    int rc = wh_cli_list_word(cli);
    return rc == 0 ? wh_cli_list(cli, "/v1/apps", 0, columns) : rc;
}

const wh_cli_cmd_t wh_cmd_apps = {
    .words = "apps", .args = "[list]", .max_args = 1, .run = run, .doc = "list the apps"};
