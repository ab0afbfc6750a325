/* Workers that have fallen silent (F149, F150). Who is connected is judged by the monotonic time of
 * the last heartbeat in memory; who is online in the database alone (it never came back after our
 * start), by its row. */
#ifndef WH_HEALTH_H
#define WH_HEALTH_H

#include "wh-scheduler/core.h"

#define WH_HEALTH_EVERY_US APR_INT64_C(60000000) /* F149 */

/* One look; nobody is judged before a whole timeout has passed since core->started (R9). */
apr_status_t wh_health_check(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
