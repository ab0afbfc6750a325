#ifndef WH_DB_ENV_H
#define WH_DB_ENV_H
/* Env vars of apps, and what each deployment got of them. Values are sealed throughout: nothing
 * here opens them (libwh/wh_env.h). Written by the module; a deployment's copies by whoever makes
 * it; sealed anew by the scheduler. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_env.h"
#include "whdb/wh_dbc.h"

/* All of an app, by scope and name: array of wh_env_var_t. */
apr_status_t wh_db_env_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                            apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* A new one, or another value of it. */
apr_status_t wh_db_env_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_env_var_t *var,
                           wh_err_t *err) WH_DB_CHECKED;

/* APR_NOTFOUND: there was none. */
apr_status_t wh_db_env_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, const char *scope,
                              const char *name, wh_err_t *err) WH_DB_CHECKED;

/* Of a deleted app: its own, and those of its deployments. */
apr_status_t wh_db_env_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                     wh_err_t *err) WH_DB_CHECKED;

/* What a new deployment gets, in the transaction that makes it. */
typedef struct wh_db_env_take_t {
    const char *deployment_id, *app_id, *environment;
    const char *from; /* the deployment whose env it takes over; NULL = what is in force now */
    int public_only;  /* without secrets */
} wh_db_env_take_t;
apr_status_t wh_db_env_take(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_env_take_t *take,
                            wh_err_t *err) WH_DB_CHECKED;

/* What it got, by name: array of wh_env_var_t (no bytes, no times). */
apr_status_t wh_db_env_of(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                          apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Nobody can start it again: what it got goes. */
apr_status_t wh_db_env_forget(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                              wh_err_t *err) WH_DB_CHECKED;

/* The number of the key that seals. */
apr_status_t wh_db_env_key(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *id,
                           wh_err_t *err) WH_DB_CHECKED;
/* id is the one from now on. APR_NOTFOUND: it is that, or higher, already. */
apr_status_t wh_db_env_key_next(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                wh_err_t *err) WH_DB_CHECKED;

/* One that an older key sealed; deployment_id "" = an app's own. */
typedef struct wh_db_env_stale_t {
    wh_env_var_t var;
    const char *deployment_id;
} wh_db_env_stale_t;

/* Up to limit of those below key id, apps' own first. */
apr_status_t wh_db_env_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, int limit,
                             apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* The row gets fresh's key and sealed text, if it is still as `old` says, else APR_NOTFOUND. */
apr_status_t wh_db_env_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_env_stale_t *old,
                              const wh_env_var_t *fresh, wh_err_t *err) WH_DB_CHECKED;

#endif
