/* wh logs: what a deployment said, or what an app prints (wh_cli_applog.c). */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "wh/wh_cmd.h"

static json_t *lines_fetch(wh_cli_t *cli, const char *id, int *rc)
{
    json_t *all = json_array();
    json_int_t seq = 0;
    for (;;) {
        wh_cli_reply_t reply;
        const char *path =
            apr_psprintf(cli->p, "/v1/deployments/%s/logs?after=%" APR_INT64_T_FMT "&limit=1000",
                         id, (apr_int64_t)seq);
        if ((*rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply)) != 0)
            return all;
        json_t *items = json_object_get(reply.body, "items");
        size_t n = json_array_size(items);
        json_int_t last = wh_cli_get_int(json_array_get(items, n > 0 ? n - 1 : 0), "seq");
        json_array_extend(all, items);
        if (n < 1000 || last <= seq)
            return all;
        seq = last;
    }
}

static void lines_keep(json_t *all, apr_int64_t tail)
{
    size_t n = json_array_size(all);
    while (tail > 0 && n > (size_t)tail) {
        size_t first = n - (size_t)tail;
        json_t *kept = json_array();
        for (size_t i = first; i < n; i++)
            json_array_append(kept, json_array_get(all, i));
        json_array_clear(all);
        json_array_extend(all, kept);
        json_decref(kept);
        n = json_array_size(all);
    }
}

static void line_say(const wh_cli_t *cli, const json_t *line)
{
    wh_cli_out("%s%s\n", strcmp(wh_cli_get(cli, line, "stream"), "sys") == 0 ? "----> " : "      ",
               wh_cli_get(cli, line, "text"));
}

static void lines_say(const wh_cli_t *cli, const json_t *all)
{
    size_t i;
    json_t *line;
    json_array_foreach(all, i, line) line_say(cli, line);
}

static void lines_json(const json_t *all)
{
    size_t i;
    json_t *line;
    json_array_foreach(all, i, line) wh_cli_json_line(line);
}

/* A line, or the end of the deployment, with which its log ends. */
static int on_line(void *baton, const char *type, const json_t *line)
{
    const wh_cli_t *cli = baton;
    if (strcmp(type, "end") == 0)
        return WH_CLI_STREAM_END;
    if (cli->json)
        wh_cli_json_line(line);
    else
        line_say(cli, line);
    return 0;
}

static int follow(wh_cli_t *cli, const char *id, json_int_t seq)
{
    wh_cli_stream_t of = {.path = apr_pstrcat(cli->p, "/v1/deployments/", id, "/logs", NULL),
                          .after = seq,
                          .fn = on_line,
                          .baton = cli};
    fflush(stdout);
    return wh_cli_stream(cli, &of);
}

static int run(wh_cli_t *cli)
{
    apr_int64_t tail = 0;
    json_t *deployment;
    const char *what = wh_cli_opts_app(cli);
    if (what == NULL || wh_cli_opts_int(cli, "tail", 1, 1000000, &tail) != 0)
        return WH_EXIT_USAGE;
    if (wh_cli_applog_is_meant(cli, what))
        return wh_cli_applog(cli, what, tail);
    int rc = wh_cli_deployment_find(cli, what, &deployment);
    if (rc != 0)
        return rc;
    const char *id = wh_cli_get(cli, deployment, "id");
    json_t *all = lines_fetch(cli, id, &rc);
    json_int_t seq = wh_cli_get_int(
        json_array_get(all, json_array_size(all) > 0 ? json_array_size(all) - 1 : 0), "seq");
    lines_keep(all, tail);
    if (rc == 0 && cli->json && wh_cli_opts_get(cli, "follow") == NULL)
        wh_cli_json(all);
    else if (rc == 0 && cli->json)
        lines_json(all);
    else if (rc == 0)
        lines_say(cli, all);
    json_decref(all);
    if (rc == 0 && wh_cli_opts_get(cli, "follow") != NULL)
        rc = follow(cli, id, seq);
    return rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"follow", 'f', NULL, "go on with what comes; a deployment's log ends with it"},
    {"tail", 'n', "N", "the last lines only (of what an app prints: 100 without --since)"},
    {"build", 0, NULL, "of an app, the log of its newest deployment"},
    {"since", 0, "WHEN", "lines not older than 90s, 30m, 1h, 2d, or an RFC 3339 time"},
    {"until", 0, "WHEN", "lines older than that"},
    {"level", 0, "LEVEL", "of this level or a graver one: debug, info, warn, error, fatal"},
    {"text", 't', "TEXT", "lines with this text"},
    {"deployment", 0, "ID", "what this deployment's containers print"},
    {"env", 0, "NAME", "what those of this environment print"},
    {"stream", 0, "NAME", "out, err or sys"},
    {"timestamps", 0, NULL, "each line with its time"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_logs = {.words = "logs",
                                  .args = "DEPLOYMENT|APP [-f]",
                                  .max_args = 1,
                                  .run = run,
                                  .options = options,
                                  .doc = "show what an app prints, or a deployment's log"};
