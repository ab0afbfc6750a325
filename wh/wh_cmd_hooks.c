/* wh hooks, wh hooks list */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    static const char *const titles[] = {"HOOK", "APP", "PROVIDER", "URL"};
    wh_cli_reply_t reply;
    wh_cli_table_t table;
    const char *path = "/v1/hooks";
    const char *app = wh_cli_opts_get(cli, "app");
    if (app == NULL && cli->n_args > 0 && strcmp(cli->args[0], "list") != 0)
        app = cli->args[0];
    if (app != NULL)
        path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/hooks", NULL);
    int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    json_t *one, *items = json_object_get(reply.body, "items");
    if (cli->json) {
        wh_cli_json(items);
        return WH_EXIT_OK;
    }
    wh_cli_table_begin(cli, &table, 4, titles);
    size_t i;
    json_array_foreach(items, i, one)
    {
        wh_cli_table_add(&table, wh_cli_get(cli, one, "id"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "app"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "provider"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "url"));
    }
    wh_cli_table_print(&table);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "of one app only"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks = {.words = "hooks",
                                   .args = "[list] [-a APP]",
                                   .max_args = 1,
                                   .run = run,
                                   .options = options,
                                   .doc = "list the webhooks"};
