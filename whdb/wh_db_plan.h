#ifndef WH_DB_PLAN_H
#define WH_DB_PLAN_H
/* The planner's snapshot (libwh/wh_sched.h): workers, open jobs, busy environments, as of one
 * moment. Error rules: wh_dbc.h. */

#include "libwh/wh_sched.h"
#include "whdb/wh_dbc.h"

/* Fills workers, jobs, busy and held of *in, in p; now as given, hold_on_loss stays. Workers: all
 * that are not removed; online by their status column. Jobs: open ones, those under way first, then
 * pending ones by priority, then age, up to limit in all: 10 * WH_SCHED_TICK_MAX leaves the planner
 * room to see which waiting deployments are superseded. */
apr_status_t wh_db_plan_load(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                             wh_sched_in_t *in, wh_err_t *err) WH_DB_CHECKED;

#endif
