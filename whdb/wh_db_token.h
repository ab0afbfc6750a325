#ifndef WH_DB_TOKEN_H
#define WH_DB_TOKEN_H
/* API tokens and one-time tokens. Only hashes are stored: 64 lower-case hex digits of
 * SHA-256(token text). Error rules: wh_dbc.h. */

#include "libwh/wh_model.h"
#include "whdb/wh_dbc.h"

/* The token with this hash, if it is neither revoked nor expired at now; else APR_NOTFOUND. */
apr_status_t wh_db_token_find_by_hash(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                      apr_time_t now, wh_token_t **out,
                                      wh_err_t *err) WH_DB_CHECKED;

/* Stores a token; last_used_at and revoked_at of t are not read. conflict: id or hash is there. */
apr_status_t wh_db_token_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_token_t *t,
                                wh_err_t *err) WH_DB_CHECKED;

/* Notes that the token was used; writes at most once an hour a token, so that reads of the API
 * stay reads. APR_SUCCESS also when nothing was written. */
apr_status_t wh_db_token_touch(wh_dbc_t *dbc, apr_pool_t *p, const wh_token_t *t, apr_time_t now,
                               wh_err_t *err) WH_DB_CHECKED;

/* Revokes; APR_NOTFOUND when unknown or revoked before. */
apr_status_t wh_db_token_revoke(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                wh_err_t *err) WH_DB_CHECKED;

/* A one-time token. */
typedef struct wh_db_onetime_t {
    const char *hash;
    const char *purpose;     /* "admin" or "enrolment" */
    const char *worker_name; /* enrolment: the only name that it registers; "" or NULL = any */
    int replaces;            /* it may take that worker's place with a new key */
    apr_time_t created_at, expires_at;
} wh_db_onetime_t;

apr_status_t wh_db_token_onetime_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_onetime_t *t,
                                        wh_err_t *err) WH_DB_CHECKED;

/* Looks whether it would do at now, without a write. APR_NOTFOUND as below. */
apr_status_t wh_db_token_onetime_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                     const char *purpose, apr_time_t now,
                                     wh_err_t *err) WH_DB_CHECKED;

/* Uses a one-time token up, by compare-and-set: of two callers one succeeds. *out (may be NULL)
 * says what it is for (worker_name and replaces). APR_NOTFOUND alike for unknown, used, expired and
 * of another purpose. In the caller's transaction the use is undone when that rolls back. */
apr_status_t wh_db_token_onetime_redeem(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                        const char *purpose, apr_time_t now, wh_db_onetime_t *out,
                                        wh_err_t *err) WH_DB_CHECKED;

#endif
