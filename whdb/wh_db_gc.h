#ifndef WH_DB_GC_H
#define WH_DB_GC_H
/* What nobody needs any more: deployments out of the rollback window, releases of none. Error
 * rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_gc.h"
#include "whdb/wh_dbc.h"

typedef struct wh_db_gc_app_t {
    const char *id;
    apr_time_t deleted_at; /* 0 = it is not */
} wh_db_gc_app_t;

/* Apps with deployments that may retire, deleted ones too, by id, after the one given ("" = from
 * the first); array of wh_db_gc_app_t. */
apr_status_t wh_db_gc_apps(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                           apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* An app's deployments that have a release or a name of their own, in the order that wh_gc_retire
 * wants; array of wh_gc_deployment_t. */
apr_status_t wh_db_gc_deployments(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_time_t now,
                                  apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* The deployment gives up its own name and its release. Labels of such names are added to the array
 * of const char *. In a transaction. */
apr_status_t wh_db_gc_retire(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                             apr_array_header_t *labels, wh_err_t *err) WH_DB_CHECKED;

/* Releases that no deployment has and that were committed before then, oldest first; array of
 * const char *. */
apr_status_t wh_db_gc_releases(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int limit,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Deletes one if that still holds; *gone says whether. */
apr_status_t wh_db_gc_release_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                     apr_time_t before, int *gone, wh_err_t *err) WH_DB_CHECKED;

/* Rollbacks and promotions that were done before then, so many at a time; *gone says how many. */
apr_status_t wh_db_gc_switches(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int limit,
                               int *gone, wh_err_t *err) WH_DB_CHECKED;

#endif
