#include <string.h>

#include "libwh/wh_hash.h"
#include "libwh/wh_lru.h"

struct wh_lru_t {
    wh_lru_item_t **buckets;
    apr_uint32_t mask;
    wh_lru_item_t ends; /* newer = the oldest, older = the newest */
    int count, max;
    wh_lru_drop_fn *drop;
    void *baton;
};

/* Plain: the keys are ids that we gave out. */
static apr_uint32_t hash_of(const char *key)
{
    uint64_t hash = wh_hash_plain(WH_HASH_PLAIN, key, strlen(key));

    return (apr_uint32_t)(hash ^ hash >> 32);
}

static apr_status_t cleanup(void *data)
{
    wh_lru_clear(data);
    return APR_SUCCESS;
}

wh_lru_t *wh_lru_make(apr_pool_t *p, int max, wh_lru_drop_fn *drop, void *baton)
{
    wh_lru_t *lru = apr_pcalloc(p, sizeof(*lru));
    apr_uint32_t size = 16;

    while (size < (apr_uint32_t)(max < 1 ? 1 : max) && size < (1U << 24))
        size *= 2;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the table holds pointers */
    lru->buckets = apr_pcalloc(p, size * sizeof(*lru->buckets));
    lru->mask = size - 1;
    lru->max = max < 1 ? 1 : max;
    lru->ends.newer = lru->ends.older = &lru->ends;
    lru->drop = drop;
    lru->baton = baton;
    apr_pool_cleanup_register(p, lru, cleanup, apr_pool_cleanup_null);
    return lru;
}

static void unlink_item(wh_lru_item_t *item)
{
    item->newer->older = item->older;
    item->older->newer = item->newer;
}

static void make_newest(wh_lru_t *lru, wh_lru_item_t *item)
{
    item->older = lru->ends.older;
    item->newer = &lru->ends;
    item->older->newer = item;
    lru->ends.older = item;
}

wh_lru_item_t *wh_lru_find(wh_lru_t *lru, const char *key)
{
    apr_uint32_t hash = hash_of(key);
    wh_lru_item_t *item = lru->buckets[hash & lru->mask];

    while (item && (item->hash != hash || strcmp(item->key, key) != 0))
        item = item->chain;
    if (item) {
        unlink_item(item);
        make_newest(lru, item);
    }
    return item;
}

void wh_lru_add(wh_lru_t *lru, wh_lru_item_t *item)
{
    wh_lru_item_t **bucket;

    if (lru->count >= lru->max)
        wh_lru_remove(lru, lru->ends.newer);
    item->hash = hash_of(item->key);
    bucket = &lru->buckets[item->hash & lru->mask];
    item->chain = *bucket;
    *bucket = item;
    make_newest(lru, item);
    lru->count++;
}

void wh_lru_remove(wh_lru_t *lru, wh_lru_item_t *item)
{
    wh_lru_item_t **at = &lru->buckets[item->hash & lru->mask];

    while (*at != item)
        at = &(*at)->chain;
    *at = item->chain;
    unlink_item(item);
    lru->count--;
    lru->drop(lru->baton, item);
}

void wh_lru_clear(wh_lru_t *lru)
{
    while (lru->count > 0)
        wh_lru_remove(lru, lru->ends.newer);
}

int wh_lru_count(const wh_lru_t *lru)
{
    return lru->count;
}

wh_lru_item_t *wh_lru_next(const wh_lru_t *lru, const wh_lru_item_t *item)
{
    wh_lru_item_t *next = item ? item->older : lru->ends.older;

    return next == &lru->ends ? NULL : next;
}
