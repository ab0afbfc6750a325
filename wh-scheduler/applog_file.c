#include "wh-scheduler/applog_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"

#define NAME_DIGITS 16
#define SIZE_MAX_READ (4 * 1024 * 1024)

static apr_status_t failed(wh_err_t *err, int error, const char *path)
{
    return wh_err_wrap(err, error, 500, "log_unwritable", "%s", path);
}

const char *wh_applog_file_path(apr_pool_t *p, const char *dir, apr_int64_t first)
{
    return apr_psprintf(p, "%s/%016" APR_INT64_T_FMT ".seg", dir, first);
}

apr_status_t wh_applog_file_dirs(apr_pool_t *p, const char *apps, const char *app, wh_err_t *err)
{
    const char *dir = apr_pstrcat(p, apps, "/", app, NULL);

    if (mkdir(dir, 02750) == 0 || errno == EEXIST) {
        return APR_SUCCESS;
    }
    if (errno == ENOENT && mkdir(apps, 02750) != 0 && errno != EEXIST) {
        return failed(err, errno, apps);
    }
    return mkdir(dir, 02750) == 0 || errno == EEXIST ? APR_SUCCESS : failed(err, errno, dir);
}

static int by_number(const void *a, const void *b)
{
    const apr_int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

apr_status_t wh_applog_file_list(apr_pool_t *p, const char *dir, apr_array_header_t **out,
                                 wh_err_t *err)
{
    DIR *handle = opendir(dir);
    const struct dirent *entry;

    *out = apr_array_make(p, 8, sizeof(apr_int64_t));
    if (handle == NULL) {
        return failed(err, errno, dir);
    }
    while ((entry = readdir(handle)) != NULL) {
        char *end;
        apr_int64_t first = apr_strtoi64(entry->d_name, &end, 10);

        if (end - entry->d_name == NAME_DIGITS && strcmp(end, ".seg") == 0 && first > 0) {
            APR_ARRAY_PUSH(*out, apr_int64_t) = first;
        }
    }
    closedir(handle);
    qsort((*out)->elts, (size_t)(*out)->nelts, sizeof(apr_int64_t), by_number);
    return APR_SUCCESS;
}

/* A number and the character after it; 0 = there is none. */
static int number(char **at, char end, apr_int64_t *out)
{
    char *after;

    if (**at < '0' || **at > '9') {
        return 0;
    }
    *out = apr_strtoi64(*at, &after, 10);
    *at = after + 1;
    return *after == end;
}

/* "@<k> <seq> <deployment> <container>" */
static int parse_source(char *line, const wh_applog_file_reader_t *reader, void *baton)
{
    apr_int64_t k, seq;
    char *container;

    line++;
    if (!number(&line, ' ', &k) || !number(&line, ' ', &seq) || k > 1000) {
        return 0;
    }
    container = strchr(line, ' ');
    if (container == NULL) {
        return 0;
    }
    *container++ = '\0';
    return reader->source(baton, (int)k, seq, line, container);
}

/* "<n> <time> <stream> <k>:<seq> …" */
static int parse_line(char *line, const wh_applog_file_reader_t *reader, void *baton)
{
    apr_int64_t n, at, k, seq;

    if (!number(&line, ' ', &n) || !number(&line, ' ', &at)) {
        return 0;
    }
    line = strchr(line, ' ');
    if (line == NULL) {
        return 0;
    }
    line++;
    return number(&line, ':', &k) && number(&line, ' ', &seq) && k <= 1000 &&
           reader->line(baton, n, (int)k, seq);
}

static apr_status_t slurp(const char *path, char **text, apr_size_t *n, wh_err_t *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), error = 0;
    struct stat st = {0};

    *text = NULL;
    *n = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        error = errno;
    } else if (st.st_size > SIZE_MAX_READ || (*text = malloc((size_t)st.st_size + 1)) == NULL) {
        error = ENOMEM;
    }
    while (error == 0 && *n < (apr_size_t)st.st_size) {
        ssize_t got = read(fd, *text + *n, (size_t)st.st_size - *n);

        if (got <= 0) {
            error = got < 0 ? errno : EIO;
            break;
        }
        *n += (apr_size_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (error != 0) {
        free(*text);
        return failed(err, error, path);
    }
    return APR_SUCCESS;
}

apr_status_t wh_applog_file_read(const char *path, const wh_applog_file_reader_t *reader,
                                 void *baton, apr_int64_t *bytes, wh_err_t *err)
{
    apr_size_t n, at = 0;
    char *text, *end;
    apr_status_t rv = slurp(path, &text, &n, err);

    if (rv != APR_SUCCESS || text == NULL) {
        return rv;
    }
    while (at < n && (end = memchr(text + at, '\n', n - at)) != NULL) {
        *end = '\0';
        if (!(text[at] == '@' ? parse_source(text + at, reader, baton)
                              : parse_line(text + at, reader, baton))) {
            break;
        }
        at = (apr_size_t)(end - text) + 1;
    }
    *bytes = (apr_int64_t)at;
    free(text);
    return APR_SUCCESS;
}

void wh_applog_file_prune(apr_pool_t *p, const char *dir, int keep)
{
    apr_array_header_t *names;
    wh_err_t err = WH_ERR_INIT;

    if (wh_applog_file_list(p, dir, &names, &err) != APR_SUCCESS) {
        return;
    }
    for (int i = 0; i < names->nelts - keep; i++) {
        const char *path = wh_applog_file_path(p, dir, APR_ARRAY_IDX(names, i, apr_int64_t));

        if (unlink(path) != 0 && errno != ENOENT) {
            wh_log(WH_LOG_WARN, "WH0426", "%s cannot be removed: error %d", path, errno);
        }
    }
}
