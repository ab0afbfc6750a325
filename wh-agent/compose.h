/* The tree of a repository with the files of its submodules, and with those that Git LFS keeps, in
 * the place of what stands for them. There is no checkout: they are fetched into the same cache as
 * objects, and a tree is written there that holds them; whatever reads the source afterwards sees
 * that one.
 *
 * Bounds: 64 submodules in all, 8 deep, addresses as wh_giturl_submodule lets through, each at the
 * commit that its tree names; 2000 files of LFS in all, together no more than opts.max_bytes. git's
 * own submodule command, and filters of any kind, never run. */
#ifndef WH_AGENT_COMPOSE_H
#define WH_AGENT_COMPOSE_H

#include "wh-agent/source.h"

typedef struct wh_compose_t {
    int submodules, lfs;
    const char *root;         /* only what lies below it; "" = all */
    const wh_gitauth_t *auth; /* of the repository; NULL = none */
    int n_submodules, n_lfs;  /* out: how many were put in */
    apr_int64_t lfs_bytes;
} wh_compose_t;

/* Codes: those of wh_source_fetch. */
apr_status_t wh_compose(apr_pool_t *p, wh_source_t *source, wh_compose_t *compose,
                        wh_err_t *err) WH_MUST_CHECK;

#endif
