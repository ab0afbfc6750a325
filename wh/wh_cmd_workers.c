/* wh workers, wh workers list */
#include "config.h"

#include "wh/wh_cmd.h"

static void row_add(wh_cli_t *cli, wh_cli_table_t *table, const json_t *one)
{
    wh_cli_table_add(table, wh_cli_get(cli, one, "name"));
    wh_cli_table_add(table, wh_cli_worker_state(cli, one));
    wh_cli_table_add(table, wh_cli_get(cli, one, "zone"));
    wh_cli_table_add(table, wh_cli_get(cli, one, "engine"));
    wh_cli_table_add(table, wh_cli_worker_share(cli, one, "used_cpu_millis", "cpu_millis", 1));
    wh_cli_table_add(table,
                     wh_cli_worker_share(cli, one, "used_memory_bytes", "memory_bytes", 1048576));
    wh_cli_table_add(table, wh_cli_worker_share(cli, one, "jobs", "max_jobs", 1));
    wh_cli_table_add(table, wh_cli_get(cli, one, "apps_running"));
    wh_cli_table_add(table, wh_cli_when(cli, wh_cli_get(cli, one, "last_heartbeat_at")));
    wh_cli_table_add(table, wh_cli_get(cli, one, "refuses"));
}

static int run(wh_cli_t *cli)
{
    static const char *const titles[] = {"WORKER",     "STATUS",         "ZONE", "ENGINE",
                                         "CPU",        "MEMORY",         "JOBS", "APPS",
                                         "SEEN (UTC)", "TAKES NO BUILDS"};
    wh_cli_table_t table;
    json_t *one, *all;
    size_t i;
    int rc = wh_cli_list(cli, "workers", &all);
    if (rc != 0)
        return rc;
    wh_cli_table_begin(cli, &table, 10, titles);
    json_array_foreach(all, i, one) row_add(cli, &table, one);
    if (cli->json)
        wh_cli_json(all);
    else
        wh_cli_table_print(&table);
    json_decref(all);
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_workers = {.words = "workers",
                                     .args = "[list]",
                                     .max_args = 1,
                                     .run = run,
                                     .doc = "list the workers: CPU in millis, memory in MiB"};
