#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_jwt.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define MAC_CHARS 43 /* 32 bytes in base64url */

void wh_jwt_key_hash(const unsigned char key_sha256[WH_KEY_LEN], char out[65])
{
    unsigned char sum[WH_SHA256_LEN];

    wh_sign_sha256(key_sha256, WH_KEY_LEN, sum);
    wh_sign_hex_buf(out, sum, sizeof(sum));
}

apr_status_t wh_jwt_claims_make(wh_jwt_claims_t *claims, apr_int64_t worker,
                                const unsigned char key_sha256[WH_KEY_LEN], apr_time_t now,
                                const wh_rand_t *rnd)
{
    unsigned char jti[WH_JWT_JTI_BYTES];
    apr_status_t rv = wh_rand_fill(rnd, jti, sizeof(jti));

    if (rv != APR_SUCCESS)
        return rv;
    claims->sub = worker;
    wh_jwt_key_hash(key_sha256, claims->key_hash);
    claims->iat = apr_time_sec(now);
    claims->exp = claims->iat + WH_JWT_TTL_S;
    wh_sign_hex_buf(claims->jti, jti, sizeof(jti));
    return APR_SUCCESS;
}

/* What must hold of any claims, minted or received; the clock is another matter. */
static int claims_ok(const wh_jwt_claims_t *c)
{
    return c->sub > 0 && c->iat >= 0 && c->exp > c->iat && c->exp - c->iat <= WH_JWT_TTL_S &&
           wh_sign_is_hex(c->key_hash, WH_SHA256_HEX) &&
           wh_sign_is_hex(c->jti, (size_t)2 * WH_JWT_JTI_BYTES);
}

char *wh_jwt_mint(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const wh_jwt_claims_t *claims)
{
    unsigned char mac[WH_SHA256_LEN];
    const char *payload;
    char *signed_part;

    if (!claims_ok(claims))
        return NULL;
    payload =
        apr_psprintf(p,
                     "{\"sub\":%" APR_INT64_T_FMT ",\"key_hash\":\"%s\",\"iat\":%" APR_INT64_T_FMT
                     ",\"exp\":%" APR_INT64_T_FMT ",\"jti\":\"%s\"}",
                     claims->sub, claims->key_hash, claims->iat, claims->exp, claims->jti);
    signed_part = apr_pstrcat(p, wh_sign_b64url(p, HEADER, strlen(HEADER)), ".",
                              wh_sign_b64url(p, payload, strlen(payload)), NULL);
    wh_sign_hmac(key, WH_KEY_LEN, signed_part, strlen(signed_part), mac);
    return apr_pstrcat(p, signed_part, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL);
}

static apr_status_t bad(wh_err_t *err)
{
    return wh_err_set(err, 401, "bad_token", "the worker token is not valid");
}

/* The token cut at its two dots. */
typedef struct parts_t {
    const char *payload, *mac;
    size_t header_len, payload_len, mac_len;
} parts_t;

static int split(const char *token, size_t len, parts_t *parts)
{
    const char *dot1 = memchr(token, '.', len);
    const char *dot2;

    if (dot1 == NULL)
        return 0;
    parts->header_len = (size_t)(dot1 - token);
    parts->payload = dot1 + 1;
    dot2 = memchr(parts->payload, '.', len - parts->header_len - 1);
    if (dot2 == NULL)
        return 0;
    parts->payload_len = (size_t)(dot2 - parts->payload);
    parts->mac = dot2 + 1;
    parts->mac_len = len - parts->header_len - parts->payload_len - 2;
    return parts->payload_len > 0 && parts->mac_len == MAC_CHARS &&
           memchr(parts->mac, '.', parts->mac_len) == NULL;
}

static int mac_ok(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const char *token,
                  const parts_t *parts)
{
    unsigned char want[WH_SHA256_LEN];
    unsigned char *got;
    size_t n;

    if (wh_sign_unb64url(p, parts->mac, parts->mac_len, &got, &n) != 0 || n != sizeof(want))
        return 0;
    wh_sign_hmac(key, WH_KEY_LEN, token, parts->header_len + 1 + parts->payload_len, want);
    return wh_sign_equal(want, got, sizeof(want));
}

static apr_status_t read_claims(apr_pool_t *p, const char *text, size_t n, wh_jwt_claims_t *c)
{
    static const char *const names[] = {"sub", "key_hash", "iat", "exp", "jti"};
    static const wh_json_limits_t limits = {.bytes = WH_JWT_MAX, .depth = 1, .values = 16};
    const char *key_hash = NULL, *jti = NULL;
    wh_json_at_t at;
    json_t *doc;

    if (wh_json_load_object(p, text, n, &limits, &doc, NULL) != APR_SUCCESS)
        return APR_EINVAL;
    at = wh_json_root(doc);
    if (wh_json_only(&at, names, WH_ARRAY_LEN(names), NULL) != APR_SUCCESS ||
        wh_json_int(&at, "sub", WH_JSON_REQ(1, APR_INT64_MAX), &c->sub, NULL) != APR_SUCCESS ||
        wh_json_int(&at, "iat", WH_JSON_REQ(0, APR_INT32_MAX * INT64_C(1000)), &c->iat, NULL) !=
            APR_SUCCESS ||
        wh_json_int(&at, "exp", WH_JSON_REQ(0, APR_INT32_MAX * INT64_C(1000)), &c->exp, NULL) !=
            APR_SUCCESS ||
        wh_json_str(&at, "key_hash", WH_JSON_REQ(64, 64), &key_hash, NULL) != APR_SUCCESS ||
        wh_json_str(&at, "jti", WH_JSON_REQ(24, 24), &jti, NULL) != APR_SUCCESS)
        return APR_EINVAL;
    apr_cpystrn(c->key_hash, key_hash, sizeof(c->key_hash));
    apr_cpystrn(c->jti, jti, sizeof(c->jti));
    return claims_ok(c) ? APR_SUCCESS : APR_EINVAL;
}

apr_status_t wh_jwt_verify(apr_pool_t *p, const unsigned char key[WH_KEY_LEN], const char *token,
                           apr_time_t now, wh_jwt_claims_t *claims, wh_err_t *err)
{
    wh_jwt_claims_t read = {.sub = 0};
    const char *header;
    unsigned char *payload;
    parts_t parts;
    size_t len, n;

    if (token == NULL)
        return bad(err);
    len = strnlen(token, WH_JWT_MAX + 1);
    if (len > WH_JWT_MAX || !split(token, len, &parts))
        return bad(err);
    /* The header is compared as bytes: an algorithm is never read from a token. */
    header = wh_sign_b64url(p, HEADER, strlen(HEADER));
    if (parts.header_len != strlen(header) || memcmp(token, header, parts.header_len) != 0)
        return bad(err);
    if (!mac_ok(p, key, token, &parts))
        return bad(err);
    if (wh_sign_unb64url(p, parts.payload, parts.payload_len, &payload, &n) != 0 ||
        read_claims(p, (const char *)payload, n, &read) != APR_SUCCESS)
        return bad(err);
    if (apr_time_sec(now) >= read.exp)
        return wh_err_set(err, 401, "token_expired", "the worker token has expired");
    if (read.iat > apr_time_sec(now) + WH_JWT_AHEAD_S)
        return wh_err_set(err, 401, "clock_skew",
                          "the worker token was issued in the future: set the clock");
    *claims = read;
    return APR_SUCCESS;
}

int wh_jwt_refresh_due(apr_int64_t exp, apr_time_t now)
{
    return apr_time_sec(now) >= exp - WH_JWT_SKEW_S;
}
