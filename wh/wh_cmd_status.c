/* wh status: one app, or all of them with their newest deployment and the workers. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static int one_app(wh_cli_t *cli, const char *app)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "GET",
                         apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), NULL), NULL,
                         NULL, &reply);
    if (rc != 0)
        return rc;
    json_t *last = wh_cli_deployment_newest(cli, app);
    if (cli->json) {
        json_t *out = json_pack("{s:O, s:O?}", "app", reply.body, "deployment", last);
        wh_cli_json(out);
        json_decref(out);
        return WH_EXIT_OK;
    }
    const char *reason = wh_cli_get(cli, reply.body, "reason");
    wh_cli_out("%s: %s%s%s%s\n", wh_cli_get(cli, reply.body, "slug"),
               wh_cli_deployment_observed(cli, reply.body), *reason ? " (" : "", reason,
               *reason ? ")" : "");
    if (last == NULL) {
        wh_cli_out("  no deployment yet\n");
        return WH_EXIT_OK;
    }
    wh_cli_out("  deployment %s  %s  %s  %s\n", wh_cli_get(cli, last, "number"),
               wh_cli_deployment_state(cli, last),
               wh_cli_when(cli, wh_cli_get(cli, last, "created_at")), wh_cli_get(cli, last, "id"));
    const char *detail = wh_cli_get(cli, last, "cause.detail");
    if (*detail != '\0')
        wh_cli_out("  %s\n", detail);
    size_t i;
    json_t *url;
    json_array_foreach(json_object_get(reply.body, "urls"), i, url) if (json_is_string(url))
        wh_cli_out("  %s\n", wh_cli_clean(cli, json_string_value(url)));
    return WH_EXIT_OK;
}

static void apps_say(wh_cli_t *cli, const json_t *apps)
{
    static const char *const titles[] = {"APP", "STATE", "DEPLOYMENT", "RESULT", "WHEN (UTC)"};
    wh_cli_table_t table;
    size_t i;
    json_t *app;
    wh_cli_table_begin(cli, &table, 5, titles);
    json_array_foreach(apps, i, app)
    {
        const char *slug = wh_cli_get(cli, app, "slug");
        const json_t *last = wh_cli_deployment_newest(cli, slug);
        wh_cli_table_add(&table, slug);
        wh_cli_table_add(&table, wh_cli_deployment_observed(cli, app));
        wh_cli_table_add(&table, wh_cli_get(cli, last, "number"));
        wh_cli_table_add(&table, wh_cli_deployment_state(cli, last));
        wh_cli_table_add(&table, wh_cli_when(cli, wh_cli_get(cli, last, "created_at")));
    }
    wh_cli_table_print(&table);
}

static void workers_say(wh_cli_t *cli, const json_t *workers)
{
    static const char *const titles[] = {"WORKER", "STATUS",     "ENGINE",
                                         "CPU",    "MEMORY MIB", "VERSION"};
    wh_cli_table_t table;
    size_t i;
    json_t *one;
    wh_cli_table_begin(cli, &table, 6, titles);
    json_array_foreach(workers, i, one)
    {
        wh_cli_table_add(&table, wh_cli_get(cli, one, "name"));
        wh_cli_table_add(&table, wh_cli_worker_state(cli, one));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "engine"));
        wh_cli_table_add(&table, wh_cli_worker_share(cli, one, "used_cpu_millis", "cpu_millis", 1));
        wh_cli_table_add(
            &table, wh_cli_worker_share(cli, one, "used_memory_bytes", "memory_bytes", 1048576));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "version"));
    }
    wh_cli_table_print(&table);
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t apps, workers;
    if (cli->n_args > 0 || wh_cli_opts_get(cli, "app") != NULL)
        return one_app(cli, wh_cli_opts_app(cli));
    int rc = wh_cli_http(cli, "GET", "/v1/apps?limit=100", NULL, NULL, &apps);
    if (rc == 0)
        rc = wh_cli_http(cli, "GET", "/v1/workers", NULL, NULL, &workers);
    if (rc != 0)
        return rc;
    json_t *app_list = json_object_get(apps.body, "items");
    json_t *worker_list = json_object_get(workers.body, "items");
    if (cli->json) {
        json_t *out = json_pack("{s:O?, s:O?}", "apps", app_list, "workers", worker_list);
        wh_cli_json(out);
        json_decref(out);
        return WH_EXIT_OK;
    }
    workers_say(cli, worker_list);
    wh_cli_out("\n");
    apps_say(cli, app_list);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "one app only"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_status = {.words = "status",
                                    .args = "[APP]",
                                    .max_args = 1,
                                    .run = run,
                                    .options = options,
                                    .doc = "how the workers and the apps do"};
