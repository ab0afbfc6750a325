/* wh usage: what an app used. */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>

#include "wh/wh_cmd.h"

static const char *mib(const wh_cli_t *cli, const json_t *one, const char *member)
{
    char text[32];
    snprintf(text, sizeof(text), "%.1f MiB", (double)wh_cli_get_int(one, member) / 1048576);
    return apr_pstrdup(cli->p, text);
}

/* "12.5 % (max 80.0 %)" of a core. */
static const char *cpu(const wh_cli_t *cli, const json_t *one)
{
    char text[64];
    snprintf(text, sizeof(text), "%.1f %% (max %.1f %%)",
             (double)wh_cli_get_int(one, "cpu_millis_avg") / 10,
             (double)wh_cli_get_int(one, "cpu_millis_max") / 10);
    return apr_pstrdup(cli->p, text);
}

static void row(wh_cli_t *cli, wh_cli_table_t *table, const char *start, const json_t *one)
{
    wh_cli_table_add(table, start);
    wh_cli_table_add(table, cpu(cli, one));
    wh_cli_table_add(table, apr_pstrcat(cli->p, mib(cli, one, "memory_bytes_avg"), " (max ",
                                        mib(cli, one, "memory_bytes_max"), ")", NULL));
    wh_cli_table_add(table, mib(cli, one, "net_bytes"));
}

static void print(wh_cli_t *cli, const json_t *doc)
{
    static const char *const titles[] = {"FROM", "CPU", "MEMORY", "NETWORK"};
    wh_cli_table_t table;
    const json_t *one;
    size_t i;
    wh_cli_table_begin(cli, &table, 4, titles);
    json_array_foreach(json_object_get(doc, "points"), i, one)
        row(cli, &table, wh_cli_when(cli, wh_cli_get(cli, one, "start")), one);
    row(cli, &table, "all", json_object_get(doc, "total"));
    wh_cli_table_print(&table);
}

static int run(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_app(cli);
    const char *from = wh_cli_opts_get(cli, "from"), *to = wh_cli_opts_get(cli, "to");
    apr_int64_t step = 0;
    wh_cli_reply_t reply;
    int rc = app != NULL ? wh_cli_opts_int(cli, "step", 300, 2592000, &step) : WH_EXIT_USAGE;
    if (rc != 0)
        return rc;
    rc = wh_cli_http(
        cli, "GET",
        apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/usage",
                    step > 0 ? apr_psprintf(cli->p, "?step=%" APR_INT64_T_FMT, step) : "?step=0",
                    from != NULL ? "&from=" : "", from != NULL ? wh_cli_http_escape(cli, from) : "",
                    to != NULL ? "&to=" : "", to != NULL ? wh_cli_http_escape(cli, to) : "", NULL),
        NULL, NULL, &reply);
    if (rc == 0 && cli->json)
        wh_cli_json(reply.body);
    else if (rc == 0)
        print(cli, reply.body);
    return rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"from", 0, "TIME", "2026-01-02T03:04:05Z (a day ago)"},
    {"to", 0, "TIME", "likewise (now)"},
    {"step", 0, "SECONDS", "of one line, a multiple of 300"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_usage = {.words = "usage",
                                   .args = "APP",
                                   .max_args = 1,
                                   .run = run,
                                   .options = options,
                                   .doc = "show what an app used"};
