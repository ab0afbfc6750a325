/* What an app prints: pages out of its log, and what comes after them. */
#include "config.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_time.h>
#include <stdlib.h>
#include <string.h>

#include "wh/wh_cli.h"

#define PAGE 1000
#define TAIL 100

typedef struct applog_t {
    wh_cli_t *cli;
    const char *path; /* with the filters, ready for one more parameter */
    json_t *all;      /* --json: gathered; NULL = printed as they come */
    json_int_t last;  /* number of the line shown last */
    apr_int64_t shown;
} applog_t;

/* "90s", "30m", "1h", "2d" as RFC 3339; another text as it is. */
static const char *when_of(wh_cli_t *cli, const char *text)
{
    static const struct {
        char letter;
        apr_int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    apr_int64_t n = apr_strtoi64(text, &end, 10);

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (end != text && end[0] == units[i].letter && end[1] == '\0' && n >= 0 && n < 1000000)
            return apr_psprintf(cli->p, "%" APR_INT64_T_FMT,
                                apr_time_sec(apr_time_now()) - n * units[i].seconds);
    return text;
}

/* A stream has no times: it goes on behind a line. */
static const char *path_of(wh_cli_t *cli, const char *app, int streaming)
{
    static const struct {
        const char *option, *parameter;
        int is_time;
    } filters[] = {{"since", "from", 1},
                   {"until", "to", 1},
                   {"level", "level", 0},
                   {"text", "text", 0},
                   {"deployment", "deployment", 0},
                   {"env", "environment", 0},
                   {"stream", "stream", 0}};
    const char *path =
        apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/logs?", NULL);

    for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
        const char *value = wh_cli_opts_get(cli, filters[i].option);
        if (value != NULL && !(streaming && filters[i].is_time))
            path = apr_pstrcat(
                cli->p, path, filters[i].parameter, "=",
                wh_cli_http_escape(cli, filters[i].is_time ? when_of(cli, value) : value), "&",
                NULL);
    }
    return path;
}

int wh_cli_applog_is_meant(wh_cli_t *cli, const char *what)
{
    static const char *const own[] = {"since",      "until", "level",  "text",
                                      "deployment", "env",   "stream", "timestamps"};
    wh_cli_reply_t reply;

    if (wh_cli_opts_get(cli, "build") != NULL)
        return 0;
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (wh_cli_opts_get(cli, own[i]) != NULL)
            return 1;
    if (wh_cli_deployment_is_id(what))
        return 0;
    wh_cli_http_try(cli, "GET",
                    apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, what), NULL), NULL,
                    NULL, &reply);
    return reply.status == 200 && strcmp(wh_cli_get(cli, reply.body, "kind"), "container") == 0;
}

static void line_say(const applog_t *log, const json_t *line)
{
    const wh_cli_t *cli = log->cli;
    const char *level = wh_cli_get(cli, line, "level"), *text = wh_cli_get(cli, line, "text");

    if (strcmp(wh_cli_get(cli, line, "stream"), "sys") == 0)
        text = apr_pstrcat(cli->p, "----> ", text, NULL);
    if (strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0)
        text = wh_cli_paint(cli, "red", text);
    else if (strcmp(level, "warn") == 0)
        text = wh_cli_paint(cli, "yellow", text);
    if (wh_cli_opts_get(cli, "timestamps") != NULL)
        wh_cli_out("%s %s\n", wh_cli_get(cli, line, "at"), text);
    else
        wh_cli_out("%s\n", text);
}

static void take(applog_t *log, json_t *items)
{
    size_t i;
    json_t *line;

    json_array_foreach(items, i, line)
    {
        json_int_t seq = wh_cli_get_int(line, "seq");
        log->last = seq > log->last ? seq : log->last;
        log->shown++;
        if (log->all == NULL && log->cli->json)
            wh_cli_json_line(line);
        else if (log->all == NULL)
            line_say(log, line);
    }
    if (log->all != NULL)
        json_array_extend(log->all, items);
}

/* One page in a pool of its own, which ends with it. Returns 0, 1 = more, -1 = no answer, or an
 * exit code above 1. */
static int page(applog_t *log, const char *rest, json_int_t *cursor)
{
    wh_cli_t *cli = log->cli;
    apr_pool_t *before = cli->p, *own;
    wh_cli_reply_t reply;
    int rc = 0;

    if (apr_pool_create(&own, before) != APR_SUCCESS)
        return -1;
    cli->p = own;
    wh_cli_http_try(cli, "GET", apr_pstrcat(own, log->path, rest, NULL), NULL, NULL, &reply);
    if (reply.status == 200) {
        take(log, json_object_get(reply.body, "items"));
        *cursor = wh_cli_get_int(reply.body, "next");
        rc = json_is_true(json_object_get(reply.body, "complete")) ? 0 : 1;
    } else if (reply.status == 0 || reply.status >= 500 || reply.status == 429) {
        rc = -1;
    } else {
        rc = wh_cli_http_fail(cli, &reply);
        rc = rc > 1 ? rc : WH_EXIT_USAGE;
    }
    cli->p = before;
    apr_pool_destroy(own);
    return rc;
}

