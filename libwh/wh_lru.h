/* wh_lru: a table of things by a text, the least recently used of which goes when it is full. The
 * texts are ids of ours: they are hashed without a key (wh_hash.h).
 *
 * Intrusive: the item is the first member of what the caller allocates, and its key lies there too;
 * the table owns its items and gives them back through drop(), which frees them. Nothing here
 * allocates but wh_lru_make. Not thread-safe: one thread, one table. */
#ifndef WH_LRU_H
#define WH_LRU_H

#include "libwh/wh_types.h"

typedef struct wh_lru_item_t wh_lru_item_t;
struct wh_lru_item_t {
    wh_lru_item_t *chain;         /* of its bucket */
    wh_lru_item_t *newer, *older; /* by use */
    const char *key;              /* set before wh_lru_add; lives as long as the item */
    apr_uint32_t hash;
};

typedef void wh_lru_drop_fn(void *baton, wh_lru_item_t *item);
typedef struct wh_lru_t wh_lru_t;

/* At most max items (at least 1). What is left is dropped with p. */
wh_lru_t *wh_lru_make(apr_pool_t *p, int max, wh_lru_drop_fn *drop, void *baton);

/* The item of that key, now the newest; NULL = none. */
wh_lru_item_t *wh_lru_find(wh_lru_t *lru, const char *key);

/* Takes an item over as the newest; its key must not be there yet. The oldest is dropped before
 * when the table is full. */
void wh_lru_add(wh_lru_t *lru, wh_lru_item_t *item);

/* Drops one item, or all. */
void wh_lru_remove(wh_lru_t *lru, wh_lru_item_t *item);
void wh_lru_clear(wh_lru_t *lru);

int wh_lru_count(const wh_lru_t *lru);

/* From the newest (item NULL) to the oldest; NULL at the end. Get the next before removing one. */
wh_lru_item_t *wh_lru_next(const wh_lru_t *lru, const wh_lru_item_t *item);

#endif
