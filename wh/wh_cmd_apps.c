/* wh apps, wh apps list */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const char *first_url(const wh_cli_t *cli, const json_t *app)
{
    const json_t *url = json_array_get(json_object_get(app, "urls"), 0);
    return json_is_string(url) ? wh_cli_clean(cli, json_string_value(url)) : "";
}

static void rows_add(const wh_cli_t *cli, wh_cli_table_t *table, const json_t *items)
{
    size_t i;
    json_t *app;
    json_array_foreach(items, i, app)
    {
        wh_cli_table_add(table, wh_cli_get(cli, app, "slug"));
        wh_cli_table_add(table, wh_cli_get(cli, app, "kind"));
        wh_cli_table_add(table, wh_cli_get(cli, app, "observed"));
        wh_cli_table_add(table, first_url(cli, app));
        wh_cli_table_add(table, wh_cli_get(cli, app, "repository.url"));
    }
}

static int run(wh_cli_t *cli)
{
    static const char *const titles[] = {"APP", "KIND", "STATE", "URL", "REPOSITORY"};
    wh_cli_table_t table;
    json_t *all = json_array();
    const char *cursor = "";
    int rc = 0;
    if (cli->n_args == 1 && strcmp(cli->args[0], "list") != 0) {
        wh_cli_error("no command apps %s; `wh --help` lists them", wh_cli_clean(cli, cli->args[0]));
        json_decref(all);
        return WH_EXIT_USAGE;
    }
    wh_cli_table_begin(cli, &table, 5, titles);
    do {
        wh_cli_reply_t reply;
        const char *path = apr_pstrcat(cli->p, "/v1/apps?limit=100", *cursor ? "&cursor=" : "",
                                       wh_cli_http_escape(cli, cursor), NULL);
        if ((rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply)) != 0)
            break;
        json_array_extend(all, json_object_get(reply.body, "items"));
        const char *next = wh_cli_get(cli, reply.body, "next");
        /* A server that repeats its cursor must not hold us for ever. */
        cursor = strcmp(next, cursor) != 0 ? next : "";
    } while (*cursor != '\0');
    rows_add(cli, &table, all);
    if (rc == 0 && cli->json)
        wh_cli_json(all);
    else if (rc == 0)
        wh_cli_table_print(&table);
    json_decref(all);
    return rc;
}

const wh_cli_cmd_t wh_cmd_apps = {
    .words = "apps", .args = "[list]", .max_args = 1, .run = run, .doc = "list the apps"};
