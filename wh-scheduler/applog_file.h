/* The files of applog.h: their names, reading one back, removing the oldest. No state. */
#ifndef WH_APPLOG_FILE_H
#define WH_APPLOG_FILE_H

#include <apr_tables.h>

#include "libwh/wh_err.h"

/* "<dir>/<first, 16 digits>.seg" in p. */
const char *wh_applog_file_path(apr_pool_t *p, const char *dir, apr_int64_t first);

/* Makes <apps> and <apps>/<app>. Errors here and below: log_unwritable. */
apr_status_t wh_applog_file_dirs(apr_pool_t *p, const char *apps, const char *app,
                                 wh_err_t *err) WH_MUST_CHECK;

/* The first numbers (apr_int64_t) of the segments in dir, rising. */
apr_status_t wh_applog_file_list(apr_pool_t *p, const char *dir, apr_array_header_t **out,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Reads a segment line by line. What a function refuses (0), or what has no known form, is the end
 * of what is good. *bytes = how far it is. */
typedef struct wh_applog_file_reader_t {
    int (*source)(void *baton, int k, apr_int64_t seq, const char *deployment,
                  const char *container);
    int (*line)(void *baton, apr_int64_t n, int k, apr_int64_t seq);
} wh_applog_file_reader_t;
apr_status_t wh_applog_file_read(const char *path, const wh_applog_file_reader_t *reader,
                                 void *baton, apr_int64_t *bytes, wh_err_t *err) WH_MUST_CHECK;

/* Keeps the newest `keep` segments. Failures are logged. */
void wh_applog_file_prune(apr_pool_t *p, const char *dir, int keep);

#endif
