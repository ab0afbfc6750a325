#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "libwh/wh_lru.h"
#include "libwh/wh_recent.h"
#include "libwh/wh_sign.h"

#define ETAG_LEN (WH_SHA256_HEX + 2)

/* One allocation: the struct, the key, the text. */
typedef struct entry_t {
    wh_lru_item_t item; /* first member */
    wh_mono_t made, making;
    int is_making;
    size_t len;
    char etag[ETAG_LEN + 1];
    char bytes[]; /* key NUL text NUL */
} entry_t;

struct wh_recent_t {
    wh_lru_t *lru;
    size_t bytes, max_bytes;
    apr_interval_time_t fresh_us;
};

static entry_t *entry_of(wh_lru_item_t *item)
{
    return (entry_t *)(void *)item;
}

static const char *text_of(const entry_t *e)
{
    return e->bytes + strlen(e->item.key) + 1;
}

static void drop(void *baton, wh_lru_item_t *item)
{
    wh_recent_t *recent = baton;

    recent->bytes -= entry_of(item)->len;
    free(entry_of(item));
}

wh_recent_t *wh_recent_make(apr_pool_t *p, int max, size_t max_bytes, apr_interval_time_t fresh_us)
{
    wh_recent_t *recent = apr_pcalloc(p, sizeof(*recent));

    recent->max_bytes = max_bytes;
    recent->fresh_us = fresh_us;
    recent->lru = wh_lru_make(p, max, drop, recent);
    return recent;
}

static void tell(const entry_t *e, wh_mono_t now, wh_recent_doc_t *doc)
{
    *doc = (wh_recent_doc_t){.text = NULL};
    if (e)
        *doc = (wh_recent_doc_t){
            .text = text_of(e), .len = e->len, .etag = e->etag, .age_us = now.us - e->made.us};
}

wh_recent_e wh_recent_find(wh_recent_t *recent, const char *key, wh_mono_t now,
                           wh_recent_doc_t *doc)
{
    wh_lru_item_t *item = wh_lru_find(recent->lru, key);
    entry_t *e = item ? entry_of(item) : NULL;

    tell(e, now, doc);
    if (!e)
        return WH_RECENT_MAKE;
    if (doc->age_us < recent->fresh_us ||
        (e->is_making && now.us - e->making.us < recent->fresh_us))
        return WH_RECENT_FRESH;
    e->is_making = 1;
    e->making = now;
    return WH_RECENT_MAKE;
}

static entry_t *entry_make(const char *key, const char *text, size_t len)
{
    unsigned char sum[WH_SHA256_LEN];
    size_t key_len = strlen(key) + 1;
    entry_t *e = calloc(1, sizeof(*e) + key_len + len + 1);

    if (!e)
        return NULL;
    memcpy(e->bytes, key, key_len);
    memcpy(e->bytes + key_len, text, len);
    e->item.key = e->bytes;
    e->len = len;
    wh_sign_sha256(text, len, sum);
    e->etag[0] = e->etag[ETAG_LEN - 1] = '"';
    for (int i = 0; i < WH_SHA256_LEN; i++) {
        e->etag[1 + 2 * i] = "0123456789abcdef"[sum[i] >> 4];
        e->etag[2 + 2 * i] = "0123456789abcdef"[sum[i] & 15];
    }
    return e;
}

void wh_recent_put(wh_recent_t *recent, const char *key, const char *text, size_t len,
                   wh_mono_t now, wh_recent_doc_t *doc)
{
    wh_lru_item_t *old = wh_lru_find(recent->lru, key), *item;
    entry_t *e = len <= recent->max_bytes ? entry_make(key, text, len) : NULL;

    if (old)
        wh_lru_remove(recent->lru, old);
    *doc = (wh_recent_doc_t){.text = text, .len = len};
    if (!e)
        return;
    e->made = now;
    while (recent->bytes + len > recent->max_bytes) {
        wh_lru_item_t *oldest = NULL;

        for (item = wh_lru_next(recent->lru, NULL); item; item = wh_lru_next(recent->lru, item))
            oldest = item;
        wh_lru_remove(recent->lru, oldest);
    }
    recent->bytes += len;
    wh_lru_add(recent->lru, &e->item);
    tell(e, now, doc);
}

void wh_recent_failed(wh_recent_t *recent, const char *key, wh_mono_t now, wh_recent_doc_t *doc)
{
    wh_lru_item_t *item = wh_lru_find(recent->lru, key);
    entry_t *e = item ? entry_of(item) : NULL;

    tell(e, now, doc);
    if (e)
        e->is_making = 0;
}
