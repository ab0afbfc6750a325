/* A worker token: form, signature, claims. The input is tried as a whole token, and as the payload
 * of one that is signed rightly, so that the claims are reached. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_jwt.h"
#include "libwh/wh_sign.h"
#include "t/fuzz/fuzz.h"

#define NOW apr_time_from_sec(INT64_C(1767225600))
#define HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

static const unsigned char key[WH_KEY_LEN] = "an example key, of 32 bytes.....";

/* What is accepted must mint to a token that is accepted again, and says the same. */
static void check_accepted(apr_pool_t *p, const wh_jwt_claims_t *claims)
{
    wh_jwt_claims_t again;
    wh_err_t err = WH_ERR_INIT;
    char *token = wh_jwt_mint(p, key, claims);

    fuzz_must(claims->sub > 0 && claims->exp - claims->iat <= WH_JWT_TTL_S);
    fuzz_must(claims->exp > apr_time_sec(NOW));
    fuzz_must(token != NULL && strlen(token) <= WH_JWT_MAX);
    fuzz_must(wh_jwt_verify(p, key, token, NOW, &again, &err) == APR_SUCCESS);
    fuzz_must(again.sub == claims->sub && again.iat == claims->iat && again.exp == claims->exp);
    fuzz_must(strcmp(again.key_hash, claims->key_hash) == 0);
    fuzz_must(strcmp(again.jti, claims->jti) == 0);
}

static void try_token(apr_pool_t *p, const char *token)
{
    wh_jwt_claims_t claims;
    wh_err_t err = WH_ERR_INIT;

    if (wh_jwt_verify(p, key, token, NOW, &claims, &err) == APR_SUCCESS)
        check_accepted(p, &claims);
    else
        fuzz_must(err.http == 401 && err.code[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    unsigned char mac[WH_SHA256_LEN];
    char *text;

    try_token(p, apr_pstrmemdup(p, (const char *)data, n));
    text = apr_pstrcat(p, HEADER, ".", wh_sign_b64url(p, data, n), NULL);
    wh_sign_hmac(key, sizeof(key), text, strlen(text), mac);
    try_token(p, apr_pstrcat(p, text, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL));
    return 0;
}
