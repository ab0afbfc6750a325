#include "wh-agent/tail.h"

#include <stdlib.h>
#include <string.h>
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_time.h"

/* What was read of that second is not there to be passed over: the engine began its file anew, by
 * its size. How many lines went with the old one nobody knows, so the count begins anew, with
 * a line of ours that is in none of the engine's. */
static void say_missing(wh_tail_t *t)
{
    static const char text[] =
        "lines may be missing here: the engine began its file of this log anew";
    wh_mask_state_t alone = {0};
    wh_tail_line_t line = {.seq = 1,
                           .at = t->at,
                           .coarse = t->coarse,
                           .stream = WH_STREAM_SYS,
                           .mask = &alone,
                           .text = text,
                           .n = sizeof(text) - 1};

    t->skip = 0;
    t->pos.seq = 1;
    t->fn(t->baton, &line);
}

static void emit(wh_tail_t *t, wh_stream_e stream, wh_tail_half_t *half, const char *text, size_t n)
{
    apr_int64_t sec = apr_time_sec(t->at);
    wh_tail_line_t line = {.at = t->at,
                           .coarse = t->coarse,
                           .stream = stream,
                           .mask = &half->mask,
                           .text = text,
                           .n = n};

    if (t->skip > 0 && sec <= t->pos.sec) {
        t->skip--;
        return;
    }
    if (t->skip > 0)
        say_missing(t);
    if (sec > t->pos.sec) {
        t->pos.sec = sec;
        t->pos.same = 0;
    }
    t->pos.same++;
    line.seq = ++t->pos.seq;
    t->fn(t->baton, &line);
}

/* A line has its end: with what was kept of it, if anything. */
static void complete(wh_tail_t *t, wh_stream_e stream, wh_tail_half_t *half, const char *text,
                     size_t n)
{
    if (half->n > 0) {
        memcpy(half->buf + half->n, text, n);
        text = half->buf;
        n += half->n;
    }
    emit(t, stream, half, text, n);
    free(half->buf);
    half->buf = NULL;
    half->n = 0;
}

/* n bytes fit. Without memory they are left out of their line. */
static void keep(wh_tail_half_t *half, const char *text, size_t n)
{
    if (n == 0)
        return;
    if (half->buf == NULL)
        half->buf = malloc(WH_MSG_LINE_BYTES);
    if (half->buf == NULL)
        return;
    memcpy(half->buf + half->n, text, n);
    half->n += n;
}

/* Ends of line are LF, CR (what shows progress) or both; a line without end is cut into lines of
 * full size. */
static void take_text(wh_tail_t *t, wh_stream_e stream, const char *buf, size_t n)
{
    wh_tail_half_t *half = stream == WH_STREAM_ERR ? &t->err : &t->out;
    size_t begin = 0;

    for (size_t i = 0; i < n; i++) {
        if (buf[i] == '\n' && half->after_cr && i == begin) {
            half->after_cr = 0;
            begin = i + 1;
        } else if (buf[i] == '\n' || buf[i] == '\r') {
            complete(t, stream, half, buf + begin, i - begin);
            half->after_cr = buf[i] == '\r';
            begin = i + 1;
        } else {
            half->after_cr = 0;
            if (half->n + (i - begin) == WH_MSG_LINE_BYTES) {
                complete(t, stream, half, buf + begin, i - begin);
                begin = i;
            }
        }
    }
    keep(half, buf + begin, n - begin);
}

/* The time in front of the text; how many bytes it took. */
static size_t take_stamp(wh_tail_t *t, const char *buf, size_t n)
{
    const char *end = memchr(buf, ' ', n);
    size_t part = end != NULL ? (size_t)(end - buf) : n;

    if (t->stamp_n + part >= sizeof(t->stamp)) {
        t->broken = 1;
        return n;
    }
    memcpy(t->stamp + t->stamp_n, buf, part);
    t->stamp_n += part;
    if (end == NULL)
        return n;
    t->stamp[t->stamp_n] = '\0';
    t->in_stamp = 0;
    t->coarse = strchr(t->stamp, '.') == NULL;
    if (wh_time_parse(t->stamp, &t->at) != APR_SUCCESS || t->at < 0)
        t->broken = 1;
    return part + 1;
}

static void on_begin(void *baton)
{
    wh_tail_t *t = baton;

    t->in_stamp = 1;
    t->stamp_n = 0;
}

static void on_bytes(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    wh_tail_t *t = baton;

    if (t->in_stamp && !t->broken) {
        size_t took = take_stamp(t, buf, n);

        buf += took;
        n -= took;
    }
    if (!t->broken && n > 0)
        take_text(t, stream, buf, n);
}

void wh_tail_begin(wh_tail_t *t, const wh_tail_pos_t *from, wh_tail_fn *fn, void *baton)
{
    memset(t, 0, sizeof(*t));
    wh_frames_init(&t->frames, on_bytes, t);
    t->frames.begin = on_begin;
    t->fn = fn;
    t->baton = baton;
    t->pos = *from;
    t->skip = from->same;
}

int wh_tail_feed(void *tail, const char *buf, size_t n)
{
    wh_tail_t *t = tail;

    if (t->broken || wh_frames_feed(&t->frames, buf, n) != 0)
        t->broken = 1;
    return t->broken ? -1 : 0;
}

void wh_tail_end(wh_tail_t *t)
{
    if (t->out.n > 0)
        complete(t, WH_STREAM_OUT, &t->out, "", 0);
    if (t->err.n > 0)
        complete(t, WH_STREAM_ERR, &t->err, "", 0);
    wh_tail_drop(t);
}

void wh_tail_drop(wh_tail_t *t)
{
    free(t->out.buf);
    free(t->err.buf);
    t->out.buf = t->err.buf = NULL;
    t->out.n = t->err.n = 0;
}
