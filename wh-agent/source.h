/* A repository at one commit, without a checkout: a bare cache for each app, from which git itself
 * lists the tree and hands out blobs (D2, XI). git runs by argument vector with an explicit
 * environment: no prompt, no configuration of the machine or the repository, no hooks, no
 * submodules, no other transport than the one the address names, no redirect, and never longer or
 * larger than allowed.
 *
 * Worker threads only; one at a time for one directory (a lock file sees to it).
 */
#ifndef WH_AGENT_SOURCE_H
#define WH_AGENT_SOURCE_H

#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_gitauth.h"
#include "wh-agent/cancel.h"
#include "wh-agent/catfile.h"
#include "wh-agent/lstree.h"
#include "wh-agent/proc.h"

typedef struct wh_source_opts_t {
    const char *git;        /* path of the program */
    const char *dir;        /* the app's own directory; made when it is not there */
    const char *url;        /* checked here again by wh_giturl_check */
    const char *hub_url;    /* where WH_GITURL_PUSHED is found: http(s), by the caller's own
                               settings; NULL for other addresses */
    const char *bearer;     /* token for hub_url; it is in git's environment and nowhere else */
    const wh_gitauth_t *auth; /* what url asks for; NULL = nothing */
    const char *local_root; /* "" = local repositories are refused */
    const char *ca_file;    /* "" = the system's */
    int allow_private;
    const char *sha;    /* "" = take the branch */
    const char *branch; /* without refs/heads/ */
    const char *mark;   /* "NAME=value" in git's environment, for wh_proc_kill_marked */
    apr_int64_t max_bytes;
    wh_mono_t deadline;
    apr_int64_t limit_s; /* the deadline as it is told to people */
    const wh_cancel_t *cancel;
    const wh_clock_t *clock;
} wh_source_opts_t;

typedef struct wh_source_t {
    wh_source_opts_t opts;
    const char *git_dir;
    const char *pin; /* http.curloptResolve, "" for a local repository */
    const char *address; /* where an ssh address leads to */
    char sha[65];
    const char *tree;    /* what is read: the commit, or what compose.h made of it */
    const char *message; /* at most 1 KiB */
    const char *author;
    apr_time_t at;
} wh_source_t;

/* Bring the commit into the cache and resolve it. Codes: repository_refused, repository_auth,
 * ref_not_found, clone_failed, too_large, deadline, canceled, internal. */
apr_status_t wh_source_fetch(apr_pool_t *p, const wh_source_opts_t *opts, wh_source_t **source,
                             wh_err_t *err) WH_MUST_CHECK;

/* Each entry below `subdir` ("" = the top), depth first, paths relative to it. fn may end it early;
 * its result is in *ended (0 = read to the end). Codes: output_missing when there is no such
 * directory. */
apr_status_t wh_source_list(apr_pool_t *p, const wh_source_t *source, const char *subdir,
                            wh_lstree_fn *fn, void *baton, int *ended, wh_err_t *err) WH_MUST_CHECK;

/* One entry by its path below the top; APR_NOTFOUND when there is none. *entry's path is in p. */
apr_status_t wh_source_stat(apr_pool_t *p, const wh_source_t *source, const char *path,
                            wh_lstree_entry_t *entry, wh_err_t *err) WH_MUST_CHECK;

/* The entries of n paths below the top, those that are there; with each the directories on the way
 * to it. Codes: clone_failed. */
apr_status_t wh_source_stats(apr_pool_t *p, const wh_source_t *source, const char *const *paths,
                             size_t n, wh_lstree_fn *fn, void *baton, wh_err_t *err) WH_MUST_CHECK;

/* The contents of n blobs in the order of oids. */
typedef struct wh_source_read_t {
    const char *const *oids;
    size_t n;
    wh_catfile_fn *fn;
    void *baton;
} wh_source_read_t;
apr_status_t wh_source_read(apr_pool_t *p, const wh_source_t *source, const wh_source_read_t *what,
                            int *ended, wh_err_t *err) WH_MUST_CHECK;

/* Start `git archive` of `subdir` as a tar stream at proc->out_fd; wh_proc_end must follow. */
apr_status_t wh_source_archive(apr_pool_t *p, const wh_source_t *source, const char *subdir,
                               wh_proc_t *proc, wh_err_t *err) WH_MUST_CHECK;

#endif
