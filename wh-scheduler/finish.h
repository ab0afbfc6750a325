/* How jobs and deployments end. Each ending is one transaction; the route table follows it, and
 * only then is a deployment called completed and the agent told that its result is kept. So a
 * deployment that reads "succeeded" is what its names answer with, whatever crashed in between. */
#ifndef WH_FINISH_H
#define WH_FINISH_H

#include "wh-scheduler/core.h"
#include "whdb/wh_db_deployment.h"

/* A job as the caller saw it. */
typedef struct wh_finish_ref_t {
    const char *job, *deployment;
    apr_int64_t epoch, worker;
    wh_job_kind_e kind;
} wh_finish_ref_t;

/* How a deployment ends that a rollback or a promotion came before. */
extern const wh_db_outcome_t wh_finish_overtaken;

/* pending or assigned -> canceled (failed, when that is the conclusion), its deployment prepare ->
 * completed with `how`. APR_NOTFOUND: it has moved on. */
apr_status_t wh_finish_unstarted(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                                 const wh_db_outcome_t *how, apr_time_t now,
                                 wh_err_t *err) WH_MUST_CHECK;

/* processing -> failed by our own decision (lost, deadline); a cancel is sent to the worker, and
 * one that is not connected gets it with its next hello (R24). APR_NOTFOUND: it has moved on. */
apr_status_t wh_finish_give_up(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                               const char *code, const char *detail, apr_time_t now,
                               wh_err_t *err) WH_MUST_CHECK;

/* A job_result of a worker: ends the job, once, and is acknowledged, always, when it is this
 * worker's. Errors: not_yours; those of the database (nothing was acknowledged). */
apr_status_t wh_finish_result(wh_core_t *core, apr_pool_t *p, const wh_peer_t *peer,
                              const wh_msg_job_result_t *r, apr_time_t now,
                              wh_err_t *err) WH_MUST_CHECK;

/* Publishes a deployment that is in `finalize` and completes it; the instances it replaces are
 * drained. Called after a result and, for what a crash left behind, at start and by the tick. */
apr_status_t wh_finish_publish(wh_core_t *core, apr_pool_t *p, const wh_deployment_t *d,
                               apr_time_t now, wh_err_t *err) WH_MUST_CHECK;

#endif
