#include "wh-scheduler/eventlog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "wh-scheduler/packer.h"

#define KEYS (WH_EVENTLOG_ROWS * WH_NEWS_MAX)
#define READ_BYTES (64 * WH_MIB)

/* What a line came from. The time, too: a database that was restored gives its numbers again. */
typedef struct line_key_t {
    apr_int64_t row;
    apr_time_t at;
    int k;
} line_key_t;

struct wh_eventlog_t {
    const char *dir;
    wh_segment_t *writer;
    wh_applog_limits_t limits;
    wh_packer_t *packer;
    int open;
    apr_int64_t n;     /* the last line's number */
    apr_int64_t first; /* of the segment in hand, its name; 0 = none yet */
    apr_int64_t bytes; /* where its whole lines end, -1 = nothing is torn */
    line_key_t keys[KEYS];
    int keys_n; /* of the lines written last */
};

wh_eventlog_t *wh_eventlog_make(apr_pool_t *p, const char *dir, wh_segment_t *writer,
                                const wh_applog_limits_t *limits)
{
    wh_eventlog_t *log = apr_pcalloc(p, sizeof(*log));

    log->dir = apr_pstrcat(p, dir, "/events", NULL);
    log->writer = writer;
    log->limits = *limits;
    log->packer = wh_packer_make(p, limits);
    return log;
}

/* ---- opening ---- */

static int any_source(void *baton, int k, apr_int64_t seq, const char *deployment,
                      const char *container)
{
    (void)baton;
    (void)k;
    (void)seq;
    (void)deployment;
    (void)container;
    return 1;
}

static int on_line(void *baton, const wh_logline_t *line)
{
    wh_eventlog_t *log = baton;

    if (line->n <= log->n) {
        return 0;
    }
    log->n = line->n;
    return 1;
}

/* The last segment: where its whole lines end, and the last number. */
static apr_status_t read_last(wh_eventlog_t *log, apr_pool_t *p, const apr_array_header_t *files,
                              wh_err_t *err)
{
    static const wh_applog_file_reader_t reader = {.source = any_source, .line = on_line};
    const wh_logread_file_t *file = &APR_ARRAY_IDX(files, files->nelts - 1, wh_logread_file_t);

    if (file->packed) {
        return APR_SUCCESS; /* the next one begins behind what wh_logread finds */
    }
    log->first = file->first;
    log->n = file->first - 1;
    return wh_applog_file_read(p, wh_logread_path(p, log->dir, file), &reader, log, &log->bytes,
                               err);
}

static apr_status_t read_keys(wh_eventlog_t *log, apr_pool_t *p, wh_err_t *err)
{
    wh_logread_query_t q = {
        .dir = log->dir, .limit = KEYS, .bytes = READ_BYTES, .budget = READ_BYTES};
    wh_logread_result_t found;
    apr_status_t rv = wh_logread(p, &q, &found, err);

    for (int i = 0; rv == APR_SUCCESS && i < found.lines->nelts; i++) {
        const wh_logread_line_t *line = &APR_ARRAY_IDX(found.lines, i, wh_logread_line_t);

        log->keys[log->keys_n++] = (line_key_t){line->seq, line->at, line->k};
        log->n = line->n > log->n ? line->n : log->n;
    }
    return rv;
}

static apr_status_t open_log(wh_eventlog_t *log, apr_pool_t *p, wh_err_t *err)
{
    apr_array_header_t *files;
    apr_status_t rv;

    if (log->open) {
        return APR_SUCCESS;
    }
    if (mkdir(log->dir, 02750) != 0 && errno != EEXIST) {
        return wh_err_wrap(err, errno, 500, "log_unwritable", "%s", log->dir);
    }
    log->n = log->first = 0;
    log->bytes = -1;
    log->keys_n = 0;
    rv = wh_logread_list(p, log->dir, &files, err);
    if (rv == APR_SUCCESS && files->nelts > 0) {
        rv = read_last(log, p, files, err);
        rv = rv == APR_SUCCESS ? read_keys(log, p, err) : rv;
    }
    /* Killed before they were packed. */
    for (int i = 0; rv == APR_SUCCESS && i + 1 < files->nelts; i++) {
        const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i, wh_logread_file_t);

        if (!file->packed) {
            wh_packer_add(log->packer, log->dir, file->first);
        }
    }
    log->open = rv == APR_SUCCESS;
    return rv;
}

/* ---- writing ---- */

/* What is on its way into the file: the log's own state once it is there. */
typedef struct draft_t {
    wh_eventlog_t *log;
    apr_pool_t *p;
    int begun, keys_n, lines;
    apr_int64_t n, first;
    line_key_t keys[KEYS];
} draft_t;

