/* wh_oidc: see wh_oidc.h. The algorithm is ours, never the token's: a header that names another one
 * is refused before anything is computed, so neither "none" nor a MAC made with the public key gets
 * anywhere. */
#include <string.h>
#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "libwh/wh_httpurl.h"
#include "libwh/wh_json.h"
#include "libwh/wh_oidc.h"
#include "libwh/wh_sign.h"

#define KID_MAX 255
#define RSA_BYTES_MIN 256 /* 2048 bits */
#define RSA_BYTES_MAX 1024
#define EXPONENT_MAX 8
#define TIME_MAX (APR_INT64_MAX / APR_USEC_PER_SEC)

static const wh_json_limits_t set_limits = {.bytes = WH_OIDC_SET_MAX, .depth = 6, .values = 2000};
static const wh_json_limits_t token_limits = {
    .bytes = WH_OIDC_TOKEN_MAX, .depth = 4, .values = 200};

static apr_status_t bad(wh_err_t *err, const char *why)
{
    return wh_err_set(err, 401, "bad_token", "The token %s.", why);
}

static const char *text_of(const json_t *object, const char *name, size_t max)
{
    const json_t *value = json_object_get(object, name);
    size_t n = json_string_length(value);

    return n > 0 && n <= max && n == strlen(json_string_value(value)) ? json_string_value(value)
                                                                      : NULL;
}

int wh_oidc_issuer_ok(apr_pool_t *p, const char *issuer)
{
    size_t n = strlen(issuer);
    wh_httpurl_t url;

    return n <= WH_OIDC_ISSUER_MAX && strchr(issuer, '?') == NULL &&
           issuer[n > 0 ? n - 1 : 0] != '/' &&
           wh_httpurl_parse(p, issuer, 0, &url, NULL) == APR_SUCCESS;
}

/* ---- keys ---- */

static apr_status_t no_keys(wh_err_t *err, const char *why)
{
    return wh_err_set(err, 502, "keys_invalid", "The issuer %s.", why);
}

/* Absent, or this very text. */
static int is_or_absent(const json_t *key, const char *name, const char *text)
{
    const json_t *value = json_object_get(key, name);

    return value == NULL || (json_is_string(value) && strcmp(json_string_value(value), text) == 0);
}

/* The bytes of a number, without zeros in front. */
static int number_of(apr_pool_t *p, const json_t *key, const char *name, unsigned char **out,
                     size_t *n)
{
    const char *text = text_of(key, name, (size_t)2 * RSA_BYTES_MAX);

    if (text == NULL || wh_sign_unb64url(p, text, strlen(text), out, n) != 0) {
        return 0;
    }
    for (; *n > 0 && **out == 0; (*n)--) {
        (*out)++;
    }
    return 1;
}

static int key_usable(apr_pool_t *p, const json_t *key)
{
    const char *kty = text_of(key, "kty", 16);
    unsigned char *n, *e;
    size_t n_len, e_len;

    return kty != NULL && strcmp(kty, "RSA") == 0 && is_or_absent(key, "use", "sig") &&
           is_or_absent(key, "alg", "RS256") && text_of(key, "kid", KID_MAX) != NULL &&
           number_of(p, key, "n", &n, &n_len) && number_of(p, key, "e", &e, &e_len) &&
           n_len >= RSA_BYTES_MIN && n_len <= RSA_BYTES_MAX && e_len >= 1 &&
           e_len <= EXPONENT_MAX && (e[e_len - 1] & 1) != 0 && (e_len > 1 || e[0] > 1) &&
           (n[n_len - 1] & 1) != 0;
}

