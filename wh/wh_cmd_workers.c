/* wh workers, wh workers list */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

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
    json_t *one, *all = json_array();
    const char *cursor = "";
    size_t i;
    int rc = 0;
    if (cli->n_args == 1 && strcmp(cli->args[0], "list") != 0) {
        wh_cli_error("no command workers %s; `wh --help` lists them",
                     wh_cli_clean(cli, cli->args[0]));
        json_decref(all);
        return WH_EXIT_USAGE;
    }
    wh_cli_table_begin(cli, &table, 10, titles);
    do {
        wh_cli_reply_t reply;
        const char *path = apr_pstrcat(cli->p, "/v1/workers?limit=100", *cursor ? "&cursor=" : "",
                                       wh_cli_http_escape(cli, cursor), NULL);
        if ((rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply)) != 0)
            break;
        json_array_extend(all, json_object_get(reply.body, "items"));
        const char *next = wh_cli_get(cli, reply.body, "next");
        cursor = strcmp(next, cursor) != 0 ? next : "";
    } while (*cursor != '\0');
    json_array_foreach(all, i, one) row_add(cli, &table, one);
    if (rc == 0 && cli->json)
        wh_cli_json(all);
    else if (rc == 0)
        wh_cli_table_print(&table);
    json_decref(all);
    return rc;
}

const wh_cli_cmd_t wh_cmd_workers = {.words = "workers",
                                     .args = "[list]",
                                     .max_args = 1,
                                     .run = run,
                                     .doc = "list the workers: CPU in millis, memory in MiB"};
