#ifndef WH_DB_TRAEFIK_H
#define WH_DB_TRAEFIK_H
/* What the documents for Traefik are made of. Reads only. Error rules: wh_dbc.h. */

#include "libwh/wh_traefik.h"
#include "whdb/wh_dbc.h"

/* Containers, by label, and verified domains, by host: those of one worker's apps, or of all
 * (worker_id 0). At most WH_TRAEFIK_ROWS_MAX + 1 of each, so that too many are seen as such. Arrays
 * of wh_traefik_server_t and wh_traefik_host_t in p. */
apr_status_t wh_db_traefik_rows(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t worker_id,
                                apr_array_header_t **servers, apr_array_header_t **hosts,
                                wh_err_t *err) WH_DB_CHECKED;

#endif
