/* wh_stdhook: webhooks that go out are signed as Standard Webhooks 1.0.0 says
 * (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md): HMAC-SHA256 of
 * "{id}.{timestamp}.{body}" with the bytes behind "whsec_", as "v1,{base64}". Pure and
 * thread-safe. */
#ifndef WH_STDHOOK_H
#define WH_STDHOOK_H

#include "libwh/wh_err.h"
#include "libwh/wh_rand.h"

#define WH_STDHOOK_PREFIX "whsec_"

/* "whsec_" and 32 random bytes in base64; NULL when there is no randomness. In p. */
const char *wh_stdhook_secret_make(apr_pool_t *p, const wh_rand_t *rnd);

/* "whsec_" and 24 to 64 bytes in base64. Code: secret_invalid (400, at /secret). */
apr_status_t wh_stdhook_secret_check(apr_pool_t *p, const char *secret, wh_err_t *err)
    WH_MUST_CHECK;

typedef struct wh_stdhook_t {
    const char *id;
    apr_int64_t timestamp_s;
    const char *body;
    size_t n;
} wh_stdhook_t;

/* The value of webhook-signature: one "v1,…" a secret, with blanks between them; former may be
 * NULL or "" (it is there while a secret is changed). In p; NULL for a secret that is none. */
const char *wh_stdhook_sign(apr_pool_t *p, const wh_stdhook_t *message, const char *secret,
                            const char *former);

#endif
