/* What is known of the compressed variants of contents: SHA-256 of the content to what came of
 * compressing it, be it nothing. One file a cache, beside the git cache's others; bounded by being
 * begun anew when it has grown too large, or when other libraries make other bytes:
 *
 *   wisehost-variants 1 <libraries>\n
 *   <sha256> <tier>[ <coding> <sha256> <size>]…\n
 *
 * A line torn by a crash is passed over. Belongs to one thread. */
#ifndef WH_AGENT_VARIANTS_H
#define WH_AGENT_VARIANTS_H

#include "wh-agent/compress.h"

typedef struct wh_variants_entry_t {
    wh_compress_tier_e tier; /* that made them */
    int any;                 /* 0 = it does not get smaller */
    wh_manifest_variant_t of[WH_CODINGS];
} wh_variants_entry_t;

typedef struct wh_variants_t wh_variants_t;

/* Read the file at path; one that is missing or of no use counts as empty. Never NULL. */
wh_variants_t *wh_variants_open(apr_pool_t *p, const char *path);

/* What is known of a content, or NULL. Borrowed. */
const wh_variants_entry_t *wh_variants_find(const wh_variants_t *v, const char *sha256);

/* Remember; both are copied. */
void wh_variants_add(wh_variants_t *v, const char *sha256, const wh_variants_entry_t *entry);

/* Append what was added since it was opened. A failure is of no account: it is a cache. */
void wh_variants_save(wh_variants_t *v);

/* They turned out to be wrong: the file goes. */
void wh_variants_forget(const wh_variants_t *v);

#endif
