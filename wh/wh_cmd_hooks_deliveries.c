/* wh hooks deliveries: what came to a webhook, and what became of it. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    static const char *const titles[] = {"WHEN", "ID", "EVENT", "REF", "VERDICT", "WHY", "DEPLOYMENT"};
    wh_cli_reply_t reply;
    wh_cli_table_t table;
    apr_int64_t limit = 20;
    int rc = wh_cli_opts_int(cli, "limit", 1, 100, &limit);
    if (rc != 0)
        return rc;
    rc = wh_cli_http(cli, "GET",
                     apr_psprintf(cli->p, "/v1/hooks/%s/deliveries?limit=%" APR_INT64_T_FMT,
                                  wh_cli_http_escape(cli, cli->args[0]), limit),
                     NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    json_t *one, *items = json_object_get(reply.body, "items");
    if (cli->json) {
        wh_cli_json(items);
        return WH_EXIT_OK;
    }
    wh_cli_table_begin(cli, &table, 7, titles);
    size_t i;
    json_array_foreach(items, i, one)
    {
        wh_cli_table_add(&table, wh_cli_when(cli, wh_cli_get(cli, one, "received_at")));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "id"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "event"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "ref"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "verdict"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "reason"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "deployment"));
    }
    wh_cli_table_print(&table);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"limit", 'n', "N", "at most so many, the newest (20)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks_deliveries = {.words = "hooks deliveries",
                                              .args = "HOOK",
                                              .min_args = 1,
                                              .max_args = 1,
                                              .run = run,
                                              .options = options,
                                              .doc = "what came to a webhook, and what became of it"};
