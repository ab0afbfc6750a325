#ifndef WH_DB_HOOK_H
#define WH_DB_HOOK_H
/* Webhooks of the forges and the deliveries that were accepted. Written by the module alone. Error
 * rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* A hook with the slug of its app. */
typedef struct wh_db_hook_t {
    wh_hookrow_t row;
    const char *slug;
} wh_db_hook_t;

/* foreign_key: no such app. */
apr_status_t wh_db_hook_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_hookrow_t *h,
                               wh_err_t *err) WH_DB_CHECKED;

/* A hook that is not deleted, of an app that is not deleted. */
apr_status_t wh_db_hook_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_db_hook_t **out,
                            wh_err_t *err) WH_DB_CHECKED;

/* Those of one app (NULL = all), up to limit with id > after, by id; array of wh_db_hook_t*. */
apr_status_t wh_db_hook_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, const char *after,
                             int limit, apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* APR_NOTFOUND: unknown or deleted before. */
apr_status_t wh_db_hook_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                               wh_err_t *err) WH_DB_CHECKED;

/* A delivery by the forge's id of it, which is unique within the hook. */
apr_status_t wh_db_delivery_find(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                 const char *delivery_id, wh_delivery_t **out,
                                 wh_err_t *err) WH_DB_CHECKED;

/* The newest of this hook with the same body, received at or after since. */
apr_status_t wh_db_delivery_find_by_body(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                         const char *body_sha256, apr_time_t since,
                                         wh_delivery_t **out, wh_err_t *err) WH_DB_CHECKED;

/* In the transaction that makes the deployment, after it. conflict: the same delivery came twice at
 * once; roll back and answer with what wh_db_delivery_find then says. */
apr_status_t wh_db_delivery_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                   wh_err_t *err) WH_DB_CHECKED;

#endif
