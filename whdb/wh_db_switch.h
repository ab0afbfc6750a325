#ifndef WH_DB_SWITCH_H
#define WH_DB_SWITCH_H
/* Rollbacks and promotions (libwh/wh_switch.h). The module inserts the wish, the scheduler carries
 * it out. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_switch.h"
#include "whdb/wh_dbc.h"

#define WH_DB_SWITCHES_OPEN_MAX 50 /* of one app */

/* Stores a wish: id, app_id, environment, deployment_id, kind, settings, from_id, created_at of s
 * are read. APR_NOTFOUND: no live app of this id. 409 too_many: so many of the app's wait or start
 * containers already. 409 too_many_environments. */
apr_status_t wh_db_switch_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s,
                                 wh_err_t *err) WH_DB_CHECKED;

apr_status_t wh_db_switch_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_switch_t **out,
                              wh_err_t *err) WH_DB_CHECKED;

/* Those that are not done, oldest first, up to limit, but for the ones that wait for the deployment
 * which was made for them; array of wh_switch_t*. */
apr_status_t wh_db_switch_list_open(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                    apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* What s came to: outcome, from_id and result_id ("" = as they are), cause. It is done unless the
 * outcome is STARTING. APR_NOTFOUND: it was done before. */
apr_status_t wh_db_switch_settle(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, apr_time_t now,
                                 wh_err_t *err) WH_DB_CHECKED;

/* *overtaken: somebody switched the deployment's environment after it was asked for, so it must not
 * come after that. */
apr_status_t wh_db_switch_overtook(wh_dbc_t *dbc, apr_pool_t *p, const wh_deployment_t *d,
                                   int *overtaken, wh_err_t *err) WH_DB_CHECKED;

/* *shown: the environment showed the deployment by a switch, if only for a time. */
apr_status_t wh_db_switch_shown(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, int *shown,
                                wh_err_t *err) WH_DB_CHECKED;

/* All that the judge wants to know of a target; `serving` as current_id says ("" = nothing). */
apr_status_t wh_db_switch_facts(wh_dbc_t *dbc, apr_pool_t *p, const wh_app_t *app,
                                const wh_deployment_t *target, const char *current_id,
                                wh_switch_facts_t *out, wh_err_t *err) WH_DB_CHECKED;

/* Its containers are not to end after all: the stop jobs that wait are taken back. In the caller's
 * transaction. */
apr_status_t wh_db_switch_resume(wh_dbc_t *dbc, apr_pool_t *p, const char *deployment_id,
                                 apr_time_t now, wh_err_t *err) WH_DB_CHECKED;

/* *n: how many deployments of the switch's environment were asked for after it and are not over. */
apr_status_t wh_db_switch_newer(wh_dbc_t *dbc, apr_pool_t *p, const wh_switch_t *s, int *n,
                                wh_err_t *err) WH_DB_CHECKED;

#endif
