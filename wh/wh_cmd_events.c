/* wh events: what changed, and what changes. */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "libwh/wh_types.h"
#include "wh/wh_cmd.h"

#define NEWEST 20

/* The members that say it, in the order in which they are read. */
static const char *words_of(const wh_cli_t *cli, const json_t *event)
{
    static const char *const members[] = {"number", "name",   "host",         "kind",
                                          "status", "phase",  "conclusion",   "environment",
                                          "title",  "reason", "cause.detail", "url"};
    const char *all = "";
    for (size_t i = 0; i < WH_ARRAY_LEN(members); i++) {
        const char *word = wh_cli_get(cli, event, members[i]);
        if (*word != '\0' && !(strcmp(members[i], "phase") == 0 && strcmp(word, "done") == 0))
            all = apr_pstrcat(cli->p, all, *all ? " " : "", i == 0 ? "#" : "", word, NULL);
    }
    return all;
}

static void say(const wh_cli_t *cli, const json_t *event)
{
    const char *app = wh_cli_get(cli, event, "app"), *type = wh_cli_get(cli, event, "type");
    const char *words = words_of(cli, event);
    if (strcmp(wh_cli_get(cli, event, "conclusion"), "failed") == 0 ||
        strcmp(type, "alert.opened") == 0 || strcmp(type, "worker.offline") == 0)
        words = wh_cli_paint(cli, "red", words);
    wh_cli_out("%s  %-18s  %-16s  %s\n", wh_cli_when(cli, wh_cli_get(cli, event, "at")), type,
               *app ? app : "-", words);
}

static int on_event(void *baton, const char *type, const json_t *event)
{
    const wh_cli_t *cli = baton;
    (void)type;
    if (cli->json)
        wh_cli_json_line(event);
    else
        say(cli, event);
    return 0;
}

static const char *path_of(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_get(cli, "app"), *type = wh_cli_opts_get(cli, "type");
    app = app == NULL && cli->n_args > 0 ? cli->args[0] : app;
    const char *path = app != NULL ? apr_pstrcat(cli->p, "/v1/apps/",
                                                 wh_cli_http_escape(cli, app), "/events?", NULL)
                                   : "/v1/events?";
    return type != NULL
               ? apr_pstrcat(cli->p, path, "type=", wh_cli_http_escape(cli, type), "&", NULL)
               : path;
}

static int run(wh_cli_t *cli)
{
    const char *path = path_of(cli);
    int following = wh_cli_opts_get(cli, "follow") != NULL;
    apr_int64_t n = NEWEST;
    wh_cli_reply_t reply;
    json_int_t last = 0;
    size_t i;
    json_t *event;

    if (wh_cli_opts_int(cli, "tail", 1, 1000, &n) != 0)
        return WH_EXIT_USAGE;
    int rc = wh_cli_http(cli, "GET", apr_psprintf(cli->p, "%slimit=%d", path, (int)n), NULL, NULL,
                         &reply);
    if (rc != 0)
        return rc;
    json_t *items = json_object_get(reply.body, "items");
    if (cli->json && !following) {
        wh_cli_json(items);
        return 0;
    }
    json_array_foreach(items, i, event)
    {
        (void)on_event(cli, "", event);
        last = wh_cli_get_int(event, "id");
    }
    fflush(stdout);
    if (!following)
        return 0;
    wh_cli_stream_t of = {.path = path, .after = last, .fn = on_event, .baton = cli};
    return wh_cli_stream(cli, &of);
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "of this app alone"},
    {"follow", 'f', NULL, "go on with what comes, until interrupted"},
    {"tail", 'n', "N", "the last N (20)"},
    {"type", 0, "TYPE", "of these types: deploymentUpdate, 'alert.*', with commas between"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_events = {.words = "events",
                                    .args = "[APP] [-f]",
                                    .max_args = 1,
                                    .run = run,
                                    .options = options,
                                    .doc = "show what changed: deployments, builds, alerts, "
                                           "workers"};
