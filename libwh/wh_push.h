/* wh_push: what a git push may bring and what its options say (docs/git-push.md). Thread-safe. */
#ifndef WH_PUSH_H
#define WH_PUSH_H

#include <apr_pools.h>

#include "libwh/wh_err.h"
#include "libwh/wh_model.h"

#define WH_PUSH_REFS_MAX 16    /* of one push */
#define WH_PUSH_OPTIONS_MAX 16 /* of one push */

typedef struct wh_push_opts_t {
    int preview;             /* of each branch, wherever it would go else */
    int no_wait;             /* the push ends when the deployment is asked for */
    int no_deploy;           /* nothing is deployed */
    int strict;              /* the push is refused when the deployment fails */
    const char *environment; /* "" = where the branch goes */
    const char *kind;        /* of an app that the push makes; "" = as its tree looks */
} wh_push_opts_t;

/* One option (`git push -o TEXT`) into opts, which begins as all zero with texts "".
 * Code: push_option (400), the text says which there are. Strings point into p. */
apr_status_t wh_push_option(apr_pool_t *p, const char *text, wh_push_opts_t *opts,
                            wh_err_t *err) WH_MUST_CHECK;

/* That the options go together. Code: push_option (400). */
apr_status_t wh_push_options_check(const wh_push_opts_t *opts, wh_err_t *err) WH_MUST_CHECK;

/* The branch of "refs/heads/<branch>", pointing into ref. Code: push_ref (400) for any other ref
 * (tags, notes, what git would not have). */
apr_status_t wh_push_branch(apr_pool_t *p, const char *ref, const char **branch,
                            wh_err_t *err) WH_MUST_CHECK;

/* 1 when a commit name is all zero: there was, or will be, no such branch. */
int wh_push_none(const char *oid);

/* The branch that an app made by this push is deployed from: the only one, else main, else master,
 * else the first. branches: const char *, at least one. */
const char *wh_push_own_branch(const apr_array_header_t *branches);

#endif
