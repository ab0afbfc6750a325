/* wh_memo: what was worked out for a text lately, each good for one version of what it came from.
 *
 * Values are bytes, copied in and out, so nothing of one user is held by another. 2,048 places at
 * most, in sets of four: the hash of a text says which. In a full set a text gets a place when it
 * is asked for again before another of its set is missed: who walks through a hundred thousand
 * names drives nothing out and pays for nothing. Any thread: 64 locks, each held for a comparison
 * and a copy. */
#ifndef WH_MEMO_H
#define WH_MEMO_H

#include <apr_pools.h>

#include "libwh/wh_types.h"

typedef struct wh_memo_t wh_memo_t;

typedef struct wh_memo_version_t {
    apr_uint64_t of[2];
} wh_memo_version_t;

/* The version in force, 0 when there is none. Called under a lock: quick, and no wh_memo inside. */
typedef int wh_memo_version_fn(void *baton, wh_memo_version_t *out);

/* NULL when there are no locks to be had. What is kept goes with p. */
wh_memo_t *wh_memo_make(apr_pool_t *p);

/* A copy in p of what is kept for the n bytes of key, if it is of the version in force, else NULL.
 * *from is where it lay when it was kept, for pointers into itself. */
void *wh_memo_find(wh_memo_t *memo, apr_pool_t *p, const char *key, size_t n,
                   wh_memo_version_fn *version, void *baton, const void **from);

/* Asked when nothing was found: 1 when the key is to have a place. */
int wh_memo_wants(wh_memo_t *memo, const char *key, size_t n);

/* Keeps a copy of size bytes as of that version, if the key is to have a place. */
void wh_memo_keep(wh_memo_t *memo, const char *key, size_t n, const wh_memo_version_t *version,
                  const void *value, size_t size);

/* Returns when nobody is in the version function any more who began before: what it spoke of may
 * go. */
void wh_memo_sync(wh_memo_t *memo);

#endif
