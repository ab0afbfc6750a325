/* wh_hash: where a text lies in a table.
 *
 * Keyed (SipHash-1-3) where somebody else chooses the texts, as a site does its paths: without the
 * key nobody can choose them so that they all meet. Plain (FNV-1a) for what we name ourselves.
 * Neither is a proof of anything. Pure and thread-safe. */
#ifndef WH_HASH_H
#define WH_HASH_H

#include "libwh/wh_types.h"

/* 16 random bytes, made once by who makes the tables. */
typedef struct wh_hash_key_t {
    uint64_t k0, k1;
} wh_hash_key_t;

/* Of a followed by b, as if they were one: no copy is needed for "docs/" and "index.html". */
uint64_t wh_hash_keyed(const wh_hash_key_t *key, const char *a, size_t na, const char *b,
                       size_t nb);

/* Begin with WH_HASH_PLAIN; what comes out may be given in again with what follows. */
#define WH_HASH_PLAIN UINT64_C(14695981039346656037)
uint64_t wh_hash_plain(uint64_t hash, const char *s, size_t n);

#endif
