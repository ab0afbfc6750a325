#ifndef WH_DB_HOOK_H
#define WH_DB_HOOK_H
/* Webhooks of the forges, and what came of their deliveries. Written by the module alone. Error
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

/* The next secret becomes the present one, and that one is taken until previous_until.
 * APR_NOTFOUND: it was rotated by somebody else since it was read. */
apr_status_t wh_db_hook_rotate(wh_dbc_t *dbc, apr_pool_t *p, const wh_hookrow_t *h,
                               apr_time_t previous_until, wh_err_t *err) WH_DB_CHECKED;

apr_status_t wh_db_hook_watch(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *watch,
                              wh_err_t *err) WH_DB_CHECKED;

/* A delivery came. Holds the row till the transaction ends: whoever comes next for this hook sees
 * what this one wrote. APR_NOTFOUND: the hook is gone. */
apr_status_t wh_db_hook_touch(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                              wh_err_t *err) WH_DB_CHECKED;

/* The accepted delivery of d's hook with d's id, or with d's body ("" = with none) and received at
 * d->received_at or later. */
apr_status_t wh_db_delivery_earlier(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                    wh_delivery_t **out, wh_err_t *err) WH_DB_CHECKED;

/* By our own id, of this hook. */
apr_status_t wh_db_delivery_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *id,
                                wh_delivery_t **out, wh_err_t *err) WH_DB_CHECKED;

/* The push that came on top of d's commit, of the same ref, received at or after since. */
apr_status_t wh_db_delivery_after(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                  apr_time_t since, wh_delivery_t **out,
                                  wh_err_t *err) WH_DB_CHECKED;

/* Newest first, up to limit with id < before; array of wh_delivery_t*. */
apr_status_t wh_db_delivery_list(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                 const char *before, int limit, apr_array_header_t **out,
                                 wh_err_t *err) WH_DB_CHECKED;

/* In the transaction that makes the deployment, after it. conflict: the same delivery was accepted
 * meanwhile; roll back and answer with what wh_db_delivery_earlier then says. */
apr_status_t wh_db_delivery_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                   wh_err_t *err) WH_DB_CHECKED;

/* Forgets those of the hook that were received before this time. */
apr_status_t wh_db_delivery_prune(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                  apr_time_t before, wh_err_t *err) WH_DB_CHECKED;

#endif
