/* wh audit: who did what, from where, and what became of it. */
#include "config.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const char *at(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_when(cli, wh_cli_get(cli, one, "at"));
}

static const char *who(wh_cli_t *cli, const json_t *one)
{
    return apr_pstrcat(cli->p, wh_cli_get(cli, one, "actor.kind"), " ",
                       wh_cli_get(cli, one, "actor.id"), NULL);
}

static const char *outcome(wh_cli_t *cli, const json_t *one)
{
    const char *code = wh_cli_get(cli, one, "code");
    return *code == '\0'
               ? wh_cli_get(cli, one, "outcome")
               : apr_pstrcat(cli->p, wh_cli_get(cli, one, "outcome"), " (", code, ")", NULL);
}

static const wh_cli_column_t columns[] = {
    {"AT", NULL, at},           {"WHO", NULL, who},   {"FROM", "address", NULL},
    {"WHAT", "action", NULL},   {"APP", "app", NULL}, {"OBJECT", "object", NULL},
    {"OUTCOME", NULL, outcome}, {NULL, NULL, NULL},
};

static const char *path_of(wh_cli_t *cli)
{
    static const char *const names[] = {"action", "app", "actor", "since"};
    const char *path = "/v1/audit";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = wh_cli_opts_get(cli, names[i]);
        if (value != NULL)
            path = apr_pstrcat(cli->p, path, strchr(path, '?') != NULL ? "&" : "?", names[i], "=",
                               wh_cli_http_escape(cli, value), NULL);
    }
    return path;
}

/* One row a line, as it came, page by page: of a long log nothing is held. */
static int export(wh_cli_t *cli, const char *path)
{
    const char *more = strchr(path, '?') != NULL ? "&" : "?";
    const char *cursor = "";
    int rc;
    do {
        wh_cli_reply_t reply;
        json_t *one;
        size_t i;
        rc = wh_cli_http(
            cli, "GET",
            apr_pstrcat(cli->p, path, more, "limit=100", *cursor ? "&cursor=" : "", cursor, NULL),
            NULL, NULL, &reply);
        if (rc != 0)
            return rc;
        json_array_foreach(json_object_get(reply.body, "items"), i, one)
        {
            char *line = json_dumps(one, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
            wh_cli_out("%s\n", line != NULL ? line : "");
            free(line);
        }
        const char *next = wh_cli_get(cli, reply.body, "next");
        cursor = strcmp(next, cursor) != 0 ? wh_cli_http_escape(cli, next) : "";
    } while (*cursor != '\0' && !wh_cli_interrupted);
    return wh_cli_interrupted ? WH_EXIT_INT : 0;
}

static int run(wh_cli_t *cli)
{
    apr_int64_t newest = 50;
    int rc = wh_cli_opts_int(cli, "number", 1, 100, &newest);
    if (rc != 0)
        return rc;
    return wh_cli_opts_get(cli, "lines") != NULL ? export(cli, path_of(cli))
                                                 : wh_cli_list(cli, path_of(cli), newest, columns);
}

static const wh_cli_option_t options[] = {
    {"number", 'n', "N", "so many, newest first (50)"},
    {"lines", 0, NULL, "all of them, one JSON object a line"},
    {"action", 0, "ACTION", "of this action: app.delete"},
    {"app", 'a', "APP", "on this app"},
    {"actor", 0, "ID", "by this token, hook, worker"},
    {"since", 0, "TIME", "2026-01-02T03:04:05Z"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_audit = {.words = "audit",
                                   .args = "",
                                   .run = run,
                                   .options = options,
                                   .doc = "who did what, from where"};
