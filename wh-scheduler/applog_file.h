/* The files of applog.h: their names, reading one back, packing, removing the oldest. No state. */
#ifndef WH_APPLOG_FILE_H
#define WH_APPLOG_FILE_H

#include <apr_tables.h>

#include "libwh/wh_err.h"
#include "libwh/wh_logread.h"

/* "<dir>/<first, 16 digits>.seg" in p. */
const char *wh_applog_file_path(apr_pool_t *p, const char *dir, apr_int64_t first);

/* Makes <apps> and <apps>/<app>. Errors here and below: log_unwritable. */
apr_status_t wh_applog_file_dirs(apr_pool_t *p, const char *apps, const char *app,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Reads a segment that is not packed line by line. What a function refuses (0), or what has no
 * known form, is the end of what is good. *bytes = how far it is. */
typedef struct wh_applog_file_reader_t {
    int (*source)(void *baton, int k, apr_int64_t seq, const char *deployment,
                  const char *container);
    int (*line)(void *baton, const wh_logline_t *line);
} wh_applog_file_reader_t;
apr_status_t wh_applog_file_read(apr_pool_t *p, const char *path,
                                 const wh_applog_file_reader_t *reader, void *baton,
                                 apr_int64_t *bytes, wh_err_t *err) WH_MUST_CHECK;

/* A closed segment becomes a packed one, under its packed name; the other goes once that is on the
 * disk. Failures are logged, and the segment stays as it was. */
void wh_applog_file_pack(apr_pool_t *p, const char *dir, apr_int64_t first);

/* What an app's log may take on the disk, and how old it may get; 0 = nothing is kept. */
typedef struct wh_applog_limits_t {
    apr_int64_t bytes;
    apr_int64_t age_s;
} wh_applog_limits_t;

/* Removes the oldest segments until the rest is within the limits; the newest stays, if need be
 * empty and under the name of the line that will come, so that numbers go on. now 0 = age is not
 * looked at. 1 = the newest was emptied. Failures are logged. */
int wh_applog_file_prune(apr_pool_t *p, const char *dir, const wh_applog_limits_t *limits,
                         apr_time_t now);

/* Removes all of them. */
void wh_applog_file_remove(apr_pool_t *p, const char *dir);

#endif
