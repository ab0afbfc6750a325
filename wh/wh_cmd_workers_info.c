/* wh workers info */
#include "config.h"

#include "wh/wh_cmd.h"

static const struct {
    const char *title, *path;
} lines[] = {
    {"id", "id"},
    {"address", "address"},
    {"zone", "zone"},
    {"engine", "engine"},
    {"version", "version"},
    {"jobs", "jobs"},
    {"jobs at most", "max_jobs"},
    {"apps", "apps_running"},
    {"heartbeat", "last_heartbeat_at"},
    {"no builds", "refuses"},
    {"draining", "draining_since"},
    {"registered", "created_at"},
};

static void line_say(const char *title, const char *value)
{
    if (*value != '\0')
        wh_cli_out("  %-13s %s\n", title, value);
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    size_t i;
    json_t *one;
    int rc = wh_cli_http(cli, "GET", wh_cli_worker_path(cli, cli->args[0], ""), NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    wh_cli_out("%s: %s\n", wh_cli_get(cli, reply.body, "name"),
               wh_cli_worker_state(cli, reply.body));
    line_say("cpu millis",
             wh_cli_worker_share(cli, reply.body, "used_cpu_millis", "cpu_millis", 1));
    line_say("memory MiB",
             wh_cli_worker_share(cli, reply.body, "used_memory_bytes", "memory_bytes", 1048576));
    line_say("disk free MiB", wh_cli_worker_disk(cli, reply.body));
    line_say("labels", wh_cli_worker_labels(cli, json_object_get(reply.body, "labels")));
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        line_say(lines[i].title, wh_cli_get(cli, reply.body, lines[i].path));
    json_array_foreach(json_object_get(json_object_get(reply.body, "drain"), "left"), i, one)
        wh_cli_out("  %-13s %s (%s): %s\n", i == 0 ? "left" : "", wh_cli_get(cli, one, "app"),
                   wh_cli_get(cli, one, "environment"), wh_cli_worker_left(cli, one));
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_workers_info = {.words = "workers info",
                                          .args = "NAME",
                                          .min_args = 1,
                                          .max_args = 1,
                                          .run = run,
                                          .doc = "show one worker"};
