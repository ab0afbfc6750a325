/* The keys and where they come from. One root of 32 random bytes stays with the scheduler;
 * everything else is derived from it with a purpose label of its own, so that no key ever serves
 * two ends. The module gets a file with derived keys alone.
 *
 * Labels: wisehosting-worker-jwt-v1, wisehost-webhook-v1, wisehost-env-seal-v1 (number n > 1:
 * wisehost-env-seal-v1/n),
 * wisehost-hub-assertion-v1, wisehost-domain-proof-v1 (from the webhook key, so that key files stay
 * as they are), and wisehost-envelope-v1 (from a worker's API key, not from the root).
 *
 * The readers refuse, with a hint how to mend it: what is no regular file, is owned by neither root
 * nor this process' user, can be read by group or others, is not exactly of its form (a carriage
 * return, a blank), or is plainly not random. Codes (all 500): key_unreadable, key_not_file,
 * key_owner, key_mode, key_content, key_weak.
 */
#ifndef WH_KEYS_H
#define WH_KEYS_H

#include "libwh/wh_err.h"

#define WH_KEY_LEN 32

typedef struct wh_keys_t {
    unsigned char worker_jwt[WH_KEY_LEN];
    unsigned char webhook[WH_KEY_LEN];
    unsigned char env_seal[WH_KEY_LEN];
    unsigned char hub_assertion[WH_KEY_LEN];
    apr_int64_t env_seal_id;              /* the number of env_seal, from 1 */
    unsigned char env_former[WH_KEY_LEN]; /* the one before it, for what it sealed */
    apr_int64_t env_former_id;            /* 0 = there is none */
} wh_keys_t;

/* All keys of the module from the root; those that seal env vars are the first. */
void wh_keys_derive(const unsigned char root[WH_KEY_LEN], wh_keys_t *keys);

/* The key of that number (from 1) that seals env vars. */
void wh_keys_env(const unsigned char root[WH_KEY_LEN], apr_int64_t id,
                 unsigned char out[WH_KEY_LEN]);

/* keys with number id to seal with, and the one before it to open with. */
void wh_keys_env_derive(const unsigned char root[WH_KEY_LEN], apr_int64_t id, wh_keys_t *keys);

/* The content of the module key file, with its line feed; in p. */
char *wh_keys_module_text(apr_pool_t *p, const wh_keys_t *keys);

/* Read it back. */
apr_status_t wh_keys_read_module(apr_pool_t *p, const char *path, wh_keys_t *keys,
                                 wh_err_t *err) WH_MUST_CHECK;

/* The root key: 64 hex digits and a line feed. */
apr_status_t wh_keys_read_root(apr_pool_t *p, const char *path, unsigned char root[WH_KEY_LEN],
                               wh_err_t *err) WH_MUST_CHECK;

/* A secret that is compared as text: at least 64 hex digits, at most 256; *secret in p, without the
 * line feed. Used for the control secret, the proxy token and enrolment tokens in files. */
apr_status_t wh_keys_read_secret(apr_pool_t *p, const char *path, const char **secret,
                                 wh_err_t *err) WH_MUST_CHECK;

/* The MAC key of a worker's link, from the SHA-256 of its API key. */
void wh_keys_worker_mac(const unsigned char key_sha256[WH_KEY_LEN], unsigned char out[WH_KEY_LEN]);

/* What proves that a domain is an app's: 40 hex digits of HMAC(key, host NUL app id), the key by
 * HKDF from the webhook key with a label of its own. Never stored by httpd, which answers for names
 * without a database. In p. */
char *wh_keys_domain_proof(apr_pool_t *p, const wh_keys_t *keys, const char *host,
                           const char *app_id);

/* The n-th secret of a hook: hex of HMAC(webhook key, "hook:" id), and ":" n behind it from the
 * second (n = 1) on. Never stored. In p. */
char *wh_keys_hook_secret(apr_pool_t *p, const wh_keys_t *keys, const char *hook_id,
                          apr_int64_t n);

#endif
