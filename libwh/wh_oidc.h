/* wh_oidc: tokens of an OpenID Connect issuer (RFC 7519, RFC 7517): RS256 alone, by a key of the
 * issuer's own set. What a token's claims allow is somebody else's question (wh_actions.h). Pure
 * and thread-safe.
 *
 * Every refusal is HTTP 401. Its text is for our own log: it has nothing of the token but names of
 * claims. Codes: bad_token (form, algorithm, signature, issuer, audience, claims), token_expired,
 * token_early (before nbf or iat), unknown_key (the set has none with the token's kid). */
#ifndef WH_OIDC_H
#define WH_OIDC_H

#include <jansson.h>

#include "libwh/wh_err.h"

#define WH_OIDC_TOKEN_MAX 8192
#define WH_OIDC_KEYS_MAX 32      /* of a set */
#define WH_OIDC_SET_MAX 65536    /* bytes of a set, as issuers send it */
#define WH_OIDC_LEEWAY_S 60      /* clocks differ */
#define WH_OIDC_LIFE_MAX_S 86400 /* a token that is good for longer is none of this kind */
#define WH_OIDC_ISSUER_MAX 255
#define WH_OIDC_AUDIENCE_MAX 255

/* What is kept of a set of keys that an issuer sent: those that may check RS256 (RSA, 2048 bits or
 * more, for signatures), as a JWKS with nothing else in it. Code: keys_invalid (502): no JSON, no
 * usable key. */
apr_status_t wh_oidc_keys_read(apr_pool_t *p, const char *text, size_t n, const char **keys,
                               wh_err_t *err) WH_MUST_CHECK;

/* What an issuer says about itself (OpenID Connect Discovery): where its keys are. It must name
 * itself as it was asked for. Code: keys_invalid (502). */
apr_status_t wh_oidc_discovery_read(apr_pool_t *p, const char *text, size_t n, const char *issuer,
                                    const char **jwks_uri, wh_err_t *err) WH_MUST_CHECK;

typedef struct wh_oidc_want_t {
    const char *issuer, *audience;
    const char *keys; /* of wh_oidc_keys_read; "" = none are known */
    apr_time_t now;
} wh_oidc_want_t;

/* *claims is borrowed from p; iss, aud, exp, iat and nbf are checked, jti is there. */
apr_status_t wh_oidc_verify(apr_pool_t *p, const char *token, const wh_oidc_want_t *want,
                            json_t **claims, wh_err_t *err) WH_MUST_CHECK;

/* 1 for an issuer as it may be configured: an https address without query and without '/' at its
 * end. */
int wh_oidc_issuer_ok(apr_pool_t *p, const char *issuer);

#endif
