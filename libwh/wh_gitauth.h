/* wh_gitauth: how git is given what a private repository asks for: as files of mode 0600 in a
 * directory of mode 0700 below the one that git is started in, made before it runs and removed
 * afterwards. Nothing of it stands in an argument, an environment or an address.
 *
 * An https token is offered by git's own `credential-store`, which answers for one host alone. For
 * ssh there is a configuration that takes the place of the user's and the machine's: these keys and
 * no agent, the host's key pinned, the address that was looked at, nothing forwarded.
 *
 * Which hosts are known: those that were given for the app, and the forges of wh_gitauth.def. A
 * host that is not known is refused: nothing is trusted because it came first. Thread-safe. */
#ifndef WH_GITAUTH_H
#define WH_GITAUTH_H

#include <jansson.h>

#include "libwh/wh_err.h"
#include "libwh/wh_secret.h"

#define WH_GITAUTH_KEYS 2 /* the deploy key, and the one before it */
#define WH_GITAUTH_USER_MAX 255
#define WH_GITAUTH_TOKEN_MAX 4096

#define WH_GITAUTH_DIR "auth"
/* For GIT_SSH_COMMAND and credential.helper, of a git that runs in the directory above it. */
#define WH_GITAUTH_SSH "ssh -F " WH_GITAUTH_DIR "/ssh_config"
#define WH_GITAUTH_HELPER "store --file=" WH_GITAUTH_DIR "/credentials"

/* What there is for an app, in the clear. Texts "" = none. */
typedef struct wh_gitauth_t {
    const char *keys[WH_GITAUTH_KEYS]; /* private keys, the present one first */
    int n_keys;
    const char *known_hosts;
    const char *site; /* wh_giturl_site of where user and token are good for */
    const char *user, *token;
    int own_only; /* it is for the app's own repository, not for submodules of it */
} wh_gitauth_t;
#define WH_GITAUTH_NONE                                                                            \
    (wh_gitauth_t)                                                                                 \
    {                                                                                              \
        .known_hosts = "", .site = "", .user = "", .token = ""                                     \
    }

/* Makes parent/auth for one run of git on url, an accepted address; address: the IP address that an
 * ssh connection goes to. What was there goes first. Codes: repository_auth (422: there is no key
 * for an ssh address; text says how to make one), internal. */
apr_status_t wh_gitauth_put(apr_pool_t *p, const char *parent, const char *url,
                            const char *address, const wh_gitauth_t *auth,
                            wh_err_t *err) WH_MUST_CHECK;
/* Removes it; fine when it is not there. */
void wh_gitauth_drop(apr_pool_t *p, const char *parent);

/* 1 when the token is for that address. */
int wh_gitauth_fits(apr_pool_t *p, const wh_gitauth_t *auth, const char *url);

/* Between hub and agent, {keys[], known_hosts, site, user, token, own_only}; NULL when there is
 * nothing in it. Codes of wh_json.h. */
json_t *wh_gitauth_json(const wh_gitauth_t *auth);
apr_status_t wh_gitauth_decode(apr_pool_t *p, json_t *json, wh_gitauth_t *auth,
                               wh_err_t *err) WH_MUST_CHECK;

/* ---- as it is stored (source_secrets) ---- */

#define WH_GITAUTH_DEPLOY_KEY "deploy_key"
#define WH_GITAUTH_FORMER_KEY "former_key" /* taken too till `until` */
#define WH_GITAUTH_CREDENTIALS "credentials"

typedef struct wh_gitauth_row_t {
    const char *app_id, *kind;
    const char *site;  /* of credentials */
    const char *shown; /* the public key, or the user */
    apr_int64_t key_id;
    const char *sealed;
    apr_time_t until; /* 0 = for good */
    apr_time_t created_at;
} wh_gitauth_row_t;

/* As wh_env_seal and wh_env_open: bound to app, site and shown. */
apr_status_t wh_gitauth_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                             wh_gitauth_row_t *row, const char *value, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_gitauth_open(apr_pool_t *p, const wh_secret_ring_t *ring,
                             const wh_gitauth_row_t *row, const char **value,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
