#include "whdb/wh_db_issuer.h"
#include "whdb/wh_dbc_priv.h"

static wh_db_issuer_t issuer_at(const wh_rows_t *rows, int i)
{
    wh_row_t r = wh_dbc_row(rows, i);
    wh_db_issuer_t out;

    out.issuer = wh_dbc_text(&r);
    out.keys = wh_dbc_text(&r);
    out.fetched_at = wh_dbc_int(&r);
    out.asked_at = wh_dbc_int(&r);
    out.failures = wh_dbc_int(&r);
    out.error = wh_dbc_text(&r);
    return out;
}

apr_status_t wh_db_issuer_add(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_issuer_add, WH_ARGS(WH_S(issuer)), NULL, err);
}

apr_status_t wh_db_issuer_get(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer, wh_db_issuer_t *out,
                              wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_issuer_get, WH_ARGS(WH_S(issuer)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = issuer_at(&rows, 0);
    }
    return rv;
}

apr_status_t wh_db_issuer_ask(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer, apr_time_t now,
                              apr_time_t since, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_issuer_ask, WH_ARGS(WH_I(now), WH_S(issuer), WH_I(since)),
                      err);
}

apr_status_t wh_db_issuer_list_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                   apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_issuer_list_due, WH_ARGS(WH_I(now), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_issuer_t));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_db_issuer_t) = issuer_at(&rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_issuer_later(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                                apr_time_t next_at, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_issuer_later, WH_ARGS(WH_I(next_at), WH_S(issuer)), NULL,
                        err);
}

apr_status_t wh_db_issuer_fetched(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                                  const char *keys, apr_time_t now, apr_time_t next_at,
                                  wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_issuer_fetched,
                        WH_ARGS(WH_S(keys), WH_I(now), WH_I(next_at), WH_S(issuer)), NULL, err);
}

apr_status_t wh_db_issuer_failed(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                                 const char *error, apr_time_t next_at, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_issuer_failed,
                        WH_ARGS(WH_S(error), WH_I(next_at), WH_S(issuer)), NULL, err);
}
