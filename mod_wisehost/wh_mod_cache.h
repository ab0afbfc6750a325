/*
 * wh_mod_cache.h - contents of small objects, kept in memory by each child.
 *
 * An object never changes and its name is the hash of its content, so nothing kept is ever stale,
 * and releases and applications share what is alike. A content is mapped, so that its bytes are the
 * kernel's own, shared by all children; a tiny one, and with EnableMMAP Off all of them, is a copy.
 * Bounded in bytes (WiseHostCacheSize); what was not asked for lately goes first. Sixteen shards
 * with a lock each, held for a look-up and never over I/O. A content lives until the last bucket
 * that refers to it is gone, so it may fall out of the cache while it is being sent, also by
 * another thread (HTTP/2).
 */
#ifndef WH_MOD_CACHE_H
#define WH_MOD_CACHE_H

#include <apr_buckets.h>
#include <apr_pools.h>

#define WH_MOD_CACHE_OBJECT_MAX ((apr_off_t)64 * 1024) /* larger ones are left to the kernel */

typedef struct wh_mod_content_t wh_mod_content_t;

/* Makes the cache of this child; bytes 0 = there is none. */
void wh_mod_cache_child_init(apr_pool_t *pchild, apr_size_t bytes);

/* The content of an object (64 hex digits), with a reference that the caller gives back or puts
 * into a bucket; NULL = not here. */
wh_mod_content_t *wh_mod_cache_find(const char *sha256);

/* 1 when an object of that size would be kept. */
int wh_mod_cache_wants(apr_off_t size);

/* The first size bytes of a file, with one reference: mapped when `map` is set and it is worth it,
 * else read. fd is the caller's to close. NULL when memory ran out or the file is shorter. */
wh_mod_content_t *wh_mod_content_make(int fd, apr_size_t size, int map);

/* Keeps it under that name, unless another thread was faster. The caller's reference stays his. */
void wh_mod_cache_keep(const char *sha256, wh_mod_content_t *content);

void wh_mod_content_release(wh_mod_content_t *content);

/* A bucket over all of it; takes the caller's reference over. Set aside and copied for nothing. */
apr_bucket *wh_mod_content_bucket(wh_mod_content_t *content, apr_bucket_alloc_t *list);

#endif
