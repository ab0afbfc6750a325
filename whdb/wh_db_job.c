#include "whdb/wh_db_job.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"
#include "libwh/wh_fsm.h"
#include "whdb/wh_db_deployment.h"

static wh_job_t *job_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_job_t *j = apr_pcalloc(p, sizeof(*j));
    wh_row_t r = wh_dbc_row(rows, i);

    j->id = wh_dbc_text(&r);
    (void)wh_model_job_kind_of(wh_dbc_text(&r), &j->kind);
    j->app_id = wh_dbc_text(&r);
    j->deployment_id = wh_dbc_text(&r);
    j->worker_id = wh_dbc_int(&r);
    (void)wh_model_job_status_of(wh_dbc_text(&r), &j->status);
    j->epoch = wh_dbc_int(&r);
    j->priority = wh_dbc_int(&r);
    j->not_before = wh_dbc_int(&r);
    j->lease_until = wh_dbc_int(&r);
    j->deadline_at = wh_dbc_int(&r);
    j->cancel_at = wh_dbc_int(&r);
    j->created_at = wh_dbc_int(&r);
    j->assigned_at = wh_dbc_int(&r);
    j->started_at = wh_dbc_int(&r);
    j->finished_at = wh_dbc_int(&r);
    return j;
}

static apr_array_header_t *job_array(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n, sizeof(wh_job_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_job_t *) = job_at(p, rows, i);
    }
    return list;
}

apr_status_t wh_db_job_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_job_t **out,
                           wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_job_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_job_by_deployment(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                     wh_job_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_job_by_deployment,
                                        WH_ARGS(WH_S(deployment_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_at(p, &rows, 0);
    }
    return rv;
}

/* One row of the table of the life of a job: as it is now, and what the event makes of it. */
typedef struct step_t {
    const wh_job_t *job;
    wh_job_status_e next;
    wh_arg_t from, to; /* for the compare-and-set */
} step_t;

/* APR_NOTFOUND: no such job, or the event does not move one in this state. */
static apr_status_t step_of(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_job_event_e event,
                            step_t *step, wh_err_t *err)
{
    wh_job_t *job;
    apr_status_t rv = wh_db_job_get(dbc, p, id, &job, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (wh_fsm_job_next(job->status, event, &step->next) != WH_FSM_MOVE) {
        return wh_dbc_not_found(err);
    }
    step->job = job;
    step->from = WH_S(wh_model_job_status_text(job->status));
    step->to = WH_S(wh_model_job_status_text(step->next));
    return APR_SUCCESS;
}

/* Calls that change two rows need the caller's transaction around them. */
static apr_status_t need_transaction(const wh_dbc_t *dbc, wh_err_t *err)
{
    return wh_dbc_in_transaction(dbc)
               ? APR_SUCCESS
               : wh_err_set(err, 503, "db_error", "A job is moved in a transaction only.");
}

static apr_status_t assign(wh_dbc_t *dbc, apr_pool_t *p, const step_t *step, apr_int64_t worker_id,
                           apr_int64_t seen_epoch, apr_time_t now, apr_time_t lease_until,
                           apr_int64_t *epoch, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_job_assign,
                                        WH_ARGS(step->to, WH_I(worker_id), WH_I(now),
                                                WH_I(lease_until), WH_S(step->job->id), step->from,
                                                WH_I(seen_epoch), WH_I(worker_id)),
                                        &rows, err);

    if (rv == APR_SUCCESS) {
        wh_row_t r = wh_dbc_row(&rows, 0);
        *epoch = wh_dbc_int(&r);
    }
    return rv;
}

apr_status_t wh_db_job_assign(wh_dbc_t *dbc, apr_pool_t *p, const char *job_id,
                              apr_int64_t worker_id, apr_int64_t seen_epoch, apr_time_t now,
                              apr_time_t lease_until, apr_int64_t *epoch, wh_err_t *err)
{
    step_t step;
    apr_status_t rv = need_transaction(dbc, err);

    rv = rv == APR_SUCCESS ? step_of(dbc, p, job_id, WH_JOB_EV_ASSIGN, &step, err) : rv;
    if (rv != APR_SUCCESS || step.job->kind != WH_JOB_KIND_DEPLOY) {
        return rv == APR_SUCCESS
                   ? assign(dbc, p, &step, worker_id, seen_epoch, now, lease_until, epoch, err)
                   : rv;
    }
    /* First, for it locks the worker's row: two planners cannot both see the last room. */
    rv = wh_db_worker_reserve(dbc, p, worker_id, job_id, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = assign(dbc, p, &step, worker_id, seen_epoch, now, lease_until, epoch, err);
    if (rv == APR_SUCCESS) {
        return wh_db_deployment_set_wait(dbc, p, step.job->deployment_id, "", "", err);
    }
    if (APR_STATUS_IS_NOTFOUND(rv)) {
        rv = wh_db_worker_recount(dbc, p, worker_id, err);
        return rv == APR_SUCCESS ? wh_dbc_not_found(err) : rv;
    }
    return rv;
}

apr_status_t wh_db_job_ack(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *c, apr_time_t now,
                           apr_time_t lease_until, apr_time_t deadline_at, wh_err_t *err)
{
    step_t step;
    apr_status_t rv = step_of(dbc, p, c->job_id, WH_JOB_EV_ACK, &step, err);

    return rv == APR_SUCCESS
               ? wh_dbc_cas(dbc, p, WH_SQL_job_ack,
                            WH_ARGS(step.to, WH_I(now), WH_I(lease_until), WH_I(deadline_at),
                                    WH_S(c->job_id), WH_I(c->worker_id), WH_I(c->epoch), step.from),
                            err)
               : rv;
}

apr_status_t wh_db_job_renew_lease(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *c,
                                   apr_time_t lease_until, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_job_renew,
                      WH_ARGS(WH_I(lease_until), WH_I(lease_until), WH_S(c->job_id),
                              WH_I(c->worker_id), WH_I(c->epoch)),
                      err);
}

apr_status_t wh_db_job_bound(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *c,
                             apr_time_t deadline_at, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_job_bound,
                      WH_ARGS(WH_I(deadline_at), WH_I(deadline_at), WH_S(c->job_id),
                              WH_I(c->worker_id), WH_I(c->epoch)),
                      err);
}

