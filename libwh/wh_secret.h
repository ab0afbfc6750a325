/* wh_secret: values that are stored sealed: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96
 * bits for each, bound to what they belong to by associated data, so that a sealed text which is
 * moved to another row does not open there.
 *
 * Keys have numbers (key ids), which stand beside the sealed text. Number n is derived from the
 * root (wh_keys_env); a rotation makes n + 1 the one that seals, and what n sealed is sealed anew
 * by and by. Whoever has the root opens all of them; who has the module's file the present and the
 * former.
 *
 * With one key 2^32 values can be sealed before a nonce repeats with a chance of 2^-32
 * (ibid., 8.3). Pure and thread-safe. */
#ifndef WH_SECRET_H
#define WH_SECRET_H

#include "libwh/wh_err.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_rand.h"

#define WH_SECRET_NONCE_LEN 12
#define WH_SECRET_TAG_LEN 16

typedef struct wh_secret_bytes_t {
    const void *at;
    size_t n;
} wh_secret_bytes_t;

/* The cipher itself. out has in.n + WH_SECRET_TAG_LEN bytes. Aborts when libcrypto itself fails. */
void wh_secret_encrypt(const unsigned char key[WH_KEY_LEN],
                       const unsigned char nonce[WH_SECRET_NONCE_LEN], wh_secret_bytes_t aad,
                       wh_secret_bytes_t in, unsigned char *out);
/* in ends with the tag, out has in.n - WH_SECRET_TAG_LEN bytes. 0, or -1 when it is not genuine:
 * then out holds nothing. */
int wh_secret_decrypt(const unsigned char key[WH_KEY_LEN],
                      const unsigned char nonce[WH_SECRET_NONCE_LEN], wh_secret_bytes_t aad,
                      wh_secret_bytes_t in, unsigned char *out) WH_MUST_CHECK;

/* The keys at hand. */
typedef struct wh_secret_ring_t {
    apr_int64_t id;            /* of the one that seals */
    const unsigned char *root; /* opens every number; NULL = only what keys has */
    const wh_keys_t *keys;     /* the module's; NULL with a root */
} wh_secret_ring_t;

/* The ring of a module key file. */
wh_secret_ring_t wh_secret_ring(const wh_keys_t *keys);

/* What a sealed text belongs to: texts, each of which counts with its length. */
typedef struct wh_secret_for_t {
    const char *purpose; /* "wisehost-env-v1" */
    const char *const *names;
    int n;
} wh_secret_for_t;

/* text into *sealed, base64url in p, with the ring's present key. Error: no_random (503). */
apr_status_t wh_secret_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                            const wh_secret_for_t *what, wh_secret_bytes_t text,
                            const char **sealed, wh_err_t *err) WH_MUST_CHECK;

/* Back, with the key of that number; *text in p with a NUL behind it. Errors: secret_key (503: this
 * process does not have that key), secret_broken (500: changed, or another's). */
apr_status_t wh_secret_open(apr_pool_t *p, const wh_secret_ring_t *ring, apr_int64_t key_id,
                            const wh_secret_for_t *what, const char *sealed,
                            wh_secret_bytes_t *text, wh_err_t *err) WH_MUST_CHECK;

#endif
