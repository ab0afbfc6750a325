/* Reading an app's log out of its segments (wh-scheduler/applog.h), packed or not, while the
 * scheduler may be writing: a last line without its end is not there yet, a segment that goes while
 * it is looked at was the oldest, or is there again under its packed name.
 *
 * Any thread; everything that comes out is in the pool given. */
#ifndef WH_LOGREAD_H
#define WH_LOGREAD_H

#include <apr_tables.h>

#include "libwh/wh_err.h"
#include "libwh/wh_logline.h"

/* ---- the files ---- */

typedef struct wh_logread_file_t {
    apr_int64_t first; /* number of its first line */
    int packed;
} wh_logread_file_t;

/* The segments of a log, oldest first. A directory that is not there holds none. Errors:
 * log_unreadable. */
apr_status_t wh_logread_list(apr_pool_t *p, const char *dir, apr_array_header_t **files,
                             wh_err_t *err) WH_MUST_CHECK;

const char *wh_logread_path(apr_pool_t *p, const char *dir, const wh_logread_file_t *file);

/* ---- lines ---- */

typedef struct wh_logread_line_t {
    apr_int64_t n, seq;
    int k;
    apr_time_t at;
    wh_stream_e stream;
    wh_level_e level;
    const char *text;
    const char *deployment, *container;
} wh_logread_line_t;

/* Whether lines of this source are wanted; asked for once in a block. */
typedef int wh_logread_wants_fn(void *baton, const char *deployment, const char *container);

/* Whether a line's text is; asked last. */
typedef int wh_logread_line_fn(void *baton, const char *text, size_t n);

typedef struct wh_logread_query_t {
    const char *dir;
    int forward;       /* lines above after, from the oldest; else those below before, the newest */
    apr_int64_t after; /* 0 = from the beginning */
    apr_int64_t before;         /* 0 = from the end */
    int limit;                  /* lines */
    apr_size_t bytes;           /* of their texts, about */
    apr_time_t from, to;        /* from <= time < to; 0 = no bound */
    unsigned kinds;             /* WH_LOGPACK_KIND and WH_LOGPACK_LEVEL; 0 of a sort = all of it */
    const char *text;           /* stands in it, letters of ASCII in any case; NULL = anything */
    wh_logread_wants_fn *wants; /* NULL = all */
    wh_logread_line_fn *wants_line; /* NULL = all */
    void *baton;
    apr_int64_t budget; /* bytes of text to look through at most */
} wh_logread_query_t;

typedef struct wh_logread_result_t {
    apr_array_header_t *lines; /* wh_logread_line_t, by number */
    /* How far was looked: forward, to this number and not beyond; else down to it. 0 = to the end,
     * or the beginning. */
    apr_int64_t reached;
} wh_logread_result_t;

apr_status_t wh_logread(apr_pool_t *p, const wh_logread_query_t *query, wh_logread_result_t *result,
                        wh_err_t *err) WH_MUST_CHECK;

#endif
