#ifndef WH_DB_DRAIN_H
#define WH_DB_DRAIN_H
/* What has to leave its worker (libwh/wh_drain.h). Read by the scheduler. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_drain.h"
#include "whdb/wh_dbc.h"

/* One cheap statement: *any, whether there is anything to look at; *removed, how many workers were
 * removed so far. */
apr_status_t wh_db_drain_any(wh_dbc_t *dbc, apr_pool_t *p, int *any, apr_int64_t *removed,
                             wh_err_t *err) WH_DB_CHECKED;

/* Array of wh_drain_app_t, by app and environment: what a name shows with a running container on a
 * draining worker, or with none but those it had on a removed one. */
apr_status_t wh_db_drain_apps(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                              wh_err_t *err) WH_DB_CHECKED;

/* Array of wh_job_t*: jobs of moves that have not begun and are no longer needed, for the app runs
 * and no worker that it runs on is draining. */
apr_status_t wh_db_drain_needless(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                  wh_err_t *err) WH_DB_CHECKED;

#endif
