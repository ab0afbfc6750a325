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

/* Stores the hash of a one-time token; purpose is "admin" or "enrolment". */
apr_status_t wh_db_token_onetime_insert(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                        const char *purpose, apr_time_t now, apr_time_t expires_at,
                                        wh_err_t *err) WH_DB_CHECKED;

/* Uses a one-time token up, by compare-and-set: of two callers one succeeds. APR_NOTFOUND alike for
 * unknown, used, expired and of another purpose. In the caller's transaction the use is undone when
 * that rolls back. */
apr_status_t wh_db_token_onetime_redeem(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                        const char *purpose, apr_time_t now,
                                        wh_err_t *err) WH_DB_CHECKED;

#endif
