/*
 * Workers of mod_proxy that this module makes itself.
 *
 * mod_proxy's generic worker keeps no connection, and workers of the configuration cannot follow a
 * deployment. So each target (address:port, or the scheduler's socket) gets a proxy_worker of its
 * own on first use, in a pool of its own. An LRU of WiseHostProxyTargets bounds them; one that no
 * request holds falls out with its connections.
 *
 * mod_proxy's functions are looked up at start, so that a server without mod_proxy gets a sentence
 * instead of an unresolved symbol, and LoadModule may come in any order.
 */
#include <dlfcn.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mod_wisehost/wh_mod_lru.h"
#include "mod_wisehost/wh_mod_proxy.h"

#define WH_TARGET_TTL_S 4           /* below the 5 s after which node closes an idle connection */
#define WH_TARGET_KEEP 2            /* idle connections a target */
#define WH_TARGET_IDLE_S 60         /* a target unused that long is dropped with its sockets */
#define WH_TARGET_HUB_TIMEOUT_S 120 /* above the 75 s in which the hub misses a pong */

typedef __typeof__(ap_proxy_define_worker) wh_define_worker_fn;
typedef __typeof__(ap_proxy_initialize_worker) wh_initialize_worker_fn;

typedef struct wh_entry_t wh_entry_t;
struct wh_entry_t {
    wh_mod_lru_t link; /* first member */
    wh_target_t target;
    wh_entry_t *next_dead;
    apr_pool_t *pool;
    const char *key;
    int key_len;
    int users;
    apr_time_t last_used;
};

/* Port, timeout and address as they are: no text is made of them for a request. */
typedef struct wh_key_t {
    char bytes[8 + WH_ROUTE_STRING_MAX];
    int len;
} wh_key_t;

typedef struct wh_targets_t {
    apr_thread_mutex_t *lock;
    server_rec *server;
    apr_hash_t *by_key;
    wh_mod_lru_t lru;
    int n;
    int max;
} wh_targets_t;

/* Set in post_config, read-only afterwards. */
static wh_define_worker_fn *define_worker;
static wh_initialize_worker_fn *initialize_worker;

static wh_targets_t child;

static wh_entry_t *entry_of(wh_mod_lru_t *node)
{
    return (wh_entry_t *)(void *)node;
}

int wh_mod_target_post_config(void)
{
    *(void **)(void *)&define_worker = dlsym(RTLD_DEFAULT, "ap_proxy_define_worker");
    *(void **)(void *)&initialize_worker = dlsym(RTLD_DEFAULT, "ap_proxy_initialize_worker");
    return define_worker != NULL && initialize_worker != NULL;
}

static apr_status_t child_exit(void *data)
{
    wh_targets_t *c = data;

    while (c->lru.next != &c->lru) {
        wh_entry_t *t = entry_of(c->lru.next);
        wh_mod_lru_remove(&t->link);
        apr_pool_destroy(t->pool);
    }
    c->lock = NULL;
    return APR_SUCCESS;
}

void wh_mod_target_child_init(apr_pool_t *pchild, server_rec *s)
{
    memset(&child, 0, sizeof(child));
    wh_mod_lru_init(&child.lru);
    child.server = s;
    child.max = wh_mod_conf_proxy_targets(s);
    child.by_key = apr_hash_make(pchild);
    if (apr_thread_mutex_create(&child.lock, APR_THREAD_MUTEX_DEFAULT, pchild) != APR_SUCCESS) {
        child.lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "WH0160: no mutex for upstreams");
        return;
    }
    apr_pool_cleanup_register(pchild, &child, child_exit, apr_pool_cleanup_null);
}

