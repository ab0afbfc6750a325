#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_pool.h"
#include "libwh/wh_text.h"
#include "wh-agent/logs.h"

typedef struct line_t line_t;
struct line_t {
    line_t *next;
    apr_int64_t seq;
    apr_time_t at;
    wh_stream_e stream;
    size_t n;
    char text[];
};

struct wh_logs_t {
    const wh_clock_t *clock;
    wh_logs_wake_fn *wake;
    void *wake_baton;
    apr_thread_mutex_t *lock;
    apr_pool_t *scratch; /* under the lock */
    wh_bucket_t bucket;
    line_t *first, *last; /* not acknowledged, by number */
    line_t *next;         /* not yet handed out; NULL = all were */
    const wh_mask_t *mask; /* under the lock */
    apr_int64_t bytes;
    apr_int64_t seq;
    apr_int64_t dropped;
};

static apr_status_t logs_free(void *data)
{
    wh_logs_t *logs = data;

    while (logs->first != NULL) {
        line_t *line = logs->first;

        logs->first = line->next;
        free(line);
    }
    logs->last = logs->next = NULL;
    apr_pool_destroy(logs->scratch);
    return APR_SUCCESS;
}

apr_status_t wh_logs_make(apr_pool_t *p, const wh_logs_opts_t *opts, wh_logs_t **out, wh_err_t *err)
{
    wh_logs_t *logs = apr_pcalloc(p, sizeof(*logs));
    apr_status_t rv = apr_thread_mutex_create(&logs->lock, APR_THREAD_MUTEX_DEFAULT, p);

    /* Not a child of p: two threads use it, under the lock, while p belongs to one. */
    logs->scratch = wh_pool_make("logs");
    if (rv == APR_SUCCESS && logs->scratch == NULL)
        rv = APR_ENOMEM;
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "cannot make a log buffer");
    logs->clock = opts->clock;
    logs->wake = opts->wake;
    logs->wake_baton = opts->wake_baton;
    wh_bucket_init(&logs->bucket, WH_BUCKET_LOG_RATE, WH_BUCKET_LOG_BURST,
                   wh_clock_mono(logs->clock));
    apr_pool_cleanup_register(p, logs, logs_free, apr_pool_cleanup_null);
    *out = logs;
    return APR_SUCCESS;
}

/* Under the lock. Returns true when the line was kept. It has its number either way: the gap is
 * what the hub counts, however often a connection is cut. The agent's own lines have some room
 * more, so that the last thing that is said of a job arrives and shows what is missing. */
static int keep(wh_logs_t *logs, wh_stream_e stream, const char *text, size_t n)
{
    line_t *line;
    apr_int64_t cost = (apr_int64_t)(n + sizeof(line_t)), seq = ++logs->seq;
    apr_int64_t room = WH_LOGS_KEPT_MAX + (stream == WH_STREAM_SYS ? WH_LOGS_OWN_MAX : 0);

    if (logs->bytes + cost > room ||
        (!wh_bucket_take(&logs->bucket, (apr_int64_t)n + 1, wh_clock_mono(logs->clock)) &&
         stream != WH_STREAM_SYS))
        return 0;
    line = malloc(sizeof(*line) + n + 1);
    if (line == NULL)
        return 0;
    line->next = NULL;
    line->seq = seq;
    line->at = wh_clock_now(logs->clock);
    line->stream = stream;
    line->n = n;
    memcpy(line->text, text, n);
    line->text[n] = '\0';
    if (logs->last != NULL)
        logs->last->next = line;
    else
        logs->first = line;
    logs->last = line;
    if (logs->next == NULL)
        logs->next = line;
    logs->bytes += cost;
    return 1;
}

/* Under the lock. Masked after cleaning, which may bring together what was apart, and before the
 * cut, which may leave half of a secret. */
static const char *clean_line(wh_logs_t *logs, wh_mask_state_t *state, const char *text, size_t n)
{
    size_t cap = logs->mask != NULL ? 3 * n + WH_MSG_LINE_BYTES : WH_MSG_LINE_BYTES;
    const char *clean = wh_text_clean_line(logs->scratch, text, n, cap);

    if (logs->mask == NULL)
        return clean;
    clean = wh_mask_text(logs->scratch, logs->mask, state, clean, strlen(clean), &n);
    return n > WH_MSG_LINE_BYTES ? wh_text_clean_line(logs->scratch, clean, n, WH_MSG_LINE_BYTES)
                                 : clean;
}

