#include "libwh/wh_secret.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include "libwh/wh_sign.h"

/* ---- the cipher ---- */

/* libcrypto failed on input that cannot fail: there is no honest way on. */
static void must(int ok)
{
    if (ok != 1)
        abort();
}

static EVP_CIPHER_CTX *begin(const unsigned char *key, const unsigned char *nonce,
                             wh_secret_bytes_t aad, int encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    must(ctx != NULL);
    must(EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, encrypt));
    if (aad.n > 0)
        must(EVP_CipherUpdate(ctx, NULL, &n, aad.at, (int)aad.n));
    return ctx;
}

void wh_secret_encrypt(const unsigned char key[WH_KEY_LEN],
                       const unsigned char nonce[WH_SECRET_NONCE_LEN], wh_secret_bytes_t aad,
                       wh_secret_bytes_t in, unsigned char *out)
{
    EVP_CIPHER_CTX *ctx = begin(key, nonce, aad, 1);
    int n = 0;

    if (in.n > 0)
        must(EVP_CipherUpdate(ctx, out, &n, in.at, (int)in.n));
    must(EVP_CipherFinal_ex(ctx, out + in.n, &n));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, WH_SECRET_TAG_LEN, out + in.n));
    EVP_CIPHER_CTX_free(ctx);
}

int wh_secret_decrypt(const unsigned char key[WH_KEY_LEN],
                      const unsigned char nonce[WH_SECRET_NONCE_LEN], wh_secret_bytes_t aad,
                      wh_secret_bytes_t in, unsigned char *out)
{
    unsigned char tag[WH_SECRET_TAG_LEN];
    EVP_CIPHER_CTX *ctx;
    int n = 0, genuine;

    if (in.n < WH_SECRET_TAG_LEN)
        return -1;
    in.n -= WH_SECRET_TAG_LEN;
    memcpy(tag, (const unsigned char *)in.at + in.n, sizeof(tag));
    ctx = begin(key, nonce, aad, 0);
    if (in.n > 0)
        must(EVP_CipherUpdate(ctx, out, &n, in.at, (int)in.n));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, WH_SECRET_TAG_LEN, tag));
    genuine = EVP_CipherFinal_ex(ctx, out + in.n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!genuine)
        wh_sign_wipe(out, in.n);
    return genuine ? 0 : -1;
}

/* ---- keys and what they seal for ---- */

wh_secret_ring_t wh_secret_ring(const wh_keys_t *keys)
{
    return (wh_secret_ring_t){.id = keys->env_seal_id, .keys = keys};
}

static int key_of(const wh_secret_ring_t *ring, apr_int64_t id, unsigned char out[WH_KEY_LEN])
{
    if (id < 1)
        return -1;
    if (ring->root != NULL)
        wh_keys_env(ring->root, id, out);
    else if (ring->root == NULL && id == ring->keys->env_seal_id)
        memcpy(out, ring->keys->env_seal, WH_KEY_LEN);
    else if (ring->root == NULL && id == ring->keys->env_former_id)
        memcpy(out, ring->keys->env_former, WH_KEY_LEN);
    else
        return -1;
    return 0;
}

static unsigned char *put(unsigned char *to, const char *text)
{
    size_t n = strlen(text);

    for (int i = 0; i < 4; i++)
        *to++ = (unsigned char)(n >> (24 - 8 * i));
    memcpy(to, text, n);
    return to + n;
}

/* Each text behind its length: no two lists make the same bytes. */
static wh_secret_bytes_t bound(apr_pool_t *p, const wh_secret_for_t *what)
{
    size_t n = 4 + strlen(what->purpose);
    unsigned char *bytes, *to;

    for (int i = 0; i < what->n; i++)
        n += 4 + strlen(what->names[i]);
    bytes = apr_palloc(p, n);
    to = put(bytes, what->purpose);
    for (int i = 0; i < what->n; i++)
        to = put(to, what->names[i]);
    return (wh_secret_bytes_t){bytes, n};
}

/* ---- sealed texts: nonce, ciphertext, tag ---- */

apr_status_t wh_secret_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                            const wh_secret_for_t *what, wh_secret_bytes_t text,
                            const char **sealed, wh_err_t *err)
{
    size_t n = WH_SECRET_NONCE_LEN + text.n + WH_SECRET_TAG_LEN;
    unsigned char *bytes = apr_palloc(p, n), key[WH_KEY_LEN];

    if (key_of(ring, ring->id, key) != 0)
        return wh_err_set(err, 503, "secret_key", "There is no key to seal with.");
    if (wh_rand_fill(rnd, bytes, WH_SECRET_NONCE_LEN) != APR_SUCCESS) {
        wh_sign_wipe(key, sizeof(key));
        return wh_err_set(err, 503, "no_random", "This server has no random numbers.");
    }
    wh_secret_encrypt(key, bytes, bound(p, what), text, bytes + WH_SECRET_NONCE_LEN);
    wh_sign_wipe(key, sizeof(key));
    *sealed = wh_sign_b64url(p, bytes, n);
    return APR_SUCCESS;
}

apr_status_t wh_secret_open(apr_pool_t *p, const wh_secret_ring_t *ring, apr_int64_t key_id,
                            const wh_secret_for_t *what, const char *sealed,
                            wh_secret_bytes_t *text, wh_err_t *err)
{
    unsigned char key[WH_KEY_LEN], *bytes, *out;
    size_t n = 0;
    int bad;

    if (key_of(ring, key_id, key) != 0)
        return wh_err_set(err, 503, "secret_key",
                          "The value is sealed with key %" APR_INT64_T_FMT
                          ", which this process does not have.",
                          key_id);
    bad = wh_sign_unb64url(p, sealed, strlen(sealed), &bytes, &n) != 0 ||
          n < WH_SECRET_NONCE_LEN + WH_SECRET_TAG_LEN;
    out = apr_pcalloc(p, bad ? 1 : n);
    if (!bad)
        bad = wh_secret_decrypt(
                  key, bytes, bound(p, what),
                  (wh_secret_bytes_t){bytes + WH_SECRET_NONCE_LEN, n - WH_SECRET_NONCE_LEN},
                  out) != 0;
    wh_sign_wipe(key, sizeof(key));
    if (bad)
        return wh_err_set(err, 500, "secret_broken",
                          "A sealed value does not open: it was changed, or belongs elsewhere.");
    *text = (wh_secret_bytes_t){out, n - WH_SECRET_NONCE_LEN - WH_SECRET_TAG_LEN};
    return APR_SUCCESS;
}
