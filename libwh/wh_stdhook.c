#include "libwh/wh_stdhook.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_sign.h"

#define SECRET_BYTES 32

const char *wh_stdhook_secret_make(apr_pool_t *p, const wh_rand_t *rnd)
{
    unsigned char bytes[SECRET_BYTES];

    if (wh_rand_fill(rnd, bytes, sizeof(bytes)) != APR_SUCCESS) {
        return NULL;
    }
    return apr_pstrcat(p, WH_STDHOOK_PREFIX, wh_sign_b64(p, bytes, sizeof(bytes)), NULL);
}

/* The key's bytes; 0 when it is no secret. */
static int key_of(apr_pool_t *p, const char *secret, unsigned char **key, size_t *n)
{
    size_t prefix = strlen(WH_STDHOOK_PREFIX);

    return strncmp(secret, WH_STDHOOK_PREFIX, prefix) == 0 &&
           wh_sign_unb64(p, secret + prefix, strlen(secret + prefix), key, n) == 0 && *n >= 24 &&
           *n <= 64;
}

apr_status_t wh_stdhook_secret_check(apr_pool_t *p, const char *secret, wh_err_t *err)
{
    unsigned char *key;
    size_t n;

    if (key_of(p, secret, &key, &n)) {
        return APR_SUCCESS;
    }
    return wh_err_field(err, "/secret", "secret_invalid",
                        "A secret is \"" WH_STDHOOK_PREFIX "\" and 24 to 64 bytes in base64.");
}

static const char *one(apr_pool_t *p, const wh_stdhook_t *m, const char *secret)
{
    unsigned char mac[WH_SHA256_LEN], *key;
    const char *head = apr_psprintf(p, "%s.%" APR_INT64_T_FMT ".", m->id, m->timestamp_s);
    wh_sign_ctx_t *ctx;
    size_t n;

    if (!key_of(p, secret, &key, &n)) {
        return NULL;
    }
    ctx = wh_sign_hmac_begin(p, key, n);
    wh_sign_add(ctx, head, strlen(head));
    wh_sign_add(ctx, m->body, m->n);
    wh_sign_end(ctx, mac);
    return apr_pstrcat(p, "v1,", wh_sign_b64(p, mac, sizeof(mac)), NULL);
}

const char *wh_stdhook_sign(apr_pool_t *p, const wh_stdhook_t *message, const char *secret,
                            const char *former)
{
    const char *now = one(p, message, secret), *before = NULL;

    if (now != NULL && former != NULL && former[0] != '\0') {
        before = one(p, message, former);
    }
    return before != NULL ? apr_pstrcat(p, now, " ", before, NULL) : now;
}