/* The step of an event that ends the job. */
static apr_status_t last_step(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_job_event_e event,
                              step_t *step, wh_err_t *err)
{
    apr_status_t rv = need_transaction(dbc, err);

    rv = rv == APR_SUCCESS ? step_of(dbc, p, id, event, step, err) : rv;
    if (rv == APR_SUCCESS && !wh_model_job_terminal(step->next)) {
        return wh_err_set(err, 500, "db_check", "A job does not end by \"%s\".",
                          wh_fsm_job_event_text(event));
    }
    return rv;
}

apr_status_t wh_db_job_finish(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *c,
                              wh_job_event_e event, apr_time_t now, wh_err_t *err)
{
    step_t step;
    apr_status_t rv = last_step(dbc, p, c->job_id, event, &step, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_cas(dbc, p, WH_SQL_job_finish,
                        WH_ARGS(step.to, WH_I(now), WH_S(c->job_id), WH_I(c->worker_id),
                                WH_I(c->epoch), step.from),
                        err);
    }
    if (rv == APR_SUCCESS) {
        wh_dbc_ended(dbc, c->job_id, c->worker_id, step.job->deployment_id);
    }
    return rv == APR_SUCCESS ? wh_db_worker_recount(dbc, p, c->worker_id, err) : rv;
}

apr_status_t wh_db_job_abandon(wh_dbc_t *dbc, apr_pool_t *p, const char *job_id, apr_int64_t epoch,
                               wh_job_event_e event, apr_time_t now, wh_err_t *err)
{
    step_t step;
    apr_status_t rv = last_step(dbc, p, job_id, event, &step, err);

    if (rv == APR_SUCCESS && step.job->status == WH_JOB_PROCESSING) {
        return wh_dbc_not_found(err); /* it has begun */
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_cas(dbc, p, WH_SQL_job_abandon,
                        WH_ARGS(step.to, WH_I(now), WH_S(job_id), WH_I(epoch), step.from), err);
    }
    return rv == APR_SUCCESS && step.job->worker_id != 0
               ? wh_db_worker_recount(dbc, p, step.job->worker_id, err)
               : rv;
}

