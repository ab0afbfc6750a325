/* Once an hour the deployments that nobody can need any more (libwh/wh_gc.h) give up their own
 * names and their releases, a few apps a tick; then the collector (gc.h) clears the store of what
 * that set free. In the database thread; the collector is a process of its own. */
#ifndef WH_RETIRE_H
#define WH_RETIRE_H

#include "wh-scheduler/core.h"

#define WH_RETIRE_EVERY_US APR_INT64_C(3600000000)
#define WH_RETIRE_FIRST_US APR_INT64_C(300000000) /* after the start: there is enough to do then   \
                                                   */
#define WH_RETIRE_APPS 20                         /* a tick */

/* Of the active scheduler, each tick. */
apr_status_t wh_retire_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                            wh_err_t *err) WH_MUST_CHECK;

/* Starts the collector when it is due, and sees to one that has ended. Of a standby, too: it clears
 * the store of its own machine. */
void wh_retire_collect(wh_core_t *core, wh_mono_t mono);

#endif
