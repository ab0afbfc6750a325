/* wh stats */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "GET", "/v1/stats", NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    wh_cli_out("workers   %s (%s online, %s offline, %s draining)\n",
               wh_cli_get(cli, reply.body, "workers.total"),
               wh_cli_get(cli, reply.body, "workers.online"),
               wh_cli_get(cli, reply.body, "workers.offline"),
               wh_cli_get(cli, reply.body, "workers.draining"));
    wh_cli_out("cpu       %s millis promised\n",
               wh_cli_worker_share(cli, reply.body, "cpu_millis.used", "cpu_millis.total", 1));
    wh_cli_out(
        "memory    %s MiB promised\n",
        wh_cli_worker_share(cli, reply.body, "memory_bytes.used", "memory_bytes.total", 1048576));
    wh_cli_out("jobs      %s pending, %s assigned, %s at work\n",
               wh_cli_get(cli, reply.body, "jobs.pending"),
               wh_cli_get(cli, reply.body, "jobs.assigned"),
               wh_cli_get(cli, reply.body, "jobs.processing"));
    wh_cli_out("apps      %s running\n", wh_cli_get(cli, reply.body, "apps.running"));
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_stats = {
    .words = "stats", .args = "", .run = run, .doc = "sums of workers, room, jobs and apps"};
