/* Usage (libwh/wh_usage.h): once a minute a sample of every app that has figures, in one
 * transaction; once a day what is older than 90 days goes. In the database thread. */
#ifndef WH_USAGE_LOOK_H
#define WH_USAGE_LOOK_H

#include "wh-scheduler/core.h"

#define WH_USAGE_AGAIN_US APR_INT64_C(20000000) /* nothing is known: agents come back yet */
#define WH_USAGE_PRUNE_US APR_INT64_C(86400000000)
#define WH_USAGE_PRUNE_FIRST_US APR_INT64_C(600000000) /* after a start */

/* With each tick; does nothing until it is time. */
apr_status_t wh_usage_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                           wh_err_t *err) WH_MUST_CHECK;

/* The database may know other than we do, or the time is another: all is read again before the
 * next sample. */
void wh_usage_forget(wh_core_t *core);

#endif
