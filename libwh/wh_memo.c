/* wh_memo: see wh_memo.h. */
#include <stdlib.h>
#include <string.h>
#include <apr_thread_mutex.h>

#include "libwh/wh_memo.h"

#define SHARDS 64
#define SETS 8 /* a shard */
#define WAYS 4
#define KEY_MAX 255
#define VALUE_MAX 4096

typedef struct place_t {
    apr_uint64_t hash;
    wh_memo_version_t version;
    const void *from;
    apr_uint32_t n, size;
    apr_uint32_t asked; /* since a place was looked for */
    char *bytes;        /* key, value; NULL = free */
} place_t;

typedef struct shard_t {
    apr_thread_mutex_t *lock;
    apr_uint64_t missed[SETS]; /* the hash that was */
    place_t places[SETS][WAYS];
} shard_t;

struct wh_memo_t {
    shard_t shards[SHARDS];
};

/* Eight bytes a step. Who can choose names gains nothing: what collides takes turns. */
static apr_uint64_t hash_of(const char *s, size_t n)
{
    apr_uint64_t h = n * 0x9E3779B97F4A7C15u, word;

    for (; n >= sizeof(word); n -= sizeof(word), s += sizeof(word)) {
        memcpy(&word, s, sizeof(word));
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, s, n);
    h = (h ^ word) * 0xC4CEB9FE1A85EC53u;
    return h ^ (h >> 29);
}

static shard_t *shard_of(wh_memo_t *memo, apr_uint64_t hash)
{
    return &memo->shards[hash % SHARDS];
}

static size_t set_of(apr_uint64_t hash)
{
    return hash / SHARDS % SETS;
}

static void clear(place_t *place)
{
    free(place->bytes);
    memset(place, 0, sizeof(*place));
}

static apr_status_t drop_all(void *data)
{
    wh_memo_t *memo = data;

    for (int i = 0; i < SHARDS; i++)
        for (int k = 0; k < SETS * WAYS; k++)
            clear(&memo->shards[i].places[k / WAYS][k % WAYS]);
    return APR_SUCCESS;
}

wh_memo_t *wh_memo_make(apr_pool_t *p)
{
    wh_memo_t *memo = apr_pcalloc(p, sizeof(*memo));

    for (int i = 0; i < SHARDS; i++)
        if (apr_thread_mutex_create(&memo->shards[i].lock, APR_THREAD_MUTEX_DEFAULT, p))
            return NULL;
    apr_pool_cleanup_register(p, memo, drop_all, apr_pool_cleanup_null);
    return memo;
}

static place_t *find(shard_t *shard, apr_uint64_t hash, const char *key, size_t n)
{
    place_t *set = shard->places[set_of(hash)];

    for (int i = 0; i < WAYS; i++)
        if (set[i].hash == hash && set[i].bytes && set[i].n == n &&
            memcmp(set[i].bytes, key, n) == 0)
            return &set[i];
    return NULL;
}

static int same(const wh_memo_version_t *a, const wh_memo_version_t *b)
{
    return a->of[0] == b->of[0] && a->of[1] == b->of[1];
}

void *wh_memo_find(wh_memo_t *memo, apr_pool_t *p, const char *key, size_t n,
                   wh_memo_version_fn *version, void *baton, const void **from)
{
    apr_uint64_t hash = hash_of(key, n);
    shard_t *shard = shard_of(memo, hash);
    wh_memo_version_t now;
    place_t *place;
    void *copy = NULL;

    apr_thread_mutex_lock(shard->lock);
    place = find(shard, hash, key, n);
    if (place && version(baton, &now) && same(&now, &place->version)) {
        place->asked = 1;
        *from = place->from;
        copy = apr_palloc(p, place->size);
        memcpy(copy, place->bytes + n, place->size);
    }
    apr_thread_mutex_unlock(shard->lock);
    return copy;
}

/* Its own, a free one, or one that was not asked for since it was last looked at. */
static place_t *room(shard_t *shard, apr_uint64_t hash, const char *key, size_t n)
{
    place_t *set = shard->places[set_of(hash)];
    place_t *place = find(shard, hash, key, n);

    for (int i = 0; i < WAYS && !place; i++)
        if (!set[i].bytes)
            place = &set[i];
    if (place)
        return place;
    if (shard->missed[set_of(hash)] != hash) {
        shard->missed[set_of(hash)] = hash;
        return NULL;
    }
    for (int i = 0; i < WAYS; i++) {
        if (!set[i].asked)
            return &set[i];
        set[i].asked = 0;
    }
    return &set[hash >> 62];
}

int wh_memo_wants(wh_memo_t *memo, const char *key, size_t n)
{
    apr_uint64_t hash = hash_of(key, n);
    shard_t *shard = shard_of(memo, hash);
    int wants;

    apr_thread_mutex_lock(shard->lock);
    wants = n <= KEY_MAX && room(shard, hash, key, n) != NULL;
    apr_thread_mutex_unlock(shard->lock);
    return wants;
}

void wh_memo_keep(wh_memo_t *memo, const char *key, size_t n, const wh_memo_version_t *version,
                  const void *value, size_t size)
{
    apr_uint64_t hash = hash_of(key, n);
    shard_t *shard = shard_of(memo, hash);
    place_t *place;
    char *bytes;

    if (n > KEY_MAX || size > VALUE_MAX)
        return;
    apr_thread_mutex_lock(shard->lock);
    place = room(shard, hash, key, n);
    bytes = place ? malloc(n + size) : NULL;
    if (bytes) {
        clear(place);
        memcpy(bytes, key, n);
        memcpy(bytes + n, value, size);
        *place = (place_t){.hash = hash,
                           .version = *version,
                           .from = value,
                           .n = (apr_uint32_t)n,
                           .size = (apr_uint32_t)size,
                           .asked = 1,
                           .bytes = bytes};
    }
    apr_thread_mutex_unlock(shard->lock);
}

void wh_memo_sync(wh_memo_t *memo)
{
    for (int i = 0; i < SHARDS; i++) {
        apr_thread_mutex_lock(memo->shards[i].lock);
        apr_thread_mutex_unlock(memo->shards[i].lock);
    }
}
