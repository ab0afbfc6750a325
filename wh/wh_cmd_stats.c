/* wh stats: of an app what its containers use just now; else sums of everything. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static void fleet(wh_cli_t *cli, const json_t *doc)
{
    wh_cli_out("workers   %s (%s online, %s offline, %s draining)\n",
               wh_cli_get(cli, doc, "workers.total"), wh_cli_get(cli, doc, "workers.online"),
               wh_cli_get(cli, doc, "workers.offline"), wh_cli_get(cli, doc, "workers.draining"));
    wh_cli_out("cpu       %s millis promised\n",
               wh_cli_worker_share(cli, doc, "cpu_millis.used", "cpu_millis.total", 1));
    wh_cli_out("memory    %s MiB promised\n",
               wh_cli_worker_share(cli, doc, "memory_bytes.used", "memory_bytes.total", 1048576));
    wh_cli_out("jobs      %s pending, %s assigned, %s at work\n",
               wh_cli_get(cli, doc, "jobs.pending"), wh_cli_get(cli, doc, "jobs.assigned"),
               wh_cli_get(cli, doc, "jobs.processing"));
    wh_cli_out("apps      %s running\n", wh_cli_get(cli, doc, "apps.running"));
}

static double mib(const json_t *doc, const char *member)
{
    return (double)wh_cli_get_int(doc, member) / 1048576;
}

static void app_line(const json_t *doc, const char *title, const char *what, const char *in,
                     const char *out)
{
    wh_cli_out("%s  %.2f MiB/s %s, %.2f MiB/s %s\n", title, mib(doc, in), what, mib(doc, out),
               *what == 'i' ? "out" : "written");
}

static void one_app(wh_cli_t *cli, const json_t *doc)
{
    if (!json_is_true(json_object_get(doc, "live"))) {
        wh_cli_out("no figures: %s\n", wh_cli_get(cli, doc, "reason"));
        return;
    }
    wh_cli_out("cpu      %.1f %% of a core\n", (double)wh_cli_get_int(doc, "cpu_millis") / 10);
    if (wh_cli_get_int(doc, "memory_limit_bytes") > 0)
        wh_cli_out("memory   %.1f of %.1f MiB\n", mib(doc, "memory_bytes"),
                   mib(doc, "memory_limit_bytes"));
    else
        wh_cli_out("memory   %.1f MiB, no limit\n", mib(doc, "memory_bytes"));
    app_line(doc, "network", "in", "net_rx_bytes_per_s", "net_tx_bytes_per_s");
    app_line(doc, "disk   ", "read", "disk_read_bytes_per_s", "disk_write_bytes_per_s");
    wh_cli_out("of       %s container(s), %s UTC\n", wh_cli_get(cli, doc, "containers"),
               wh_cli_when(cli, wh_cli_get(cli, doc, "updated_at")));
}

static int run(wh_cli_t *cli)
{
    int of_app = cli->n_args > 0 || wh_cli_opts_get(cli, "app") != NULL;
    const char *path = "/v1/stats";
    wh_cli_reply_t reply;
    int rc;
    if (of_app)
        path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, wh_cli_opts_app(cli)),
                           "/stats", NULL);
    rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
    if (rc == 0 && cli->json)
        wh_cli_json(reply.body);
    else if (rc == 0 && of_app)
        one_app(cli, reply.body);
    else if (rc == 0)
        fleet(cli, reply.body);
    return rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_stats = {.words = "stats",
                                   .args = "[APP]",
                                   .max_args = 1,
                                   .run = run,
                                   .options = options,
                                   .doc = "what an app uses just now; without APP: sums of "
                                          "workers, room, jobs and apps"};
