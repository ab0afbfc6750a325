#include "whdb/wh_db_source.h"
#include "whdb/wh_dbc_priv.h"

static apr_array_header_t *rows_at(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n + 1, sizeof(wh_gitauth_row_t));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_gitauth_row_t *row = apr_array_push(list);

        row->app_id = wh_dbc_text(&r);
        row->kind = wh_dbc_text(&r);
        row->site = wh_dbc_text(&r);
        row->shown = wh_dbc_text(&r);
        row->key_id = wh_dbc_int(&r);
        row->sealed = wh_dbc_text(&r);
        row->until = wh_dbc_int(&r);
        row->created_at = wh_dbc_int(&r);
    }
    return list;
}

apr_status_t wh_db_source_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_time_t now,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_source_list, WH_ARGS(WH_S(app_id), WH_I(now)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = rows_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_source_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_gitauth_row_t *row,
                              wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_source_put,
                        WH_ARGS(WH_S(row->app_id), WH_S(row->kind), WH_S(row->site),
                                WH_S(row->shown), WH_I(row->key_id), WH_S(row->sealed),
                                WH_I(row->until), WH_I(row->created_at)),
                        NULL, err);
}

apr_status_t wh_db_source_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                 const char *kind, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_source_delete, WH_ARGS(WH_S(app_id), WH_S(kind)), err);
}

static apr_status_t hosts_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_source_hosts_delete, WH_ARGS(WH_S(app_id)), NULL, err);
}

apr_status_t wh_db_source_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_query(dbc, p, WH_SQL_source_delete_by_app, WH_ARGS(WH_S(app_id)), NULL, err);

    return rv == APR_SUCCESS ? hosts_delete(dbc, p, app_id, err) : rv;
}

apr_status_t wh_db_source_expire(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_source_expire, WH_ARGS(WH_I(now)), NULL, err);
}

apr_status_t wh_db_source_hosts(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                const char **text, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_source_hosts_get, WH_ARGS(WH_S(app_id)), &rows, err);

    *text = "";
    if (rv == APR_SUCCESS && rows.n > 0) {
        wh_row_t r = wh_dbc_row(&rows, 0);

        *text = wh_dbc_text(&r);
    }
    return rv;
}

apr_status_t wh_db_source_hosts_put(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    const char *text, apr_time_t now, wh_err_t *err)
{
    return *text == '\0'
               ? hosts_delete(dbc, p, app_id, err)
               : wh_dbc_query(dbc, p, WH_SQL_source_hosts_put,
                              WH_ARGS(WH_S(app_id), WH_S(text), WH_I(now)), NULL, err);
}

apr_status_t wh_db_source_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, int limit,
                                apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_source_stale, WH_ARGS(WH_I(id), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = rows_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_source_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_gitauth_row_t *old,
                                 const wh_gitauth_row_t *fresh, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_source_reseal,
                      WH_ARGS(WH_I(fresh->key_id), WH_S(fresh->sealed), WH_S(old->app_id),
                              WH_S(old->kind), WH_S(old->sealed)),
                      err);
}
