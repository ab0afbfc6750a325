/* See wh_mod_cache.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <apr_atomic.h>
#include <apr_thread_mutex.h>

#include "mod_wisehost/mod_wisehost.h"

#include "libwh/wh_file.h"
#include "mod_wisehost/wh_mod_cache.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_lru.h"

#define SHARDS 16
#define CHAINS 1024 /* a shard */
#define NAME_LEN 64
#define MAP_MIN 1024 /* smaller ones are not worth a mapping */
/* What a mapping counts in steps of: 256 MiB are 32768 of them at most, half of what the kernel
 * gives a process (vm.max_map_count). */
#define MAP_WEIGHT 8192

struct wh_mod_content_t {
    wh_mod_lru_t link; /* first member */
    wh_mod_content_t *chain;
    char name[NAME_LEN];
    apr_uint32_t refs;  /* atomic; the cache holds one */
    apr_uint32_t asked; /* since it was last looked at for removal; written under the lock */
    apr_size_t size;
    int mapped;
    char *data; /* mapped, or the bytes behind this */
};

typedef struct shard_t {
    apr_thread_mutex_t *lock;
    wh_mod_lru_t order; /* newest first; asked for = a second chance */
    apr_size_t bytes;
    wh_mod_content_t *chains[CHAINS];
} shard_t;

typedef struct cache_t {
    shard_t shards[SHARDS];
    apr_size_t max; /* bytes a shard */
} cache_t;

static cache_t *cache;

/* The name is a hash already; eight of its digits, mixed. */
static apr_uint32_t hash_of(const char *name)
{
    apr_uint64_t h;

    memcpy(&h, name, sizeof(h));
    h *= 0x9E3779B97F4A7C15u;
    return (apr_uint32_t)(h >> 40);
}

static shard_t *shard_of(apr_uint32_t hash)
{
    return &cache->shards[hash % SHARDS];
}

static wh_mod_content_t **chain_of(shard_t *shard, apr_uint32_t hash)
{
    return &shard->chains[hash / SHARDS % CHAINS];
}

static apr_size_t weight(const wh_mod_content_t *content)
{
    apr_size_t bytes = content->size;

    if (content->mapped) {
        bytes = (bytes + MAP_WEIGHT - 1) / MAP_WEIGHT * MAP_WEIGHT;
    }
    return sizeof(*content) + bytes;
}

static wh_mod_content_t *content_of(wh_mod_lru_t *node)
{
    return (wh_mod_content_t *)(void *)node;
}

static apr_status_t child_exit(void *data)
{
    cache_t *c = data;
    int i;

    for (i = 0; i < SHARDS; i++) {
        while (c->shards[i].order.next != &c->shards[i].order) {
            wh_mod_content_t *content = content_of(c->shards[i].order.next);
            wh_mod_lru_remove(&content->link);
            wh_mod_content_release(content);
        }
    }
    cache = NULL;
    return APR_SUCCESS;
}

void wh_mod_cache_child_init(apr_pool_t *pchild, apr_size_t bytes)
{
    cache_t *c;
    int i;

    cache = NULL;
    if (bytes == 0) {
        return;
    }
    c = apr_pcalloc(pchild, sizeof(*c));
    c->max = bytes / SHARDS;
    for (i = 0; i < SHARDS; i++) {
        wh_mod_lru_init(&c->shards[i].order);
        if (apr_thread_mutex_create(&c->shards[i].lock, APR_THREAD_MUTEX_DEFAULT, pchild) !=
            APR_SUCCESS) {
            return; /* served from files, then */
        }
    }
    cache = c;
    apr_pool_cleanup_register(pchild, c, child_exit, apr_pool_cleanup_null);
}

static wh_mod_content_t *find(const wh_mod_content_t *const *chain, const char *name)
{
    const wh_mod_content_t *content = *chain;

    while (content != NULL && memcmp(content->name, name, NAME_LEN) != 0) {
        content = content->chain;
    }
    return (wh_mod_content_t *)(uintptr_t)content;
}

wh_mod_content_t *wh_mod_cache_find(const char *sha256)
{
    apr_uint32_t hash;
    shard_t *shard;
    wh_mod_content_t *content;

    if (cache == NULL) {
        return NULL;
    }
    hash = hash_of(sha256);
    shard = shard_of(hash);
    apr_thread_mutex_lock(shard->lock);
    content = find((const wh_mod_content_t *const *)chain_of(shard, hash), sha256);
    if (content != NULL) {
        content->asked = 1;
        apr_atomic_inc32(&content->refs);
    }
    apr_thread_mutex_unlock(shard->lock);
    return content;
}

int wh_mod_cache_wants(apr_off_t size)
{
    return cache != NULL && size <= WH_MOD_CACHE_OBJECT_MAX &&
           (apr_size_t)size + sizeof(wh_mod_content_t) <= cache->max;
}

