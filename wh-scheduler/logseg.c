#include "wh-scheduler/logseg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "libwh/wh_text.h"

#define HEAD_MAX 64
#define FULL APR_INCOMPLETE /* the log has its 16 segments */

struct wh_logseg_t {
    const char *dir;
    wh_segment_t *writer;
    wh_lru_t *known;
    int due; /* some log has something to tell */
    apr_int64_t stored, left_out;
};

static void drop_log(void *baton, wh_lru_item_t *item);

wh_logseg_t *wh_logseg_make(apr_pool_t *p, const char *dir, wh_segment_t *writer)
{
    wh_logseg_t *logs = apr_pcalloc(p, sizeof(*logs));

    logs->dir = apr_pstrdup(p, dir);
    logs->writer = writer;
    logs->known = wh_lru_make(p, WH_LOGSEG_KNOWN, drop_log, logs);
    return logs;
}

static const char *segment_path(const wh_logseg_t *logs, apr_pool_t *p, const char *deployment,
                                int segment)
{
    return apr_psprintf(p, "%s/%s/%06d.seg", logs->dir, deployment, segment);
}

static apr_status_t failed(wh_err_t *err, int error, const char *path)
{
    return wh_err_wrap(err, error, 500, "log_unwritable", "%s", path);
}

/* ---- finding the end of a log ---- */

/* The number at the start of the last whole line of a segment, and how far whole lines go. A last
 * line is shorter than a block of 16 KiB. */
static apr_status_t read_last(wh_logseg_log_t *log, apr_pool_t *p, const char *path, wh_err_t *err)
{
    apr_size_t size = 16384;
    char *block = apr_palloc(p, size + 1), *line, *end = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    apr_int64_t from;
    struct stat st;
    ssize_t n = -1;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        from = st.st_size > (apr_int64_t)size ? st.st_size - (apr_int64_t)size : 0;
        n = pread(fd, block, size, from);
    }
    if (n < 0) {
        int error = errno;

        if (fd >= 0) {
            close(fd);
        }
        return failed(err, error, path);
    }
    close(fd);
    while (n > 0 && block[n - 1] != '\n') {
        n--;
    }
    log->bytes = from + n; /* the next begin() cuts the rest off */
    if (n == 0) {
        return APR_SUCCESS;
    }
    block[n - 1] = '\0';
    line = strrchr(block, '\n');
    line = line != NULL ? line + 1 : block;
    log->last = log->stored = apr_strtoi64(line, &end, 10);
    return APR_SUCCESS;
}

/* Finds the last segment and in it the last number; an empty last segment (a crash between making
 * and writing it) sends us one back for the number. */
static apr_status_t find_end(wh_logseg_log_t *log, const wh_logseg_t *logs, apr_pool_t *p,
                             wh_err_t *err)
{
    apr_int64_t bytes = 0;
    struct stat st;
    int last = 0;
    apr_status_t rv = APR_SUCCESS;

    while (last < WH_LOGSEG_SEGMENTS &&
           stat(segment_path(logs, p, log->deployment, last + 1), &st) == 0) {
        last++;
    }
    for (int segment = last; rv == APR_SUCCESS && segment > 0 && log->stored == 0; segment--) {
        rv = read_last(log, p, segment_path(logs, p, log->deployment, segment), err);
        bytes = segment == last ? log->bytes : bytes;
    }
    log->segment = last > 0 ? last : 1;
    log->bytes = bytes;
    return rv;
}

apr_status_t wh_logseg_open(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment,
                            wh_mono_t now, wh_logseg_log_t **out, wh_err_t *err)
{
    wh_logseg_log_t *log;
    const char *dir;
    apr_status_t rv;

    if (!wh_id_ok(deployment)) {
        return wh_err_set(err, 500, "log_unwritable", "that is no deployment id");
    }
    *out = (wh_logseg_log_t *)wh_lru_find(logs->known, deployment);
    if (*out != NULL) {
        return APR_SUCCESS;
    }
    dir = apr_pstrcat(ptemp, logs->dir, "/", deployment, NULL);
    if (mkdir(dir, 02750) != 0 && errno != EEXIST) {
        return failed(err, errno, dir);
    }
    log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return failed(err, ENOMEM, dir);
    }
    apr_cpystrn(log->deployment, deployment, sizeof(log->deployment));
    rv = find_end(log, logs, ptemp, err);
    if (rv != APR_SUCCESS) {
        free(log);
        return rv;
    }
    log->item.key = log->deployment;
    wh_lograte_init(&log->rate, now);
    wh_lru_add(logs->known, &log->item);
    *out = log;
    return APR_SUCCESS;
}

