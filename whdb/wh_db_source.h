#ifndef WH_DB_SOURCE_H
#define WH_DB_SOURCE_H
/* What apps' private repositories ask for: deploy keys, credentials, known hosts. Sealed values are
 * not opened here (libwh/wh_gitauth.h). Written by the module; sealed anew by the scheduler. Error
 * rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_gitauth.h"
#include "whdb/wh_dbc.h"

/* Those of an app that hold now: array of wh_gitauth_row_t. */
apr_status_t wh_db_source_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_time_t now,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* The one of its kind, in the place of what was there. */
apr_status_t wh_db_source_put(wh_dbc_t *dbc, apr_pool_t *p, const wh_gitauth_row_t *row,
                              wh_err_t *err) WH_DB_CHECKED;
/* APR_NOTFOUND: there was none. */
apr_status_t wh_db_source_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                 const char *kind, wh_err_t *err) WH_DB_CHECKED;
/* Of a deleted app: all, known hosts too. */
apr_status_t wh_db_source_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        wh_err_t *err) WH_DB_CHECKED;
/* Former keys whose time is over. */
apr_status_t wh_db_source_expire(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now,
                                 wh_err_t *err) WH_DB_CHECKED;

/* *text "" = none were given. */
apr_status_t wh_db_source_hosts(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                const char **text, wh_err_t *err) WH_DB_CHECKED;
/* text "" removes them. */
apr_status_t wh_db_source_hosts_put(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    const char *text, apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* Up to limit of those that keys below id sealed. */
apr_status_t wh_db_source_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, int limit,
                                apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* The row gets fresh's key and sealed text, if it is still as `old` says, else APR_NOTFOUND. */
apr_status_t wh_db_source_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_gitauth_row_t *old,
                                 const wh_gitauth_row_t *fresh, wh_err_t *err) WH_DB_CHECKED;

#endif
