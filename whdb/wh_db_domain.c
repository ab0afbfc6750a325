#include "whdb/wh_db_domain.h"
#include "whdb/wh_dbc_priv.h"

static wh_domain_t *domain_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_domain_t *d = apr_pcalloc(p, sizeof(*d));
    wh_row_t r = wh_dbc_row(rows, i);

    d->id = wh_dbc_text(&r);
    d->app_id = wh_dbc_text(&r);
    d->environment = wh_dbc_text(&r);
    d->host = wh_dbc_text(&r);
    d->redirect_to = wh_dbc_text(&r);
    d->redirect_code = wh_dbc_int(&r);
    (void)wh_model_domain_status_of(wh_dbc_text(&r), &d->status);
    d->challenge = wh_dbc_text(&r);
    d->reason = wh_dbc_text(&r);
    d->attempts = wh_dbc_int(&r);
    d->next_at = wh_dbc_int(&r);
    d->asked_at = wh_dbc_int(&r);
    d->checked_at = wh_dbc_int(&r);
    d->verified_at = wh_dbc_int(&r);
    d->created_at = wh_dbc_int(&r);
    d->updated_at = wh_dbc_int(&r);
    return d;
}

static apr_array_header_t *domains_of(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n + 1, sizeof(wh_domain_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_domain_t *) = domain_at(p, rows, i);
    }
    return list;
}

apr_status_t wh_db_domain_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d, wh_err_t *err)
{
    int n = 0;
    apr_status_t rv = wh_dbc_query(
        dbc, p, WH_SQL_domain_insert,
        WH_ARGS(WH_S(d->id), WH_S(d->app_id), WH_S(d->environment), WH_S(d->host),
                WH_S(d->redirect_to), WH_I(d->redirect_code), WH_S(d->challenge), WH_I(d->next_at),
                WH_I(d->asked_at), WH_I(d->created_at), WH_I(d->updated_at)),
        &n, err);

    return rv == APR_SUCCESS && n == 0
               ? wh_err_set(err, 409, "conflict", "The app has this domain already.")
               : rv;
}

apr_status_t wh_db_domain_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_domain_t **out,
                              wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_domain_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = domain_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_domain_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_domain_list, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = domains_of(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_domain_change(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                 apr_time_t now, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_domain_change,
                      WH_ARGS(WH_S(d->environment), WH_S(d->redirect_to), WH_I(d->redirect_code),
                              WH_I(now), WH_S(d->id)),
                      err);
}

apr_status_t wh_db_domain_ask(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                              wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_domain_ask,
                      WH_ARGS(WH_I(now), WH_I(now), WH_I(now), WH_S(id)), err);
}

apr_status_t wh_db_domain_remove(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                 wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_domain_remove, WH_ARGS(WH_I(now), WH_S(id)), err);
}

/* ---- The scheduler's ---- */

apr_status_t wh_db_domain_holder(wh_dbc_t *dbc, apr_pool_t *p, const char *host, wh_domain_t **out,
                                 wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_domain_holder, WH_ARGS(WH_S(host)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = domain_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_domain_list_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                   apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_domain_due, WH_ARGS(WH_I(now), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = domains_of(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_domain_claim(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                apr_time_t until, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_domain_claim,
                      WH_ARGS(WH_I(until), WH_S(d->id), WH_I(d->next_at)), err);
}

apr_status_t wh_db_domain_found(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                wh_domain_status_e from, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_cas(
        dbc, p, WH_SQL_domain_found,
        WH_ARGS(WH_S(wh_model_domain_status_text(d->status)), WH_S(d->reason), WH_I(d->attempts),
                WH_I(d->next_at), WH_I(d->checked_at), WH_I(d->verified_at), WH_I(d->updated_at),
                WH_S(d->id), WH_S(wh_model_domain_status_text(from))),
        err);

    return d->status == from ? rv : wh_dbc_then_moved(dbc, rv, err);
}

apr_status_t wh_db_domain_withdrawn(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_domain_withdrawn, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_db_withdrawn_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_withdrawn_t *w = apr_array_push(*out);

        w->id = wh_dbc_text(&r);
        w->host = wh_dbc_text(&r);
        w->removed = (int)wh_dbc_int(&r);
        w->held = (int)wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_domain_drop(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_domain_drop, WH_ARGS(WH_S(id)), NULL, err);
}

apr_status_t wh_db_domain_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        wh_err_t *err)
{
    return wh_dbc_then_moved(
        dbc,
        wh_dbc_query(dbc, p, WH_SQL_domain_delete_by_app, WH_ARGS(WH_S(app_id)), NULL, err), err);
}
