#include "whdb/wh_db_front.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_front_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_front_t *front,
                             apr_time_t now, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_front_requests_put,
                        WH_ARGS(WH_S(front->name), WH_I(now), WH_S(front->figures)), NULL, err);
}

apr_status_t wh_db_front_since(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t since, int limit,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_front_requests_since,
                                    WH_ARGS(WH_I(since), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_db_front_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_front_t *front = apr_array_push(*out);

        front->name = wh_dbc_text(&r);
        front->figures = wh_dbc_text(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_front_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_front_requests_prune, WH_ARGS(WH_I(before)), NULL, err);
}
