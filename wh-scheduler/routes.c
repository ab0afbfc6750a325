#include "wh-scheduler/routes.h"

#include <apr_strings.h>

#include "libwh/wh_log.h"

static const char *host_of(apr_pool_t *p, const char *label, const char *base_domain)
{
    return apr_pstrcat(p, label, ".", base_domain, NULL);
}

apr_status_t wh_routes_record(apr_pool_t *p, const wh_db_route_t *row, const char *base_domain,
                              wh_publish_item_t *out, wh_err_t *err)
{
    wh_route_t *route = apr_pcalloc(p, sizeof(*route));
    wh_snapshot_t snapshot;
    apr_status_t rv = wh_model_snapshot_parse(p, row->snapshot, &snapshot, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    route->app_id = row->app_id;
    route->slug = row->slug;
    route->environment = row->environment;
    route->deployment_id = row->deployment_id;
    route->release_id = "";
    if (row->desired == WH_DESIRED_STOPPED) {
        route->kind = WH_ROUTE_MAINTENANCE;
    } else if (snapshot.kind == WH_KIND_STATIC) {
        route->kind = row->release_id[0] != '\0' ? WH_ROUTE_STATIC : WH_ROUTE_MAINTENANCE;
        route->release_id = row->release_id;
        route->flags = snapshot.spa ? WH_ROUTE_SPA : 0;
    } else {
        for (int i = 0; i < row->upstreams->nelts && i < WH_ROUTE_UPSTREAMS_MAX; i++) {
            const wh_db_upstream_t *up = &APR_ARRAY_IDX(row->upstreams, i, wh_db_upstream_t);

            route->upstreams[route->n_upstreams++] =
                (wh_route_upstream_t){.address = up->address, .port = up->port, .weight = 1};
        }
        route->kind = route->n_upstreams > 0 ? WH_ROUTE_PROXY : WH_ROUTE_MAINTENANCE;
    }
    out->host = host_of(p, row->label, base_domain);
    out->route = route;
    return APR_SUCCESS;
}

/* A row that makes no record (a snapshot of a newer version, say) costs that name, not the table.
 */
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
            wh_log(WH_LOG_ERROR, "WH0440", "name %s is not published: %s", row->label, err.text);
        }
    }
    return items;
}

apr_status_t wh_routes_publish_app(wh_core_t *core, apr_pool_t *p, const char *app_id,
                                   wh_err_t *err)
{
    apr_array_header_t *rows;
    apr_status_t rv = wh_db_name_routes(core->dbc, p, app_id, &rows, err);

    if (rv != APR_SUCCESS || rows->nelts == 0) {
        return rv;
    }
    return wh_publish_items(core->publish, p, records(core, p, rows), err);
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
                              wh_err_t *err)
{
    apr_array_header_t *items = apr_array_make(p, names->nelts + 1, sizeof(wh_publish_item_t));

    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *name = APR_ARRAY_IDX(names, i, wh_name_t *);
        wh_publish_item_t item = {.host = host_of(p, name->label, core->settings->base_domain)};

        APR_ARRAY_PUSH(items, wh_publish_item_t) = item;
    }
    return items->nelts > 0 ? wh_publish_items(core->publish, p, items, err) : APR_SUCCESS;
}