/* ---- writing ---- */

/* What is on its way into the files: it becomes the log's own state when a segment is ended. */
typedef struct draft_t {
    wh_logseg_log_t *log;
    wh_logseg_t *logs;
    apr_pool_t *p;
    int begun;
    int segment;
    apr_int64_t stored, lines, left_out;
} draft_t;

static draft_t draft_of(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *p)
{
    return (draft_t){
        .log = log, .logs = logs, .p = p, .segment = log->segment, .stored = log->stored};
}

static apr_status_t begin(draft_t *d, apr_int64_t bytes, wh_err_t *err)
{
    apr_status_t rv = wh_segment_begin(
        d->logs->writer, segment_path(d->logs, d->p, d->log->deployment, d->segment), bytes, err);

    d->begun = rv == APR_SUCCESS;
    return rv;
}

static apr_status_t settle(draft_t *d, wh_err_t *err)
{
    apr_int64_t bytes;
    apr_status_t rv;

    if (!d->begun) {
        return APR_SUCCESS;
    }
    d->begun = 0;
    rv = wh_segment_end(d->logs->writer, &bytes, err);
    if (rv == APR_SUCCESS) {
        d->log->segment = d->segment;
        d->log->bytes = -1;
        d->log->stored = d->stored;
        d->log->last = d->log->last < d->stored ? d->stored : d->log->last;
        d->logs->stored += d->lines;
        d->logs->left_out += d->left_out;
        d->lines = d->left_out = 0;
    }
    return rv;
}

/* One line. A note has room beyond the last segment's end too, else nobody would hear of the loss;
 * another line finds the log FULL (nothing is put). */
static apr_status_t put(draft_t *d, const wh_msg_line_t *line, int is_note, wh_err_t *err)
{
    char head[HEAD_MAX];
    int n = snprintf(head, sizeof(head), "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %s ", line->seq,
                     line->at, wh_model_stream_text(line->stream));
    apr_size_t len = strlen(line->text);
    apr_status_t rv = d->begun ? APR_SUCCESS : begin(d, d->log->bytes, err);

    if (rv == APR_SUCCESS &&
        wh_segment_bytes(d->logs->writer) + n + (apr_int64_t)len + 1 > WH_LOGSEG_SEGMENT_BYTES) {
        if (d->segment < WH_LOGSEG_SEGMENTS) {
            rv = settle(d, err);
            d->segment++;
            rv = rv == APR_SUCCESS ? begin(d, -1, err) : rv;
        } else if (!is_note) {
            return FULL;
        }
    }
    rv = rv == APR_SUCCESS
             ? wh_segment_put(d->logs->writer, head, (apr_size_t)n, line->text, len, err)
             : rv;
    if (rv == APR_SUCCESS) {
        d->stored = line->seq;
    }
    return rv;
}

/* Says what is missing between the last stored number and `next`, under the number before it. */
static apr_status_t put_note(draft_t *d, apr_time_t at, apr_int64_t next, wh_err_t *err)
{
    apr_int64_t missing = next - 1 - d->stored;
    wh_msg_line_t line = {.seq = next - 1, .at = at, .stream = WH_STREAM_SYS};
    char text[96];
    apr_status_t rv;

    if (missing <= 0) {
        return APR_SUCCESS;
    }
    snprintf(text, sizeof(text), "%" APR_INT64_T_FMT " lines were left out: %s", missing,
             d->log->full ? "the log is full" : "too many at once");
    line.text = text;
    rv = put(d, &line, 1, err);
    if (rv == APR_SUCCESS) {
        d->left_out += missing;
    }
    return rv;
}

/* A line that may be stored, with the note before it; or FULL. */
static apr_status_t put_line(draft_t *d, wh_msg_line_t line, apr_pool_t *scratch, wh_err_t *err)
{
    apr_status_t rv;

    apr_pool_clear(scratch);
    line.text = wh_text_clean_line(scratch, line.text, WH_TEXT_NUL, WH_TEXT_LINE_MAX);
    rv = put_note(d, line.at, line.seq, err);
    rv = rv == APR_SUCCESS ? put(d, &line, 0, err) : rv;
    if (rv == APR_SUCCESS) {
        d->lines++;
    }
    return rv;
}

