#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "wh-agent/follow_int.h"

#define SPARE_US APR_USEC_PER_SEC
#define FRESH_US ((apr_interval_time_t)3 * APR_USEC_PER_SEC)

static wh_follow_line_t *make_line(const wh_tail_line_t *from, apr_time_t at, const char *text,
                                   size_t n)
{
    wh_follow_line_t *line = malloc(sizeof(*line) + n + 1);

    if (line == NULL)
        return NULL;
    line->next = NULL;
    line->seq = from->seq;
    line->at = at;
    line->stream = from->stream;
    line->n = n;
    memcpy(line->text, text, n);
    line->text[n] = '\0';
    return line;
}

/* 0 = there is no room. It takes the line over then, too. */
static int push(wh_follow_source_t *s, wh_follow_line_t *line)
{
    wh_follow_t *f = s->follow;
    apr_int64_t cost = (apr_int64_t)(line->n + sizeof(*line));
    int fits;

    apr_thread_mutex_lock(f->lock);
    fits = s->bytes + cost <= WH_FOLLOW_QUEUE && f->bytes + cost <= WH_FOLLOW_QUEUES && f->online;
    if (fits) {
        if (s->last != NULL)
            s->last->next = line;
        else
            s->first = line;
        s->last = line;
        s->bytes += cost;
        f->bytes += cost;
        f->pushed = 1;
    }
    apr_thread_mutex_unlock(f->lock);
    if (!fits)
        free(line);
    return fits;
}

/* Masked after cleaning, which may bring together what was apart, and before the cut, which may
 * leave half of a secret. In the scratch pool. */
static const char *clean_line(wh_follow_source_t *s, const wh_tail_line_t *line, size_t *n)
{
    apr_pool_t *p = s->follow->scratch;
    size_t cap = s->mask != NULL ? 3 * line->n + WH_MSG_LINE_BYTES : WH_MSG_LINE_BYTES;
    const char *clean = wh_text_clean_line(p, line->text, line->n, cap);

    *n = strlen(clean);
    if (s->mask != NULL)
        clean = wh_mask_text(p, s->mask, line->mask, clean, *n, n);
    if (*n > WH_MSG_LINE_BYTES) {
        clean = wh_text_clean_line(p, clean, *n, WH_MSG_LINE_BYTES);
        *n = strlen(clean);
    }
    return clean;
}

/* An engine that tells whole seconds is helped by our own clock, but not with a line that may have
 * been read before: it would seem a younger one. Times never go back within a stream. */
static apr_time_t time_of(wh_follow_source_t *s, const wh_tail_line_t *line, wh_mono_t mono)
{
    apr_time_t now = wh_clock_now(s->follow->opts.clock), at = line->at;
    int fresh = line->seq > s->read && wh_mono_diff(mono, s->opened) > FRESH_US;

    s->read = line->seq > s->read ? line->seq : s->read;
    if (line->coarse && fresh && now >= at && now < at + 2 * APR_USEC_PER_SEC)
        at = now < at + APR_USEC_PER_SEC ? now : at + APR_USEC_PER_SEC - 1;
    if (at < s->last_at)
        at = s->last_at;
    s->last_at = at;
    return at;
}

static void set_spare(wh_follow_source_t *s, wh_follow_line_t *line, wh_mono_t now)
{
    free(s->spare);
    s->spare = line;
    s->spare_at = wh_mono_add(now, SPARE_US);
}

void wh_follow_line(void *baton, const wh_tail_line_t *line)
{
    wh_follow_source_t *s = baton;
    wh_follow_t *f = s->follow;
    wh_mono_t now = wh_clock_mono(f->opts.clock);
    wh_lograte_now_t rate = {.connection = &f->bucket, .now = now};
    apr_time_t at = time_of(s, line, now);
    const char *clean;
    size_t n;

    s->pos = s->tail.pos;
    apr_pool_clear(f->scratch);
    if (wh_lograte_take(&s->rate, &rate, (apr_int64_t)line->n + 1)) {
        clean = clean_line(s, line, &n);
        wh_follow_line_t *kept = make_line(line, at, clean, n);

        if (kept != NULL && push(s, kept)) {
            set_spare(s, NULL, now);
            return;
        }
    }
    line->mask->at = 0;
    set_spare(s, make_line(line, at, line->text, line->n), now);
}

