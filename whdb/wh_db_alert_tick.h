#ifndef WH_DB_ALERT_TICK_H
#define WH_DB_ALERT_TICK_H
/* What a tick over all alert rules reads and writes (libwh/wh_alert_plan.h): the scheduler's alone.
 * Error rules: wh_dbc.h. */

#include "libwh/wh_alert_plan.h"
#include "whdb/wh_db_alert.h"

/* Rules written after this revision, deleted ones too, by revision: array of wh_alert_rule_t. Less
 * than limit: that is all of them, as of this statement. */
apr_status_t wh_db_alert_rules_since(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t revision, int limit,
                                     apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Live apps by id (wh_alert_app_t), and what is not resolved (wh_alert_open_t). */
apr_status_t wh_db_alert_apps(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                              wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_alert_open(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                              wh_err_t *err) WH_DB_CHECKED;

/* What lies between the edges (wh_alert_change_t), and when it was looked at last (0 = never). */
apr_status_t wh_db_alert_states(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                apr_time_t *tick, wh_err_t *err) WH_DB_CHECKED;

/* In a transaction: wh_alert_change_t, and that it was looked at now. */
apr_status_t wh_db_alert_states_write(wh_dbc_t *dbc, apr_pool_t *p,
                                      const apr_array_header_t *changes, apr_time_t now,
                                      wh_err_t *err) WH_DB_CHECKED;

#endif
