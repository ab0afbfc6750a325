#ifndef WH_DB_DOMAIN_H
#define WH_DB_DOMAIN_H
/* Domains: the module writes what an owner wants (rows, where they lead, that they are looked at
 * now, that they go), the scheduler what a look found. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "libwh/wh_domain.h"
#include "whdb/wh_dbc.h"

/* One that was removed and not yet let go comes back with the new values. conflict: the app has it
 * already. */
apr_status_t wh_db_domain_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                 wh_err_t *err) WH_DB_CHECKED;

/* Not removed ones. */
apr_status_t wh_db_domain_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_domain_t **out,
                              wh_err_t *err) WH_DB_CHECKED;
/* Of an app, by host; array of wh_domain_t*. */
apr_status_t wh_db_domain_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                               apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* Where it leads: environment, redirect_to, redirect_code. */
apr_status_t wh_db_domain_change(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                 apr_time_t now, wh_err_t *err) WH_DB_CHECKED;
/* It is to be looked at from now on, also when it had failed. */
apr_status_t wh_db_domain_ask(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                              wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_domain_remove(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                 wh_err_t *err) WH_DB_CHECKED;

/* ---- the scheduler's ---- */

/* The one that has the host, whoever it is; APR_NOTFOUND: nobody. */
apr_status_t wh_db_domain_holder(wh_dbc_t *dbc, apr_pool_t *p, const char *host, wh_domain_t **out,
                                 wh_err_t *err) WH_DB_CHECKED;
/* Those whose next look is due, of live apps, up to limit. */
apr_status_t wh_db_domain_list_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                   apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* A look at it is under way until then. APR_NOTFOUND: it is not due any more. */
apr_status_t wh_db_domain_claim(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                apr_time_t until, wh_err_t *err) WH_DB_CHECKED;
/* What was found: status, reason, attempts, times; if the row's status is still `from`
 * (APR_NOTFOUND). conflict: another app has become its holder. */
apr_status_t wh_db_domain_found(wh_dbc_t *dbc, apr_pool_t *p, const wh_domain_t *d,
                                wh_domain_status_e from, wh_err_t *err) WH_DB_CHECKED;

typedef struct wh_db_withdrawn_t {
    const char *id, *host;
    int removed; /* the row goes too */
    int held;    /* another app answers for it: it stays in the table */
} wh_db_withdrawn_t;

/* Hosts that this app is not to answer for: not active, nothing to show (the environment was never
 * deployed), or the app is deleted; array of wh_db_withdrawn_t. */
apr_status_t wh_db_domain_withdrawn(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                    apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;
/* Drops a removed row that was let go. */
apr_status_t wh_db_domain_drop(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                               wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_domain_delete_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        wh_err_t *err) WH_DB_CHECKED;

#endif
