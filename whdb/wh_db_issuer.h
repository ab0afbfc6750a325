#ifndef WH_DB_ISSUER_H
#define WH_DB_ISSUER_H
/* Who issues the tokens that hooks take, and their keys (libwh/wh_oidc.h): the scheduler fetches,
 * the module reads. Error rules: wh_dbc.h. */

#include <apr_tables.h>

#include "whdb/wh_dbc.h"

/* Texts: "" = none. */
typedef struct wh_db_issuer_t {
    const char *issuer;
    const char *keys;      /* wh_oidc_keys_read */
    apr_time_t fetched_at; /* the last success, 0 = never */
    apr_time_t asked_at;
    apr_int64_t failures; /* in a row */
    const char *error;    /* of the last of them */
} wh_db_issuer_t;

/* Its keys are fetched from now on, as long as a hook takes its tokens. Again is no error. */
apr_status_t wh_db_issuer_add(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                              wh_err_t *err) WH_DB_CHECKED;

/* APR_NOTFOUND: unknown. */
apr_status_t wh_db_issuer_get(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer, wh_db_issuer_t *out,
                              wh_err_t *err) WH_DB_CHECKED;

/* Somebody came with a key that is not there: they are fetched now. APR_NOTFOUND: it was asked for
 * at or after since. */
apr_status_t wh_db_issuer_ask(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer, apr_time_t now,
                              apr_time_t since, wh_err_t *err) WH_DB_CHECKED;

/* Those whose time has come and whose tokens a hook takes: array of wh_db_issuer_t. */
apr_status_t wh_db_issuer_list_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                   apr_array_header_t **out, wh_err_t *err) WH_DB_CHECKED;

/* It is being asked; should nothing come of it, again then. */
apr_status_t wh_db_issuer_later(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                                apr_time_t next_at, wh_err_t *err) WH_DB_CHECKED;
apr_status_t wh_db_issuer_fetched(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                                  const char *keys, apr_time_t now, apr_time_t next_at,
                                  wh_err_t *err) WH_DB_CHECKED;
/* The keys that are there stay. */
apr_status_t wh_db_issuer_failed(wh_dbc_t *dbc, apr_pool_t *p, const char *issuer,
                                 const char *error, apr_time_t next_at,
                                 wh_err_t *err) WH_DB_CHECKED;

#endif