static int is_there(const wh_eventlog_t *log, const line_key_t *key)
{
    for (int i = 0; i < log->keys_n; i++) {
        const line_key_t *one = &log->keys[i];

        if (one->row == key->row && one->at == key->at && one->k == key->k) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t begin(draft_t *d, wh_err_t *err)
{
    static const char sources[] = "@1 0 events 1\n@2 0 events";
    wh_eventlog_t *log = d->log;
    int fresh = d->first == 0;
    apr_status_t rv;

    d->first = fresh ? d->n + 1 : d->first;
    rv = wh_segment_begin(log->writer, wh_applog_file_path(d->p, log->dir, d->first),
                          fresh ? 0 : log->bytes, err);
    d->begun = rv == APR_SUCCESS;
    return rv == APR_SUCCESS && wh_segment_bytes(log->writer) == 0
               ? wh_segment_put(log->writer, sources, sizeof(sources) - 1, " 2", 2, err)
               : rv;
}

static apr_status_t settle(draft_t *d, wh_err_t *err)
{
    wh_eventlog_t *log = d->log;
    apr_int64_t bytes;
    apr_status_t rv = wh_segment_end(log->writer, &bytes, err);

    d->begun = 0;
    if (rv == APR_SUCCESS) {
        log->n = d->n;
        log->first = d->first;
        log->bytes = -1;
    }
    return rv;
}

static apr_status_t put(draft_t *d, const wh_logline_t *line, const char *text, wh_err_t *err)
{
    wh_eventlog_t *log = d->log;
    apr_size_t len = strlen(text);
    char head[WH_LOGLINE_HEAD];
    int n = wh_logline_head(head, line);
    apr_status_t rv = d->begun ? APR_SUCCESS : begin(d, err);

    if (rv == APR_SUCCESS &&
        wh_segment_bytes(log->writer) + n + (apr_int64_t)len + 1 > WH_EVENTLOG_SEGMENT_BYTES) {
        apr_int64_t full = d->first;

        rv = settle(d, err);
        if (rv == APR_SUCCESS) {
            wh_packer_add(log->packer, log->dir, full);
            d->first = 0;
            rv = begin(d, err);
        }
    }
    rv = rv == APR_SUCCESS ? wh_segment_put(log->writer, head, (apr_size_t)n, text, len, err) : rv;
    d->n += rv == APR_SUCCESS;
    d->lines += rv == APR_SUCCESS;
    return rv;
}

static apr_status_t put_row(draft_t *d, apr_pool_t *scratch, const wh_news_row_t *row,
                            wh_err_t *err)
{
    wh_news_t news[WH_NEWS_MAX];
    int n = wh_news_of(scratch, row, news);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        wh_logline_t line = {.n = d->n + 1,
                             .at = row->at,
                             .seq = row->id,
                             .stream = WH_STREAM_SYS,
                             .level = WH_LEVEL_NONE,
                             .k = i + 1};
        line_key_t key = {row->id, row->at, i + 1};

        if (!is_there(d->log, &key)) {
            rv = put(d, &line, news[i].text, err);
        }
        d->keys[d->keys_n++] = key;
    }
    return rv;
}

apr_status_t wh_eventlog_append(wh_eventlog_t *log, apr_pool_t *ptemp,
                                const apr_array_header_t *rows, int *written, wh_err_t *err)
{
    draft_t *d = apr_pcalloc(ptemp, sizeof(*d));
    apr_pool_t *scratch;
    apr_status_t rv = open_log(log, ptemp, err);

    d->log = log;
    d->p = ptemp;
    d->n = log->n;
    d->first = log->first;
    apr_pool_create(&scratch, ptemp);
    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts && i < WH_EVENTLOG_ROWS; i++) {
        apr_pool_clear(scratch);
        rv = put_row(d, scratch, &APR_ARRAY_IDX(rows, i, wh_news_row_t), err);
    }
    apr_pool_destroy(scratch);
    rv = rv == APR_SUCCESS && d->begun ? settle(d, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_segment_cancel(log->writer);
        log->open = 0; /* what is there is read back */
        return rv;
    }
    memcpy(log->keys, d->keys, (size_t)d->keys_n * sizeof(log->keys[0]));
    log->keys_n = d->keys_n;
    if (written != NULL) {
        *written = d->lines;
    }
    return APR_SUCCESS;
}

void wh_eventlog_prune(wh_eventlog_t *log, apr_pool_t *ptemp, apr_time_t now)
{
    if (wh_applog_file_prune(ptemp, log->dir, &log->limits, now)) {
        log->open = 0; /* the newest goes on under another name */
    }
}

void wh_eventlog_wait(wh_eventlog_t *log)
{
    wh_packer_wait(log->packer);
}
