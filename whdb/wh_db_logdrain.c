#include "whdb/wh_db_logdrain.h"
#include "whdb/wh_dbc_priv.h"

static wh_logdrain_t *drain_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_row_t r = wh_dbc_row(rows, i);
    wh_logdrain_t *d = apr_pcalloc(p, sizeof(*d));

    d->id = wh_dbc_text(&r);
    d->name = wh_dbc_text(&r);
    d->kind = wh_dbc_text(&r);
    d->shown = wh_dbc_text(&r);
    d->key_id = wh_dbc_int(&r);
    d->sealed = wh_dbc_text(&r);
    d->app_id = wh_dbc_text(&r);
    d->slug = wh_dbc_text(&r);
    d->enabled = (int)wh_dbc_int(&r);
    d->gzip = (int)wh_dbc_int(&r);
    d->sent = wh_dbc_int(&r);
    d->lost = wh_dbc_int(&r);
    d->cause = wh_dbc_text(&r);
    d->created_at = wh_dbc_int(&r);
    d->updated_at = wh_dbc_int(&r);
    return d;
}

apr_status_t wh_db_logdrain_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *d,
                                   wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_logdrain_insert,
                        WH_ARGS(WH_S(d->id), WH_S(d->name), WH_S(d->kind), WH_S(d->shown),
                                WH_I(d->key_id), WH_S(d->sealed), WH_S(d->app_id),
                                WH_I(d->enabled), WH_I(d->gzip), WH_I(d->created_at),
                                WH_I(d->updated_at)),
                        NULL, err);
}

apr_status_t wh_db_logdrain_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id_or_name,
                                wh_logdrain_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_logdrain_get,
                                        WH_ARGS(WH_S(id_or_name), WH_S(id_or_name)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = drain_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_logdrain_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                                 apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_logdrain_list,
                                    WH_ARGS(WH_S(after), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_logdrain_t *));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_logdrain_t *) = drain_at(p, &rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_logdrain_update(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *d,
                                   apr_time_t read_at, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_logdrain_update,
                      WH_ARGS(WH_S(d->name), WH_S(d->kind), WH_S(d->shown), WH_I(d->key_id),
                              WH_S(d->sealed), WH_S(d->app_id), WH_I(d->enabled),
                              WH_I(d->gzip), WH_I(d->updated_at), WH_S(d->id), WH_I(read_at)),
                      err);
}

apr_status_t wh_db_logdrain_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_logdrain_delete, WH_ARGS(WH_S(id)), err);
}

apr_status_t wh_db_logdrain_count(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *more,
                                  wh_err_t *err)
{
    return wh_dbc_query(
        dbc, p, WH_SQL_logdrain_count,
        WH_ARGS(WH_I(more->sent), WH_I(more->lost), WH_S(more->cause), WH_S(more->id)), NULL, err);
}

apr_status_t wh_db_logdrain_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_logdrain_t *old,
                                   const wh_logdrain_t *fresh, wh_err_t *err)
{
    return wh_dbc_cas(
        dbc, p, WH_SQL_logdrain_reseal,
        WH_ARGS(WH_I(fresh->key_id), WH_S(fresh->sealed), WH_S(old->id), WH_S(old->sealed)), err);
}

apr_status_t wh_db_logdrain_place(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment,
                                  const char **slug, const char **environment, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_logdrain_place, WH_ARGS(WH_S(deployment)),
                                        &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    *slug = wh_dbc_text(&r);
    *environment = wh_dbc_text(&r);
    return APR_SUCCESS;
}
