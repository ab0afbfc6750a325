/* Figures for /metrics: what this process counts, what its memory and its database hold, as text in
 * <state_dir>/run/scheduler.metrics, written anew every WH_METRICS_EVERY_US by a rename. httpd's
 * module reads it and asks nobody, so a scheduler or database that hangs delays no answer; a file
 * that is not written any more says that. The database thread alone. */
#ifndef WH_METRICS_H
#define WH_METRICS_H

#include <apr_hash.h>

#include "libwh/wh_clock.h"
#include "libwh/wh_model.h"
#include "libwh/wh_proto.h"

#define WH_METRICS_FILE "/run/scheduler.metrics" /* below the state directory */
#define WH_METRICS_EVERY_US APR_INT64_C(10000000)
#define WH_METRICS_APPS_MAX 1024 /* series are bounded: the rest is left out, and counted */
#define WH_METRICS_WORKERS_MAX 1000
#define WH_METRICS_STEPS 10 /* of the histogram of deployments, the last without a bound */
#define WH_METRICS_ENDS 5   /* conclusions */

struct wh_core_t;

typedef struct wh_metrics_t {
    apr_int64_t ended[WH_METRICS_ENDS]; /* deployments by conclusion, since the start */
    apr_int64_t took[WH_METRICS_STEPS]; /* those that succeeded, by how long they took */
    apr_int64_t took_us;
    apr_int64_t messages[WH_MSG_COUNT]; /* frames that were handled */
    apr_int64_t connects, disconnects, refused, put_off, db_lost;
    apr_time_t started_at;
    wh_mono_t at; /* when the file is written next */
    wh_mono_t live_at;
    int live_news; /* an app's figures came since the file was written */
    int failed;    /* it could not be, and that was said */
    apr_pool_t *slug_p;
    apr_hash_t *slugs; /* of apps in the table of live figures, by id */
} wh_metrics_t;

#define WH_METRICS_LIVE "/run/apps.live"        /* the same for GET /v1/apps/{slug}/stats */
#define WH_METRICS_LIVE_US APR_INT64_C(3000000) /* at most so often, when there is news */
#define WH_METRICS_LIVE_MAX 16384               /* apps in it */

/* A deployment is over: created_at 0 = how long it took is of no interest. */
void wh_metrics_ended(wh_metrics_t *m, wh_conclusion_e how, apr_time_t created_at, apr_time_t now);

/* Writes the file when it is time. Without a database it says that there is none. */
void wh_metrics_look(struct wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now);

#endif
