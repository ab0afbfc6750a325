#include "whdb/wh_db_drain.h"

#include "whdb/wh_db_job.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_drain_any(wh_dbc_t *dbc, apr_pool_t *p, int *any, apr_int64_t *removed,
                             wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_drain_any, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *removed = wh_dbc_int(&r);
        *any = wh_dbc_int(&r) > 0;
        *any |= wh_dbc_int(&r) > 0;
        *any |= wh_dbc_int(&r) > 0;
    }
    return rv;
}

apr_status_t wh_db_drain_apps(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out, wh_err_t *err)
{
    apr_array_header_t *list;
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_drain_apps, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    list = apr_array_make(p, rows.n, sizeof(wh_drain_app_t));
    for (int i = 0; i < rows.n; i++) {
        wh_drain_app_t *a = &APR_ARRAY_PUSH(list, wh_drain_app_t);
        wh_worker_admin_e admin = WH_WORKER_DRAINING;
        wh_row_t r = wh_dbc_row(&rows, i);

        a->app_id = wh_dbc_text(&r);
        a->environment = wh_dbc_text(&r);
        a->deployment_id = wh_dbc_text(&r);
        (void)wh_model_desired_of(wh_dbc_text(&r), &a->desired);
        (void)wh_model_worker_admin_of(wh_dbc_text(&r), &admin);
        a->removed = admin == WH_WORKER_REMOVED;
        a->since = wh_dbc_int(&r);
        a->open = wh_dbc_int(&r) > 0;
        a->failed_at = wh_dbc_int(&r);
    }
    *out = list;
    return APR_SUCCESS;
}

apr_status_t wh_db_drain_needless(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                  wh_err_t *err)
{
    apr_array_header_t *list;
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_drain_needless, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    list = apr_array_make(p, rows.n, sizeof(wh_job_t *));
    for (int i = 0; rv == APR_SUCCESS && i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);

        rv = wh_db_job_get(dbc, p, wh_dbc_text(&r), &APR_ARRAY_PUSH(list, wh_job_t *), err);
    }
    *out = list;
    return rv;
}
