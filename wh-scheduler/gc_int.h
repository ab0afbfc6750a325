/* What the files of the collector share. */
#ifndef WH_GC_COLLECTOR_INT_H
#define WH_GC_COLLECTOR_INT_H

#include <apr_file_info.h>

#include "whdb/wh_dbc.h"
#include "wh-scheduler/gc.h"

typedef struct wh_gc_t {
    const wh_gc_opts_t *opts;
    wh_gc_done_t *done;
    apr_pool_t *p; /* of the whole run */
    wh_dbc_t *dbc;
    apr_time_t before; /* what changed since then stays */
    wh_mono_t end;
    int lock; /* of the store */
} wh_gc_t;

/* The store alone, till wh_gc_unlock: nothing is announced or committed meanwhile. Waits; false
 * when the time is over. */
int wh_gc_lock(wh_gc_t *gc);
void wh_gc_unlock(const wh_gc_t *gc);

/* 1 = the time is over: done->cut is set. */
int wh_gc_over(wh_gc_t *gc);

/* state_dir/part. In gc->p. */
const char *wh_gc_dir(const wh_gc_t *gc, const char *part);

/* store_unusable by errno. */
apr_status_t wh_gc_failed(const char *path, wh_err_t *err);

/* Each entry but "." and "..", its path and what lstat says of it; p is cleared after each. fn ends
 * it by a result other than APR_SUCCESS. A directory that is not there has none. */
typedef apr_status_t wh_gc_entry_fn(wh_gc_t *gc, apr_pool_t *p, const char *path,
                                    const apr_finfo_t *info, void *baton, wh_err_t *err);
apr_status_t wh_gc_each(wh_gc_t *gc, const char *dir, wh_gc_entry_fn *fn, void *baton,
                        wh_err_t *err) WH_MUST_CHECK;

/* Removes a directory of plain files, and itself. A missing one is fine. */
apr_status_t wh_gc_remove_dir(apr_pool_t *p, const char *dir, wh_err_t *err) WH_MUST_CHECK;

/* Removes objects that no manifest and no upload names (gc_objects.c). */
apr_status_t wh_gc_objects(wh_gc_t *gc, wh_err_t *err) WH_MUST_CHECK;

#endif
