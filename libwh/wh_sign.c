#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include "libwh/wh_sign.h"

#define BLOCK 64 /* of SHA-256 */

/* libcrypto failed on input that cannot fail: there is no honest way on. */
static WH_NORETURN void broken(void)
{
    abort();
}

void wh_sign_sha256(const void *data, size_t n, unsigned char out[WH_SHA256_LEN])
{
    if (SHA256(data, n, out) == NULL)
        broken();
}

void wh_sign_hmac(const void *key, size_t klen, const void *data, size_t dlen,
                  unsigned char out[WH_SHA256_LEN])
{
    unsigned char block[WH_SHA256_LEN];
    unsigned len = 0;

    /* HMAC() takes the key's length as an int; a longer key is hashed first by definition. */
    if (klen > BLOCK) {
        wh_sign_sha256(key, klen, block);
        key = block;
        klen = sizeof(block);
    }
    if (HMAC(EVP_sha256(), key, (int)klen, data, dlen, out, &len) == NULL || len != WH_SHA256_LEN)
        broken();
}

apr_status_t wh_sign_hkdf(const void *ikm, size_t ikmlen, const char *info, unsigned char *out,
                          size_t outlen)
{
    static const unsigned char no_salt[WH_SHA256_LEN];
    unsigned char prk[WH_SHA256_LEN], t[WH_SHA256_LEN] = {0};
    size_t ilen = strlen(info);
    unsigned char *msg;
    size_t tlen = 0;
    int round = 0;

    if (outlen == 0 || outlen > (size_t)255 * WH_SHA256_LEN)
        return APR_EINVAL;
    wh_sign_hmac(no_salt, sizeof(no_salt), ikm, ikmlen, prk);
    msg = malloc(sizeof(t) + ilen + 1);
    if (msg == NULL)
        broken();
    while (outlen > 0) {
        size_t n = outlen < sizeof(t) ? outlen : sizeof(t);

        memcpy(msg, t, tlen);
        memcpy(msg + tlen, info, ilen + 1); /* its NUL is where the round goes */
        msg[tlen + ilen] = (unsigned char)++round;
        wh_sign_hmac(prk, sizeof(prk), msg, tlen + ilen + 1, t);
        memcpy(out, t, n);
        tlen = sizeof(t);
        out += n;
        outlen -= n;
    }
    OPENSSL_cleanse(msg, sizeof(t) + ilen + 1);
    free(msg);
    OPENSSL_cleanse(prk, sizeof(prk));
    OPENSSL_cleanse(t, sizeof(t));
    return APR_SUCCESS;
}

struct wh_sign_ctx_t {
    EVP_MD_CTX *md;
    unsigned char opad[BLOCK]; /* the outer key block of HMAC */
    int keyed;
};

static apr_status_t ctx_free(void *data)
{
    wh_sign_ctx_t *ctx = data;

    EVP_MD_CTX_free(ctx->md);
    OPENSSL_cleanse(ctx->opad, sizeof(ctx->opad));
    return APR_SUCCESS;
}

static wh_sign_ctx_t *ctx_make(apr_pool_t *p)
{
    wh_sign_ctx_t *ctx = apr_pcalloc(p, sizeof(*ctx));

    ctx->md = EVP_MD_CTX_new();
    if (ctx->md == NULL || EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL) != 1)
        broken();
    apr_pool_cleanup_register(p, ctx, ctx_free, apr_pool_cleanup_null);
    return ctx;
}

wh_sign_ctx_t *wh_sign_sha256_begin(apr_pool_t *p)
{
    return ctx_make(p);
}

wh_sign_ctx_t *wh_sign_hmac_begin(apr_pool_t *p, const void *key, size_t klen)
{
    wh_sign_ctx_t *ctx = ctx_make(p);
    unsigned char ipad[BLOCK] = {0};

    if (klen > BLOCK)
        wh_sign_sha256(key, klen, ipad);
    else if (klen > 0)
        memcpy(ipad, key, klen);
    for (int i = 0; i < BLOCK; i++) {
        ctx->opad[i] = ipad[i] ^ 0x5c;
        ipad[i] ^= 0x36;
    }
    ctx->keyed = 1;
    wh_sign_add(ctx, ipad, sizeof(ipad));
    OPENSSL_cleanse(ipad, sizeof(ipad));
    return ctx;
}

void wh_sign_add(wh_sign_ctx_t *ctx, const void *data, size_t n)
{
    if (n > 0 && EVP_DigestUpdate(ctx->md, data, n) != 1)
        broken();
}

