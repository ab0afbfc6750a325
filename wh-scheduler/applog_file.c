#include "wh-scheduler/applog_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_file.h"
#include "libwh/wh_log.h"
#include "libwh/wh_logpack.h"

#define SIZE_MAX_READ (4 * 1024 * 1024)

static apr_status_t failed(wh_err_t *err, int error, const char *path)
{
    return wh_err_wrap(err, error, 500, "log_unwritable", "%s", path);
}

const char *wh_applog_file_path(apr_pool_t *p, const char *dir, apr_int64_t first)
{
    wh_logread_file_t file = {.first = first};

    return wh_logread_path(p, dir, &file);
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

/* "@<k> <seq> <deployment> <container>" */
static int parse_source(apr_pool_t *p, const char *line, size_t n,
                        const wh_applog_file_reader_t *reader, void *baton)
{
    wh_logline_source_t s;

    return wh_logline_source(line, n, &s) &&
           reader->source(baton, s.k, s.seq, apr_pstrmemdup(p, s.deployment, s.deployment_n),
                          apr_pstrmemdup(p, s.container, s.container_n));
}

static int parse_line(const char *line, size_t n, const wh_applog_file_reader_t *reader,
                      void *baton)
{
    wh_logline_t parsed;

    return wh_logline_parse(line, n, &parsed) && reader->line(baton, &parsed);
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
    if (error == 0) {
        error = wh_file_get(fd, *text, (size_t)st.st_size, n);
    }
    if (error == 0 && *n < (apr_size_t)st.st_size) {
        error = EIO; /* segments do not get shorter */
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

apr_status_t wh_applog_file_read(apr_pool_t *p, const char *path,
                                 const wh_applog_file_reader_t *reader, void *baton,
                                 apr_int64_t *bytes, wh_err_t *err)
{
    apr_size_t n, at = 0;
    char *text, *end;
    apr_status_t rv = slurp(path, &text, &n, err);

    if (rv != APR_SUCCESS || text == NULL) {
        return rv;
    }
    while (at < n && (end = memchr(text + at, '\n', n - at)) != NULL) {
        size_t len = (size_t)(end - text) - at;

        if (!(text[at] == '@' ? parse_source(p, text + at, len, reader, baton)
                              : parse_line(text + at, len, reader, baton))) {
            break;
        }
        at = (apr_size_t)(end - text) + 1;
    }
    *bytes = (apr_int64_t)at;
    free(text);
    return APR_SUCCESS;
}

/* ---- packing ---- */

static int write_whole(apr_pool_t *p, const char *path, const char *text, size_t n)
{
    const wh_file_new_t file = {
        .dir = AT_FDCWD, .path = path, .mode = 0640, .group = WH_FILE_NO_GROUP, .durable = 1};

    return wh_file_replace(p, &file, text, n);
}

void wh_applog_file_pack(apr_pool_t *p, const char *dir, apr_int64_t first)
{
    wh_logread_file_t file = {.first = first}, packed = {.first = first, .packed = 1};
    const char *from = wh_logread_path(p, dir, &file), *to = wh_logread_path(p, dir, &packed);
    wh_err_t err = WH_ERR_INIT;
    char *text = NULL, *out = NULL;
    apr_size_t n, len = 0;
    apr_pool_t *scratch;
    int error;

    if (slurp(from, &text, &n, &err) != APR_SUCCESS || text == NULL) {
        wh_log(WH_LOG_WARN, "WH0414", "a log's segment is not packed: %s", err.text);
        return;
    }
    apr_pool_create(&scratch, p);
    out = wh_logpack_make(scratch, text, n, &len);
    error = out != NULL ? write_whole(scratch, to, out, len) : ENOMEM;
    if (error == 0 && unlink(from) != 0) {
        error = errno;
    }
    if (error != 0) {
        wh_log(WH_LOG_WARN, "WH0415", "%s is not packed: error %d", from, error);
    }
    apr_pool_destroy(scratch);
    free(text);
}

/* ---- removing ---- */

static void remove_file(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        wh_log(WH_LOG_WARN, "WH0426", "%s cannot be removed: error %d", path, errno);
    }
}

/* The newest is too old: its lines go, their number stays. */
static void empty(apr_pool_t *p, const char *dir, const wh_logread_file_t *file, apr_int64_t next)
{
    wh_logread_file_t fresh = {.first = next};
    const char *path = wh_logread_path(p, dir, &fresh);

    if (write_whole(p, path, "", 0) == 0 && next != file->first) {
        remove_file(wh_logread_path(p, dir, file));
    }
}

static int count_line(void *baton, const wh_logline_t *line)
{
    *(apr_int64_t *)baton = line->n;
    return 1;
}

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

/* The number behind the last line of a segment. */
static apr_int64_t next_of(apr_pool_t *p, const char *dir, const wh_logread_file_t *file)
{
    static const wh_applog_file_reader_t reader = {.source = any_source, .line = count_line};
    apr_int64_t last = file->first - 1, bytes;
    wh_err_t err = WH_ERR_INIT;

    return !file->packed && wh_applog_file_read(p, wh_logread_path(p, dir, file), &reader, &last,
                                                &bytes, &err) == APR_SUCCESS
               ? last + 1
               : 0;
}

int wh_applog_file_prune(apr_pool_t *p, const char *dir, const wh_applog_limits_t *limits,
                         apr_time_t now)
{
    apr_array_header_t *files;
    apr_int64_t bytes = 0, next;
    wh_err_t err = WH_ERR_INIT;
    int emptied = 0;

    if (wh_logread_list(p, dir, &files, &err) != APR_SUCCESS) {
        return 0;
    }
    for (int i = files->nelts - 1; i >= 0; i--) {
        const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i, wh_logread_file_t);
        const char *path = wh_logread_path(p, dir, file);
        struct stat st;
        int old;

        if (stat(path, &st) != 0) {
            continue;
        }
        /* One that is not packed yet soon takes a tenth of it, and counts then. */
        bytes += file->packed ? (apr_int64_t)st.st_size : 0;
        old = now != 0 && (apr_int64_t)st.st_mtime < apr_time_sec(now) - limits->age_s;
        if (i + 1 < files->nelts && (old || bytes > limits->bytes)) {
            remove_file(path);
        } else if (old && st.st_size > 0 && (next = next_of(p, dir, file)) > 0) {
            empty(p, dir, file, next);
            emptied = 1;
        }
    }
    return emptied;
}

void wh_applog_file_remove(apr_pool_t *p, const char *dir)
{
    apr_array_header_t *files;
    wh_err_t err = WH_ERR_INIT;

    if (wh_logread_list(p, dir, &files, &err) != APR_SUCCESS) {
        return;
    }
    for (int i = 0; i < files->nelts; i++) {
        wh_logread_file_t file = APR_ARRAY_IDX(files, i, wh_logread_file_t);

        for (file.packed = 0; file.packed <= 1; file.packed++) {
            remove_file(wh_logread_path(p, dir, &file));
        }
        remove_file(apr_pstrcat(p, wh_logread_path(p, dir, &file), ".new", NULL));
    }
}