static wh_mod_content_t *content_alloc(apr_size_t size, apr_size_t behind)
{
    wh_mod_content_t *content = malloc(sizeof(*content) + behind);

    if (content != NULL) {
        memset(content, 0, sizeof(*content));
        content->size = size;
        content->data = (char *)(content + 1);
        apr_atomic_set32(&content->refs, 1);
    }
    return content;
}

wh_mod_content_t *wh_mod_content_make(int fd, apr_size_t size, int map)
{
    wh_mod_content_t *content;
    void *at = MAP_FAILED;
    apr_size_t got;

    if (map && size >= MAP_MIN) {
        at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    }
    content = content_alloc(size, at == MAP_FAILED ? size : 0);
    if (content == NULL) {
        if (at != MAP_FAILED) {
            (void)munmap(at, size);
        }
        return NULL;
    }
    if (at != MAP_FAILED) {
        content->mapped = 1;
        content->data = at;
    } else if (wh_file_get(fd, content->data, size, &got) || got != size) {
        free(content);
        return NULL;
    }
    return content;
}

void wh_mod_content_release(wh_mod_content_t *content)
{
    if (apr_atomic_dec32(&content->refs) == 0) {
        if (content->mapped) {
            (void)munmap(content->data, content->size);
        }
        free(content);
    }
}

static void unchain(shard_t *shard, wh_mod_content_t *content)
{
    wh_mod_content_t **at = chain_of(shard, hash_of(content->name));

    while (*at != content) {
        at = &(*at)->chain;
    }
    *at = content->chain;
    wh_mod_lru_remove(&content->link);
    shard->bytes -= weight(content);
    wh_mod_count_by(WH_COUNT_CACHE_ENTRIES, -1);
    wh_mod_count_by(WH_COUNT_CACHE_BYTES, -(apr_int64_t)weight(content));
}

/* Holding the lock: makes room for `more` bytes. What goes is chained to *dead. */
static void make_room(shard_t *shard, apr_size_t more, wh_mod_content_t **dead)
{
    while (shard->bytes + more > cache->max && shard->order.prev != &shard->order) {
        wh_mod_content_t *oldest = content_of(shard->order.prev);

        if (oldest->asked) {
            oldest->asked = 0;
            wh_mod_lru_remove(&oldest->link);
            wh_mod_lru_push(&shard->order, &oldest->link);
            continue;
        }
        unchain(shard, oldest);
        oldest->chain = *dead;
        *dead = oldest;
    }
}

void wh_mod_cache_keep(const char *sha256, wh_mod_content_t *content)
{
    apr_uint32_t hash = hash_of(sha256);
    wh_mod_content_t *dead = NULL;
    wh_mod_content_t **chain;
    shard_t *shard;

    if (!wh_mod_cache_wants((apr_off_t)content->size)) {
        return;
    }
    memcpy(content->name, sha256, NAME_LEN);
    shard = shard_of(hash);
    apr_thread_mutex_lock(shard->lock);
    chain = chain_of(shard, hash);
    if (find((const wh_mod_content_t *const *)chain, sha256) == NULL) {
        make_room(shard, weight(content), &dead);
        apr_atomic_inc32(&content->refs);
        content->chain = *chain;
        *chain = content;
        wh_mod_lru_push(&shard->order, &content->link);
        shard->bytes += weight(content);
        wh_mod_count(WH_COUNT_CACHE_ENTRIES);
        wh_mod_count_by(WH_COUNT_CACHE_BYTES, (apr_int64_t)weight(content));
    }
    apr_thread_mutex_unlock(shard->lock);
    while (dead != NULL) {
        wh_mod_content_t *next = dead->chain;
        wh_mod_content_release(dead);
        dead = next;
    }
}

/* ---- the bucket ------------------------ */

typedef struct bucket_t {
    apr_bucket_refcount refcount; /* first member */
    wh_mod_content_t *content;
} bucket_t;

static void bucket_destroy(void *data)
{
    bucket_t *b = data;

    if (apr_bucket_shared_destroy(b)) {
        wh_mod_content_release(b->content);
        apr_bucket_free(b);
    }
}

static apr_status_t bucket_read(apr_bucket *b, const char **str, apr_size_t *len,
                                apr_read_type_e block)
{
    const bucket_t *own = b->data;

    (void)block;
    *str = own->content->data + b->start;
    *len = b->length;
    return APR_SUCCESS;
}

static const apr_bucket_type_t bucket_type = {
    "WISEHOST", 5, APR_BUCKET_DATA, bucket_destroy, bucket_read, apr_bucket_setaside_noop,
    apr_bucket_shared_split, apr_bucket_shared_copy,
};

apr_bucket *wh_mod_content_bucket(wh_mod_content_t *content, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);
    bucket_t *own = apr_bucket_alloc(sizeof(*own), list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    own->content = content;
    b = apr_bucket_shared_make(b, own, 0, content->size);
    b->type = &bucket_type;
    return b;
}
