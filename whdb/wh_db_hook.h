#ifndef WH_DB_HOOK_H
#define WH_DB_HOOK_H
/* Webhooks of the forges and the deliveries that were accepted. Written by the module alone. Error
 * rules: wh_dbc.h. */

#include <apr_tables.h>

#include "whdb/wh_dbc.h"

typedef struct wh_db_hook_t {
    const char *id; /* ULID; its secret is derived from it (wh_keys_hook_secret) */
    const char *app_id;
    const char *slug;     /* of the app; not read by insert */
    const char *provider; /* github */
    apr_time_t created_at;
} wh_db_hook_t;

/* foreign_key: no such app. */
apr_status_t wh_db_hook_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_hook_t *h,
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

typedef struct wh_db_delivery_t {
    const char *hook_id;
    const char *delivery_id;   /* the forge's, unique within the hook */
    const char *body_sha256;   /* 64 hex */
    const char *deployment_id; /* what it made */
    apr_time_t received_at;
} wh_db_delivery_t;

apr_status_t wh_db_delivery_find(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                 const char *delivery_id, wh_db_delivery_t **out,
                                 wh_err_t *err) WH_DB_CHECKED;

/* The newest of this hook with the same body, received at or after since. */
apr_status_t wh_db_delivery_find_by_body(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                         const char *body_sha256, apr_time_t since,
                                         wh_db_delivery_t **out, wh_err_t *err) WH_DB_CHECKED;

/* In the transaction that makes the deployment, after it. conflict: the same delivery came twice at
 * once; roll back and answer with what wh_db_delivery_find then says. */
apr_status_t wh_db_delivery_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_delivery_t *d,
                                   wh_err_t *err) WH_DB_CHECKED;

#endif
