#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_instance_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_claim_t *c,
                                   const wh_instance_t *i, wh_err_t *err)
{
    wh_db_job_scope_t *scope;
    wh_snapshot_t snap;
    apr_status_t rv = wh_db_job_check_processing(dbc, p, c, &scope, err);

    if (rv == APR_SUCCESS) {
        rv = wh_model_snapshot_parse(p, scope->snapshot, &snap, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return wh_dbc_then_moved(
        dbc,
        wh_dbc_cas(dbc, p, WH_SQL_instance_insert,
                   WH_ARGS(WH_S(i->id), WH_S(i->container), WH_S(i->address), WH_I(i->port),
                           WH_I(snap.cpu_millis), WH_I(snap.memory_bytes), WH_I(i->created_at),
                           WH_S(i->deployment_id), WH_S(c->job_id), WH_I(c->worker_id),
                           WH_I(c->epoch)),
                   err),
        err);
}

static apr_array_header_t *instance_array(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n, sizeof(wh_instance_t *));

    for (int n = 0; n < rows->n; n++) {
        wh_instance_t *i = apr_pcalloc(p, sizeof(*i));
        wh_row_t r = wh_dbc_row(rows, n);

        i->id = wh_dbc_text(&r);
        i->app_id = wh_dbc_text(&r);
        i->deployment_id = wh_dbc_text(&r);
        i->worker_id = wh_dbc_int(&r);
        i->container = wh_dbc_text(&r);
        i->address = wh_dbc_text(&r);
        i->port = wh_dbc_int(&r);
        (void)wh_model_instance_state_of(wh_dbc_text(&r), &i->state);
        (void)wh_model_observed_of(wh_dbc_text(&r), &i->observed);
        i->reason = wh_dbc_text(&r);
        i->restarts = wh_dbc_int(&r);
        i->created_at = wh_dbc_int(&r);
        i->stopped_at = wh_dbc_int(&r);
        APR_ARRAY_PUSH(list, wh_instance_t *) = i;
    }
    return list;
}

apr_status_t wh_db_instance_list_by_deployment(wh_dbc_t *dbc, apr_pool_t *p,
                                               const char *deployment_id, apr_array_header_t **out,
                                               wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_instance_by_deployment,
                                    WH_ARGS(WH_S(deployment_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = instance_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_instance_list_by_worker(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                           apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_instance_by_worker, WH_ARGS(WH_I(worker_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = instance_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_instance_list_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_instance_by_app, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = instance_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_instance_list_unwanted(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                          apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_instance_unwanted, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = instance_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_instance_resume(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                   wh_err_t *err)
{
    return wh_dbc_then_moved(
        dbc,
        wh_dbc_query(dbc, p, WH_SQL_instance_resume, WH_ARGS(WH_S(deployment_id)), NULL, err),
        err);
}

apr_status_t wh_db_instance_list_wanted(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                        apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_array_header_t *list;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_instance_wanted, WH_ARGS(WH_I(worker_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    list = apr_array_make(p, rows.n, sizeof(wh_db_wanted_t));
    for (int i = 0; i < rows.n; i++) {
        wh_db_wanted_t *w = &APR_ARRAY_PUSH(list, wh_db_wanted_t);
        wh_row_t r = wh_dbc_row(&rows, i);

        w->deployment_id = wh_dbc_text(&r);
        w->app_id = wh_dbc_text(&r);
        (void)wh_model_instance_state_of(wh_dbc_text(&r), &w->state);
        (void)wh_model_desired_of(wh_dbc_text(&r), &w->desired);
    }
    *out = list;
    return APR_SUCCESS;
}

apr_status_t wh_db_instance_set_place(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                      const wh_db_place_at_t *at, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_instance_place,
                      WH_ARGS(WH_S(at->address), WH_I(at->port), WH_I(worker_id),
                              WH_S(at->container), WH_S(at->deployment_id), WH_S(at->address),
                              WH_I(at->port), WH_S(at->address), WH_I(worker_id)),
                      err);
}

apr_status_t wh_db_instance_set_state(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                      wh_instance_state_e from, wh_instance_state_e to,
                                      apr_time_t now, wh_err_t *err)
{
    if (to <= from) {
        return wh_err_set(err, 500, "db_check", "An instance cannot go from %s to %s.",
                          wh_model_instance_state_text(from), wh_model_instance_state_text(to));
    }
    if (to == WH_INSTANCE_STOPPED) {
        wh_dbc_ended(dbc, "", 0, "");
    }
    return wh_dbc_then_moved(dbc,
                             wh_dbc_cas(dbc, p, WH_SQL_instance_state,
                                        WH_ARGS(WH_S(wh_model_instance_state_text(to)),
                                                WH_I(to == WH_INSTANCE_STOPPED ? now : 0), WH_S(id),
                                                WH_S(wh_model_instance_state_text(from))),
                                        err),
                             err);
}

apr_status_t wh_db_instance_stop_all(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                     const char *deployment_id, apr_time_t now, int *n,
                                     wh_err_t *err)
{
    wh_dbc_ended(dbc, "", worker_id, deployment_id);
    return wh_dbc_then_moved(dbc,
                             wh_dbc_query(dbc, p, WH_SQL_instance_stop_all,
                                          WH_ARGS(WH_I(now), WH_I(worker_id), WH_S(deployment_id)),
                                          n, err),
                             err);
}

apr_status_t wh_db_instance_set_violated(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                         const char *app_id, const wh_db_observation_t *o,
                                         wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_instance_violated,
                      WH_ARGS(WH_S(o->reason), WH_I(worker_id), WH_S(o->container),
                              WH_S(o->deployment_id), WH_S(app_id)),
                      err);
}

apr_status_t wh_db_instance_held(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                 const char *app_id, const char *deployment_id, wh_db_held_e *out,
                                 wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_instance_held,
                                        WH_ARGS(WH_I(worker_id), WH_S(deployment_id), WH_S(app_id),
                                                WH_I(worker_id), WH_S(deployment_id), WH_S(app_id),
                                                WH_I(worker_id), WH_S(deployment_id), WH_S(app_id)),
                                        &rows, err);

    if (rv == APR_SUCCESS) {
        wh_row_t r = wh_dbc_row(&rows, 0);
        apr_int64_t live = wh_dbc_int(&r), at_work = wh_dbc_int(&r), over = wh_dbc_int(&r);

        *out = live + at_work > 0 ? WH_DB_HELD_LIVE : over > 0 ? WH_DB_HELD_OVER : WH_DB_HELD_NOT;
    }
    return rv;
}

apr_status_t wh_db_instance_set_observed(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                         const wh_db_observation_t *o, wh_err_t *err)
{
    const char *app = o->app_id != NULL ? o->app_id : "";

    return wh_dbc_cas(dbc, p, WH_SQL_instance_observed,
                      WH_ARGS(WH_S(o->reason), WH_S(wh_model_observed_text(o->observed)),
                              WH_I(o->restarts), WH_I(worker_id), WH_S(o->container),
                              WH_S(o->deployment_id), WH_S(app), WH_S(app)),
                      err);
}

apr_status_t wh_db_instance_forgive(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    wh_observed_e observed, int *n, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_instance_forgive,
                        WH_ARGS(WH_S(wh_model_observed_text(observed)), WH_S(app_id)), n, err);
}
