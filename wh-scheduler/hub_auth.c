#include "wh-scheduler/hub_auth.h"

#include <string.h>
#include <strings.h>

#include "libwh/wh_jwt.h"
#include "libwh/wh_sign.h"

static apr_int64_t refused(wh_err_t *err)
{
    (void)!wh_err_set(err, 401, "invalid_credentials", "The credential is not valid.");
    return 0;
}

/* F74, F75: the token binds to the present key. */
static apr_int64_t by_token(apr_pool_t *p, const wh_hub_auth_t *auth, const char *token,
                            apr_time_t now, wh_err_t *err)
{
    const wh_roster_row_t *row;
    wh_jwt_claims_t claims;
    char present[65];

    if (wh_jwt_verify(p, auth->worker_jwt, token, now, &claims, err) != APR_SUCCESS) {
        return 0;
    }
    row = wh_roster_by_id(auth->roster, claims.sub);
    if (row == NULL) {
        return claims.sub;
    }
    wh_jwt_key_hash(row->key_hash, present);
    if (row->state != WH_ROSTER_GOOD || !wh_sign_equal(present, claims.key_hash, WH_SHA256_HEX)) {
        return refused(err);
    }
    return claims.sub;
}

/* F77. */
static apr_int64_t by_key(const wh_hub_auth_t *auth, const char *key, wh_err_t *err)
{
    unsigned char hash[WH_KEY_LEN];
    const wh_roster_row_t *row;

    wh_sign_sha256(key, strlen(key), hash);
    row = wh_roster_by_key(auth->roster, hash);
    return row != NULL && auth->allow_raw_key ? row->id : refused(err);
}

apr_int64_t wh_hub_auth_bearer(apr_pool_t *p, const wh_hub_auth_t *auth, const char *authorization,
                               apr_time_t now, wh_err_t *err)
{
    const char *bearer = authorization, *dot;

    if (bearer == NULL || strncasecmp(bearer, "Bearer ", 7) != 0) {
        return refused(err);
    }
    bearer += 7 + strspn(bearer + 7, " ");
    dot = strchr(bearer, '.');
    if (dot != NULL && strchr(dot + 1, '.') != NULL) {
        return by_token(p, auth, bearer, now, err);
    }
    return by_key(auth, bearer, err);
}
