/* job_ack, job_status, job_result: a job on its way. */
#include "libwh/wh_log.h"
#include "whdb/wh_db_assign.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "wh-scheduler/finish.h"
#include "wh-scheduler/hub_msg.h"

#define STOP_DEADLINE_S 120
#define OFFER_AGAIN_US APR_INT64_C(2000000)

/* What is left from this phase on: everything at first, less with each that has passed. */
static apr_interval_time_t left(const wh_settings_t *s, wh_phase_e phase)
{
    wh_sched_limits_t limits = {.clone = apr_time_from_sec(s->clone_s),
                                .build = apr_time_from_sec(s->build_s),
                                .start = apr_time_from_sec(s->start_s),
                                .check = apr_time_from_sec(s->check_s)};

    return wh_sched_phase_left(phase, &limits);
}

/* An ack that finds nothing: said twice (the go is said again), or for something that is over. */
static apr_status_t odd_ack(const wh_hub_msg_in_t *in, const wh_job_t *job,
                            const wh_db_claim_t *claim, wh_err_t *err)
{
    if (job->status == WH_JOB_PROCESSING && job->epoch == claim->epoch &&
        job->worker_id == claim->worker_id) {
        wh_core_send_ref(in->core, in->peer, WH_MSG_JOB_GO, job->id, job->epoch);
        return APR_SUCCESS;
    }
    wh_core_send_ref(in->core, in->peer, WH_MSG_JOB_CANCEL, claim->job_id, claim->epoch);
    return wh_err_set(err, 409, "stale_epoch", "The job is no longer this worker's at that epoch.");
}

static void say_go(wh_core_t *core, const wh_peer_t *peer, const char *job, apr_int64_t epoch)
{
    wh_log(WH_LOG_INFO, NULL, "job %s: worker %" APR_INT64_T_FMT " begins, epoch %" APR_INT64_T_FMT,
           job, peer->worker, epoch);
    wh_core_send_ref(core, peer, WH_MSG_JOB_GO, job, epoch);
}

/* assigned -> processing, and only then the go: a job that is `assigned` has certainly not begun.
 */
