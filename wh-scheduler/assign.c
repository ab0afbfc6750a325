#include "wh-scheduler/assign.h"

#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_plan.h"
#include "wh-scheduler/finish.h"

#define PLAN_LIMIT (10 * WH_SCHED_TICK_MAX)

/* A job whose snapshot cannot be read (of a newer version, say) will never run: it fails and says
 * so, instead of standing in the way for ever. */
static apr_status_t unsendable(wh_core_t *core, apr_pool_t *p, const wh_job_t *job, wh_err_t *err)
{
    wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_FAILED,
                           .cause_code = "internal",
                           .cause_detail =
                               apr_psprintf(p, "The job cannot be sent: %s", err->text)};
    wh_finish_ref_t ref = {.job = job->id,
                           .deployment = job->deployment_id,
                           .epoch = job->epoch,
                           .kind = job->kind,
                           .worker = job->worker_id};

    wh_log(WH_LOG_ERROR, "WH0432", "job %s cannot be sent: %s", job->id, err->text);
    wh_err_clear(err);
    return wh_finish_unstarted(core, p, &ref, &how, wh_clock_now(core->clock), err);
}

apr_status_t wh_assign_send(wh_core_t *core, apr_pool_t *p, const wh_peer_t *peer,
                            const wh_job_t *job, wh_err_t *err)
{
    const wh_settings_t *s = core->settings;
    wh_deployment_t *d;
    wh_app_t *app;
    wh_msg_job_t m = {.job = job->id,
                      .epoch = job->epoch,
                      .kind = job->kind,
                      .app = job->app_id,
                      .deployment = job->deployment_id,
                      .clone_s = s->clone_s,
                      .build_s = s->build_s,
                      .start_s = s->start_s,
                      .check_s = s->check_s};
    apr_status_t rv = wh_db_deployment_get(core->dbc, p, job->deployment_id, &d, err);

    rv = rv == APR_SUCCESS ? wh_db_app_by_id(core->dbc, p, job->app_id, &app, err) : rv;
    if (rv == APR_SUCCESS && job->kind == WH_JOB_KIND_DEPLOY) {
        rv = wh_model_snapshot_parse(p, d->snapshot, &m.snapshot, err);
    }
    if (rv != APR_SUCCESS) {
        return rv == APR_NOTFOUND || wh_core_may_retry(err) ? rv : unsendable(core, p, job, err);
    }
    m.slug = app->slug;
    m.environment = d->environment;
    m.commit_sha = d->commit_sha;
    m.commit_ref = d->commit_ref;
    wh_core_send(core, peer, WH_MSG_JOB, wh_proto_msg_job_encode(&m));
    return APR_SUCCESS;
}

static apr_status_t place(wh_core_t *core, apr_pool_t *p, const wh_sched_action_t *action,
                          apr_time_t now, wh_err_t *err)
{
    const wh_sched_job_t *job = action->job;
    apr_int64_t epoch = 0;
    wh_job_t *row;
    wh_peer_t *peer;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv == APR_SUCCESS) {
        rv = wh_db_job_assign(core->dbc, p, job->id, action->worker_id, job->epoch, now,
                              now + WH_SCHED_LEASE_US, &epoch, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    wh_log(WH_LOG_INFO, NULL,
           "job %s: assigned to worker %" APR_INT64_T_FMT ", epoch %" APR_INT64_T_FMT, job->id,
           action->worker_id, epoch);
    peer = wh_core_peer(core, action->worker_id);
    if (peer == NULL || !peer->ready) {
        return APR_SUCCESS; /* it stays assigned and is sent on connect */
    }
    rv = wh_db_job_get(core->dbc, p, job->id, &row, err);
    return rv == APR_SUCCESS ? wh_assign_send(core, p, peer, row, err) : rv;
}

/* pending or assigned, and never to run: out of the queue together with its deployment. */
static apr_status_t skip(wh_core_t *core, apr_pool_t *p, const wh_sched_action_t *action,
                         apr_time_t now, wh_err_t *err)
{
    const wh_sched_job_t *job = action->job;
    wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_SKIPPED,
                           .cause_code = "superseded",
                           .cause_detail = "A newer deployment took its place before it began."};
    apr_status_t rv = wh_finish_unstarted(core, p,
                                          &(wh_finish_ref_t){.job = job->id,
                                                             .deployment = job->deployment_id,
                                                             .epoch = job->epoch,
                                                             .kind = job->kind},
                                          &how, now, err);

    if (rv == APR_SUCCESS && job->status == WH_JOB_ASSIGNED) {
        wh_core_send_ref(core, wh_core_peer(core, job->worker_id), WH_MSG_JOB_CANCEL, job->id,
                         job->epoch);
    }
    return rv;
}

