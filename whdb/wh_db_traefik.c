#include "whdb/wh_db_traefik.h"
#include "whdb/wh_dbc_priv.h"

#include <string.h>

#define LIMIT WH_I(WH_TRAEFIK_ROWS_MAX + 1)

static wh_traefik_server_t server_at(wh_row_t r)
{
    wh_traefik_server_t s;

    s.label = wh_dbc_text(&r);
    s.slug = wh_dbc_text(&r);
    s.app_id = wh_dbc_text(&r);
    s.environment = wh_dbc_text(&r);
    s.production = strcmp(wh_dbc_text(&r), "production") == 0;
    s.sticky = (int)wh_dbc_int(&r);
    s.address = wh_dbc_text(&r);
    s.port = (int)wh_dbc_int(&r);
    return s;
}

static wh_traefik_host_t host_at(wh_row_t r)
{
    wh_traefik_host_t h;

    h.app_id = wh_dbc_text(&r);
    h.environment = wh_dbc_text(&r);
    h.host = wh_dbc_text(&r);
    return h;
}

static apr_status_t select_rows(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id, wh_sql_e all,
                                wh_sql_e of_worker, wh_rows_t *rows, wh_err_t *err)
{
    return worker_id == 0
               ? wh_dbc_select(dbc, p, all, WH_ARGS(LIMIT), rows, err)
               : wh_dbc_select(dbc, p, of_worker, WH_ARGS(WH_I(worker_id), LIMIT), rows, err);
}

apr_status_t wh_db_traefik_rows(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                apr_array_header_t **servers, apr_array_header_t **hosts,
                                wh_err_t *err)
{
    wh_rows_t s, h;
    apr_status_t rv = select_rows(dbc, p, worker_id, WH_SQL_traefik_servers_all,
                                  WH_SQL_traefik_servers_worker, &s, err);

    if (rv == APR_SUCCESS) {
        rv = select_rows(dbc, p, worker_id, WH_SQL_traefik_hosts_all, WH_SQL_traefik_hosts_worker,
                         &h, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *servers = apr_array_make(p, s.n + 1, sizeof(wh_traefik_server_t));
    *hosts = apr_array_make(p, h.n + 1, sizeof(wh_traefik_host_t));
    for (int i = 0; i < s.n; i++) {
        APR_ARRAY_PUSH(*servers, wh_traefik_server_t) = server_at(wh_dbc_row(&s, i));
    }
    for (int i = 0; i < h.n; i++) {
        APR_ARRAY_PUSH(*hosts, wh_traefik_host_t) = host_at(wh_dbc_row(&h, i));
    }
    return APR_SUCCESS;
}
