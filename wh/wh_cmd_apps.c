/* wh apps, wh apps list */
#include "config.h"

#include "wh/wh_cmd.h"

static const char *first_url(const wh_cli_t *cli, const json_t *app)
{
    const json_t *url = json_array_get(json_object_get(app, "urls"), 0);
    return json_is_string(url) ? wh_cli_clean(cli, json_string_value(url)) : "";
}

static void rows_add(wh_cli_t *cli, wh_cli_table_t *table, const json_t *items)
{
    size_t i;
    json_t *app;
    json_array_foreach(items, i, app)
    {
        wh_cli_table_add(table, wh_cli_get(cli, app, "slug"));
        wh_cli_table_add(table, wh_cli_get(cli, app, "kind"));
        wh_cli_table_add(table, wh_cli_deployment_observed(cli, app));
        wh_cli_table_add(table, first_url(cli, app));
        wh_cli_table_add(table, wh_cli_get(cli, app, "repository.url"));
    }
}

static int run(wh_cli_t *cli)
{
    static const char *const titles[] = {"APP", "KIND", "STATE", "URL", "REPOSITORY"};
    wh_cli_table_t table;
    json_t *all;
    int rc = wh_cli_list(cli, "apps", &all);
    if (rc != 0)
        return rc;
    wh_cli_table_begin(cli, &table, 5, titles);
    rows_add(cli, &table, all);
    if (cli->json)
        wh_cli_json(all);
    else
        wh_cli_table_print(&table);
    json_decref(all);
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_apps = {
    .words = "apps", .args = "[list]", .max_args = 1, .run = run, .doc = "list the apps"};