apr_status_t wh_oidc_keys_read(apr_pool_t *p, const char *text, size_t n, const char **keys,
                               wh_err_t *err)
{
    json_t *doc, *list = wh_json_own(p, json_array()), *given;
    const char *kept;

    if (wh_json_load_object(p, text, n, &set_limits, &doc, NULL) != APR_SUCCESS ||
        !json_is_array(given = json_object_get(doc, "keys"))) {
        return no_keys(err, "sent no set of keys");
    }
    for (size_t i = 0; i < json_array_size(given) && json_array_size(list) < WH_OIDC_KEYS_MAX;
         i++) {
        const json_t *key = json_array_get(given, i);

        if (key_usable(p, key)) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "kty", "RSA", "kid",
                                                  text_of(key, "kid", KID_MAX), "n",
                                                  json_string_value(json_object_get(key, "n")), "e",
                                                  json_string_value(json_object_get(key, "e"))));
        }
    }
    if (json_array_size(list) == 0) {
        return no_keys(err, "has no key for RS256");
    }
    kept = wh_json_text(p, wh_json_own(p, json_pack("{s:O}", "keys", list)), NULL);
    if (kept == NULL) {
        return wh_err_set(err, 503, "no_memory", "out of memory");
    }
    *keys = kept;
    return APR_SUCCESS;
}

apr_status_t wh_oidc_discovery_read(apr_pool_t *p, const char *text, size_t n, const char *issuer,
                                    const char **jwks_uri, wh_err_t *err)
{
    const char *named, *uri;
    json_t *doc;

    if (wh_json_load_object(p, text, n, &set_limits, &doc, NULL) != APR_SUCCESS) {
        return no_keys(err, "does not say where its keys are");
    }
    named = text_of(doc, "issuer", WH_OIDC_ISSUER_MAX);
    uri = text_of(doc, "jwks_uri", WH_HTTPURL_MAX);
    if (named == NULL || strcmp(named, issuer) != 0) {
        return no_keys(err, "calls itself something else");
    }
    if (uri == NULL || strncmp(uri, "https://", 8) != 0) {
        return no_keys(err, "does not say where its keys are");
    }
    *jwks_uri = uri;
    return APR_SUCCESS;
}

static EVP_PKEY *pkey_of(apr_pool_t *p, const json_t *key)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = NULL, *e = NULL;
    unsigned char *raw_n, *raw_e;
    size_t len_n, len_e;

    if (number_of(p, key, "n", &raw_n, &len_n) && number_of(p, key, "e", &raw_e, &len_e)) {
        n = BN_bin2bn(raw_n, (int)len_n, NULL);
        e = BN_bin2bn(raw_e, (int)len_e, NULL);
    }
    if (build != NULL && ctx != NULL && n != NULL && e != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        pkey = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return pkey;
}

static const json_t *key_named(const json_t *set, const char *kid)
{
    const json_t *list = json_object_get(set, "keys");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = text_of(json_array_get(list, i), "kid", KID_MAX);

        if (name != NULL && strcmp(name, kid) == 0) {
            return json_array_get(list, i);
        }
    }
    return NULL;
}

/* ---- tokens ---- */

/* The token cut at its two dots. */
typedef struct parts_t {
    const char *text[3];
    size_t n[3];
} parts_t;

static int split(const char *token, parts_t *parts)
{
    for (int i = 0; i < 3; i++) {
        parts->text[i] = token;
        parts->n[i] = strcspn(token, ".");
        token += parts->n[i];
        if (parts->n[i] == 0 || (*token == '.') != (i < 2)) {
            return 0;
        }
        token += i < 2;
    }
    return 1;
}

static json_t *part_json(apr_pool_t *p, const parts_t *parts, int i)
{
    unsigned char *raw;
    json_t *doc;
    size_t n;

    if (wh_sign_unb64url(p, parts->text[i], parts->n[i], &raw, &n) != 0 ||
        wh_json_load_object(p, (const char *)raw, n, &token_limits, &doc, NULL) != APR_SUCCESS) {
        return NULL;
    }
    return doc;
}

/* RS256 and nothing that would have to be understood ("crit", "b64"); no key of its own. */
static int header_ok(const json_t *header)
{
    static const char *const never[] = {"crit", "b64", "jwk", "jku", "x5u"};
    const char *alg = text_of(header, "alg", 16);

    for (size_t i = 0; i < WH_ARRAY_LEN(never); i++) {
        if (json_object_get(header, never[i]) != NULL) {
            return 0;
        }
    }
    return alg != NULL && strcmp(alg, "RS256") == 0 &&
           (is_or_absent(header, "typ", "JWT") || is_or_absent(header, "typ", "at+jwt"));
}

