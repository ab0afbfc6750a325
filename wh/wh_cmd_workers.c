/* wh workers, wh workers list */
#include "config.h"

#include "wh/wh_cmd.h"

static const char *state(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_worker_state(cli, one);
}

static const char *cpu(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_worker_share(cli, one, "used_cpu_millis", "cpu_millis", 1);
}

static const char *memory(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_worker_share(cli, one, "used_memory_bytes", "memory_bytes", 1048576);
}

static const char *jobs(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_worker_share(cli, one, "jobs", "max_jobs", 1);
}

static const char *seen(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_when(cli, wh_cli_get(cli, one, "last_heartbeat_at"));
}

static const wh_cli_column_t columns[] = {
    {"WORKER", "name", NULL},   {"STATUS", NULL, state},
    {"ZONE", "zone", NULL},     {"ENGINE", "engine", NULL},
    {"CPU", NULL, cpu},         {"MEMORY", NULL, memory},
    {"JOBS", NULL, jobs},       {"APPS", "apps_running", NULL},
    {"SEEN (UTC)", NULL, seen}, {"TAKES NO BUILDS", "refuses", NULL},
    {NULL, NULL, NULL},
};

static int run(wh_cli_t *cli)
{
    int rc = wh_cli_list_word(cli);
    return rc == 0 ? wh_cli_list(cli, "/v1/workers", 0, columns) : rc;
}

const wh_cli_cmd_t wh_cmd_workers = {.words = "workers",
                                     .args = "[list]",
                                     .max_args = 1,
                                     .run = run,
                                     .doc = "list the workers: CPU in millis, memory in MiB"};