void wh_follow_spare(wh_follow_source_t *s, wh_mono_t now)
{
    wh_mask_state_t alone = {0};
    wh_tail_line_t line;
    wh_follow_line_t *kept;
    const char *clean;
    size_t n;

    if (s->spare == NULL || !wh_mono_reached(now, s->spare_at))
        return;
    line = (wh_tail_line_t){.seq = s->spare->seq,
                            .stream = s->spare->stream,
                            .mask = &alone,
                            .text = s->spare->text,
                            .n = s->spare->n};
    apr_pool_clear(s->follow->scratch);
    clean = clean_line(s, &line, &n);
    kept = make_line(&line, s->spare->at, clean, n);
    if (kept != NULL && push(s, kept))
        set_spare(s, NULL, now);
    else
        s->spare_at = wh_mono_add(now, SPARE_US);
}

void wh_follow_empty(wh_follow_source_t *s)
{
    while (s->first != NULL) {
        wh_follow_line_t *line = s->first;

        s->first = line->next;
        free(line);
    }
    s->last = NULL;
    s->follow->bytes -= s->bytes;
    s->bytes = 0;
}

/* ---- the link's thread ---- */

/* The next source that has lines; under the lock. */
static wh_follow_source_t *next_of(wh_follow_t *f)
{
    wh_follow_source_t *from = f->turn != NULL ? f->turn : f->sources, *s = from;

    while (s != NULL && s->first == NULL)
        s = s->next;
    if (s == NULL)
        for (s = f->sources; s != from && s->first == NULL; s = s->next) {
        }
    return s != NULL && s->first != NULL ? s : NULL;
}

int wh_follow_take(wh_follow_t *f, apr_pool_t *p, wh_msg_runtime_log_t *m)
{
    apr_int64_t taken = 0;
    wh_follow_source_t *s;

    apr_thread_mutex_lock(f->lock);
    s = f->bytes > 0 ? next_of(f) : NULL;
    if (s != NULL) {
        *m = (wh_msg_runtime_log_t){.app = apr_pstrdup(p, s->app),
                                    .deployment = apr_pstrdup(p, s->deployment),
                                    .container = apr_pstrdup(p, s->container),
                                    .lines = apr_array_make(p, 32, sizeof(wh_msg_line_t))};
        f->turn = s->next;
    }
    while (s != NULL && s->first != NULL && taken < WH_FOLLOW_BATCH &&
           m->lines->nelts < WH_MSG_LINES_MAX) {
        wh_follow_line_t *line = s->first;

        APR_ARRAY_PUSH(m->lines, wh_msg_line_t) =
            (wh_msg_line_t){.seq = line->seq,
                            .at = line->at,
                            .stream = line->stream,
                            .text = apr_pstrmemdup(p, line->text, line->n)};
        s->first = line->next;
        s->last = s->first != NULL ? s->last : NULL;
        s->bytes -= (apr_int64_t)(line->n + sizeof(*line));
        f->bytes -= (apr_int64_t)(line->n + sizeof(*line));
        taken += (apr_int64_t)line->n + 48;
        free(line);
    }
    apr_thread_mutex_unlock(f->lock);
    return s != NULL;
}

int wh_follow_pending(wh_follow_t *f)
{
    int pending;

    if (f == NULL)
        return 0;
    apr_thread_mutex_lock(f->lock);
    pending = f->bytes > 0;
    apr_thread_mutex_unlock(f->lock);
    return pending;
}
