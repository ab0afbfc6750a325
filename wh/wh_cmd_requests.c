/* wh requests: what visitors asked of an app, as httpd counted it. */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>

#include "libwh/wh_types.h"
#include "wh/wh_cmd.h"

/* A member of an object by way of another; NULL-safe. */
static const json_t *at(const json_t *one, const char *object, const char *member)
{
    return json_object_get(json_object_get(one, object), member);
}

/* "12.5 ms"; "-" where nothing was timed. */
static const char *took(const wh_cli_t *cli, const json_t *one, const char *which)
{
    const json_t *value = at(one, "duration_s", which);
    char text[32] = "-";
    if (json_is_number(value))
        snprintf(text, sizeof(text), "%.1f ms", 1000 * json_number_value(value));
    return apr_pstrdup(cli->p, text);
}

static const char *per_s(const wh_cli_t *cli, const json_t *one)
{
    const json_t *value = json_object_get(one, "requests_per_s");
    char text[32] = "-";
    if (json_is_number(value))
        snprintf(text, sizeof(text), "%.2f", json_number_value(value));
    return apr_pstrdup(cli->p, text);
}

static const char *sent(const wh_cli_t *cli, const json_t *one)
{
    char text[32];
    snprintf(text, sizeof(text), "%.1f MiB", (double)wh_cli_get_int(one, "bytes_sent") / 1048576);
    return apr_pstrdup(cli->p, text);
}

static void row(wh_cli_t *cli, wh_cli_table_t *table, const char *title, const json_t *one)
{
    static const char *const counts[] = {"requests",    "classes.2xx", "classes.3xx",
                                         "classes.4xx", "classes.5xx", "upstream_errors"};
    static const char *const times[] = {"p50", "p95", "p99"};
    wh_cli_table_add(table, title);
    wh_cli_table_add(table, per_s(cli, one));
    for (size_t i = 0; i < WH_ARRAY_LEN(counts); i++)
        wh_cli_table_add(table, wh_cli_get(cli, one, counts[i]));
    for (size_t i = 0; i < WH_ARRAY_LEN(times); i++)
        wh_cli_table_add(table, took(cli, one, times[i]));
    wh_cli_table_add(table, sent(cli, one));
}

static void print(wh_cli_t *cli, const json_t *doc)
{
    static const char *const titles[] = {"LAST", "PER S",    "REQUESTS", "2XX", "3XX", "4XX",
                                         "5XX",  "UPSTREAM", "P50",      "P95", "P99", "SENT"};
    wh_cli_table_t table;
    wh_cli_table_begin(cli, &table, WH_ARRAY_LEN(titles), titles);
    row(cli, &table, "minute", json_object_get(doc, "now"));
    row(cli, &table, "hour", json_object_get(doc, "hour"));
    row(cli, &table, "all", json_object_get(doc, "total"));
    wh_cli_table_print(&table);
    wh_cli_note(cli, "counted since %s UTC\n", wh_cli_when(cli, wh_cli_get(cli, doc, "since")));
}

static int run(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_app(cli);
    wh_cli_reply_t reply;
    int rc;
    if (app == NULL)
        return WH_EXIT_USAGE;
    rc = wh_cli_http(
        cli, "GET",
        apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/requests", NULL), NULL,
        NULL, &reply);
    if (rc == 0 && cli->json)
        wh_cli_json(reply.body);
    else if (rc == 0 && !json_is_true(json_object_get(reply.body, "counted")))
        wh_cli_note(cli, "requests are not counted (WiseHostMetrics Off)\n");
    else if (rc == 0)
        print(cli, reply.body);
    return rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_requests = {.words = "requests",
                                      .args = "APP",
                                      .max_args = 1,
                                      .run = run,
                                      .options = options,
                                      .doc = "show what visitors asked of an app, and how fast"};
