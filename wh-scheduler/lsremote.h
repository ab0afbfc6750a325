/* What a branch of a repository points at, by `git ls-remote`: an argument vector and an
 * environment of its own, no shell, no prompt, no configuration of the machine, one transport, no
 * redirect, and an https address that was looked at first and is pinned (as the agent fetches; D2,
 * D9). No credential is ever in an argument. Blocks: threads of their own only. */
#ifndef WH_LSREMOTE_H
#define WH_LSREMOTE_H

#include "libwh/wh_err.h"
#include "libwh/wh_gitauth.h"

typedef struct wh_lsremote_opt_t {
    const char *git;        /* path of the program */
    const char *local_root; /* "" = local repositories are refused */
    const char *ca_file;    /* "" = the system's */
    int private_ok;         /* addresses that not all the world can reach, too */
    int deadline_ms;
    const char *auth_dir; /* for what a private repository asks for: emptied by wh_lsremote_tidy */
    const int *stop; /* not 0 = give up; read atomically */
} wh_lsremote_opt_t;

#define WH_LSREMOTE_SHA 65

typedef struct wh_lsremote_of_t {
    const char *url, *branch;
    const wh_gitauth_t *auth; /* what url asks for */
} wh_lsremote_of_t;

/* sha is 40 or 64 hex digits. Codes: ref_not_found, repository_refused, repository_auth,
 * repository_unreachable (what git says, one short line, or that it took too long), internal. */
apr_status_t wh_lsremote(apr_pool_t *p, const wh_lsremote_opt_t *opt, const wh_lsremote_of_t *of,
                         char sha[WH_LSREMOTE_SHA], wh_err_t *err) WH_MUST_CHECK;

/* Makes auth_dir, and removes what a former life left in it. Codes: internal. */
apr_status_t wh_lsremote_tidy(apr_pool_t *p, const char *auth_dir, wh_err_t *err) WH_MUST_CHECK;

/* The commit of refs/heads/branch among the lines that git gave, 0 = it is not there. Pure. */
int wh_lsremote_find(const char *out, const char *branch, char sha[WH_LSREMOTE_SHA]);

#endif