static apr_status_t release(wh_core_t *core, apr_pool_t *p, const wh_sched_job_t *job,
                            wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? wh_db_job_reassign(core->dbc, p, job->id, job->epoch, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    wh_log(WH_LOG_INFO, NULL, "job %s: its worker has gone before it began, it waits again",
           job->id);
    core->plan_again = 1;
    return APR_SUCCESS;
}

static apr_status_t apply(wh_core_t *core, apr_pool_t *p, const wh_sched_action_t *action,
                          apr_time_t now, wh_err_t *err)
{
    wh_finish_ref_t ref = {.job = action->job->id,
                           .deployment = action->job->deployment_id,
                           .epoch = action->job->epoch,
                           .kind = action->job->kind,
                           .worker = action->job->worker_id};

    switch (action->what) {
    case WH_SCHED_ASSIGN:
        return place(core, p, action, now, err);
    case WH_SCHED_SKIP:
        return skip(core, p, action, now, err);
    case WH_SCHED_RELEASE:
        return release(core, p, action->job, err);
    case WH_SCHED_FAIL_LOST:
        return wh_finish_give_up(core, p, &ref, "agent_lost",
                                 "The worker was not heard of for 15 minutes.", now, err);
    case WH_SCHED_FAIL_DEADLINE:
        return wh_finish_give_up(core, p, &ref, "deadline",
                                 "All its deadlines together have passed.", now, err);
    }
    return APR_SUCCESS;
}

/* Is this assigned job to be offered again? Its lease ran out unanswered (the frame got lost), or
 * its worker had no place for it a moment ago. */
static const wh_peer_t *offer_to(wh_core_t *core, const wh_sched_job_t *job, apr_time_t now)
{
    const wh_peer_t *peer;

    if (job->status != WH_JOB_ASSIGNED) {
        return NULL;
    }
    peer = wh_core_peer(core, job->worker_id);
    if (peer == NULL || !peer->ready) {
        return NULL;
    }
    return job->lease_until < now || (peer->offer_again != 0 && peer->offer_again <= now) ? peer
                                                                                          : NULL;
}

static apr_status_t remind(wh_core_t *core, apr_pool_t *p, const wh_sched_in_t *in, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < in->n_jobs; i++) {
        const wh_sched_job_t *job = &in->jobs[i];
        wh_db_claim_t claim = {.worker_id = job->worker_id, .job_id = job->id, .epoch = job->epoch};
        const wh_peer_t *peer = offer_to(core, job, in->now);
        wh_job_t *row;

        if (peer == NULL) {
            continue;
        }
        rv = wh_db_job_renew_lease(core->dbc, p, &claim, in->now + WH_SCHED_LEASE_US, err);
        rv = rv == APR_SUCCESS ? wh_db_job_get(core->dbc, p, job->id, &row, err) : rv;
        rv = rv == APR_SUCCESS ? wh_assign_send(core, p, peer, row, err) : rv;
        rv = wh_core_only(core, rv, job->id, err);
    }
    for (wh_peer_t *peer = core->peers; peer != NULL; peer = peer->next) {
        peer->offer_again = peer->offer_again <= in->now ? 0 : peer->offer_again;
    }
    return rv;
}

/* Why they wait, where that is something new, for their owners to read. */
static apr_status_t say_why(wh_core_t *core, apr_pool_t *p, const wh_sched_plan_t *plan,
                            wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < plan->waits->nelts; i++) {
        const wh_sched_wait_t *wait = &APR_ARRAY_IDX(plan->waits, i, wh_sched_wait_t);

        apr_pool_clear(p);
        rv = wh_db_deployment_set_wait(core->dbc, p, wait->job->deployment_id, wait->code,
                                       wait->detail, err);
        if (rv == APR_SUCCESS) {
            wh_log(WH_LOG_INFO, NULL, "deployment %s waits: %s", wait->job->deployment_id,
                   wait->detail);
        }
        rv = wh_core_only(core, rv, wait->job->id, err);
    }
    return rv;
}

apr_status_t wh_assign_run(wh_core_t *core, apr_pool_t *p, apr_time_t now, int *more, wh_err_t *err)
{
    wh_sched_in_t in = {0};
    wh_sched_plan_t plan;
    apr_pool_t *scratch;
    apr_status_t rv = wh_db_plan_load(core->dbc, p, now, PLAN_LIMIT, &in, err);

    *more = 0;
    if (rv != APR_SUCCESS || in.n_jobs == 0) {
        return rv;
    }
    wh_sched_plan(p, &in, &plan);
    *more = plan.more;
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && i < plan.actions->nelts; i++) {
        const wh_sched_action_t *action = &APR_ARRAY_IDX(plan.actions, i, wh_sched_action_t);

        apr_pool_clear(scratch);
        rv = wh_core_only(core, apply(core, scratch, action, now, err), action->job->id, err);
    }
    rv = rv == APR_SUCCESS ? say_why(core, scratch, &plan, err) : rv;
    apr_pool_clear(scratch);
    rv = rv == APR_SUCCESS ? remind(core, scratch, &in, err) : rv;
    apr_pool_destroy(scratch);
    return rv;
}
