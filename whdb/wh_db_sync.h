#ifndef WH_DB_SYNC_H
#define WH_DB_SYNC_H
/* How apps follow their repositories (libwh/wh_sync.h). Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_sync.h"
#include "whdb/wh_dbc.h"

/* Of an app that was never synced the row that wh_sync_none makes. */
apr_status_t wh_db_sync_get(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_sync_t *out,
                            wh_err_t *err) WH_DB_CHECKED;

/* The same for somebody who is going to write it: others wait till the transaction ends. In a
 * transaction only. APR_NOTFOUND: no live app. */
apr_status_t wh_db_sync_hold(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_sync_t *out,
                             wh_err_t *err) WH_DB_CHECKED;

/* The one function that writes a status, and with it exactly one event (F243, F244), in the
 * caller's transaction: either both are there or none. Counts s->version up. deployment_id: what
 * was made, "" = nothing. APR_NOTFOUND: somebody else wrote since it was read. */
apr_status_t wh_db_sync_write(wh_dbc_t *dbc, apr_pool_t *p, wh_sync_t *s, const char *deployment_id,
                              wh_err_t *err) WH_DB_CHECKED;

/* Up to limit events, newest first: array of wh_sync_event_t. */
apr_status_t wh_db_sync_events(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, int limit,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Somebody wants it looked up now, whatever the app's type; no status is written. */
apr_status_t wh_db_sync_ask(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_time_t now,
                            wh_err_t *err) WH_DB_CHECKED;

/* What the app follows has changed: the next look is now. */
apr_status_t wh_db_sync_again(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                              wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_sync_due_t {
    const char *app_id, *url, *branch;
    apr_int64_t version;
} wh_db_sync_due_t;

/* Polling apps whose time has come and those that somebody asked for, the longest due first: array
 * of wh_db_sync_due_t. */
apr_status_t wh_db_sync_list_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                 apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

#endif
