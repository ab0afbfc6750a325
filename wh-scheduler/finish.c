#include "wh-scheduler/finish.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_switch.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/finish_switch.h"

static wh_db_claim_t claim_of(const wh_finish_ref_t *ref)
{
    return (wh_db_claim_t){.worker_id = ref->worker, .job_id = ref->job, .epoch = ref->epoch};
}

/* Commit or roll back by what has happened so far; the first failure is what is returned. */
static apr_status_t end(wh_core_t *core, apr_status_t rv, wh_err_t *err)
{
    if (rv == APR_SUCCESS) {
        return wh_dbc_commit(core->dbc, err);
    }
    wh_dbc_rollback(core->dbc);
    return rv;
}

/* The last line of the log. Written before the commit: who reads that it is over reads the line
 * too. */
static void tell_log(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                     const wh_db_outcome_t *how, apr_time_t now)
{
    const char *text =
        apr_psprintf(p, "deployment %s: %s (%s)", wh_model_conclusion_text(how->conclusion),
                     how->cause_detail, how->cause_code);

    wh_logseg_finish(core->logs, p, ref->deployment, now, text);
}

apr_status_t wh_finish_unstarted(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                                 const wh_db_outcome_t *how, apr_time_t now, wh_err_t *err)
{
    int failed = how->conclusion == WH_CONCLUSION_FAILED;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_job_abandon(core->dbc, p, ref->job, ref->epoch,
                           failed ? WH_JOB_EV_FAIL : WH_JOB_EV_CANCEL, now, err);
    if (rv == APR_SUCCESS && ref->kind == WH_JOB_KIND_DEPLOY) {
        rv = wh_db_deployment_complete(core->dbc, p, ref->deployment, WH_DEPLOYMENT_PREPARE, how,
                                       now, err);
    }
    if (rv == APR_SUCCESS && failed) {
        tell_log(core, p, ref, how, now);
    }
    rv = end(core, rv, err);
    if (rv == APR_SUCCESS) {
        if (ref->kind == WH_JOB_KIND_DEPLOY) {
            wh_metrics_ended(&core->metrics, how->conclusion, 0, now);
        }
        wh_log(WH_LOG_INFO, NULL, "job %s: %s before it began (%s)", ref->job,
               wh_model_conclusion_text(how->conclusion), how->cause_code);
        core->plan_again = 1;
    }
    return rv;
}

/* A stop job that did not do its work is due again a minute later: what it stops must not live on.
 */
static apr_status_t stop_again(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                               apr_time_t now, wh_err_t *err)
{
    const char *id = wh_id_make(p, now, core->rand);

    return wh_db_job_insert_stop(core->dbc, p, id != NULL ? id : "", ref->deployment, ref->worker,
                                 now + WH_CORE_STOP_AGAIN_US, now, err);
}

