#ifndef WH_DB_ALERT_H
#define WH_DB_ALERT_H
/* Alert rules and alerts (libwh/wh_alert.h). The module writes rules, acknowledges and resolves;
 * the scheduler does all else (wh_db_alert_tick.h). Whatever fires or resolves an alert leaves its
 * event in the same transaction. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_alert.h"
#include "whdb/wh_dbc.h"

/* ---- rules ---- */

/* A rule with how it stands on an app: its own, or the one that was asked about. */
typedef struct wh_db_alert_rule_t {
    wh_alert_rule_t rule;
    const char *slug; /* "" = of every app */
    wh_alert_state_t state;
    int open;
} wh_db_alert_rule_t;

/* New, in a transaction; sets r->revision. Code: too_many (409). */
apr_status_t wh_db_alert_rule_insert(wh_dbc_t *dbc, apr_pool_t *p, wh_alert_rule_t *r,
                                     wh_err_t *err) WH_DB_CHECKED;

/* Writes all but id, app and kind; with deleted_at it goes. In a transaction; sets r->revision.
 * APR_NOTFOUND: it is gone. */
apr_status_t wh_db_alert_rule_update(wh_dbc_t *dbc, apr_pool_t *p, wh_alert_rule_t *r,
                                     wh_err_t *err) WH_DB_CHECKED;

apr_status_t wh_db_alert_rule_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                  wh_db_alert_rule_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Up to limit with id > after, by id: array of wh_db_alert_rule_t. */
apr_status_t wh_db_alert_rule_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                                   apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* The app's own first, then those of every app, all as they stand on it. */
apr_status_t wh_db_alert_rule_list_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                       apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* ---- alerts ---- */

/* Of an app that is not deleted. */
apr_status_t wh_db_alert_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_alert_t **out,
                             wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_alert_filter_t {
    const char *app_id; /* "" = all */
    const char *status; /* "" = all, "open" = not resolved, else the status */
    const char *before; /* ids less than that; "" = from the newest */
    int limit;
} wh_db_alert_filter_t;

/* Newest first: array of wh_alert_t*. */
apr_status_t wh_db_alert_list(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_filter_t *filter,
                              apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* active -> acknowledged. APR_NOTFOUND: it was not active. */
apr_status_t wh_db_alert_acknowledge(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *by,
                                     apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_alert_end_t {
    const char *id, *reason;
} wh_db_alert_end_t;

/* In a transaction: those of the list (wh_db_alert_end_t) that are not resolved yet are, each with
 * its event. *n (may be NULL) = how many. */
apr_status_t wh_db_alert_resolve(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *ends,
                                 apr_time_t now, int *n, wh_err_t *err) WH_DB_CHECKED;

/* The id of the alert of this source that is not resolved (F156, F157), NULL = there is none. */
apr_status_t wh_db_alert_of_source(wh_dbc_t *dbc, apr_pool_t *p, const wh_alert_t *source,
                                   const char **id, wh_err_t *err) WH_DB_CHECKED;

/* In a transaction: new alerts (wh_alert_t; status, slug and what is about their end is not read).
 * One whose source has an alert that is not resolved changes nothing (F154). An event each. *n (may
 * be NULL) = how many are new. */
apr_status_t wh_db_alert_fire(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *alerts,
                              apr_time_t now, int *n, wh_err_t *err) WH_DB_CHECKED;

/* ---- what is told by events (F23, F165) ---- */

typedef struct wh_db_alert_event_t {
    wh_alert_kind_e kind; /* of WH_ALERT_CLASS_EVENT */
    const char *app_id;
    const char *what; /* of the app: the environment; "" = the app */
    const char *title, *message;
    apr_time_t now;
} wh_db_alert_event_t;

/* In the transaction of the change itself: fires, if a rule that is enabled holds for the app. */
apr_status_t wh_db_alert_happened(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_event_t *event,
                                  wh_err_t *err) WH_DB_CHECKED;

/* The same: what happened is over. */
apr_status_t wh_db_alert_over(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_event_t *event,
                              wh_err_t *err) WH_DB_CHECKED;

#endif
