#include "wh-scheduler/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libwh/wh_log.h"

#define BUFFER (64 * 1024)

struct wh_segment_t {
    const char *path;
    int fd;
    apr_int64_t start; /* length at begin() */
    apr_int64_t written;
    apr_size_t n; /* in the buffer */
    char buf[BUFFER];
};

static apr_status_t cleanup(void *data)
{
    wh_segment_cancel(data);
    return APR_SUCCESS;
}

wh_segment_t *wh_segment_make(apr_pool_t *p)
{
    wh_segment_t *seg = apr_palloc(p, sizeof(*seg));

    seg->fd = -1;
    apr_pool_cleanup_register(p, seg, cleanup, apr_pool_cleanup_null);
    return seg;
}

void wh_segment_cancel(wh_segment_t *seg)
{
    if (seg->fd < 0) {
        return;
    }
    if (seg->written > 0 && ftruncate(seg->fd, seg->start) != 0) {
        wh_log(WH_LOG_ERROR, "WH0422", "%s: half an entry stays in it: error %d", seg->path, errno);
    }
    close(seg->fd);
    seg->fd = -1;
}

static apr_status_t failed(wh_segment_t *seg, int error, wh_err_t *err)
{
    wh_segment_cancel(seg);
    return wh_err_wrap(err, error, 500, "log_unwritable", "%s", seg->path);
}

apr_status_t wh_segment_begin(wh_segment_t *seg, const char *path, apr_int64_t bytes, wh_err_t *err)
{
    struct stat st;

    wh_segment_cancel(seg);
    seg->path = path;
    seg->written = 0;
    seg->n = 0;
    seg->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (seg->fd < 0 || fstat(seg->fd, &st) != 0) {
        return failed(seg, errno, err);
    }
    seg->start = bytes >= 0 && bytes < st.st_size ? bytes : st.st_size;
    if (seg->start < st.st_size) {
        wh_log(WH_LOG_WARN, "WH0420", "%s: a torn end is cut off", path);
        if (ftruncate(seg->fd, seg->start) != 0) {
            return failed(seg, errno, err);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t write_all(wh_segment_t *seg, const char *text, apr_size_t n, wh_err_t *err)
{
    while (n > 0) {
        ssize_t done = write(seg->fd, text, n);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return failed(seg, errno, err);
        }
        text += done;
        n -= (apr_size_t)done;
        seg->written += done;
    }
    return APR_SUCCESS;
}

static apr_status_t flush(wh_segment_t *seg, wh_err_t *err)
{
    apr_size_t n = seg->n;

    seg->n = 0;
    return write_all(seg, seg->buf, n, err);
}

apr_status_t wh_segment_put(wh_segment_t *seg, const char *head, apr_size_t head_n,
                            const char *text, apr_size_t text_n, wh_err_t *err)
{
    apr_size_t n = head_n + text_n + 1;

    if (seg->fd < 0 || n > BUFFER) {
        wh_segment_cancel(seg);
        return wh_err_set(err, 500, "log_unwritable", "a line does not fit");
    }
    if (seg->n + n > BUFFER) {
        apr_status_t rv = flush(seg, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    memcpy(seg->buf + seg->n, head, head_n);
    memcpy(seg->buf + seg->n + head_n, text, text_n);
    seg->buf[seg->n + n - 1] = '\n';
    seg->n += n;
    return APR_SUCCESS;
}

apr_status_t wh_segment_end(wh_segment_t *seg, apr_int64_t *bytes, wh_err_t *err)
{
    apr_status_t rv = flush(seg, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *bytes = seg->start + seg->written;
    close(seg->fd);
    seg->fd = -1;
    return APR_SUCCESS;
}

apr_int64_t wh_segment_bytes(const wh_segment_t *seg)
{
    return seg->start + seg->written + (apr_int64_t)seg->n;
}
