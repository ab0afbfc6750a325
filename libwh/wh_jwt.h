/* The worker token: HS256 over exactly one header, exactly five claims. It binds to the worker's
 * present API key by a hash of the key's hash, so a rotated key ends it; the caller compares
 * key_hash with what the database says.
 *
 * All refusals are HTTP 401. Codes: bad_token (anything wrong with form, signature or claims; the
 * caller learns no more), token_expired, clock_skew (issued more than WH_JWT_AHEAD_S in the
 * future).
 */
#ifndef WH_JWT_H
#define WH_JWT_H

#include "libwh/wh_err.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_keys.h"

#define WH_JWT_TTL_S 900
#define WH_JWT_SKEW_S 120 /* refresh this long before the end */
#define WH_JWT_AHEAD_S 60
#define WH_JWT_MAX 1024 /* bytes of a token */
#define WH_JWT_JTI_BYTES 12

typedef struct wh_jwt_claims_t {
    apr_int64_t sub;   /* workers.id, > 0 */
    char key_hash[65]; /* see wh_jwt_key_hash */
    apr_int64_t iat;   /* seconds */
    apr_int64_t exp;   /* seconds, at most WH_JWT_TTL_S after iat */
    char jti[25];      /* 12 random bytes in hex */
} wh_jwt_claims_t;

/* Fill claims for a worker: iat = now, exp = now + 15 min, a new jti. */
apr_status_t wh_jwt_claims_make(wh_jwt_claims_t *claims, apr_int64_t worker,
                                const unsigned char key_sha256[WH_KEY_LEN], apr_time_t now,
                                const wh_rand_t *rnd) WH_MUST_CHECK;

/* The key_hash claim: hex SHA-256 of the 32 raw bytes of SHA-256(API key text). */
void wh_jwt_key_hash(const unsigned char key_sha256[WH_KEY_LEN], char out[65]);

/* The token in p; NULL when the claims themselves would be refused. */
char *wh_jwt_mint(apr_pool_t *p, const unsigned char key[WH_KEY_LEN],
                  const wh_jwt_claims_t *claims);

/* Check everything that can be checked without the database. claims is filled on success only. */
apr_status_t wh_jwt_verify(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const char *token,
                           apr_time_t now, wh_jwt_claims_t *claims, wh_err_t *err) WH_MUST_CHECK;

/* True when a token that ends at exp (seconds) should be refreshed. */
int wh_jwt_refresh_due(apr_int64_t exp, apr_time_t now);

#endif
