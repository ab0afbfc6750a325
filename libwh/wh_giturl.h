/* wh_giturl: which repository addresses may ever reach git (XI1). Thread-safe. */
#ifndef WH_GITURL_H
#define WH_GITURL_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_GITURL_MAX 2048

#define WH_GITURL_PUSHED "hub:" /* what was pushed to this server itself (docs/git-push.md) */

typedef enum wh_giturl_kind_e {
    WH_GITURL_HTTPS,
    WH_GITURL_LOCAL,
    WH_GITURL_HUB,
    WH_GITURL_SSH
} wh_giturl_kind_e;

/* APR_SUCCESS for WH_GITURL_PUSHED; for https://host[:port]/path without user, query, fragment,
 * control byte, space, backslash or ".." segment; for ssh://user@host[:port]/path and
 * user@host:path with the same paths, but without '%' and without '-' at the beginning of the path;
 * and, where local_repo_root is not NULL, for an absolute path below it
 * without empty, "." or ".." segments. Links below the root are the agent's to resolve: it checks
 * the real path again before git starts. Code: repository_refused (400), the text says why. */
apr_status_t wh_giturl_check(apr_pool_t *p, const char *url, const char *local_repo_root,
                             wh_err_t *err) WH_MUST_CHECK;

/* The kind of an address that wh_giturl_check accepted. */
wh_giturl_kind_e wh_giturl_kind(const char *url);

/* The parts of an https or ssh address that wh_giturl_check accepted; in p. */
typedef struct wh_giturl_parts_t {
    const char *user; /* "" over https */
    const char *host, *port;
    const char *path; /* with its '/', but for that of user@host:path */
} wh_giturl_parts_t;
void wh_giturl_parts(apr_pool_t *p, const char *url, wh_giturl_parts_t *parts);

/* "host" or, with another port than the usual one, "host:port", in lower case: what credentials
 * are given for. "" for an address that is neither https nor ssh. */
const char *wh_giturl_site(apr_pool_t *p, const char *url);

/* What the host calls the repository: its path without '/' at either end and without ".git". "" for
 * an address that is neither https nor ssh. In p. */
const char *wh_giturl_name(apr_pool_t *p, const char *url);

/* The address of a submodule as .gitmodules has it, below base, the accepted address of the
 * repository that names it: relative ones as git resolves them, within base's own host, or below
 * local_repo_root; all held to wh_giturl_check, and local ones taken from local repositories alone.
 * Code: repository_refused. */
apr_status_t wh_giturl_submodule(apr_pool_t *p, const char *base, const char *said,
                                 const char *local_repo_root, const char **url,
                                 wh_err_t *err) WH_MUST_CHECK;

/* A directory inside a repository: "" or relative segments, none of them empty, ".", ".." or
 * ".git", valid UTF-8, no control byte, no backslash, ≤ 512 bytes, ≤ 32 segments.
 * Code: path_invalid (400). */
apr_status_t wh_giturl_subdir_check(const char *path, wh_err_t *err)
    WH_MUST_CHECK;

#endif
