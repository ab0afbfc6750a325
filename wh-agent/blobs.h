/* What is known of blobs: git's id to SHA-256. One file a cache, lines "<oid> <sha256>\n", only
 * ever appended to, read as a whole; a line torn by a crash is passed over. */
#ifndef WH_AGENT_BLOBS_H
#define WH_AGENT_BLOBS_H

#include <apr_hash.h>
#include "libwh/wh_err.h"

typedef struct wh_blobs_t wh_blobs_t;

/* Read the file at path; one that is missing, unreadable or too large counts as empty. Never NULL.
 */
wh_blobs_t *wh_blobs_open(apr_pool_t *p, const char *path);

/* 64 hex digits, or NULL. Borrowed. */
const char *wh_blobs_find(const wh_blobs_t *blobs, const char *oid);

/* Remember; both are copied. */
void wh_blobs_add(wh_blobs_t *blobs, const char *oid, const char *sha256);

/* Append what was added since it was opened. A failure is of no account: it is a cache. */
void wh_blobs_save(wh_blobs_t *blobs);

#endif
