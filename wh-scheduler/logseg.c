#include "wh-scheduler/logseg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "libwh/wh_text.h"

struct wh_logseg_t {
    const char *dir;
    wh_logseg_log_t open[WH_LOGSEG_OPEN];
    apr_uint64_t uses;
};

static void shut(wh_logseg_log_t *log)
{
    if (log->deployment[0] != '\0' && log->fd >= 0) {
        close(log->fd);
    }
    memset(log, 0, sizeof(*log));
    log->fd = -1;
}

static apr_status_t cleanup(void *data)
{
    wh_logseg_t *logs = data;

    for (int i = 0; i < WH_LOGSEG_OPEN; i++) {
        shut(&logs->open[i]);
    }
    return APR_SUCCESS;
}

wh_logseg_t *wh_logseg_make(apr_pool_t *p, const char *dir)
{
    wh_logseg_t *logs = apr_pcalloc(p, sizeof(*logs));

    logs->dir = apr_pstrdup(p, dir);
    for (int i = 0; i < WH_LOGSEG_OPEN; i++) {
        logs->open[i].fd = -1;
    }
    apr_pool_cleanup_register(p, logs, cleanup, apr_pool_cleanup_null);
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

/* The number at the start of the last whole line of a segment; bytes after it are cut off. A last
 * line is shorter than a block of 16 KiB. */
static apr_status_t read_last(wh_logseg_log_t *log, apr_pool_t *p, const char *path, wh_err_t *err)
{
    apr_size_t size = 16384;
    char *block = apr_palloc(p, size + 1), *line, *end = NULL;
    apr_int64_t from = log->bytes > (apr_int64_t)size ? log->bytes - (apr_int64_t)size : 0;
    ssize_t n = pread(log->fd, block, size, from);

    if (n < 0) {
        return failed(err, errno, path);
    }
    while (n > 0 && block[n - 1] != '\n') {
        n--;
    }
    if (from + n < log->bytes) {
        wh_log(WH_LOG_WARN, "WH0420", "%s: a torn last line is cut off", path);
        if (ftruncate(log->fd, from + n) != 0) {
            return failed(err, errno, path);
        }
        log->bytes = from + n;
    }
    if (n == 0) {
        return APR_SUCCESS;
    }
    block[n - 1] = '\0';
    line = strrchr(block, '\n');
    line = line != NULL ? line + 1 : block;
    log->last = log->stored = apr_strtoi64(line, &end, 10);
    return APR_SUCCESS;
}

static apr_status_t open_segment(wh_logseg_log_t *log, const wh_logseg_t *logs, apr_pool_t *p,
                                 int segment, wh_err_t *err)
{
    const char *path = segment_path(logs, p, log->deployment, segment);
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;

        if (fd >= 0) {
            close(fd);
        }
        return failed(err, error, path);
    }
    if (log->fd >= 0) {
        close(log->fd);
    }
    log->fd = fd;
    log->segment = segment;
    log->bytes = st.st_size;
    return APR_SUCCESS;
}

/* Finds the last segment and in it the last number; an empty last segment (a crash between making
 * and writing it) sends us one back for the number. */
static apr_status_t find_end(wh_logseg_log_t *log, const wh_logseg_t *logs, apr_pool_t *p,
                             wh_err_t *err)
{
    int last = 0;
    struct stat st;
    apr_status_t rv = APR_SUCCESS;

    while (last < WH_LOGSEG_SEGMENTS &&
           stat(segment_path(logs, p, log->deployment, last + 1), &st) == 0) {
        last++;
    }
    for (int segment = last; rv == APR_SUCCESS && segment > 0 && log->last == 0; segment--) {
        rv = open_segment(log, logs, p, segment, err);
        rv = rv == APR_SUCCESS
                 ? read_last(log, p, segment_path(logs, p, log->deployment, segment), err)
                 : rv;
    }
    if (rv == APR_SUCCESS && log->segment != (last > 0 ? last : 1)) {
        rv = open_segment(log, logs, p, last > 0 ? last : 1, err);
    }
    return rv;
}

apr_status_t wh_logseg_open(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment,
                            wh_mono_t now, wh_logseg_log_t **out, wh_err_t *err)
{
    wh_logseg_log_t *log = &logs->open[0];
    const char *dir;
    apr_status_t rv;

    if (!wh_id_ok(deployment)) {
        return wh_err_set(err, 500, "log_unwritable", "that is no deployment id");
    }
    for (int i = 0; i < WH_LOGSEG_OPEN; i++) {
        if (strcmp(logs->open[i].deployment, deployment) == 0) {
            logs->open[i].used = ++logs->uses;
            *out = &logs->open[i];
            return APR_SUCCESS;
        }
        if (logs->open[i].used < log->used) {
            log = &logs->open[i];
        }
    }
    shut(log);
    dir = apr_pstrcat(ptemp, logs->dir, "/", deployment, NULL);
    if (mkdir(dir, 02750) != 0 && errno != EEXIST) {
        return failed(err, errno, dir);
    }
    apr_cpystrn(log->deployment, deployment, sizeof(log->deployment));
    rv = find_end(log, logs, ptemp, err);
    if (rv != APR_SUCCESS) {
        shut(log);
        return rv;
    }
    wh_bucket_init(&log->bucket, WH_BUCKET_LOG_RATE * 3 / 4, WH_BUCKET_LOG_BURST * 3 / 4, now);
    log->used = ++logs->uses;
    *out = log;
    return APR_SUCCESS;
}

