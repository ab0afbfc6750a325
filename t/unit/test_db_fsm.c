/* Each cell of the tables of libwh/wh_fsm, tried on rows of the database: the row is afterwards
 * what the cell says, and a refused event has changed nothing. */
#include "t/unit/db.h"
#include "libwh/wh_fsm.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"

/* One deployment and its job, at epoch 1, the worker's. */
typedef struct subject_t {
    db_t *t;
    const char *deployment;
    wh_db_claim_t claim;
} subject_t;

static subject_t subject(db_t *t)
{
    wh_worker_t *w = db_worker(t, 1);

    return (subject_t){.t = t,
                       .deployment = db_deployment(t, db_app(t, 1, WH_KIND_CONTAINER), 1),
                       .claim = {.worker_id = w->id, .job_id = db_id(t, 'j', 1), .epoch = 1}};
}

static void set_job(const subject_t *s, wh_job_status_e status)
{
    db_sql(s->t, apr_psprintf(s->t->p, "UPDATE jobs SET status = '%s', worker_id = 1, epoch = 1",
                              wh_model_job_status_text(status)));
}

static void set_deployment(const subject_t *s, wh_deployment_status_e status)
{
    db_sql(s->t, apr_psprintf(s->t->p, "UPDATE deployments SET status = '%s', conclusion = '%s'",
                              wh_model_deployment_status_text(status),
                              status == WH_DEPLOYMENT_COMPLETED ? "succeeded" : ""));
}

static apr_status_t job_event(const subject_t *s, wh_job_status_e status, wh_job_event_e event)
{
    db_t *t = s->t;
    apr_int64_t epoch;
    int begun = status != WH_JOB_PENDING && status != WH_JOB_ASSIGNED;

    switch (event) {
    case WH_JOB_EV_ASSIGN:
        return wh_db_job_assign(t->dbc, t->p, s->claim.job_id, 1, 1, DB_T(1), DB_T(2), &epoch,
                                &t->err);
    case WH_JOB_EV_ACK:
        return wh_db_job_ack(t->dbc, t->p, &s->claim, DB_T(1), DB_T(2), DB_T(3), &t->err);
    case WH_JOB_EV_RELEASE:
        return wh_db_job_reassign(t->dbc, t->p, s->claim.job_id, 1, &t->err);
    case WH_JOB_EV_LOST: /* before it began this is a release */
        return begun ? wh_db_job_finish(t->dbc, t->p, &s->claim, event, DB_T(1), &t->err)
                     : wh_db_job_reassign(t->dbc, t->p, s->claim.job_id, 1, &t->err);
    case WH_JOB_EV_FAIL:
        return begun ? wh_db_job_finish(t->dbc, t->p, &s->claim, event, DB_T(1), &t->err)
                     : wh_db_job_abandon(t->dbc, t->p, s->claim.job_id, 1, event, DB_T(1), &t->err);
    case WH_JOB_EV_CANCEL:
        return wh_db_job_abandon(t->dbc, t->p, s->claim.job_id, 1, event, DB_T(1), &t->err);
    default:
        return wh_db_job_finish(t->dbc, t->p, &s->claim, event, DB_T(1), &t->err);
    }
}

static apr_status_t deployment_event(const subject_t *s, wh_deployment_status_e from,
                                     wh_deployment_event_e event)
{
    db_t *t = s->t;
    wh_db_outcome_t how = {.conclusion = wh_fsm_deployment_conclusion(event)};

    switch (event) {
    case WH_DEPLOYMENT_EV_START:
        return wh_db_deployment_start(t->dbc, t->p, s->deployment, &s->claim, DB_T(1), &t->err);
    case WH_DEPLOYMENT_EV_FINALIZE:
        return wh_db_deployment_finalize(t->dbc, t->p, s->deployment, &s->claim, NULL, "", &t->err);
    case WH_DEPLOYMENT_EV_FAIL:
        return wh_db_deployment_fail(t->dbc, t->p, s->deployment, from, "x", "y", &t->err);
    default:
        return wh_db_deployment_complete(t->dbc, t->p, s->deployment, from, &how, DB_T(1), &t->err);
    }
}

static void is_now(const subject_t *s, const char *cell, apr_status_t rv, int moves,
                   const char *table, const char *want)
{
    const char *is;

    if ((rv == APR_SUCCESS) != moves)
        fail_msg("%s: %s", cell, moves ? s->t->err.text : "was not refused");
    is = db_value(s->t, apr_pstrcat(s->t->p, "SELECT status FROM ", table, NULL));
    if (strcmp(is, want) != 0)
        fail_msg("%s: %s, not %s", cell, is, want);
}

static void test_jobs(void **state)
{
    db_t *t = *state;
    subject_t s = subject(t);

    for (int from = 0; from < WH_JOB_STATES; from++) {
        for (int event = 0; event < WH_JOB_EV_COUNT; event++) {
            wh_job_status_e to = (wh_job_status_e)from;
            wh_fsm_step_e step = wh_fsm_job_next((wh_job_status_e)from, (wh_job_event_e)event, &to);
            apr_status_t rv;

            set_job(&s, (wh_job_status_e)from);
            assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
            rv = job_event(&s, (wh_job_status_e)from, (wh_job_event_e)event);
            if (rv == APR_SUCCESS || rv == APR_NOTFOUND)
                assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
            else
                wh_dbc_rollback(t->dbc);
            is_now(&s,
                   apr_psprintf(t->p, "%s + %s", wh_model_job_status_text((wh_job_status_e)from),
                                wh_fsm_job_event_text((wh_job_event_e)event)),
                   rv, step == WH_FSM_MOVE, "jobs", wh_model_job_status_text(to));
        }
    }
}

static void test_deployments(void **state)
{
    db_t *t = *state;
    subject_t s = subject(t);

    set_job(&s, WH_JOB_PROCESSING);
    for (int from = 0; from < WH_DEPLOYMENT_STATES; from++) {
        for (int event = 0; event < WH_DEPLOYMENT_EV_COUNT; event++) {
            wh_deployment_status_e last = (wh_deployment_status_e)from, to = last;
            wh_fsm_step_e step;

            db_sql(t, "DELETE FROM notification_event"); /* it ends once, but in this table */

            /* Called failed, it passes through `fail` on the way. */
            if (event == WH_DEPLOYMENT_EV_FAILED)
                (void)wh_fsm_deployment_next(last, WH_DEPLOYMENT_EV_FAIL, &last);
            step = wh_fsm_deployment_next(last, (wh_deployment_event_e)event, &to);
            set_deployment(&s, (wh_deployment_status_e)from);
            is_now(&s,
                   apr_psprintf(t->p, "%s + %s",
                                wh_model_deployment_status_text((wh_deployment_status_e)from),
                                wh_fsm_deployment_event_text((wh_deployment_event_e)event)),
                   deployment_event(&s, (wh_deployment_status_e)from, (wh_deployment_event_e)event),
                   step == WH_FSM_MOVE, "deployments", wh_model_deployment_status_text(to));
        }
    }
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F11 F12 F137 R10 R24 each cell of the life of a job governs its row", test_jobs),
        DB_CASE("F183 F185 R7 each cell of the life of a deployment governs its row",
                test_deployments),
    };

    return DB_RUN(cases);
}
