#include "wh-scheduler/recover.h"

#include <string.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/assign.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/finish.h"
#include "wh-scheduler/routes.h"

#define OPEN_LIMIT 1000

/* ---- The scheduler itself ---- */

apr_status_t wh_recover_unfinished(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *open;
    apr_pool_t *scratch;
    apr_status_t rv = wh_db_deployment_list_open(core->dbc, p, OPEN_LIMIT, &open, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    core->unfinished = 0;
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && i < open->nelts; i++) {
        const wh_deployment_t *d = APR_ARRAY_IDX(open, i, wh_deployment_t *);

        apr_pool_clear(scratch);
        if (d->status == WH_DEPLOYMENT_FINALIZE) {
            rv = wh_finish_publish(core, scratch, d, now, err);
            core->unfinished |= rv != APR_SUCCESS; /* the next tick tries again */
        } else if (d->status == WH_DEPLOYMENT_FAIL) {
            wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_FAILED,
                                   .cause_code = d->cause_code,
                                   .cause_detail = d->cause_detail};

            rv = wh_db_deployment_complete(core->dbc, scratch, d->id, WH_DEPLOYMENT_FAIL, &how, now,
                                           err);
        }
        rv = wh_core_only(core, rv, d->id, err);
    }
    apr_pool_destroy(scratch);
    core->unfinished |= rv != APR_SUCCESS;
    return rv;
}

apr_status_t wh_recover_start(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    /* In this order: what is stopped or started after the look is seen by the next one. */
    apr_status_t rv = wh_desired_look(core, p, 0, now, err);

    rv = rv == APR_SUCCESS ? wh_routes_publish_all(core, p, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    core->republish = 0;
    return wh_recover_unfinished(core, p, now, err);
}

/* ---- A worker comes ---- */

static const wh_msg_ref_t *find_ref(const apr_array_header_t *refs, const char *job)
{
    for (int i = 0; i < refs->nelts; i++) {
        const wh_msg_ref_t *ref = &APR_ARRAY_IDX(refs, i, wh_msg_ref_t);

        if (strcmp(ref->job, job) == 0) {
            return ref;
        }
    }
    return NULL;
}

static const wh_job_t *find_job(const apr_array_header_t *jobs, const wh_msg_ref_t *ref)
{
    for (int i = 0; i < jobs->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);

        if (strcmp(job->id, ref->job) == 0 && job->epoch == ref->epoch) {
            return job;
        }
    }
    return NULL;
}

/* A processing job is either known there (running: its go is said again, which is idempotent;
 * result stored: it will come), or it is lost. */
static apr_status_t settle_processing(wh_core_t *core, apr_pool_t *p, const wh_peer_t *peer,
                                      const wh_msg_hello_t *hello, const apr_array_header_t *jobs,
                                      apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < jobs->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);
        const wh_msg_ref_t *running = find_ref(hello->running, job->id);
        const wh_msg_ref_t *result = find_ref(hello->results, job->id);
        wh_db_claim_t claim = {.worker_id = peer->worker, .job_id = job->id, .epoch = job->epoch};
        wh_finish_ref_t ref = {.job = job->id,
                               .deployment = job->deployment_id,
                               .epoch = job->epoch,
                               .worker = peer->worker,
                               .kind = job->kind};

        if (result != NULL && result->epoch == job->epoch) {
            continue;
        }
        if (running != NULL && running->epoch == job->epoch) {
            rv = wh_db_job_renew_lease(core->dbc, p, &claim, now + WH_SCHED_LEASE_US, err);
            if (rv == APR_SUCCESS) {
                wh_core_send_ref(core, peer, job->cancel_at > 0 ? WH_MSG_JOB_CANCEL : WH_MSG_JOB_GO,
                                 job->id, job->epoch);
            }
        } else {
            rv = wh_finish_give_up(core, p, &ref, "agent_lost",
                                   "The worker was restarted and no longer knows of it.", now, err);
        }
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return rv;
}

apr_status_t wh_recover_worker(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer,
                               const wh_msg_hello_t *hello, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *assigned, *processing;
    apr_status_t rv = wh_db_job_list_by_worker_assigned(core->dbc, p, peer->worker, &assigned, err);

    if (rv == APR_SUCCESS) {
        rv = wh_db_job_list_by_worker_processing(core->dbc, p, peer->worker, &processing, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < hello->running->nelts; i++) {
        const wh_msg_ref_t *ref = &APR_ARRAY_IDX(hello->running, i, wh_msg_ref_t);

        if (find_job(processing, ref) == NULL && find_job(assigned, ref) == NULL) {
            if (wh_core_may_say(core, peer->worker)) {
                wh_log(WH_LOG_INFO, NULL,
                       "worker %" APR_INT64_T_FMT " runs job %s at epoch %" APR_INT64_T_FMT
                       ", which is over: canceled",
                       peer->worker, ref->job, ref->epoch);
            }
            wh_core_send_ref(core, peer, WH_MSG_JOB_CANCEL, ref->job, ref->epoch);
        }
    }
    rv = settle_processing(core, p, peer, hello, processing, now, err);
    for (int i = 0; rv == APR_SUCCESS && i < assigned->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(assigned, i, wh_job_t *);

        if (job->cancel_at == 0) {
            rv = wh_assign_send(core, p, peer, job, err);
        }
    }
    core->plan_again = 1;
    return rv;
}

/* ---- A worker goes ---- */

static apr_status_t apps_of(wh_core_t *core, apr_pool_t *p, apr_int64_t worker, apr_time_t now,
                            wh_err_t *err)
{
    apr_array_header_t *live;
    const char *last = "";
    apr_status_t rv = wh_db_instance_list_by_worker(core->dbc, p, worker, &live, err);

    for (int i = 0; rv == APR_SUCCESS && i < live->nelts; i++) {
        const wh_instance_t *instance = APR_ARRAY_IDX(live, i, wh_instance_t *);

        if (instance->state == WH_INSTANCE_RUNNING && strcmp(last, instance->app_id) != 0) {
            last = instance->app_id;
            rv = wh_db_app_set_observed(core->dbc, p, last, WH_OBSERVED_STOPPED, "worker_offline",
                                        now, err);
            rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
        }
    }
    return rv;
}

/* None of them has begun: they wait for another worker (R10). */
static apr_status_t free_assigned(wh_core_t *core, apr_pool_t *p, apr_int64_t worker, wh_err_t *err)
{
    apr_array_header_t *assigned;
    apr_status_t rv = wh_db_job_list_by_worker_assigned(core->dbc, p, worker, &assigned, err);

    for (int i = 0; rv == APR_SUCCESS && i < assigned->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(assigned, i, wh_job_t *);

        rv = wh_db_job_reassign(core->dbc, p, job->id, job->epoch, err);
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return rv;
}

apr_status_t wh_recover_drop(wh_core_t *core, apr_pool_t *p, apr_int64_t worker, apr_time_t now,
                             wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_worker_set_offline(core->dbc, p, worker, now, err);
    if (rv == APR_SUCCESS) {
        rv = wh_core_tell_worker(core, p, worker, WH_WORKER_OFFLINE, now, err);
    }
    rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv; /* it was, or it was removed: nobody's news */
    if (rv == APR_SUCCESS && !wh_settings_hold(core->settings)) {
        rv = free_assigned(core, p, worker, err);
    }
    rv = rv == APR_SUCCESS ? apps_of(core, p, worker, now, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    rv = wh_dbc_commit(core->dbc, err);
    if (rv == APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "worker %" APR_INT64_T_FMT " is offline", worker);
        core->plan_again = 1;
    }
    return rv;
}
