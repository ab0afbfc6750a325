/* The collector: clears the store (objects/, releases/, uploads/) of what nothing needs. A process
 * of its own, started every hour and by `wh-scheduler --gc`, with a low priority; any number of
 * machines may run one, each for the store that it sees.
 *
 * Order: a release's row, its directory, then objects that no manifest and no upload names.
 * Whatever is younger than collect_after_s stays. So a crash leaves something to be collected, and
 * never something that lacks a part.
 *
 * Against a commit that takes up an old release or object at that very moment stands the lock of
 * the store (mod_wisehost/wh_mod_store.h): the module holds it shared while it looks at what is
 * there and names it, here it is held alone while something is looked at once more and removed, a
 * few files at a time. What an announcement names is made young again under that lock.
 */
#ifndef WH_GC_COLLECTOR_H
#define WH_GC_COLLECTOR_H

#include "libwh/wh_clock.h"
#include "wh-scheduler/settings.h"

#define WH_GC_BUDGET_US APR_INT64_C(600000000) /* of the hourly one; it goes on an hour later */
#define WH_GC_SWEEP_US                                                                             \
    APR_INT64_C(86400000000)      /* objects are looked through once a day, or when                \
                                    something was set free */
#define WH_GC_OBJECTS_MAX 1000000 /* that may go in one pass: 8 bytes each */

typedef struct wh_gc_opts_t {
    const wh_settings_t *settings;
    const wh_clock_t *clock;
    int due; /* the hourly one: bounded, and it ends with who started it */
} wh_gc_opts_t;

typedef struct wh_gc_done_t {
    int busy; /* another collector is at work on this store: nothing was done */
    int releases, objects, leftovers;
    apr_int64_t bytes; /* of the objects */
    int cut;           /* there was more to do than there was time for */
} wh_gc_done_t;

/* Errors: those of whdb; store_unusable: a part of the store cannot be read or cleared. */
apr_status_t wh_gc_run(apr_pool_t *p, const wh_gc_opts_t *opts, wh_gc_done_t *done,
                       wh_err_t *err) WH_MUST_CHECK;

#endif
