#ifndef WH_DB_TIME_H
#define WH_DB_TIME_H
/* The times in the database that somebody compares with now: leases, deadlines, heartbeats. They
 * are wall time, because they outlive the process; so the scheduler, which alone judges by them,
 * moves them along when the wall clock is set (wh-scheduler/times.h). Error rules: wh_dbc.h. */

#include "whdb/wh_dbc.h"

/* The clock was set by so much (may be negative): everything that is due keeps its distance to now.
 * In the caller's transaction. */
apr_status_t wh_db_time_shift(wh_dbc_t *dbc, apr_pool_t *p, apr_interval_time_t by,
                              wh_err_t *err) WH_DB_CHECKED;

/* Nobody looked for a while, so nobody could renew anything: open jobs get a lease until
 * lease_until, deadlines lie between deadline_min and deadline_max, what waits for its time waits
 * no longer than wait_max, and no heartbeat lies after now. In the caller's transaction. */
typedef struct wh_db_time_t {
    apr_time_t now, lease_until, deadline_min, deadline_max, wait_max;
} wh_db_time_t;

apr_status_t wh_db_time_settle(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_time_t *t,
                               wh_err_t *err) WH_DB_CHECKED;

#endif
