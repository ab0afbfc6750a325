#include "whdb/wh_db_name.h"
#include "whdb/wh_dbc_priv.h"

#include <string.h>

apr_status_t wh_db_name_claim(wh_dbc_t *dbc, apr_pool_t *p, const wh_name_t *n, apr_time_t now,
                              wh_err_t *err)
{
    int touched = 0;
    apr_status_t rv = wh_dbc_query(dbc, p, WH_SQL_name_claim,
                                   WH_ARGS(WH_S(n->label), WH_S(n->app_id), WH_S(n->environment),
                                           WH_S(wh_model_name_kind_text(n->kind)),
                                           WH_S(n->deployment_id), WH_I(now)),
                                   &touched, err);

    if (rv == APR_SUCCESS && touched == 0) {
        return wh_err_set(err, 409, "name_taken", "The name %s belongs to another app.", n->label);
    }
    return wh_dbc_then_moved(dbc, rv, err);
}

apr_status_t wh_db_name_changes(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *out, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_routes_seen, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *out = wh_dbc_int(&r);
    }
    return rv;
}

apr_status_t wh_db_name_list_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_name_by_app, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_name_t *));
    for (int i = 0; i < rows.n; i++) {
        wh_name_t *n = apr_pcalloc(p, sizeof(*n));
        wh_row_t r = wh_dbc_row(&rows, i);

        n->label = wh_dbc_text(&r);
        n->app_id = wh_dbc_text(&r);
        n->environment = wh_dbc_text(&r);
        (void)wh_model_name_kind_of(wh_dbc_text(&r), &n->kind);
        n->deployment_id = wh_dbc_text(&r);
        n->previous_id = wh_dbc_text(&r);
        n->updated_at = wh_dbc_int(&r);
        APR_ARRAY_PUSH(*out, wh_name_t *) = n;
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_name_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, int *n,
                                      wh_err_t *err)
{
    return wh_dbc_then_moved(
        dbc, wh_dbc_query(dbc, p, WH_SQL_name_delete_by_app, WH_ARGS(WH_S(app_id)), n, err), err);
}

/* A label with several instances comes as several rows, one after the other. */
static void route_row(apr_pool_t *p, apr_array_header_t *list, wh_row_t *r)
{
    const char *label = wh_dbc_text(r);
    wh_db_route_t *t =
        list->nelts == 0 ? NULL : APR_ARRAY_IDX(list, list->nelts - 1, wh_db_route_t *);
    wh_db_route_t *fresh = apr_pcalloc(p, sizeof(*fresh));
    wh_db_upstream_t *u = apr_pcalloc(p, sizeof(*u));

    fresh->label = label;
    fresh->app_id = wh_dbc_text(r);
    fresh->slug = wh_dbc_text(r);
    (void)wh_model_kind_of(wh_dbc_text(r), &fresh->app_kind);
    (void)wh_model_desired_of(wh_dbc_text(r), &fresh->desired);
    fresh->environment = wh_dbc_text(r);
    fresh->deployment_id = wh_dbc_text(r);
    fresh->number = wh_dbc_int(r);
    fresh->release_id = wh_dbc_text(r);
    fresh->snapshot = wh_dbc_text(r);
    fresh->updated_at = wh_dbc_int(r);
    if (t == NULL || strcmp(t->label, label) != 0) {
        t = fresh;
        t->upstreams = apr_array_make(p, 2, sizeof(wh_db_upstream_t));
        APR_ARRAY_PUSH(list, wh_db_route_t *) = t;
    }
    u->instance_id = wh_dbc_text(r);
    u->worker_id = wh_dbc_int(r);
    u->address = wh_dbc_text(r);
    u->port = (int)wh_dbc_int(r);
    (void)wh_model_observed_of(wh_dbc_text(r), &u->observed);
    if (u->instance_id[0] != '\0') {
        APR_ARRAY_PUSH(t->upstreams, wh_db_upstream_t) = *u;
    }
}

apr_status_t wh_db_name_routes(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        app_id == NULL
            ? wh_dbc_select(dbc, p, WH_SQL_name_routes_all, WH_NOARGS, &rows, err)
            : wh_dbc_select(dbc, p, WH_SQL_name_routes_app, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_route_t *));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        route_row(p, *out, &r);
    }
    return APR_SUCCESS;
}