apr_status_t wh_finish_give_up(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                               const char *code, const char *detail, apr_time_t now, wh_err_t *err)
{
    wh_db_claim_t claim = claim_of(ref);
    wh_db_outcome_t how = {
        .conclusion = WH_CONCLUSION_FAILED, .cause_code = code, .cause_detail = detail};
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_job_finish(core->dbc, p, &claim, WH_JOB_EV_FAIL, now, err);
    if (rv == APR_SUCCESS) {
        rv = ref->kind == WH_JOB_KIND_DEPLOY
                 ? wh_db_deployment_complete(core->dbc, p, ref->deployment, WH_DEPLOYMENT_DEPLOY,
                                             &how, now, err)
                 : stop_again(core, p, ref, now, err);
    }
    if (rv == APR_SUCCESS && ref->kind == WH_JOB_KIND_DEPLOY) {
        tell_log(core, p, ref, &how, now);
    }
    rv = end(core, rv, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (ref->kind == WH_JOB_KIND_DEPLOY) {
        wh_metrics_ended(&core->metrics, how.conclusion, 0, now);
    }
    wh_log(WH_LOG_WARN, "WH0450", "job %s of worker %" APR_INT64_T_FMT " is given up: %s", ref->job,
           ref->worker, code);
    wh_core_send_ref(core, wh_core_peer(core, ref->worker), WH_MSG_JOB_CANCEL, ref->job,
                     ref->epoch);
    core->plan_again = 1;
    return APR_SUCCESS;
}

/* ---- Results ---- */

static void say_late(wh_core_t *core, const wh_finish_ref_t *ref, const wh_job_t *job,
                     const wh_msg_job_result_t *r, int wanted)
{
    if (!wh_core_may_say(core, ref->worker)) {
        return;
    }
    if (wanted) {
        wh_log(WH_LOG_INFO, NULL,
               "job %s: worker %" APR_INT64_T_FMT
               " told its result again (%s), which changes nothing",
               r->job, ref->worker, wh_model_outcome_text(r->outcome));
        return;
    }
    wh_log(WH_LOG_WARN, "WH0451",
           "job %s: a result of worker %" APR_INT64_T_FMT " for epoch %" APR_INT64_T_FMT
           " is dropped (the job is %s at epoch %" APR_INT64_T_FMT ")",
           r->job, ref->worker, r->epoch, wh_model_job_status_text(job->status), job->epoch);
}

/* What came too late or twice: acknowledged, so that the agent forgets it, and without effect. If
 * it left containers behind that nobody wants, they get a stop job. */
static apr_status_t late(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                         const wh_job_t *job, const wh_msg_job_result_t *r, apr_time_t now,
                         wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int wanted = job->epoch == r->epoch && job->status == WH_JOB_SUCCEEDED;

    say_late(core, ref, job, r, wanted);
    if (wanted) {
        core->unfinished = 1; /* perhaps the first time was cut off before the switch */
        return APR_SUCCESS;
    }
    if (r->outcome == WH_OUTCOME_SUCCEEDED && r->instances->nelts > 0 &&
        job->worker_id == ref->worker && job->kind == WH_JOB_KIND_DEPLOY &&
        wh_model_job_terminal(job->status)) {
        const char *id = wh_id_make(p, now, core->rand);

        rv = wh_db_job_insert_stop(core->dbc, p, id != NULL ? id : "", ref->deployment, ref->worker,
                                   now, now, err);
        core->plan_again = 1;
    }
    return rv;
}

static apr_status_t stopped(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                            const wh_msg_job_result_t *r, apr_time_t now, wh_err_t *err)
{
    wh_db_claim_t claim = claim_of(ref);
    int done = r->outcome == WH_OUTCOME_SUCCEEDED;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (done) {
        rv = wh_db_instance_stop_all(core->dbc, p, ref->worker, ref->deployment, now, NULL, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_db_job_finish(core->dbc, p, &claim, done ? WH_JOB_EV_SUCCEED : WH_JOB_EV_FAIL, now,
                              err);
    }
    if (rv == APR_SUCCESS && !done) {
        wh_log(WH_LOG_WARN, "WH0452",
               "worker %" APR_INT64_T_FMT " could not stop deployment %s: %s", ref->worker,
               ref->deployment, r->cause_detail);
        rv = stop_again(core, p, ref, now, err);
    }
    rv = end(core, rv, err);
    if (rv == APR_SUCCESS) {
        wh_desired_changed(core, ref->worker); /* what it stopped must not be started again */
    }
    return rv;
}

const wh_db_outcome_t wh_finish_overtaken = {
    .conclusion = WH_CONCLUSION_CANCELED,
    .cause_code = "superseded",
    .cause_detail = "The environment was rolled back or promoted meanwhile."};

/* Who had it canceled was a switch of its environment. */
static apr_status_t say_overtaken(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                                  wh_db_outcome_t *how, wh_err_t *err)
{
    wh_deployment_t *d;
    int overtaken = 0;
    apr_status_t rv = wh_db_deployment_get(core->dbc, p, ref->deployment, &d, err);

    rv = rv == APR_SUCCESS ? wh_db_switch_overtook(core->dbc, p, d, &overtaken, err) : rv;
    if (rv == APR_SUCCESS && overtaken) {
        *how = wh_finish_overtaken;
    }
    return rv;
}

static apr_status_t not_succeeded(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                                  const wh_msg_job_result_t *r, apr_time_t now, wh_err_t *err)
{
    wh_db_claim_t claim = claim_of(ref);
    int canceled = r->outcome == WH_OUTCOME_CANCELED;
    wh_db_commit_t commit = {r->commit.sha, r->commit.message, r->commit.author, r->commit.at};
    wh_db_outcome_t how = {.conclusion = canceled ? WH_CONCLUSION_CANCELED : WH_CONCLUSION_FAILED,
                           .cause_code = canceled ? "canceled" : r->cause_code,
                           .cause_detail = canceled ? "It was canceled." : r->cause_detail};
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = canceled ? say_overtaken(core, p, ref, &how, err) : APR_SUCCESS;
    if (rv == APR_SUCCESS && r->commit.present) {
        rv = wh_db_deployment_set_commit(core->dbc, p, ref->deployment, &claim, &commit, err);
    }
    rv = rv == APR_SUCCESS
             ? wh_db_job_finish(core->dbc, p, &claim, wh_fsm_job_event(r->outcome), now, err)
             : rv;
    rv = rv == APR_SUCCESS ? wh_db_deployment_complete(core->dbc, p, ref->deployment,
                                                       WH_DEPLOYMENT_DEPLOY, &how, now, err)
                           : rv;
    if (rv == APR_SUCCESS) {
        tell_log(core, p, ref, &how, now);
    }
    rv = end(core, rv, err);
    if (rv == APR_SUCCESS) {
        wh_metrics_ended(&core->metrics, how.conclusion, 0, now);
        wh_log(WH_LOG_INFO, NULL, "deployment %s: %s, %s", ref->deployment,
               wh_model_conclusion_text(how.conclusion), how.cause_code);
    }
    return rv;
}

/* A result that cannot be taken as it is (a release that is not there, a container that another job
 * reported): the deployment fails with the reason, for else it would be repeated for ever. */
static apr_status_t unusable(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                             const wh_err_t *why, int containers, apr_time_t now, wh_err_t *err)
{
    wh_msg_job_result_t r = {.outcome = WH_OUTCOME_FAILED,
                             .cause_code = "internal",
                             .cause_detail =
                                 apr_psprintf(p, "The result cannot be used: %s", why->text)};
    const char *id = wh_id_make(p, now, core->rand);
    apr_status_t rv;

    wh_log(WH_LOG_ERROR, "WH0453", "job %s: its result cannot be used: %s", ref->job, why->text);
    rv = not_succeeded(core, p, ref, &r, now, err);
    if (rv == APR_SUCCESS && containers > 0) {
        rv = wh_db_job_insert_stop(core->dbc, p, id != NULL ? id : "", ref->deployment, ref->worker,
                                   now, now, err);
    }
    return rv;
}

static apr_status_t succeeded(wh_core_t *core, apr_pool_t *p, const wh_finish_ref_t *ref,
                              const wh_msg_job_result_t *r, apr_time_t now, wh_err_t *err)
{
    wh_err_t why = WH_ERR_INIT;
    wh_db_claim_t claim = claim_of(ref);
    wh_deployment_t *d;
    apr_status_t rv = wh_finish_switch(core, p, &claim, ref->deployment, r, now, &why);

    if (rv == APR_EGENERAL && !wh_core_may_retry(&why)) {
        return unusable(core, p, ref, &why, r->instances->nelts, now, err);
    }
    if (rv != APR_SUCCESS) {
        if (err != NULL) {
            *err = why;
        }
        return rv;
    }
    rv = wh_db_deployment_get(core->dbc, p, ref->deployment, &d, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* From here on the result is kept; what fails now is made good by the tick. */
    core->unfinished = 1;
    if (wh_finish_publish(core, p, d, now, &why) != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0454", "deployment %s cannot be published yet: %s", ref->deployment,
               why.text);
    }
    return APR_SUCCESS;
}

apr_status_t wh_finish_result(wh_core_t *core, apr_pool_t *p, const wh_peer_t *peer,
                              const wh_msg_job_result_t *r, apr_time_t now, wh_err_t *err)
{
    wh_finish_ref_t ref = {.job = r->job, .epoch = r->epoch, .worker = peer->worker};
    wh_job_t *job;
    apr_status_t rv = wh_db_job_get(core->dbc, p, r->job, &job, err);

    if (rv == APR_NOTFOUND ||
        (rv == APR_SUCCESS && job->worker_id != peer->worker && r->epoch >= job->epoch)) {
        /* Acknowledged all the same: after a backup was put back it would come for ever. */
        wh_core_send_ref(core, peer, WH_MSG_RESULT_ACK, r->job, r->epoch);
        return wh_err_set(err, 403, "not_yours", "There is no such job of this worker.");
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    ref.deployment = job->deployment_id;
    ref.kind = job->kind;
    if (job->status != WH_JOB_PROCESSING || job->epoch != r->epoch ||
        job->worker_id != peer->worker) {
        rv = late(core, p, &ref, job, r, now, err);
    } else if (job->kind == WH_JOB_KIND_STOP) {
        rv = stopped(core, p, &ref, r, now, err);
    } else if (r->outcome == WH_OUTCOME_SUCCEEDED) {
        rv = succeeded(core, p, &ref, r, now, err);
    } else {
        rv = not_succeeded(core, p, &ref, r, now, err);
    }
    if (rv == APR_NOTFOUND) {
        rv = APR_SUCCESS; /* overtaken between look and write: the same as late */
    }
    if (rv == APR_SUCCESS) {
        wh_core_send_ref(core, peer, WH_MSG_RESULT_ACK, r->job, r->epoch);
        core->plan_again = 1;
    }
    return rv;
}
