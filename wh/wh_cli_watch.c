/* A deployment under way: its phases, its log, its end. */
#include "config.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wh/wh_cli.h"

#define PAUSE_MIN_MS 40
#define PAUSE_MAX_MS 500
/* How long the server may be away (a restart, a busy database) before we give up watching. */
#define AWAY_MAX_MS 60000

typedef struct watch_t {
    wh_cli_t *cli;
    const char *id;
    apr_int64_t began_ms, away_since_ms;
    char phase[32];
    const char *wait; /* why it waits, as said last; in the pool of base */
    json_int_t seq;
    json_t *last;
    apr_pool_t *base,
        *turn; /* turn holds the last look's answers, so that a long wait stays small */
} watch_t;

static apr_int64_t mono_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (apr_int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void wh_cli_watch_pause(int ms)
{
    (void)poll(NULL, 0, ms);
}

int wh_cli_watch_log(wh_cli_t *cli, const char *id, json_int_t *seq, int *complete,
                     wh_cli_reply_t *reply)
{
    *complete = 0;
    for (;;) {
        const char *path =
            apr_psprintf(cli->p, "/v1/deployments/%s/logs?after=%" APR_INT64_T_FMT "&limit=1000",
                         id, (apr_int64_t)*seq);
        wh_cli_http_try(cli, "GET", path, NULL, NULL, reply);
        if (reply->status != 200)
            return WH_EXIT_FAIL;
        json_t *line, *items = json_object_get(reply->body, "items");
        size_t i;
        json_array_foreach(items, i, line)
        {
            const char *text = wh_cli_get(cli, line, "text");
            const char *mark =
                strcmp(wh_cli_get(cli, line, "stream"), "sys") == 0 ? "----> " : "      ";
            wh_cli_note(cli, "%s%s\n", mark, text);
            json_int_t at = wh_cli_get_int(line, "seq");
            *seq = at > *seq ? at : *seq;
        }
        *complete = json_is_true(json_object_get(reply->body, "complete"));
        if (json_array_size(items) < 1000)
            return 0;
    }
}

static void phase_say(watch_t *w)
{
    const char *phase = wh_cli_get(w->cli, w->last, "phase");
    const char *conclusion = wh_cli_get(w->cli, w->last, "conclusion");
    if (*conclusion != '\0' && strcmp(conclusion, "succeeded") != 0)
        phase = conclusion;
    if (strcmp(phase, w->phase) == 0)
        return;
    apr_cpystrn(w->phase, phase, sizeof(w->phase));
    apr_int64_t ms = mono_ms() - w->began_ms;
    wh_cli_note(w->cli, "%s\n",
                wh_cli_paint(w->cli, "bold",
                             apr_psprintf(w->cli->p, "[%3d.%d s] %s", (int)(ms / 1000),
                                          (int)(ms % 1000 / 100), phase)));
}

/* Why it does not begin, each time that this is something new. */
static void wait_say(watch_t *w)
{
    const char *why = wh_cli_get(w->cli, w->last, "cause.detail");
    if (strcmp(wh_cli_get(w->cli, w->last, "status"), "prepare") != 0 || *why == '\0' ||
        (w->wait != NULL && strcmp(why, w->wait) == 0))
        return;
    w->wait = apr_pstrdup(w->base, why);
    wh_cli_note(w->cli, "          waits: %s\n", why);
}

/* One look at the server. Returns 1 when it gave no usable answer, -1 when it never will. */
static int look(watch_t *w)
{
    wh_cli_reply_t reply;
    const char *path = apr_pstrcat(w->cli->p, "/v1/deployments/", w->id, NULL);
    wh_cli_http_try(w->cli, "GET", path, NULL, NULL, &reply);
    if (reply.status != 200 || reply.body == NULL)
        return reply.status >= 400 && reply.status < 500 && reply.status != 429 ? -1 : 1;
    w->last = reply.body;
    int complete;
    /* The log first: what was said in a phase stands before the next one's line. */
    (void)wh_cli_watch_log(w->cli, w->id, &w->seq, &complete, &reply);
    phase_say(w);
    wait_say(w);
    return 0;
}

static int look_in_turn(watch_t *w)
{
    apr_pool_t *fresh;
    if (apr_pool_create(&fresh, w->base) != APR_SUCCESS)
        return 1;
    w->cli->p = fresh;
    int bad = look(w);
    w->cli->p = w->base;
    if (bad != 0) {
        apr_pool_destroy(fresh);
        return bad;
    }
    if (w->turn != NULL)
        apr_pool_destroy(w->turn);
    w->turn = fresh;
    return 0;
}

static int done(const watch_t *w)
{
    return strcmp(wh_cli_get(w->cli, w->last, "status"), "completed") == 0;
}

static void goes_on(const watch_t *w, const char *why)
{
    wh_cli_error("%s; the deployment goes on. See it: wh logs -f %s; end it: wh cancel %s", why,
                 w->id, w->id);
}

static int away(watch_t *w)
{
    apr_int64_t now = mono_ms();
    if (w->away_since_ms == 0) {
        w->away_since_ms = now;
        wh_cli_note(w->cli, "the server does not answer; trying again\n");
    }
    return now - w->away_since_ms > AWAY_MAX_MS;
}

/* What the server keeps of the log after the end can come a moment later: fetch the rest. */
static void drain_log(watch_t *w)
{
    wh_cli_reply_t reply;
    int complete = 0;
    for (int turn = 0; turn < 20 && !complete; turn++) {
        if (wh_cli_watch_log(w->cli, w->id, &w->seq, &complete, &reply) != 0)
            return;
        if (!complete)
            wh_cli_watch_pause(PAUSE_MIN_MS);
    }
}

int wh_cli_watch(wh_cli_t *cli, const char *id, apr_int64_t timeout_s, json_t **out)
{
    watch_t w = {.cli = cli, .id = id, .began_ms = mono_ms(), .base = cli->p};
    int pause_ms = PAUSE_MIN_MS;
    int rc = 0;
    while (rc == 0) {
        int bad = look_in_turn(&w);
        if (wh_cli_interrupted) {
            goes_on(&w, "interrupted");
            rc = WH_EXIT_INT;
        } else if (bad < 0 || (bad > 0 && away(&w))) {
            goes_on(&w, "the server gave no usable answer");
            rc = WH_EXIT_FAIL;
        } else if (bad == 0 && done(&w)) {
            break;
        } else if (timeout_s > 0 && mono_ms() - w.began_ms > timeout_s * 1000) {
            goes_on(&w, apr_psprintf(cli->p, "not completed within %d s", (int)timeout_s));
            rc = WH_EXIT_TIMEOUT;
        } else {
            w.away_since_ms = bad ? w.away_since_ms : 0;
            wh_cli_watch_pause(pause_ms);
            pause_ms = pause_ms * 5 / 4 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 5 / 4;
        }
    }
    if (rc == 0)
        drain_log(&w);
    *out = w.last;
    return rc;
}
