#ifndef WH_DB_PLAN_H
#define WH_DB_PLAN_H
/* The planner's snapshot (libwh/wh_sched.h). Error rules: wh_dbc.h. */

#include "libwh/wh_sched.h"
#include "whdb/wh_dbc.h"

/* What a look at the queue is to show. */
typedef struct wh_db_plan_opt_t {
    apr_time_t now;
    int limit;                   /* of pending jobs */
    const wh_sched_job_t *after; /* the window begins behind this one (its priority, created_at and
                                    id are read); NULL = at the head of the queue */
} wh_db_plan_opt_t;

/* A snapshot that may be written on: whoever has given out a job notes it here, and the next plan
 * of the same window needs no second look at the database. */
typedef struct wh_db_plan_t {
    wh_sched_in_t in; /* points at the two below */
    wh_sched_worker_t *workers;
    wh_sched_job_t *jobs;
    int n_pending; /* jobs[0 .. n_pending - 1]; behind them those under way */
} wh_db_plan_t;

/* Fills *plan, in p; hold_on_loss stays. Pending jobs: a window by priority, then age, on those
 * whose time has come (a stop job: and whose worker is online). Under way: those
 * whose lease or deadline is over, up to 1000. Where neither is there, nothing else is read, so an
 * idle look is two short statements. Workers: all that are not removed, online by their status
 * column. Busy and held: of the apps in the window. */
apr_status_t wh_db_plan_load(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_plan_opt_t *opt,
                             wh_db_plan_t *plan, wh_err_t *err) WH_DB_CHECKED;

/* Notes in the snapshot that a pending job was given to a worker, which holds that much more. */
void wh_db_plan_given(wh_db_plan_t *plan, const wh_sched_job_t *job, apr_int64_t worker_id,
                      apr_int64_t cpu_millis, apr_int64_t memory_bytes);

#endif
