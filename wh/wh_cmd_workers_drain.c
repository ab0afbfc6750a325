/* wh workers drain: what moves, what does not and why; --wait until nothing is left. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>
#include <time.h>

#include "wh/wh_cmd.h"

#define LOOK_MS 500
#define SETTLE_LOOKS 10 /* how often we look for what the scheduler makes of it */

typedef struct drain_t {
    wh_cli_t *cli;
    const char *name, *said; /* said: the lines as they were shown last; both in the pool of base */
    apr_pool_t *base, *turn;
    json_t *worker; /* as seen last, in the pool of turn */
} drain_t;

static apr_int64_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static const json_t *left_of(const drain_t *d)
{
    return json_object_get(json_object_get(d->worker, "drain"), "left");
}

static json_int_t jobs_of(const drain_t *d)
{
    return wh_cli_get_int(d->worker, "drain.jobs");
}

static int empty(const drain_t *d)
{
    return json_array_size(left_of(d)) == 0 && jobs_of(d) == 0;
}

/* 1 when something of the list has not been looked at by the scheduler yet. */
static int unsettled(const drain_t *d)
{
    size_t i;
    json_t *one;
    json_array_foreach(left_of(d), i, one)
    {
        if (json_is_null(json_object_get(one, "deployment")) &&
            json_is_null(json_object_get(one, "cause")))
            return 1;
    }
    return 0;
}

static const char *lines_of(const drain_t *d)
{
    const char *text = "";
    size_t i;
    json_t *one;
    json_array_foreach(left_of(d), i, one)
    {
        text = apr_pstrcat(d->cli->p, text, "  ", wh_cli_get(d->cli, one, "app"), " (",
                           wh_cli_get(d->cli, one, "environment"),
                           "): ", wh_cli_worker_left(d->cli, one), "\n", NULL);
    }
    if (jobs_of(d) > 0)
        text = apr_psprintf(d->cli->p, "%s  %d job%s at work there\n", text, (int)jobs_of(d),
                            jobs_of(d) == 1 ? " is" : "s are");
    return text;
}

/* One look in a pool of its own, which stays until the next. */
static int look(drain_t *d, const char *method, const char *action)
{
    wh_cli_reply_t reply;
    apr_pool_t *fresh;
    int rc;
    if (apr_pool_create(&fresh, d->base) != APR_SUCCESS)
        return WH_EXIT_FAIL;
    d->cli->p = fresh;
    rc = wh_cli_http(d->cli, method, wh_cli_worker_path(d->cli, d->name, action), NULL, NULL,
                     &reply);
    d->worker = rc == 0 ? reply.body : NULL;
    if (d->turn != NULL)
        apr_pool_destroy(d->turn);
    d->turn = fresh;
    return rc;
}

/* Progress, each time that it is something new. */
static void tell(drain_t *d)
{
    const char *lines = lines_of(d);
    if (d->said != NULL && strcmp(d->said, lines) == 0)
        return;
    d->said = apr_pstrdup(d->base, lines);
    wh_cli_note(d->cli, "%s", lines);
}

static int wait_for(drain_t *d, apr_int64_t timeout_s)
{
    apr_int64_t until = now_s() + timeout_s;
    int rc = 0;
    while (rc == 0 && !empty(d)) {
        tell(d);
        wh_cli_watch_pause(LOOK_MS);
        if (wh_cli_interrupted) {
            wh_cli_error("interrupted; the draining goes on. See it: wh workers info %s; end it: "
                         "wh workers undrain %s",
                         wh_cli_clean(d->cli, d->name), wh_cli_clean(d->cli, d->name));
            return WH_EXIT_INT;
        }
        if (timeout_s > 0 && now_s() >= until) {
            wh_cli_error("not empty within %d s; the draining goes on. See it: wh workers info %s",
                         (int)timeout_s, wh_cli_clean(d->cli, d->name));
            return WH_EXIT_TIMEOUT;
        }
        rc = look(d, "GET", "");
        if (rc == 0 && json_is_null(json_object_get(d->worker, "drain"))) {
            wh_cli_error("somebody let %s take jobs again", wh_cli_clean(d->cli, d->name));
            return WH_EXIT_CONFLICT;
        }
    }
    return rc;
}

static int run(wh_cli_t *cli)
{
    drain_t d = {.cli = cli, .name = cli->args[0], .base = cli->p};
    int wait = wh_cli_opts_get(cli, "wait") != NULL;
    apr_int64_t timeout_s = 0;
    int rc = wh_cli_opts_int(cli, "timeout", 1, 86400, &timeout_s);
    rc = rc != 0 ? rc : look(&d, "POST", "/drain");
    for (int i = 0; rc == 0 && i < SETTLE_LOOKS && unsettled(&d) && !wh_cli_interrupted; i++) {
        wh_cli_watch_pause(LOOK_MS);
        rc = look(&d, "GET", "");
    }
    if (rc == 0 && wait)
        rc = wait_for(&d, timeout_s);
    if (d.worker != NULL && cli->json)
        wh_cli_json(d.worker);
    else if (rc == 0 && !wait)
        wh_cli_out("%s", lines_of(&d));
    if (rc == 0)
        wh_cli_note(cli, "%s takes no new jobs; %s\n", wh_cli_clean(cli, d.name),
                    empty(&d) ? "nothing is left there" : "what is listed is still there");
    cli->p = d.base;
    return rc;
}

static const wh_cli_option_t options[] = {
    {"wait", 'w', NULL, "until nothing is left there"},
    {"timeout", 0, "SECONDS", "with --wait: do not wait longer (exit code 124)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_workers_drain = {.words = "workers drain",
                                           .args = "NAME [--wait]",
                                           .min_args = 1,
                                           .max_args = 1,
                                           .run = run,
                                           .options = options,
                                           .doc = "no more jobs; move its apps elsewhere"};