void wh_sign_end(wh_sign_ctx_t *ctx, unsigned char out[WH_SHA256_LEN])
{
    if (EVP_DigestFinal_ex(ctx->md, out, NULL) != 1)
        broken();
    if (!ctx->keyed)
        return;
    if (EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL) != 1)
        broken();
    wh_sign_add(ctx, ctx->opad, sizeof(ctx->opad));
    wh_sign_add(ctx, out, WH_SHA256_LEN);
    if (EVP_DigestFinal_ex(ctx->md, out, NULL) != 1)
        broken();
}

int wh_sign_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void wh_sign_wipe(void *buf, size_t n)
{
    OPENSSL_cleanse(buf, n);
}

void wh_sign_hex_buf(char *out, const void *buf, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = buf;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * n] = '\0';
}

char *wh_sign_hex(apr_pool_t *p, const void *buf, size_t n)
{
    char *out = apr_palloc(p, 2 * n + 1);

    wh_sign_hex_buf(out, buf, n);
    return out;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int wh_sign_unhex(const char *hex, size_t hexlen, unsigned char *out)
{
    if (hexlen % 2 != 0)
        return -1;
    for (size_t i = 0; i < hexlen; i += 2) {
        int hi = nibble(hex[i]);
        int lo = hi < 0 ? -1 : nibble(hex[i + 1]);

        if (lo < 0)
            return -1;
        out[i / 2] = (unsigned char)(hi << 4 | lo);
    }
    return 0;
}

int wh_sign_is_hex(const char *s, size_t n)
{
    if (s == NULL || strnlen(s, n + 1) != n)
        return 0;
    return strspn(s, "0123456789abcdef") == n;
}

static const char b64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *wh_sign_b64url(apr_pool_t *p, const void *buf, size_t n)
{
    const unsigned char *in = buf;
    char *out = apr_palloc(p, n / 3 * 4 + 5);
    uint32_t bits = 0;
    int have = 0;
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | in[i];
        for (have += 8; have >= 6; have -= 6)
            out[len++] = b64_digits[bits >> (have - 6) & 63];
    }
    if (have > 0)
        out[len++] = b64_digits[bits << (6 - have) & 63];
    out[len] = '\0';
    return out;
}

static int b64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int wh_sign_unb64url(apr_pool_t *p, const char *s, size_t n, unsigned char **out, size_t *outlen)
{
    unsigned char *buf;
    uint32_t bits = 0;
    int have = 0;
    size_t len = 0;

    if (n % 4 == 1)
        return -1;
    buf = apr_palloc(p, n / 4 * 3 + 3);
    for (size_t i = 0; i < n; i++) {
        int v = b64_value(s[i]);

        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf[len++] = (unsigned char)(bits >> have);
        }
    }
    /* Two spellings of the same bytes would make two tokens of one. */
    if ((bits & ((UINT32_C(1) << have) - 1)) != 0)
        return -1;
    buf[len] = '\0';
    *out = buf;
    *outlen = len;
    return 0;
}

char *wh_sign_b64(apr_pool_t *p, const void *buf, size_t n)
{
    char *out = wh_sign_b64url(p, buf, n);
    size_t len = 0;

    for (; out[len] != '\0'; len++)
        out[len] = out[len] == '-' ? '+' : out[len] == '_' ? '/' : out[len];
    for (; len % 4 != 0; len++)
        out[len] = '=';
    out[len] = '\0';
    return out;
}

int wh_sign_unb64(apr_pool_t *p, const char *s, size_t n, unsigned char **out, size_t *outlen)
{
    char *copy;

    if (n % 4 != 0)
        return -1;
    copy = apr_pstrmemdup(p, s, n);
    for (int pad = 0; pad < 2 && n > 0 && copy[n - 1] == '='; pad++)
        n--;
    for (size_t i = 0; i < n; i++) {
        if (copy[i] == '-' || copy[i] == '_')
            return -1;
        copy[i] = copy[i] == '+' ? '-' : copy[i] == '/' ? '_' : copy[i];
    }
    return wh_sign_unb64url(p, copy, n, out, outlen);
}

char *wh_sign_sha256_hex(apr_pool_t *p, const void *data, size_t n)
{
    unsigned char sum[WH_SHA256_LEN];

    wh_sign_sha256(data, n, sum);
    return wh_sign_hex(p, sum, sizeof(sum));
}
