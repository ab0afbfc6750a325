/* wh_sshkey: keys of ssh as texts: private ones in OpenSSH's own format (PROTOCOL.key, without a
 * passphrase: they are sealed where they lie), public ones as they stand in authorized_keys, hosts'
 * ones as they stand in known_hosts. Pure and thread-safe. */
#ifndef WH_SSHKEY_H
#define WH_SSHKEY_H

#include "libwh/wh_err.h"
#include "libwh/wh_rand.h"

#define WH_SSHKEY_MAX 16384 /* bytes of a private key, or of known hosts */
#define WH_SSHKEY_HOSTS_MAX 64 /* lines */
#define WH_SSHKEY_COMMENT_MAX 100

typedef struct wh_sshkey_t {
    const char *private_text; /* whole, with its line ends */
    const char *public_text;  /* "ssh-ed25519 AAAA… comment" */
} wh_sshkey_t;

/* A new Ed25519 pair; the comment is printable ASCII. Error: no_random (503). Aborts when libcrypto
 * itself fails. */
apr_status_t wh_sshkey_make(apr_pool_t *p, const wh_rand_t *rnd, const char *comment,
                            wh_sshkey_t *key, wh_err_t *err) WH_MUST_CHECK;

/* A private key that was given, of a kind that OpenSSH 9 signs with (Ed25519, ECDSA, RSA). Codes:
 * key_invalid (400), the text says why. */
apr_status_t wh_sshkey_read(apr_pool_t *p, const char *text, const char *comment, wh_sshkey_t *key,
                            wh_err_t *err) WH_MUST_CHECK;

/* "SHA256:…" of a public text, as ssh-keygen -l shows it; "" for what is none. */
const char *wh_sshkey_fingerprint(apr_pool_t *p, const char *public_text);

/* The lines of a known_hosts file that matter, without comments; markers (@cert-authority) are
 * refused, and what is no key. *clean "" when there are none. Codes: known_hosts_invalid (400). */
apr_status_t wh_sshkey_hosts(apr_pool_t *p, const char *text, const char **clean,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