/* The newest n before a line, gathered backwards and said forwards. */
static int newest(applog_t *log, apr_int64_t n, json_int_t before)
{
    wh_cli_t *cli = log->cli;
    apr_array_header_t *pages = apr_array_make(cli->p, 4, sizeof(json_t *));

    while (n > 0) {
        wh_cli_reply_t reply;
        const char *path = apr_psprintf(cli->p, "%slimit=%d&before=%" APR_INT64_T_FMT, log->path,
                                        (int)(n < PAGE ? n : PAGE), (apr_int64_t)before);
        int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
        if (rc != 0)
            return rc;
        json_t *items = json_object_get(reply.body, "items");
        APR_ARRAY_PUSH(pages, json_t *) = items;
        n -= (apr_int64_t)json_array_size(items);
        before = wh_cli_get_int(reply.body, "before");
        if (before == 0)
            break;
    }
    while (pages->nelts > 0)
        take(log, *(json_t **)apr_array_pop(pages));
    return 0;
}

/* All from a line on, until there are no more for now. */
static int onward(applog_t *log, json_int_t *after)
{
    int rc = 1;

    while (rc == 1 && !wh_cli_interrupted)
        rc = page(log,
                  apr_psprintf(log->cli->p, "limit=%d&after=%" APR_INT64_T_FMT, PAGE,
                               (apr_int64_t)*after),
                  after);
    return rc;
}

static int on_line(void *baton, const char *type, const json_t *line)
{
    const applog_t *log = baton;

    (void)type;
    if (log->cli->json)
        wh_cli_json_line(line);
    else
        line_say(log, line);
    return 0;
}

/* What comes behind a line. */
static int follow(applog_t *log, const char *app, json_int_t after)
{
    wh_cli_stream_t of = {
        .path = path_of(log->cli, app, 1), .after = after, .fn = on_line, .baton = log};

    fflush(stdout);
    return wh_cli_stream(log->cli, &of);
}

/* The number of the newest line there is, 0 = none. */
static int end_of(wh_cli_t *cli, const char *app, json_int_t *end)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(
        cli, "GET",
        apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/logs?limit=1", NULL), NULL,
        NULL, &reply);
    if (rc == 0)
        *end = wh_cli_get_int(json_array_get(json_object_get(reply.body, "items"), 0), "seq");
    return rc;
}

/* What begins with no digit is no time in any form; the server does not know our options. */
static int times_check(wh_cli_t *cli)
{
    static const char *const options[] = {"since", "until"};

    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        const char *value = wh_cli_opts_get(cli, options[i]);
        if (value != NULL && !apr_isdigit(*value)) {
            wh_cli_error("--%s: \"%s\" is no time: 90s, 30m, 1h, 2d, or 2026-01-02T03:04:05Z",
                         options[i], wh_cli_clean(cli, value));
            return WH_EXIT_USAGE;
        }
    }
    return 0;
}

int wh_cli_applog(wh_cli_t *cli, const char *app, apr_int64_t tail)
{
    if (times_check(cli) != 0)
        return WH_EXIT_USAGE;
    applog_t log = {.cli = cli, .path = path_of(cli, app, 0)};
    int following = wh_cli_opts_get(cli, "follow") != NULL;
    if (following && wh_cli_opts_get(cli, "until") != NULL) {
        wh_cli_error("-f goes on with what comes, --until ends before that");
        return WH_EXIT_USAGE;
    }
    json_int_t end = 0, after = 0;
    int rc = end_of(cli, app, &end);

    if (rc != 0)
        return rc;
    log.all = cli->json && !following ? json_array() : NULL;
    if (tail == 0 && wh_cli_opts_get(cli, "since") == NULL)
        tail = TAIL;
    rc = tail > 0 ? newest(&log, tail, end + 1) : onward(&log, &after);
    if (rc < 0) {
        wh_cli_error("the server does not answer");
        rc = WH_EXIT_FAIL;
    }
    if (rc == 0 && log.all != NULL)
        wh_cli_json(log.all);
    json_decref(log.all);
    if (rc != 0 || !following) {
        if (rc == 0 && log.shown == 0 && !cli->json)
            wh_cli_note(cli, "%s has printed nothing that matches\n", app);
        return rc;
    }
    return follow(&log, app, tail > 0 ? end : after);
}
