#include "whdb/wh_db_switch.h"

#include <string.h>

#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"

static apr_status_t count(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                          int nargs, int *n, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, id, args, nargs, &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *n = (int)wh_dbc_int(&r);
    }
    return rv;
}

/* ---- the wish ---- */

apr_status_t wh_db_switch_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, wh_err_t *err)
{
    int n = 0;
    apr_status_t rv = count(dbc, p, WH_SQL_switch_not_done, WH_ARGS(WH_S(s->app_id)), &n, err);

    if (rv == APR_SUCCESS && n >= WH_DB_SWITCHES_OPEN_MAX) {
        return wh_err_set(err, 409, "too_many",
                          "%d rollbacks and promotions of this app are not done yet.", n);
    }
    rv = rv == APR_SUCCESS ? wh_db_environment_room(dbc, p, s->app_id, s->environment, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return wh_dbc_cas(dbc, p, WH_SQL_switch_insert,
                      WH_ARGS(WH_S(s->id), WH_S(s->environment), WH_S(s->deployment_id),
                              WH_S(wh_model_switch_kind_text(s->kind)),
                              WH_S(wh_model_switch_settings_text(s->settings)), WH_SN(s->from_id),
                              WH_I(s->created_at), WH_S(s->app_id)),
                      err);
}

static wh_switch_t *switch_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_switch_t *s = apr_pcalloc(p, sizeof(*s));
    wh_row_t r = wh_dbc_row(rows, i);

    s->id = wh_dbc_text(&r);
    s->app_id = wh_dbc_text(&r);
    s->environment = wh_dbc_text(&r);
    s->deployment_id = wh_dbc_text(&r);
    (void)wh_model_switch_kind_of(wh_dbc_text(&r), &s->kind);
    (void)wh_model_switch_settings_of(wh_dbc_text(&r), &s->settings);
    s->from_id = wh_dbc_text(&r);
    s->result_id = wh_dbc_text(&r);
    (void)wh_model_switch_outcome_of(wh_dbc_text(&r), &s->outcome);
    s->cause_code = wh_dbc_text(&r);
    s->cause_detail = wh_dbc_text(&r);
    s->up_to = wh_dbc_int(&r);
    s->created_at = wh_dbc_int(&r);
    s->done_at = wh_dbc_int(&r);
    return s;
}

apr_status_t wh_db_switch_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_switch_t **out,
                              wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_switch_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = switch_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_switch_list_open(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                    apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_switch_open, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_switch_t *));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_switch_t *) = switch_at(p, &rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_switch_settle(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, apr_time_t now,
                                 wh_err_t *err)
{
    const char *outcome = wh_model_switch_outcome_text(s->outcome);

    return wh_dbc_cas(dbc, p, WH_SQL_switch_settle,
                      WH_ARGS(WH_S(outcome), WH_SN(s->from_id), WH_SN(s->result_id),
                              WH_S(s->cause_code), WH_S(s->cause_detail), WH_S(outcome), WH_I(now),
                              WH_S(s->id)),
                      err);
}

/* ---- questions ---- */

apr_status_t wh_db_switch_overtook(wh_dbc_t *dbc, apr_pool_t *p, const wh_deployment_t *d,
                                   int *overtaken, wh_err_t *err)
{
    return count(
        dbc, p, WH_SQL_switch_overtook,
        WH_ARGS(WH_S(d->app_id), WH_S(d->environment), WH_I(d->number), WH_S(d->id)), overtaken,
        err);
}

apr_status_t wh_db_switch_shown(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, int *shown,
                                wh_err_t *err)
{
    return count(dbc, p, WH_SQL_switch_shown,
                 WH_ARGS(WH_S(s->app_id), WH_S(s->environment), WH_S(s->deployment_id),
                         WH_S(s->deployment_id)),
                 shown, err);
}

apr_status_t wh_db_switch_newer(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, int *n,
                                wh_err_t *err)
{
    return count(dbc, p, WH_SQL_deployment_open_after,
                 WH_ARGS(WH_S(s->app_id), WH_S(s->environment), WH_I(s->up_to)), n, err);
}

static apr_status_t worker_of(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                              wh_switch_worker_e *out, wh_err_t *err)
{
    wh_worker_t *w;
    apr_status_t rv = id == 0 ? APR_NOTFOUND : wh_db_worker_get(dbc, p, id, &w, err);

    *out = WH_SWITCH_WORKER_GONE;
    if (rv == APR_SUCCESS && w->admin_state != WH_WORKER_REMOVED) {
        *out = w->admin_state == WH_WORKER_DRAINING  ? WH_SWITCH_WORKER_DRAINING
               : w->status == WH_WORKER_OFFLINE      ? WH_SWITCH_WORKER_OFFLINE
                                                     : WH_SWITCH_WORKER_READY;
    }
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

apr_status_t wh_db_switch_facts(wh_dbc_t *dbc, apr_pool_t *p, const wh_app_t *app,
                                const wh_deployment_t *d, const char *current_id,
                                wh_switch_facts_t *out, wh_err_t *err)
{
    wh_snapshot_t snapshot;
    apr_array_header_t *instances, *stops;
    apr_status_t rv = wh_model_snapshot_parse(p, d->snapshot, &snapshot, err);

    out->app_stopped = app->desired == WH_DESIRED_STOPPED;
    out->succeeded = d->conclusion == WH_CONCLUSION_SUCCEEDED;
    out->serving = strcmp(d->id, current_id) == 0;
    out->release = d->release_id[0] != '\0';
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->kind = snapshot.kind;
    if (out->kind == WH_KIND_STATIC) {
        return APR_SUCCESS;
    }
    out->pulled = *snapshot.image && *d->image_digest && !*snapshot.place_worker;
    rv = worker_of(dbc, p, d->worker_id, &out->worker, err);
    rv = rv == APR_SUCCESS ? wh_db_instance_list_by_deployment(dbc, p, d->id, &instances, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_job_list_stops(dbc, p, d->id, &stops, err) : rv;
    for (int i = 0; rv == APR_SUCCESS && i < instances->nelts; i++) {
        const wh_instance_t *in = APR_ARRAY_IDX(instances, i, wh_instance_t *);

        out->live += in->state != WH_INSTANCE_STOPPED;
        out->fit += in->state != WH_INSTANCE_STOPPED && in->observed == WH_OBSERVED_RUNNING;
    }
    for (int i = 0; rv == APR_SUCCESS && i < stops->nelts; i++) {
        out->stopping |= APR_ARRAY_IDX(stops, i, wh_job_t *)->status != WH_JOB_PENDING;
    }
    return rv;
}

/* ---- carrying it out ---- */

apr_status_t wh_db_switch_resume(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                 apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *stops;
    apr_status_t rv = wh_db_job_list_stops(dbc, p, deployment_id, &stops, err);

    for (int i = 0; rv == APR_SUCCESS && i < stops->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(stops, i, wh_job_t *);

        rv = wh_db_job_abandon(dbc, p, job->id, job->epoch, WH_JOB_EV_CANCEL, now, err);
    }
    return rv == APR_SUCCESS ? wh_db_instance_resume(dbc, p, deployment_id, err) : rv;
}
