#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"

apr_status_t wh_file_put(int fd, const void *data, size_t n)
{
    const char *at = data;

    while (n > 0) {
        ssize_t did = write(fd, at, n);

        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return did < 0 ? errno : EIO;
        at += did;
        n -= (size_t)did;
    }
    return APR_SUCCESS;
}

apr_status_t wh_file_get(int fd, void *buf, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t did = read(fd, (char *)buf + *got, n - *got);

        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return errno;
        if (did == 0)
            break;
        *got += (size_t)did;
    }
    return APR_SUCCESS;
}

static apr_status_t read_open(apr_pool_t *p, int fd, size_t max, wh_file_text_t *out)
{
    struct stat st;
    apr_status_t rv;

    if (fstat(fd, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode) || st.st_size < 0)
        return EINVAL;
    if ((apr_uint64_t)st.st_size > max)
        return EFBIG;
    out->written = apr_time_from_sec(st.st_mtime);
    out->text = apr_palloc(p, (size_t)st.st_size + 1);
    rv = wh_file_get(fd, out->text, (size_t)st.st_size, &out->n);
    out->text[out->n] = '\0';
    return rv;
}

apr_status_t wh_file_read(apr_pool_t *p, int dir, const char *path, size_t max, wh_file_text_t *out)
{
    /* Not blocking: it may be a pipe, and that shows only once it is open. */
    int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    apr_status_t rv;

    *out = (wh_file_text_t){.text = NULL};
    if (fd < 0)
        return errno;
    rv = read_open(p, fd, max, out);
    close(fd);
    return rv;
}

apr_status_t wh_file_sync_name(apr_pool_t *p, int dir, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? "." : apr_pstrmemdup(p, path, (size_t)(slash - path) + 1);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    apr_status_t rv = APR_SUCCESS;

    if (fd < 0)
        return errno;
    if (fsync(fd) != 0)
        rv = errno;
    close(fd);
    return rv;
}

static apr_status_t fill(int fd, const wh_file_new_t *file, const void *data, size_t n)
{
    apr_status_t rv;

    if ((file->group != WH_FILE_NO_GROUP && fchown(fd, (uid_t)-1, file->group) != 0) ||
        fchmod(fd, file->mode) != 0)
        return errno;
    rv = wh_file_put(fd, data, n);
    return rv == APR_SUCCESS && file->durable && fsync(fd) != 0 ? errno : rv;
}

apr_status_t wh_file_replace(apr_pool_t *p, const wh_file_new_t *file, const void *data, size_t n)
{
    const char *fresh = apr_pstrcat(p, file->path, ".new", NULL);
    apr_status_t rv;
    int fd;

    (void)unlinkat(file->dir, fresh, 0);
    fd = openat(file->dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    rv = fill(fd, file, data, n);
    if (close(fd) != 0 && rv == APR_SUCCESS)
        rv = errno;
    if (rv == APR_SUCCESS && renameat(file->dir, fresh, file->dir, file->path) != 0)
        rv = errno;
    if (rv != APR_SUCCESS)
        (void)unlinkat(file->dir, fresh, 0);
    return rv == APR_SUCCESS && file->durable ? wh_file_sync_name(p, file->dir, file->path) : rv;
}