apr_status_t wh_logseg_append(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *ptemp,
                              const apr_array_header_t *lines, const wh_lograte_now_t *rate,
                              wh_err_t *err)
{
    draft_t d = draft_of(log, logs, ptemp);
    apr_int64_t last = log->last;
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, ptemp);
    for (int i = 0; rv == APR_SUCCESS && i < lines->nelts; i++) {
        const wh_msg_line_t *line = &APR_ARRAY_IDX(lines, i, wh_msg_line_t);

        if (line->seq <= last) {
            continue;
        }
        last = line->seq;
        if (!log->full && wh_lograte_take(&log->rate, rate, (apr_int64_t)strlen(line->text) + 1)) {
            rv = put_line(&d, *line, scratch, err);
        }
        if (rv == FULL) {
            log->full = 1;
            rv = APR_SUCCESS;
        }
    }
    rv = rv == APR_SUCCESS ? settle(&d, err) : rv;
    if (rv == APR_SUCCESS) {
        log->last = last;
        logs->due |= log->last > log->stored;
    }
    wh_segment_cancel(logs->writer);
    apr_pool_destroy(scratch);
    return rv;
}

/* ---- telling ---- */

/* 1 = the log's stored number has risen. */
static int tell_one(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *p, apr_time_t at)
{
    draft_t d = draft_of(log, logs, p);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;

    if (log->last <= log->stored) {
        return 0;
    }
    rv = put_note(&d, at, log->last + 1, &err);
    rv = rv == APR_SUCCESS ? settle(&d, &err) : rv;
    wh_segment_cancel(logs->writer);
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0423", "log of deployment %s: %s", log->deployment, err.text);
        logs->due = 1;
        return 0;
    }
    return 1;
}

void wh_logseg_tell(wh_logseg_t *logs, apr_pool_t *ptemp, apr_time_t at, wh_logseg_told_fn *told,
                    void *baton)
{
    wh_lru_item_t *item = logs->due ? wh_lru_next(logs->known, NULL) : NULL;
    apr_pool_t *scratch;

    if (item == NULL) {
        return;
    }
    logs->due = 0;
    apr_pool_create(&scratch, ptemp);
    for (; item != NULL; item = wh_lru_next(logs->known, item)) {
        wh_logseg_log_t *log = (wh_logseg_log_t *)item;

        apr_pool_clear(scratch);
        if (tell_one(log, logs, scratch, at) && told != NULL) {
            told(baton, log);
        }
    }
    apr_pool_destroy(scratch);
}

/* It makes room for another, or everything ends. What it had to tell was not acknowledged, so the
 * agent says it again. */
static void drop_log(void *baton, wh_lru_item_t *item)
{
    (void)baton;
    free(item);
}

static apr_status_t put_end(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *p, apr_time_t at,
                            const char *text, wh_err_t *err)
{
    draft_t d = draft_of(log, logs, p);
    wh_msg_line_t line = {.seq = log->last + 1, .at = at, .stream = WH_STREAM_SYS};
    apr_status_t rv = put_note(&d, at, line.seq, err);

    line.text = wh_text_clean_line(p, text, WH_TEXT_NUL, WH_TEXT_LINE_MAX);
    rv = rv == APR_SUCCESS ? put(&d, &line, 1, err) : rv;
    rv = rv == APR_SUCCESS ? settle(&d, err) : rv;
    wh_segment_cancel(logs->writer);
    return rv;
}

void wh_logseg_finish(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment, apr_time_t at,
                      const char *text)
{
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;
    wh_mono_t any = {0};
    apr_status_t rv = wh_logseg_open(logs, ptemp, deployment, any, &log, &err);

    rv = rv == APR_SUCCESS ? put_end(log, logs, ptemp, at, text, &err) : rv;
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0421", "log of deployment %s: %s", deployment, err.text);
        return;
    }
    wh_lru_remove(logs->known, &log->item);
}

void wh_logseg_sums(const wh_logseg_t *logs, apr_int64_t *stored, apr_int64_t *left_out)
{
    *stored = logs->stored;
    *left_out = logs->left_out;
}