wh_logseg_log_t *wh_logseg_of_job(wh_logseg_t *logs, const char *job, apr_int64_t epoch,
                                  apr_int64_t worker)
{
    for (int i = 0; i < WH_LOGSEG_OPEN; i++) {
        wh_logseg_log_t *log = &logs->open[i];

        if (log->epoch == epoch && log->worker == worker && strcmp(log->job, job) == 0) {
            log->used = ++logs->uses;
            return log;
        }
    }
    return NULL;
}

static apr_status_t write_out(wh_logseg_log_t *log, const char *text, apr_size_t n, wh_err_t *err)
{
    while (n > 0) {
        ssize_t done = write(log->fd, text, n);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return failed(err, errno, log->deployment);
        }
        text += done;
        n -= (apr_size_t)done;
        log->bytes += done;
    }
    return APR_SUCCESS;
}

/* A line goes to the file at once with its end, in one write: a reader never sees half of one, and
 * a crash leaves whole lines. Batches would save system calls, but a build writes few lines. */
static apr_status_t put_line(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *p,
                             const wh_msg_line_t *line, wh_err_t *err)
{
    const char *text =
        apr_psprintf(p, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %s %s\n", line->seq, line->at,
                     wh_model_stream_text(line->stream), line->text);
    apr_size_t n = strlen(text);
    apr_status_t rv = APR_SUCCESS;

    if (log->bytes + (apr_int64_t)n > WH_LOGSEG_SEGMENT_BYTES) {
        if (log->segment >= WH_LOGSEG_SEGMENTS) {
            log->lost++;
            log->last = line->seq;
            return APR_SUCCESS;
        }
        rv = open_segment(log, logs, p, log->segment + 1, err);
    }
    rv = rv == APR_SUCCESS ? write_out(log, text, n, err) : rv;
    if (rv == APR_SUCCESS) {
        log->last = log->stored = line->seq;
    }
    return rv;
}

/* Says in the log what was left out, under the number before `next`, if that one is free. */
static apr_status_t tell_refused(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *p,
                                 apr_time_t at, apr_int64_t next, wh_err_t *err)
{
    wh_msg_line_t line = {.seq = next - 1, .at = at, .stream = WH_STREAM_SYS};

    if (log->refused == 0 || line.seq <= log->stored) {
        return APR_SUCCESS;
    }
    line.text =
        apr_psprintf(p, "%" APR_INT64_T_FMT " lines were left out: too many at once", log->refused);
    log->refused = 0;
    return put_line(log, logs, p, &line, err);
}

apr_status_t wh_logseg_append(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *ptemp,
                              const apr_array_header_t *lines, int allow, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, ptemp);
    for (int i = 0; rv == APR_SUCCESS && i < lines->nelts; i++) {
        wh_msg_line_t line = APR_ARRAY_IDX(lines, i, wh_msg_line_t);

        if (line.seq <= log->last) {
            continue;
        }
        if (!allow) {
            log->refused++;
            log->last = line.seq;
            continue;
        }
        apr_pool_clear(scratch);
        rv = tell_refused(log, logs, scratch, line.at, line.seq, err);
        line.text = wh_text_clean_line(scratch, line.text, WH_TEXT_NUL, WH_TEXT_LINE_MAX);
        rv = rv == APR_SUCCESS ? put_line(log, logs, scratch, &line, err) : rv;
    }
    apr_pool_destroy(scratch);
    return rv;
}

void wh_logseg_finish(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment, apr_time_t at,
                      const char *text)
{
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;
    wh_mono_t any = {0};
    wh_msg_line_t line = {.at = at, .stream = WH_STREAM_SYS};
    apr_status_t rv = wh_logseg_open(logs, ptemp, deployment, any, &log, &err);

    if (rv == APR_SUCCESS) {
        rv = tell_refused(log, logs, ptemp, at, log->last + 2, &err);
    }
    if (rv == APR_SUCCESS) {
        line.seq = log->last + 1;
        line.text = wh_text_clean_line(ptemp, text, WH_TEXT_NUL, WH_TEXT_LINE_MAX);
        if (log->lost > 0) {
            line.text =
                apr_psprintf(ptemp, "%s (the log was full: %" APR_INT64_T_FMT " lines are missing)",
                             line.text, log->lost);
        }
        /* The last line always has room: it is what people look for. */
        line.text = apr_psprintf(ptemp, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " sys %s\n",
                                 line.seq, line.at, line.text);
        rv = write_out(log, line.text, strlen(line.text), &err);
    }
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0421", "log of deployment %s: %s", deployment, err.text);
        return;
    }
    shut(log);
}