apr_status_t wh_db_job_reassign(wh_dbc_t *dbc, apr_pool_t *p, const char *job_id, apr_int64_t epoch,
                                wh_err_t *err)
{
    step_t step;
    wh_deployment_t *d;
    int pinned;
    apr_status_t rv = need_transaction(dbc, err);

    rv = rv == APR_SUCCESS ? step_of(dbc, p, job_id, WH_JOB_EV_RELEASE, &step, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_deployment_get(dbc, p, step.job->deployment_id, &d, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_deployment_pinned(dbc, p, d, step.job->worker_id, &pinned, err)
                           : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    pinned |= step.job->kind == WH_JOB_KIND_STOP;
    rv = wh_dbc_cas(dbc, p, WH_SQL_job_reassign,
                    WH_ARGS(step.to, WH_IN(pinned ? step.job->worker_id : 0), WH_S(job_id),
                            WH_I(epoch), step.from, WH_I(step.job->worker_id)),
                    err);
    return rv == APR_SUCCESS ? wh_db_worker_recount(dbc, p, step.job->worker_id, err) : rv;
}

apr_status_t wh_db_job_cancel_request(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                      apr_time_t now, wh_err_t *err)
{
    wh_job_t *job;
    apr_status_t rv =
        wh_dbc_cas(dbc, p, WH_SQL_job_cancel, WH_ARGS(WH_I(now), WH_S(deployment_id)), err);

    if (!APR_STATUS_IS_NOTFOUND(rv)) {
        return rv;
    }
    rv = wh_db_job_by_deployment(dbc, p, deployment_id, &job, err);
    if (rv == APR_SUCCESS && wh_model_job_terminal(job->status)) {
        return wh_err_set(err, 409, "already_completed",
                          "This deployment is over; there is nothing to cancel.");
    }
    if (rv == APR_SUCCESS && err != NULL) {
        wh_err_clear(err);
    }
    return rv;
}

apr_status_t wh_db_job_list_cancel_requested(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                             apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_job_cancel_list, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_job_list_by_worker_assigned(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_job_worker_assigned, WH_ARGS(WH_I(worker_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_job_list_by_worker_processing(wh_dbc_t *dbc, apr_pool_t *p,
                                                 apr_int64_t worker_id, apr_array_header_t **out,
                                                 wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_job_worker_processing, WH_ARGS(WH_I(worker_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_job_list_stops(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                  apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_job_stops, WH_ARGS(WH_S(deployment_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_job_list_by_worker_open(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                           apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_job_worker_open, WH_ARGS(WH_I(worker_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_job_list_expired(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t lease_before,
                                    apr_time_t now, int limit, apr_array_header_t **out,
                                    wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_job_expired,
                      WH_ARGS(WH_I(lease_before), WH_I(now), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = job_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_job_check_processing(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *c,
                                        wh_db_job_scope_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    wh_db_job_scope_t *s;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_job_scope,
                          WH_ARGS(WH_S(c->job_id), WH_I(c->worker_id), WH_I(c->epoch)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    s = apr_pcalloc(p, sizeof(*s));
    s->app_id = wh_dbc_text(&r);
    s->slug = wh_dbc_text(&r);
    s->deployment_id = wh_dbc_text(&r);
    s->environment = wh_dbc_text(&r);
    s->cancel_at = wh_dbc_int(&r);
    s->snapshot = wh_dbc_text(&r);
    *out = s;
    return APR_SUCCESS;
}

apr_status_t wh_db_job_insert_stop(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   const char *deployment_id, apr_int64_t worker_id,
                                   apr_time_t not_before, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_job_insert_stop,
                        WH_ARGS(WH_S(id), WH_S(deployment_id), WH_S(deployment_id), WH_I(worker_id),
                                WH_I(not_before), WH_I(now)),
                        NULL, err);
}