void wh_logs_mask(wh_logs_t *logs, const wh_mask_t *mask)
{
    if (logs == NULL)
        return;
    apr_thread_mutex_lock(logs->lock);
    logs->mask = mask;
    apr_thread_mutex_unlock(logs->lock);
}

static void add(wh_logs_t *logs, wh_stream_e stream, wh_mask_state_t *state, const char *text,
                size_t n)
{
    const char *clean;
    int kept;

    if (logs == NULL)
        return;
    apr_thread_mutex_lock(logs->lock);
    clean = clean_line(logs, state, text, n);
    kept = keep(logs, stream, clean, strlen(clean));
    if (!kept)
        logs->dropped++;
    apr_pool_clear(logs->scratch);
    apr_thread_mutex_unlock(logs->lock);
    if (kept && logs->wake != NULL)
        logs->wake(logs->wake_baton);
}

void wh_logs_add(wh_logs_t *logs, wh_stream_e stream, const char *text, size_t n)
{
    add(logs, stream, NULL, text, n);
}

void wh_logs_say(wh_logs_t *logs, const char *fmt, ...)
{
    char buf[2048];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    wh_logs_add(logs, WH_STREAM_SYS, buf, n > 0 ? strlen(buf) : 0);
}

void wh_logs_feed(wh_logs_t *logs, wh_stream_e stream, wh_logs_half_t *half, const char *buf,
                  size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = buf[i];

        if (c == '\n' && half->after_cr) {
            half->after_cr = 0;
            continue;
        }
        half->after_cr = c == '\r';
        if (c == '\n' || c == '\r') {
            add(logs, stream, &half->mask, half->buf, half->n);
            half->n = 0;
        } else if (half->n < sizeof(half->buf)) {
            half->buf[half->n++] = c;
        } else {
            /* A line without end: one line of full size, then the next begins. */
            add(logs, stream, &half->mask, half->buf, half->n);
            half->buf[0] = c;
            half->n = 1;
        }
    }
}

void wh_logs_flush(wh_logs_t *logs, wh_stream_e stream, wh_logs_half_t *half)
{
    if (half->n > 0)
        add(logs, stream, &half->mask, half->buf, half->n);
    half->n = 0;
    half->after_cr = 0;
}

apr_array_header_t *wh_logs_take(wh_logs_t *logs, apr_pool_t *p, apr_int64_t *dropped)
{
    apr_array_header_t *lines = NULL;
    apr_int64_t bytes = 0;

    apr_thread_mutex_lock(logs->lock);
    while (logs->next != NULL && bytes < WH_LOGS_BATCH_MAX &&
           (lines == NULL || lines->nelts < WH_MSG_LINES_MAX)) {
        line_t *line = logs->next;

        if (lines == NULL)
            lines = apr_array_make(p, 16, sizeof(wh_msg_line_t));
        APR_ARRAY_PUSH(lines, wh_msg_line_t) =
            (wh_msg_line_t){.seq = line->seq,
                            .at = line->at,
                            .stream = line->stream,
                            .text = apr_pstrmemdup(p, line->text, line->n)};
        bytes += (apr_int64_t)line->n + 64;
        logs->next = line->next;
    }
    *dropped = 0;
    if (lines != NULL) {
        *dropped = logs->dropped;
        logs->dropped = 0;
    }
    apr_thread_mutex_unlock(logs->lock);
    return lines;
}

int wh_logs_pending(wh_logs_t *logs)
{
    int pending;

    apr_thread_mutex_lock(logs->lock);
    pending = logs->next != NULL;
    apr_thread_mutex_unlock(logs->lock);
    return pending;
}

void wh_logs_acked(wh_logs_t *logs, apr_int64_t seq)
{
    apr_thread_mutex_lock(logs->lock);
    while (logs->first != NULL && logs->first != logs->next && logs->first->seq <= seq) {
        line_t *line = logs->first;

        logs->first = line->next;
        logs->bytes -= (apr_int64_t)(line->n + sizeof(line_t));
        free(line);
    }
    if (logs->first == NULL)
        logs->last = NULL;
    apr_thread_mutex_unlock(logs->lock);
}

void wh_logs_rewind(wh_logs_t *logs)
{
    apr_thread_mutex_lock(logs->lock);
    logs->next = logs->first;
    apr_thread_mutex_unlock(logs->lock);
}
