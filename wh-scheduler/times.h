/* Whose time we judge by. In memory everything rests on the monotonic clock. What is in the
 * database (leases, deadlines, heartbeats) is wall time, because it outlives us: before anything is
 * done, both clocks are looked at. If the wall clock has gone another way than the monotonic one,
 * somebody set it, and all of those times are moved by that step, in one transaction. So a jump by
 * an hour or a day makes nobody offline and ends no lease (G17, XN9).
 *
 * When nobody has looked for a while (a start, a database that was away, a process that was held
 * up), nobody could renew anything either: then leases begin anew, and no worker is judged before a
 * whole heartbeat timeout has passed (R9). */
#ifndef WH_TIMES_H
#define WH_TIMES_H

#include "wh-scheduler/core.h"

#define WH_TIMES_STEP_US APR_INT64_C(2000000)   /* less than this is the clock being trimmed */
#define WH_TIMES_BLIND_US APR_INT64_C(60000000) /* not having looked for so long */

/* Before every message and every tick; *now is the wall time to work with. An error (the database)
 * means that nothing may be done yet: call again. */
apr_status_t wh_times_look(wh_core_t *core, apr_pool_t *p, apr_time_t *now,
                           wh_err_t *err) WH_MUST_CHECK;

/* The next look settles: leases and judgement begin anew. */
void wh_times_blind(wh_core_t *core);

#endif
