/* Hashes, MACs, key derivation and their text forms. SHA-256 only, by libcrypto.
 *
 * The functions without a result cannot fail on any input; should libcrypto itself fail (out of
 * memory, a broken provider) the process aborts, because going on without a MAC is worse. */
#ifndef WH_SIGN_H
#define WH_SIGN_H

#include "libwh/wh_types.h"

#define WH_SHA256_LEN 32
#define WH_SHA256_HEX 64

void wh_sign_sha256(const void *data, size_t n, unsigned char out[WH_SHA256_LEN]);
void wh_sign_hmac(const void *key, size_t klen, const void *data, size_t dlen,
                  unsigned char out[WH_SHA256_LEN]);

/* HKDF-SHA256 without salt (RFC 5869). info is a text, "" allowed. APR_EINVAL for outlen 0 or more
 * than 255 * 32. */
apr_status_t wh_sign_hkdf(const void *ikm, size_t ikmlen, const char *info, unsigned char *out,
                          size_t outlen) WH_MUST_CHECK;

/* A hash or MAC in pieces. The context belongs to p and is used once: after _end it is finished. */
typedef struct wh_sign_ctx_t wh_sign_ctx_t;
wh_sign_ctx_t *wh_sign_sha256_begin(apr_pool_t *p);
wh_sign_ctx_t *wh_sign_hmac_begin(apr_pool_t *p, const void *key, size_t klen);
void wh_sign_add(wh_sign_ctx_t *ctx, const void *data, size_t n);
void wh_sign_end(wh_sign_ctx_t *ctx, unsigned char out[WH_SHA256_LEN]);
#define wh_sign_hmac_add wh_sign_add
#define wh_sign_hmac_end wh_sign_end

/* True when equal, in a time that depends on n alone. */
int wh_sign_equal(const void *a, const void *b, size_t n) WH_MUST_CHECK;

/* Overwrite a secret; not removed by the compiler. */
void wh_sign_wipe(void *buf, size_t n);

/* Lower-case hex in p. */
char *wh_sign_hex(apr_pool_t *p, const void *buf, size_t n);
/* The same into out of 2n + 1 bytes. */
void wh_sign_hex_buf(char *out, const void *buf, size_t n);

/* Exactly hexlen digits, upper or lower case, into out of hexlen/2 bytes. Returns 0, or -1 for an
 * odd length or any other character (out is then not to be used). */
int wh_sign_unhex(const char *hex, size_t hexlen, unsigned char *out) WH_MUST_CHECK;

/* True when s is exactly n digits of lower-case hex. NULL is false. */
int wh_sign_is_hex(const char *s, size_t n);

/* base64url without padding (RFC 4648 §5), in p. */
char *wh_sign_b64url(apr_pool_t *p, const void *buf, size_t n);

/* Strict inverse: no padding, no white space, no stray bits in the last character. *out in p, with
 * a NUL behind its *outlen bytes. Returns 0, or -1. */
int wh_sign_unb64url(apr_pool_t *p, const char *s, size_t n, unsigned char **out,
                     size_t *outlen) WH_MUST_CHECK;

/* The same with the other alphabet and with padding (RFC 4648 §4). */
char *wh_sign_b64(apr_pool_t *p, const void *buf, size_t n);
int wh_sign_unb64(apr_pool_t *p, const char *s, size_t n, unsigned char **out,
                  size_t *outlen) WH_MUST_CHECK;

/* hex SHA-256 of a text: the form in which tokens and keys are stored. In p. */
char *wh_sign_sha256_hex(apr_pool_t *p, const void *data, size_t n);

#endif
