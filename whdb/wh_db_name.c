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
                                           WH_S(n->deployment_id), WH_I(now), WH_I(now),
                                           WH_I(n->expires_at)),
                                   &touched, err);

    if (rv == APR_SUCCESS && touched == 0) {
        return wh_err_set(err, 409, "name_taken", "The name %s belongs to another app.", n->label);
    }
    return wh_dbc_then_moved(dbc, rv, err);
}

apr_status_t wh_db_name_move(wh_dbc_t *dbc, apr_pool_t *p, const wh_name_t *n, apr_time_t now,
                             wh_err_t *err)
{
    return wh_dbc_then_moved(
        dbc,
        wh_dbc_query(dbc, p, WH_SQL_name_move,
                     WH_ARGS(WH_S(n->deployment_id), WH_I(now), WH_I(now), WH_S(n->app_id),
                             WH_S(n->environment), WH_S(n->deployment_id)),
                     NULL, err),
        err);
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
        n->expires_at = wh_dbc_int(&r);
        n->switched_at = wh_dbc_int(&r);
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

/* ---- Previews ---- */

apr_status_t wh_db_name_expire(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               const char *environment, apr_time_t at, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_name_expire,
                        WH_ARGS(WH_I(at), WH_S(app_id), WH_S(environment)), NULL, err);
}

apr_status_t wh_db_name_close(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                              const char *environment, apr_time_t at, int *n, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_name_close,
                        WH_ARGS(WH_I(at), WH_S(app_id), WH_S(environment)), n, err);
}

static apr_array_header_t *previews_of(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n + 1, sizeof(wh_db_preview_t));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_db_preview_t *one = apr_array_push(list);

        one->app_id = wh_dbc_text(&r);
        one->slug = wh_dbc_text(&r);
        one->environment = wh_dbc_text(&r);
        one->expires_at = wh_dbc_int(&r);
    }
    return list;
}

apr_status_t wh_db_name_list_previews(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                      apr_time_t now, apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_name_previews,
                                    WH_ARGS(WH_S(app_id), WH_I(now)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = previews_of(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_name_list_expired(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                     apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_name_expired, WH_ARGS(WH_I(now), WH_I(limit)),
                                    &rows, err);

    if (rv == APR_SUCCESS) {
        *out = previews_of(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_name_delete_expired(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                       const char *environment, apr_time_t now, int *n,
                                       wh_err_t *err)
{
    return wh_dbc_then_moved(dbc,
                             wh_dbc_query(dbc, p, WH_SQL_name_delete_expired,
                                          WH_ARGS(WH_S(app_id), WH_S(environment), WH_I(now)), n,
                                          err),
                             err);
}

/* ---- Routes ---- */

static wh_db_route_t *route_at(apr_pool_t *p, wh_row_t *r)
{
    wh_db_route_t *t = apr_pcalloc(p, sizeof(*t));

    t->name = wh_dbc_text(r);
    t->redirect_to = wh_dbc_text(r);
    t->redirect_code = (int)wh_dbc_int(r);
    t->app_id = wh_dbc_text(r);
    t->slug = wh_dbc_text(r);
    (void)wh_model_kind_of(wh_dbc_text(r), &t->app_kind);
    (void)wh_model_desired_of(wh_dbc_text(r), &t->desired);
    t->serve.sticky = (int)wh_dbc_int(r);
    t->serve.maintenance = (int)wh_dbc_int(r);
    t->serve.timeout_s = wh_dbc_int(r);
    t->serve.hold_s = wh_dbc_int(r);
    t->serve.previous_s = wh_dbc_int(r);
    t->environment = wh_dbc_text(r);
    (void)wh_model_name_kind_of(wh_dbc_text(r), &t->kind);
    t->updated_at = wh_dbc_int(r);
    t->switched_at = wh_dbc_int(r);
    t->deployment_id = wh_dbc_text(r);
    t->number = wh_dbc_int(r);
    t->release_id = wh_dbc_text(r);
    t->snapshot = wh_dbc_text(r);
    t->previous_release = wh_dbc_text(r);
    t->switching = wh_dbc_int(r) > 0;
    return t;
}

/* A name with several instances comes as several rows, one after the other. */
static void route_row(apr_pool_t *p, apr_array_header_t *list, int domain, wh_row_t *r)
{
    wh_db_route_t *fresh = route_at(p, r);
    wh_db_route_t *t =
        list->nelts == 0 ? NULL : APR_ARRAY_IDX(list, list->nelts - 1, wh_db_route_t *);
    wh_db_upstream_t u = {0};

    if (t == NULL || t->domain != domain || strcmp(t->name, fresh->name) != 0) {
        t = fresh;
        t->domain = domain;
        t->upstreams = apr_array_make(p, 2, sizeof(wh_db_upstream_t));
        APR_ARRAY_PUSH(list, wh_db_route_t *) = t;
    }
    u.instance_id = wh_dbc_text(r);
    u.worker_id = wh_dbc_int(r);
    u.address = wh_dbc_text(r);
    u.port = (int)wh_dbc_int(r);
    (void)wh_model_observed_of(wh_dbc_text(r), &u.observed);
    if (u.instance_id[0] != '\0') {
        APR_ARRAY_PUSH(t->upstreams, wh_db_upstream_t) = u;
    }
}

static void route_rows(apr_pool_t *p, const wh_rows_t *rows, int domain, apr_array_header_t *out)
{
    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);

        route_row(p, out, domain, &r);
    }
}

apr_status_t wh_db_name_routes(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t names, domains;
    apr_status_t rv =
        app_id == NULL
            ? wh_dbc_select(dbc, p, WH_SQL_name_routes_all, WH_NOARGS, &names, err)
            : wh_dbc_select(dbc, p, WH_SQL_name_routes_app, WH_ARGS(WH_S(app_id)), &names, err);

    if (rv == APR_SUCCESS) {
        rv = app_id == NULL
                 ? wh_dbc_select(dbc, p, WH_SQL_domain_routes_all, WH_NOARGS, &domains, err)
                 : wh_dbc_select(dbc, p, WH_SQL_domain_routes_app, WH_ARGS(WH_S(app_id)), &domains,
                                 err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, names.n + domains.n + 1, sizeof(wh_db_route_t *));
    route_rows(p, &names, 0, *out);
    route_rows(p, &domains, 1, *out);
    return APR_SUCCESS;
}
