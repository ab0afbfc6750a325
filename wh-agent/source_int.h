/* What source.c, source_read.c, compose.c and lfs.c share: running git in the cache. */
#ifndef WH_AGENT_SOURCE_INT_H
#define WH_AGENT_SOURCE_INT_H

#include <apr_tables.h>
#include "wh-agent/source.h"

typedef struct wh_source_run_t {
    const char *const *args; /* after `git --git-dir=…`; ends with NULL */
    int in_fd;               /* -1 = none */
    wh_proc_out_fn *out;
    void *baton;
    const char *index; /* the index file that git works with; NULL = none */
} wh_source_run_t;

/* Run git. What stopped it from outside becomes an error here; how it exited is the caller's. */
apr_status_t wh_source_git(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                           wh_proc_result_t *result, wh_err_t *err) WH_MUST_CHECK;
/* The same, and that it did not exit with 0 is an error too: clone_failed, `what` and its words. */
apr_status_t wh_source_git_ok(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                              const char *what, wh_err_t *err) WH_MUST_CHECK;
int wh_source_git_exited(const wh_proc_result_t *result, int status);

/* For wh_proc_start. */
void wh_source_proc_opts(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                         wh_proc_opts_t *opts);

/* What git reads from its standard input: a file in memory, so that reading its answers never waits
 * for our own writing. The caller closes *fd. */
apr_status_t wh_source_input(const char *buf, size_t n, int *fd, wh_err_t *err) WH_MUST_CHECK;

/* Output into a text of at most max bytes; more is refused (WH_PROC_REFUSED). */
typedef struct wh_source_text_t {
    apr_pool_t *p;
    char *buf; /* with a NUL behind its n bytes */
    size_t n, max, room;
} wh_source_text_t;
void wh_source_text_init(wh_source_text_t *text, apr_pool_t *p, size_t max);
int wh_source_text_add(void *baton, const char *buf, size_t n);

/* Fetch opts.sha of opts.url, another repository than the cache's own, to ref; with what opts.auth
 * has for it. Codes as wh_source_fetch. */
apr_status_t wh_source_fetch_to(apr_pool_t *p, wh_source_t *source, const char *ref,
                                wh_err_t *err) WH_MUST_CHECK;

/* Look opts.url up, and put what opts.auth has for it where git finds it; wh_gitauth_drop follows.
 */
apr_status_t wh_source_reach(apr_pool_t *p, wh_source_t *source, wh_err_t *err) WH_MUST_CHECK;

#endif
