#include "wh-scheduler/routes.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_domain.h"

static const char *host_of(apr_pool_t *p, const char *label, const char *base_domain)
{
    return apr_pstrcat(p, label, ".", base_domain, NULL);
}

/* What the owner asked of the content when it was deployed, and the files of the release before. */
static void of_site(const wh_db_route_t *row, const wh_snapshot_t *snapshot, wh_route_t *route)
{
    route->kind = WH_ROUTE_STATIC;
    route->release_id = row->release_id;
    route->flags = (snapshot->spa ? WH_ROUTE_SPA : 0) | (snapshot->clean_urls ? WH_ROUTE_CLEAN : 0);
    if (row->serve.previous_s > 0 && strcmp(row->previous_release, row->release_id) != 0) {
        route->previous_release = row->previous_release;
        route->previous_until = row->switched_at + apr_time_from_sec(row->serve.previous_s);
    }
}

static void of_container(const wh_db_route_t *row, wh_route_t *route)
{
    for (int i = 0; i < row->upstreams->nelts && i < WH_ROUTE_UPSTREAMS_MAX; i++) {
        const wh_db_upstream_t *up = &APR_ARRAY_IDX(row->upstreams, i, wh_db_upstream_t);

        route->upstreams[route->n_upstreams++] =
            (wh_route_upstream_t){.address = up->address, .port = up->port, .weight = 1};
    }
    route->kind = WH_ROUTE_PROXY;
    route->timeout_s = (int)row->serve.timeout_s;
    route->hold_s = (int)row->serve.hold_s;
    route->flags = row->serve.sticky ? WH_ROUTE_STICKY : 0;
    if (route->n_upstreams == 0 && row->switching && route->hold_s > 0) {
        route->flags |= WH_ROUTE_HOLD; /* the next one is starting */
    } else if (route->n_upstreams == 0) {
        route->kind = WH_ROUTE_MAINTENANCE;
    }
}

static apr_status_t of_deployment(apr_pool_t *p, const wh_db_route_t *row, wh_route_t *route,
                                  wh_err_t *err)
{
    wh_snapshot_t snapshot;
    apr_status_t rv = wh_model_snapshot_parse(p, row->snapshot, &snapshot, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    route->kind = WH_ROUTE_MAINTENANCE;
    if (row->desired == WH_DESIRED_RUNNING && !row->serve.maintenance) {
        if (snapshot.kind == WH_KIND_CONTAINER) {
            of_container(row, route);
        } else if (row->release_id[0] != '\0') {
            of_site(row, &snapshot, route);
        }
    }
    if (route->kind == WH_ROUTE_MAINTENANCE) {
        *route = (wh_route_t){.kind = WH_ROUTE_MAINTENANCE,
                              .app_id = route->app_id,
                              .slug = route->slug,
                              .environment = route->environment,
                              .deployment_id = route->deployment_id,
                              .release_id = row->release_id}; /* its 503.html */
    }
    if (!row->domain && (row->kind == WH_NAME_BRANCH || row->kind == WH_NAME_DEPLOYMENT)) {
        route->flags |= WH_ROUTE_PREVIEW;
    }
    return APR_SUCCESS;
}

apr_status_t wh_routes_record(apr_pool_t *p, const wh_db_route_t *row, const char *base_domain,
                              wh_publish_item_t *out, wh_err_t *err)
{
    wh_route_t *route = apr_pcalloc(p, sizeof(*route));
    apr_status_t rv = APR_SUCCESS;
    const char *fault;

    route->app_id = row->app_id;
    route->slug = row->slug;
    route->environment = row->environment;
    route->deployment_id = row->deployment_id;
    if (row->redirect_code > 0) {
        route->kind = WH_ROUTE_REDIRECT;
        route->redirect = row->redirect_to;
        route->redirect_code = row->redirect_code;
    } else {
        rv = of_deployment(p, row, route, err);
    }
    out->host = row->domain ? row->name : host_of(p, row->name, base_domain);
    out->route = route;
    fault = rv == APR_SUCCESS ? wh_route_fault(out->host, route) : NULL;
    return fault != NULL ? wh_err_set(err, 500, "route_invalid", "%s", fault) : rv;
}

/* A row that makes no record (a snapshot of a newer version, say) costs that name, not the table:
 * nobody can stop what others publish by what he set. */
static apr_array_header_t *records(wh_core_t *core, apr_pool_t *p, const apr_array_header_t *rows)
{
    apr_array_header_t *items = apr_array_make(p, rows->nelts + 1, sizeof(wh_publish_item_t));

    for (int i = 0; i < rows->nelts; i++) {
        const wh_db_route_t *row = APR_ARRAY_IDX(rows, i, wh_db_route_t *);
        wh_publish_item_t item = {0};
        wh_err_t err = WH_ERR_INIT;

        if (wh_routes_record(p, row, core->settings->base_domain, &item, &err) == APR_SUCCESS) {
            APR_ARRAY_PUSH(items, wh_publish_item_t) = item;
        } else {
            wh_log(WH_LOG_ERROR, "WH0440", "name %s is not published: %s", row->name, err.text);
        }
    }
    return items;
}

/* Domains that the app is not to answer for; where another app does, the name is its. */
static void withdraw(apr_pool_t *p, const apr_array_header_t *withdrawn, apr_array_header_t *items)
{
    for (int i = 0; i < withdrawn->nelts; i++) {
        const wh_db_withdrawn_t *w = &APR_ARRAY_IDX(withdrawn, i, wh_db_withdrawn_t);

        if (!w->held) {
            APR_ARRAY_PUSH(items, wh_publish_item_t) =
                (wh_publish_item_t){.host = apr_pstrdup(p, w->host)};
        }
    }
}

/* Rows that their owners removed were waiting for this. */
static apr_status_t drop_removed(wh_core_t *core, apr_pool_t *p,
                                 const apr_array_header_t *withdrawn, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < withdrawn->nelts; i++) {
        const wh_db_withdrawn_t *w = &APR_ARRAY_IDX(withdrawn, i, wh_db_withdrawn_t);

        rv = w->removed ? wh_db_domain_drop(core->dbc, p, w->id, err) : APR_SUCCESS;
    }
    return rv;
}

