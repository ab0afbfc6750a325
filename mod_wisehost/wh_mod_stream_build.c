/* Streams of builds: the log of a deployment from where one was, then its end. Few look at each,
 * and not for long: every stream reads the files on by itself, from where it was. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"
#include "mod_wisehost/wh_mod_stream_int.h"

#define CHUNK (64 * 1024) /* longer than any line */
#define BUDGET (2 * WH_MIB)
#define END_MAX (16 * 1024)

const char *wh_mod_stream_build_end(apr_pool_t *p, const json_t *what)
{
    const char *json = wh_json_text_safe(p, what, NULL);

    return json != NULL ? apr_psprintf(p, "id: " WH_STREAM_END "\nevent: end\ndata: %s\n\n", json)
                        : NULL;
}

/* What the scheduler left when the deployment was over (events.c); NULL = it is not. */
static const char *end_of(const wh_stream_of_t *of, apr_pool_t *p)
{
    wh_file_text_t file;
    wh_err_t err = WH_ERR_INIT;
    json_t *what;

    if (of->end != NULL ||
        wh_file_read(p, AT_FDCWD, apr_pstrcat(p, of->dir, "/end", NULL), END_MAX, &file) !=
            APR_SUCCESS ||
        wh_json_load_object(p, file.text, file.n, NULL, &what, &err) != APR_SUCCESS) {
        return of->end;
    }
    return wh_mod_stream_build_end(p, what);
}

/* "<seq> <time_us> <stream> <text>" of n bytes as an event, in p; NULL = it is none, or is known.
 */
static const char *event_of(apr_pool_t *p, const char *text, apr_size_t n, apr_int64_t *seq)
{
    char *line = apr_pstrmemdup(p, text, n), *end, *stream, *rest;
    char when[WH_TIME_RFC3339_SIZE];
    apr_int64_t number = apr_strtoi64(line, &end, 10), at;
    const char *json;
    json_t *doc;

    if (end == line || *end != ' ' || number <= *seq) {
        return NULL;
    }
    at = apr_strtoi64(end + 1, &stream, 10);
    rest = *stream == ' ' ? strchr(stream + 1, ' ') : NULL;
    if (rest == NULL) {
        return NULL;
    }
    stream++;
    *rest++ = '\0';
    *seq = number;
    wh_time_rfc3339_buf(when, at);
    doc = json_pack("{s:I, s:s, s:s, s:s}", "seq", (json_int_t)number, "at", when, "stream", stream,
                    "text", rest);
    json = wh_json_text_safe(p, doc, NULL);
    json_decref(doc);
    return json != NULL
               ? apr_psprintf(p, "id: %" APR_INT64_T_FMT "\nevent: %s\ndata: %s\n\n", number,
                              strcmp(stream, "err") == 0 ? "build_errors" : "build_logs", json)
               : NULL;
}

typedef struct turn_t {
    apr_pool_t *p;
    wh_build_at_t *at;
    char *buf;
    apr_size_t size, used;
    int full;
} turn_t;

/* The whole lines of what was read; returns how many bytes they are. */
static apr_size_t take_lines(turn_t *t, const char *text, apr_size_t n)
{
    const char *from = text, *end = text + n, *nl;

    while (from < end && (nl = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        apr_int64_t seq = t->at->n;
        const char *event = event_of(t->p, from, (apr_size_t)(nl - from), &seq);
        apr_size_t len = event != NULL ? strlen(event) : 0;

        if (t->used + len > t->size && t->used > 0) {
            t->full = 1;
            break;
        }
        if (len <= t->size - t->used) {
            memcpy(t->buf + t->used, event != NULL ? event : "", len);
            t->used += len;
        }
        t->at->n = seq;
        from = nl + 1;
    }
    return (apr_size_t)(from - text);
}

/* 1 = there is another segment to read. */
static int open_segment(const wh_stream_of_t *of, apr_pool_t *p, int n, int *fd)
{
    *fd = open(apr_psprintf(p, "%s/%06d.seg", of->dir, n), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *fd >= 0;
}

/* Up to the end of what there is, a full buffer, or the budget. 1 = to the end. */
static int read_on(const wh_stream_of_t *of, turn_t *t)
{
    apr_int64_t budget = BUDGET;
    char *chunk = apr_palloc(t->p, CHUNK);
    int fd, all = 0;

    t->at->segment = t->at->segment > 0 ? t->at->segment : 1;
    if (!open_segment(of, t->p, t->at->segment, &fd)) {
        return 1;
    }
    while (!all && !t->full && budget > 0) {
        ssize_t got = pread(fd, chunk, CHUNK, (off_t)t->at->offset);
        apr_size_t taken = got > 0 ? take_lines(t, chunk, (apr_size_t)got) : 0;
        int next;

        budget -= got > 0 ? got : 0;
        t->at->offset += (apr_int64_t)taken;
        if (taken > 0 || t->full) {
            continue;
        }
        all = !open_segment(of, t->p, t->at->segment + 1, &next);
        if (!all) {
            close(fd);
            fd = next;
            t->at->segment++;
            t->at->offset = 0;
        }
    }
    close(fd);
    return all;
}

apr_size_t wh_mod_stream_build(const wh_stream_of_t *of, apr_pool_t *p, wh_build_at_t *at,
                               char *buf, apr_size_t size, wh_build_e *how)
{
    turn_t t = {.p = p, .at = at, .buf = buf, .size = size};
    const char *end = end_of(of, p); /* before the lines, which all stand there by then */

    *how = read_on(of, &t) ? WH_BUILD_ALL : WH_BUILD_MORE;
    if (*how == WH_BUILD_ALL && end != NULL && t.used + strlen(end) <= size) {
        memcpy(buf + t.used, end, strlen(end));
        t.used += strlen(end);
        *how = WH_BUILD_OVER;
    }
    return t.used;
}
