#ifndef WH_DB_JOB_H
#define WH_DB_JOB_H
/* Jobs: pending -> assigned -> processing -> succeeded, failed, canceled. Written by the scheduler;
 * the module only inserts pending ones (wh_db_deployment_create) and asks for cancellation. Every
 * step is one of the table in libwh/wh_fsm.h and a compare-and-set on status and epoch:
 * APR_NOTFOUND = there is no such step from where it is, somebody else moved it, or the epoch is
 * stale (D12). Error rules: wh_dbc.h.
 * What the planner needs is read by wh_db_plan.h.
 *
 * Functions with a claim act for a worker and find only its own jobs. */

#include <apr_tables.h>

#include "libwh/wh_fsm.h"
#include "whdb/wh_dbc.h"

apr_status_t wh_db_job_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_job_t **out,
                           wh_err_t *err) WH_DB_CHECKED;

/* The deploy job of a deployment. */
apr_status_t wh_db_job_by_deployment(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                     wh_job_t **out, wh_err_t *err) WH_DB_CHECKED;

/* pending -> assigned: epoch + 1 (returned), lease set, the worker's capacity reserved in the same
 * transaction (F146), which the caller holds. Nothing changes and APR_NOTFOUND unless the job is
 * pending at this epoch, not cancelled, free for this worker, and the worker is online, active and
 * has room. Stop jobs need no room and go to a worker in any state. */
apr_status_t wh_db_job_assign(wh_dbc_t *dbc, apr_pool_t *p, const char *job_id,
                              apr_int64_t worker_id, apr_int64_t seen_epoch, apr_time_t now,
                              apr_time_t lease_until, apr_int64_t *epoch,
                              wh_err_t *err) WH_DB_CHECKED;

/* assigned -> processing, on job_ack. deadline_at = when the scheduler gives it up. */
apr_status_t wh_db_job_ack(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *claim, apr_time_t now,
                           apr_time_t lease_until, apr_time_t deadline_at,
                           wh_err_t *err) WH_DB_CHECKED;

/* New lease for an assigned or processing job (heartbeat); never shortens. */
apr_status_t wh_db_job_renew_lease(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *claim,
                                   apr_time_t lease_until, wh_err_t *err) WH_DB_CHECKED;

/* A processing job is given up at deadline_at if not earlier: what is left of its phases shrinks as
 * they go by. */
apr_status_t wh_db_job_bound(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *claim,
                             apr_time_t deadline_at, wh_err_t *err) WH_DB_CHECKED;

/* Ends a job by SUCCEED, FAIL, LOST or CANCELED, and the worker's capacity is recounted. In the
 * caller's transaction. Also for the scheduler's own endings (lease, deadline): the claim is then
 * made from the row. */
apr_status_t wh_db_job_finish(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *claim,
                              wh_job_event_e event, apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* Ends a job that has not begun by FAIL or CANCEL, by the scheduler, at the epoch seen; epoch + 1,
 * so that a late ack of the former worker finds nothing; capacity recounted. In the caller's
 * transaction. */
apr_status_t wh_db_job_abandon(wh_dbc_t *dbc, apr_pool_t *p, const char *job_id, apr_int64_t epoch,
                               wh_job_event_e event, apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* assigned -> pending again (R10: its worker dropped before job_ack, so it has not begun), at the
 * epoch seen; a deploy job is free for any worker afterwards unless its deployment was placed on
 * this one by name (F144); a stop job keeps its own. Capacity recounted. In the caller's
 * transaction. */
apr_status_t wh_db_job_reassign(wh_dbc_t *dbc, apr_pool_t *p, const char *job_id, apr_int64_t epoch,
                                wh_err_t *err) WH_DB_CHECKED;

/* Notes that the owner wants this deployment's job cancelled (the module; the scheduler does the
 * rest). APR_SUCCESS also when asked before. APR_NOTFOUND: no such deployment. Error
 * already_completed 409: its job is over or it is being finalized. */
apr_status_t wh_db_job_cancel_request(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                      apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* Open jobs (pending, assigned, processing) with cancel_at set; array of wh_job_t*. */
apr_status_t wh_db_job_list_cancel_requested(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                             apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* A worker's jobs in state assigned / processing, oldest first; arrays of wh_job_t*. */
apr_status_t wh_db_job_list_by_worker_assigned(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                               apr_array_header_t **out,
                                               wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_job_list_by_worker_processing(wh_dbc_t *dbc, apr_pool_t *p,
                                                 apr_int64_t worker_id, apr_array_header_t **out,
                                                 wh_err_t *err) WH_DB_CHECKED;

/* All that wait for this worker, are assigned to it or run there, stop jobs too. */
apr_status_t wh_db_job_list_by_worker_open(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                           apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* A deployment's stop jobs that are not over; array of wh_job_t*. */
apr_status_t wh_db_job_list_stops(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                  apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Assigned and processing jobs with lease_until < lease_before, or deadline_at > 0 and < now;
 * array of wh_job_t*. For "unrenewed for 15 minutes" pass lease_before = now - 15 min (R24). */
apr_status_t wh_db_job_list_expired(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t lease_before,
                                    apr_time_t now, int limit, apr_array_header_t **out,
                                    wh_err_t *err) WH_DB_CHECKED;

/* What a worker's call to /v1/agent may touch. */
typedef struct wh_db_job_scope_t {
    const char *app_id;
    const char *slug;
    const char *deployment_id;
    const char *environment;
    const char *snapshot; /* JSON text of the deployment */
    apr_time_t cancel_at; /* > 0: the job is to be cancelled, take no more of it */
} wh_db_job_scope_t;

/* The claim holds right now: the job is processing, this worker's, at this epoch. */
apr_status_t wh_db_job_check_processing(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *claim,
                                        wh_db_job_scope_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Inserts the stop job of a deployment on a worker, due at not_before; if there is one that is
 * over, it is pending again; if there is an open one, nothing is written. APR_SUCCESS in all three.
 */
apr_status_t wh_db_job_insert_stop(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   const char *deployment_id, apr_int64_t worker_id,
                                   apr_time_t not_before, apr_time_t now,
                                   wh_err_t *err) WH_DB_CHECKED;

#endif