static apr_status_t begin(const wh_hub_msg_in_t *in, const wh_job_t *job,
                          const wh_db_claim_t *claim, wh_err_t *err)
{
    wh_core_t *core = in->core;
    apr_time_t deadline =
        in->now + (job->kind == WH_JOB_KIND_DEPLOY ? left(core->settings, WH_PHASE_QUEUED)
                                                   : apr_time_from_sec(STOP_DEADLINE_S));
    apr_status_t rv = wh_dbc_begin(core->dbc, in->p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv =
        wh_db_job_ack(core->dbc, in->p, claim, in->now, in->now + WH_SCHED_LEASE_US, deadline, err);
    if (rv == APR_SUCCESS && job->kind == WH_JOB_KIND_DEPLOY) {
        rv = wh_db_deployment_start(core->dbc, in->p, job->deployment_id, claim, in->now, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_commit(core->dbc, err);
    } else {
        wh_dbc_rollback(core->dbc);
    }
    if (rv == APR_SUCCESS) {
        say_go(core, in->peer, job->id, job->epoch);
    }
    return rv;
}

/* assigned -> pending. */
static apr_status_t reassign(const wh_hub_msg_in_t *in, const wh_job_t *job, wh_err_t *err)
{
    wh_core_t *core = in->core;
    apr_status_t rv = wh_dbc_begin(core->dbc, in->p, err);

    rv = rv == APR_SUCCESS ? wh_db_job_reassign(core->dbc, in->p, job->id, job->epoch, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    core->plan_again = 1;
    return APR_SUCCESS;
}

/* Another deployment of the environment is active after all: this one waits its turn. */
static apr_status_t put_back(const wh_hub_msg_in_t *in, const wh_job_t *job, wh_err_t *err)
{
    apr_status_t rv = reassign(in, job, err);

    if (rv == APR_SUCCESS) {
        wh_core_send_ref(in->core, in->peer, WH_MSG_JOB_CANCEL, job->id, job->epoch);
    }
    return rv;
}

/* It stays assigned and is offered again in a moment (assign.c); a worker that keeps saying no
 * loses it, so that another one may have it. */
static apr_status_t declined(const wh_hub_msg_in_t *in, const wh_job_t *job,
                             const wh_msg_job_ack_t *m, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_mono_t mono = wh_clock_mono(core->clock);
    int times = wh_decline_note(&core->declines, job->id, job->epoch, in->peer->worker, mono);

    if (wh_core_may_say(core, in->peer->worker)) {
        wh_log(WH_LOG_WARN, "WH0472",
               "job %s: worker %" APR_INT64_T_FMT " does not take it now: %s", job->id,
               in->peer->worker, m->reason);
    }
    if (times < WH_DECLINE_TIMES || job->kind != WH_JOB_KIND_DEPLOY) {
        in->peer->offer_again = wh_mono_add(mono, OFFER_AGAIN_US);
        return APR_SUCCESS;
    }
    return reassign(in, job, err);
}

apr_status_t wh_hub_msg_job_ack(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_msg_job_ack_t m;
    wh_db_claim_t claim;
    wh_job_t *job;
    apr_status_t rv = wh_proto_msg_job_ack_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    claim = (wh_db_claim_t){.worker_id = in->peer->worker, .job_id = m.job, .epoch = m.epoch};
    rv = wh_db_job_get(in->core->dbc, in->p, m.job, &job, err);
    if (rv == APR_NOTFOUND ||
        (rv == APR_SUCCESS && job->worker_id != claim.worker_id && job->epoch == m.epoch)) {
        return wh_err_set(err, 403, "not_yours", "There is no such job of this worker.");
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (job->status != WH_JOB_ASSIGNED || job->epoch != m.epoch ||
        job->worker_id != claim.worker_id) {
        return odd_ack(in, job, &claim, err);
    }
    if (!m.accepted) {
        return declined(in, job, &m, err);
    }
    rv = begin(in, job, &claim, err);
    if (rv == APR_NOTFOUND) {
        wh_err_clear(err);
        return odd_ack(in, job, &claim, err);
    }
    if (rv == APR_EGENERAL && wh_err_is(err, "conflict")) {
        wh_err_clear(err);
        return put_back(in, job, err);
    }
    return rv;
}

apr_status_t wh_hub_msg_job_acks(wh_core_t *core, apr_pool_t *p, wh_work_t *const *works, int n,
                                 apr_time_t now, wh_err_t *err)
{
    wh_db_place_t *list = apr_palloc(p, sizeof(*list) * (size_t)n);
    wh_peer_t **peers = apr_palloc(p, sizeof(*peers) * (size_t)n);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < n; i++) {
        wh_msg_job_ack_t m;

        peers[i] = wh_core_peer_of_conn(core, works[i]->conn);
        if (peers[i] == NULL || !peers[i]->ready ||
            wh_proto_msg_job_ack_decode(p, works[i]->msg.p, &m, err) != APR_SUCCESS ||
            !m.accepted) {
            return APR_NOTFOUND;
        }
        list[i] = (wh_db_place_t){.job_id = m.job, .worker_id = peers[i]->worker, .epoch = m.epoch};
    }
    rv = wh_dbc_begin(core->dbc, p, err);
    rv = rv == APR_SUCCESS ? wh_db_assign_begin(core->dbc, p, list, n, now, now + WH_SCHED_LEASE_US,
                                                now + left(core->settings, WH_PHASE_QUEUED), err)
                           : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    for (int i = 0; i < n; i++) {
        say_go(core, peers[i], list[i].job_id, list[i].epoch);
    }
    return APR_SUCCESS;
}

apr_status_t wh_hub_msg_job_status(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_msg_job_status_t m;
    wh_db_claim_t claim;
    wh_db_job_scope_t *scope;
    wh_dbc_t *dbc = in->core->dbc;
    apr_status_t rv = wh_proto_msg_job_status_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    claim = (wh_db_claim_t){.worker_id = in->peer->worker, .job_id = m.job, .epoch = m.epoch};
    rv = wh_db_job_check_processing(dbc, in->p, &claim, &scope, err);
    if (rv == APR_SUCCESS && m.commit.present) {
        wh_db_commit_t commit = {m.commit.sha, m.commit.message, m.commit.author, m.commit.at};

        rv = wh_db_deployment_set_commit(dbc, in->p, scope->deployment_id, &claim, &commit, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_db_deployment_set_phase(dbc, in->p, scope->deployment_id, &claim, m.phase, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_db_job_bound(dbc, in->p, &claim, in->now + left(in->core->settings, m.phase), err);
    }
    if (rv == APR_NOTFOUND) {
        wh_core_send_ref(in->core, in->peer, WH_MSG_JOB_CANCEL, m.job, m.epoch);
        return wh_err_set(err, 409, "stale_epoch",
                          "This worker does not run that job at that epoch.");
    }
    return rv;
}

apr_status_t wh_hub_msg_job_result(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_msg_job_result_t m;
    apr_status_t rv = wh_proto_msg_job_result_decode(in->p, in->msg->p, &m, err);

    return rv == APR_SUCCESS ? wh_finish_result(in->core, in->p, in->peer, &m, in->now, err) : rv;
}