/* A pool that several threads may make subpools of, and any thread may destroy. */
static apr_pool_t *target_pool(void)
{
    apr_allocator_t *allocator = NULL;
    apr_thread_mutex_t *mutex = NULL;
    apr_pool_t *pool = NULL;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_max_free_set(allocator, 64 * 1024);
    if (apr_pool_create_unmanaged_ex(&pool, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    if (apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return NULL;
    }
    apr_allocator_mutex_set(allocator, mutex);
    apr_pool_tag(pool, "wisehost_target");
    return pool;
}

/* The timeout is the worker's: who changes it gets another worker, the old one ages out. The hub
 * has the port 0, which no upstream has. */
static void make_key(const wh_target_ask_t *ask, wh_key_t *key)
{
    apr_int32_t head[2] = {ask->port, ask->timeout_s};
    apr_size_t n = strnlen(ask->address, WH_ROUTE_STRING_MAX);

    memcpy(key->bytes, head, sizeof(head));
    memcpy(key->bytes + sizeof(head), ask->address, n);
    key->len = (int)(sizeof(head) + n);
}

static void worker_settings(proxy_worker_shared *s, const wh_target_ask_t *ask)
{
    int timeout = ask->socket != NULL ? WH_TARGET_HUB_TIMEOUT_S : ask->timeout_s;

    s->smax = WH_TARGET_KEEP;
    s->ttl = apr_time_from_sec(WH_TARGET_TTL_S);
    s->conn_timeout = apr_time_from_sec(
        timeout > 0 && timeout < WH_TARGET_CONNECT_S ? timeout : WH_TARGET_CONNECT_S);
    s->conn_timeout_set = 1;
    apr_cpystrn(s->upgrade, "websocket", sizeof(s->upgrade));
    if (timeout > 0) {
        s->timeout = apr_time_from_sec(timeout);
        s->timeout_set = 1;
    }
}

/* As a URL has it. */
static const char *authority_of(apr_pool_t *p, const wh_target_ask_t *ask)
{
    if (ask->port == 0) {
        return apr_pstrdup(p, ask->address);
    }
    return apr_psprintf(p, ap_strchr_c(ask->address, ':') != NULL ? "[%s]:%d" : "%s:%d",
                        ask->address, ask->port);
}

static wh_entry_t *entry_make(const wh_key_t *key, const wh_target_ask_t *ask)
{
    apr_pool_t *pool = target_pool();
    wh_entry_t *t;
    const char *url;
    const char *msg;

    if (pool == NULL) {
        return NULL;
    }
    t = apr_pcalloc(pool, sizeof(*t));
    t->pool = pool;
    t->key = apr_pmemdup(pool, key->bytes, (apr_size_t)key->len);
    t->key_len = key->len;
    t->target.name = authority_of(pool, ask);
    t->target.socket = ask->socket != NULL ? apr_pstrdup(pool, ask->socket) : NULL;
    url = apr_pstrcat(pool, "http://", t->target.name, "/", NULL);
    msg = define_worker(pool, &t->target.worker, NULL, NULL, url, 0);
    if (msg == NULL) {
        worker_settings(t->target.worker->s, ask);
        if (initialize_worker(t->target.worker, child.server, pool) == APR_SUCCESS) {
            return t;
        }
        msg = "not initialised";
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, child.server, "WH0161: upstream %s: %s", url, msg);
    apr_pool_destroy(pool);
    return NULL;
}

/* Holding the lock: unlinks from the end what is over the cap or long unused, as far as nobody
 * holds it; chained to *dead for the caller to destroy without the lock. */
static void trim(wh_targets_t *c, apr_time_t now, wh_entry_t **dead)
{
    wh_mod_lru_t *node = c->lru.prev;

    while (node != &c->lru) {
        wh_entry_t *t = entry_of(node);
        wh_mod_lru_t *before = node->prev;
        int old = now - t->last_used > apr_time_from_sec(WH_TARGET_IDLE_S);

        if (c->n <= c->max && !old) {
            return;
        }
        if (t->users == 0) {
            wh_mod_lru_remove(&t->link);
            apr_hash_set(c->by_key, t->key, t->key_len, NULL);
            c->n--;
            t->next_dead = *dead;
            *dead = t;
        }
        node = before;
    }
}

static apr_status_t entry_release(void *data)
{
    wh_entry_t *t = data;

    apr_thread_mutex_lock(child.lock);
    t->users--;
    apr_thread_mutex_unlock(child.lock);
    return APR_SUCCESS;
}

/* Holding the lock: the entry of this key at the head of the list, NULL when it cannot be made. */
static wh_entry_t *entry_get(const wh_key_t *key, const wh_target_ask_t *ask)
{
    wh_entry_t *t = apr_hash_get(child.by_key, key->bytes, key->len);

    if (t != NULL) {
        wh_mod_lru_remove(&t->link);
    } else {
        t = entry_make(key, ask);
        if (t != NULL) {
            apr_hash_set(child.by_key, t->key, t->key_len, t);
            child.n++;
        }
    }
    if (t != NULL) {
        wh_mod_lru_push(&child.lru, &t->link);
    }
    return t;
}

wh_target_t *wh_mod_target_acquire(request_rec *r, const wh_target_ask_t *ask)
{
    wh_key_t key;
    wh_entry_t *dead = NULL;
    wh_entry_t *t;

    if (child.lock == NULL || define_worker == NULL || initialize_worker == NULL) {
        return NULL;
    }
    make_key(ask, &key);
    apr_thread_mutex_lock(child.lock);
    t = entry_get(&key, ask);
    if (t != NULL) {
        t->users++;
        t->last_used = r->request_time;
    }
    trim(&child, r->request_time, &dead);
    apr_thread_mutex_unlock(child.lock);
    while (dead != NULL) {
        wh_entry_t *next = dead->next_dead;
        apr_pool_destroy(dead->pool);
        dead = next;
    }
    if (t == NULL) {
        return NULL;
    }
    apr_pool_cleanup_register(r->pool, t, entry_release, apr_pool_cleanup_null);
    return &t->target;
}