apr_status_t wh_routes_publish_app(wh_core_t *core, apr_pool_t *p, const char *app_id,
                                   wh_err_t *err)
{
    apr_array_header_t *rows, *withdrawn, *items;
    apr_status_t rv = wh_db_name_routes(core->dbc, p, app_id, &rows, err);

    rv = rv == APR_SUCCESS ? wh_db_domain_withdrawn(core->dbc, p, app_id, &withdrawn, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    items = records(core, p, rows);
    withdraw(p, withdrawn, items);
    rv = items->nelts > 0 ? wh_publish_items(core->publish, p, items, err) : APR_SUCCESS;
    return rv == APR_SUCCESS ? drop_removed(core, p, withdrawn, err) : rv;
}

apr_status_t wh_routes_publish_all(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_array_header_t *rows;
    apr_status_t rv = wh_db_name_routes(core->dbc, p, NULL, &rows, err);

    if (rv == APR_SUCCESS) {
        rv = wh_publish_all(core->publish, p, records(core, p, rows), err);
    }
    if (rv == APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "route table: %d names published", rows->nelts);
    }
    return rv;
}

apr_status_t wh_routes_remove(wh_core_t *core, apr_pool_t *p, const apr_array_header_t *names,
                              const char *app_id, wh_err_t *err)
{
    apr_array_header_t *items = apr_array_make(p, names->nelts + 1, sizeof(wh_publish_item_t));
    apr_array_header_t *withdrawn;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *name = APR_ARRAY_IDX(names, i, wh_name_t *);
        wh_publish_item_t item = {.host = host_of(p, name->label, core->settings->base_domain)};

        APR_ARRAY_PUSH(items, wh_publish_item_t) = item;
    }
    if (app_id != NULL) {
        rv = wh_db_domain_withdrawn(core->dbc, p, app_id, &withdrawn, err);
        if (rv == APR_SUCCESS) {
            withdraw(p, withdrawn, items);
        }
    }
    return rv == APR_SUCCESS && items->nelts > 0 ? wh_publish_items(core->publish, p, items, err)
                                                 : rv;
}
