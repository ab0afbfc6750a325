#include "whdb/wh_db_gc.h"

#include "whdb/wh_db_env.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_gc_apps(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                           apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_gc_apps, WH_ARGS(WH_S(after), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_gc_app_t));
    for (int i = 0; i < rows.n; i++) {
        wh_db_gc_app_t *app = &APR_ARRAY_PUSH(*out, wh_db_gc_app_t);
        wh_row_t r = wh_dbc_row(&rows, i);

        app->id = wh_dbc_text(&r);
        app->deleted_at = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_gc_deployments(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_time_t now,
                                  apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_gc_deployments, WH_ARGS(WH_I(now), WH_S(app_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_gc_deployment_t));
    for (int i = 0; i < rows.n; i++) {
        wh_gc_deployment_t *d = &APR_ARRAY_PUSH(*out, wh_gc_deployment_t);
        wh_row_t r = wh_dbc_row(&rows, i);

        d->id = wh_dbc_text(&r);
        d->environment = wh_dbc_text(&r);
        d->succeeded = wh_dbc_int(&r) > 0;
        d->needed = wh_dbc_int(&r) > 0;
        d->finished_at = wh_dbc_int(&r);
        d->retire = 0;
    }
    return APR_SUCCESS;
}

/* The first column of all rows. */
static void texts(wh_rows_t *rows, apr_array_header_t *out)
{
    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);

        APR_ARRAY_PUSH(out, const char *) = wh_dbc_text(&r);
    }
}

apr_status_t wh_db_gc_retire(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                             apr_array_header_t *labels, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_gc_names, WH_ARGS(WH_S(deployment_id)), &rows, err);

    if (rv == APR_SUCCESS) {
        texts(&rows, labels);
        rv = wh_dbc_then_moved(
            dbc,
            wh_dbc_query(dbc, p, WH_SQL_gc_name_delete, WH_ARGS(WH_S(deployment_id)), NULL, err),
            err);
    }
    rv = rv == APR_SUCCESS ? wh_db_env_forget(dbc, p, deployment_id, err) : rv;
    return rv == APR_SUCCESS ? wh_dbc_query(dbc, p, WH_SQL_gc_release_forget,
                                            WH_ARGS(WH_S(deployment_id)), NULL, err)
                             : rv;
}

apr_status_t wh_db_gc_releases(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int limit,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_gc_releases, WH_ARGS(WH_I(before), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = apr_array_make(p, rows.n, sizeof(const char *));
        texts(&rows, *out);
    }
    return rv;
}

apr_status_t wh_db_gc_release_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                     apr_time_t before, int *gone, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_gc_release_delete, WH_ARGS(WH_S(id), WH_I(before)), gone,
                        err);
}

apr_status_t wh_db_gc_switches(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int limit,
                               int *gone, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_gc_switches, WH_ARGS(WH_I(before), WH_I(limit)), gone, err);
}