static int signature_ok(apr_pool_t *p, const parts_t *parts, const json_t *key)
{
    EVP_PKEY *pkey = pkey_of(p, key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t signed_len = parts->n[0] + 1 + parts->n[1], n;
    unsigned char *sig;
    int ok = pkey != NULL && ctx != NULL &&
             wh_sign_unb64url(p, parts->text[2], parts->n[2], &sig, &n) == 0 &&
             EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
             EVP_DigestVerify(ctx, sig, n, (const unsigned char *)parts->text[0], signed_len) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

static int audience_ok(const json_t *claims, const char *audience)
{
    const json_t *aud = json_object_get(claims, "aud");

    if (json_is_string(aud)) {
        return strcmp(json_string_value(aud), audience) == 0;
    }
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *one = json_string_value(json_array_get(aud, i));

        if (one != NULL && strcmp(one, audience) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Seconds; -1 = absent, -2 = no time. */
static apr_int64_t time_of(const json_t *claims, const char *name)
{
    const json_t *value = json_object_get(claims, name);
    json_int_t s = json_integer_value(value);

    if (value == NULL) {
        return -1;
    }
    return json_is_integer(value) && s >= 0 && s <= TIME_MAX ? s : -2;
}

static apr_status_t times_ok(const json_t *claims, apr_time_t wall, wh_err_t *err)
{
    apr_int64_t exp = time_of(claims, "exp"), iat = time_of(claims, "iat"),
                nbf = time_of(claims, "nbf"), now = apr_time_sec(wall);

    if (exp < 0 || iat < 0 || nbf == -2 || exp < iat || exp - iat > WH_OIDC_LIFE_MAX_S) {
        return bad(err, "has no exp and iat of a short-lived one");
    }
    if (now >= exp + WH_OIDC_LEEWAY_S) {
        return wh_err_set(err, 401, "token_expired", "The token has expired.");
    }
    if (iat > now + WH_OIDC_LEEWAY_S || nbf > now + WH_OIDC_LEEWAY_S) {
        return wh_err_set(err, 401, "token_early", "The token is not good yet: set the clock.");
    }
    return APR_SUCCESS;
}

static apr_status_t claims_ok(const json_t *claims, const wh_oidc_want_t *want, wh_err_t *err)
{
    const char *iss = text_of(claims, "iss", WH_OIDC_ISSUER_MAX);

    if (iss == NULL || strcmp(iss, want->issuer) != 0) {
        return bad(err, "is of another issuer");
    }
    if (!audience_ok(claims, want->audience)) {
        return bad(err, "is for another audience");
    }
    if (text_of(claims, "jti", 256) == NULL) {
        return bad(err, "has no jti");
    }
    return times_ok(claims, want->now, err);
}

apr_status_t wh_oidc_verify(apr_pool_t *p, const char *token, const wh_oidc_want_t *want,
                            json_t **claims, wh_err_t *err)
{
    json_t *header, *set = NULL, *read;
    const char *kid;
    const json_t *key;
    parts_t parts;
    apr_status_t rv;

    if (strnlen(token, WH_OIDC_TOKEN_MAX + 1) > WH_OIDC_TOKEN_MAX || !split(token, &parts) ||
        (header = part_json(p, &parts, 0)) == NULL) {
        return bad(err, "is no token");
    }
    kid = text_of(header, "kid", KID_MAX);
    if (!header_ok(header) || kid == NULL) {
        return bad(err, "is not signed with RS256 by a named key");
    }
    if (*want->keys != '\0' && wh_json_load_object(p, want->keys, strlen(want->keys), &set_limits,
                                                   &set, err) != APR_SUCCESS) {
        return APR_EGENERAL;
    }
    key = key_named(set, kid);
    if (key == NULL) {
        return wh_err_set(err, 401, "unknown_key", "The token's key is none of the issuer's.");
    }
    if (!signature_ok(p, &parts, key)) {
        return bad(err, "has a wrong signature");
    }
    read = part_json(p, &parts, 1);
    if (read == NULL) {
        return bad(err, "has no claims");
    }
    rv = claims_ok(read, want, err);
    if (rv == APR_SUCCESS) {
        *claims = read;
    }
    return rv;
}
