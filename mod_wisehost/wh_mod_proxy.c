/*
 * Upstreams through mod_proxy_http, over workers that this module makes itself.
 *
 * mod_proxy's generic worker keeps no connection, and workers of the configuration cannot follow a
 * deployment. So each target (address:port, or the scheduler's socket) gets a proxy_worker of its
 * own on first use, in a pool of its own; the pre_request hook of mod_proxy is handed that worker.
 * An LRU of WiseHostProxyTargets bounds them; one that no request holds falls out with its
 * connections.
 *
 * mod_proxy's three functions are looked up at start, so that a server without mod_proxy gets a
 * sentence instead of an unresolved symbol, and LoadModule may come in any order.
 */
#include <dlfcn.h>

#include <apr_atomic.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <mod_proxy.h>

#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_lru.h"

#define WH_PROXY_CONNECT_S 3
#define WH_PROXY_TTL_S 4           /* below the 5 s after which node closes an idle connection */
#define WH_PROXY_KEEP 2            /* idle connections a target */
#define WH_PROXY_IDLE_S 60         /* a target unused that long is dropped with its sockets */
#define WH_PROXY_HUB_TIMEOUT_S 120 /* above the 75 s in which the hub misses a pong */
#define WH_PROXY_ATTEMPTS 3

typedef __typeof__(ap_proxy_define_worker) wh_define_worker_fn;
typedef __typeof__(ap_proxy_initialize_worker) wh_initialize_worker_fn;
typedef __typeof__(proxy_hook_pre_request) wh_hook_pre_request_fn;

typedef struct wh_target_t wh_target_t;
struct wh_target_t {
    wh_mod_lru_t link; /* first member */
    wh_target_t *next_dead;
    apr_pool_t *pool;
    const char *key;
    const char *socket; /* unix socket, NULL for TCP */
    proxy_worker *worker;
    int users;
    apr_time_t last_used;
};

typedef struct wh_proxy_child_t {
    apr_thread_mutex_t *lock;
    server_rec *server;
    apr_hash_t *by_key;
    wh_mod_lru_t lru;
    int n;
    int max;
} wh_proxy_child_t;

/* Set in post_config, read-only afterwards. */
static wh_define_worker_fn *define_worker;
static wh_initialize_worker_fn *initialize_worker;
static ap_conf_vector_t *preserve_host; /* only mod_proxy's slot is filled */

static wh_proxy_child_t child;
static apr_uint32_t turn; /* rotates through upstreams of equal standing */

static wh_target_t *entry_of(wh_mod_lru_t *node)
{
    return (wh_target_t *)(void *)node;
}

static void *find_symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

void wh_mod_proxy_post_config(apr_pool_t *pconf, server_rec *s)
{
    module *mod = ap_find_linked_module("mod_proxy.c");
    proxy_dir_conf *dir;

    (void)s;
    define_worker = NULL;
    initialize_worker = NULL;
    preserve_host = NULL;
    if (mod == NULL) {
        return;
    }
    *(void **)(void *)&define_worker = find_symbol("ap_proxy_define_worker");
    *(void **)(void *)&initialize_worker = find_symbol("ap_proxy_initialize_worker");
    /* ProxyPreserveHost for our requests only: merged over whatever the section says. */
    preserve_host = ap_create_per_dir_config(pconf);
    dir = mod->create_dir_config(pconf, NULL);
    dir->preserve_host = 1;
    dir->preserve_host_set = 1;
    ap_set_module_config(preserve_host, mod, dir);
}

static apr_status_t child_exit(void *data)
{
    wh_proxy_child_t *c = data;

    while (c->lru.next != &c->lru) {
        wh_target_t *t = entry_of(c->lru.next);
        wh_mod_lru_remove(&t->link);
        apr_pool_destroy(t->pool);
    }
    c->lock = NULL;
    return APR_SUCCESS;
}

void wh_mod_proxy_child_init(apr_pool_t *pchild, server_rec *s)
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

static void worker_settings(proxy_worker_shared *s, const char *socket)
{
    s->smax = WH_PROXY_KEEP;
    s->ttl = apr_time_from_sec(WH_PROXY_TTL_S);
    s->conn_timeout = apr_time_from_sec(WH_PROXY_CONNECT_S);
    s->conn_timeout_set = 1;
    apr_cpystrn(s->upgrade, "websocket", sizeof(s->upgrade));
    if (socket != NULL) {
        s->timeout = apr_time_from_sec(WH_PROXY_HUB_TIMEOUT_S);
        s->timeout_set = 1;
    }
}

static wh_target_t *target_make(const char *key, const char *url, const char *socket)
{
    apr_pool_t *pool = target_pool();
    wh_target_t *t;
    const char *msg;

    if (pool == NULL) {
        return NULL;
    }
    t = apr_pcalloc(pool, sizeof(*t));
    t->pool = pool;
    t->key = apr_pstrdup(pool, key);
    t->socket = socket != NULL ? apr_pstrdup(pool, socket) : NULL;
    msg = define_worker(pool, &t->worker, NULL, NULL, url, 0);
    if (msg == NULL) {
        worker_settings(t->worker->s, socket);
        if (initialize_worker(t->worker, child.server, pool) == APR_SUCCESS) {
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
static void trim(wh_proxy_child_t *c, apr_time_t now, wh_target_t **dead)
{
    wh_mod_lru_t *node = c->lru.prev;

    while (node != &c->lru) {
        wh_target_t *t = entry_of(node);
        wh_mod_lru_t *before = node->prev;
        int old = now - t->last_used > apr_time_from_sec(WH_PROXY_IDLE_S);

        if (c->n <= c->max && !old) {
            return;
        }
        if (t->users == 0) {
            wh_mod_lru_remove(&t->link);
            apr_hash_set(c->by_key, t->key, APR_HASH_KEY_STRING, NULL);
            c->n--;
            t->next_dead = *dead;
            *dead = t;
        }
        node = before;
    }
}

static apr_status_t target_release(void *data)
{
    wh_target_t *t = data;

    apr_thread_mutex_lock(child.lock);
    t->users--;
    apr_thread_mutex_unlock(child.lock);
    return APR_SUCCESS;
}

/* The target of this key, made when it is new, held until r->pool ends. NULL when it cannot be. */
static wh_target_t *target_acquire(request_rec *r, const char *key, const char *url,
                                   const char *socket)
{
    wh_target_t *dead = NULL;
    wh_target_t *t;

    if (child.lock == NULL || define_worker == NULL || initialize_worker == NULL) {
        return NULL;
    }
    apr_thread_mutex_lock(child.lock);
    t = apr_hash_get(child.by_key, key, APR_HASH_KEY_STRING);
    if (t != NULL) {
        wh_mod_lru_remove(&t->link);
    } else {
        t = target_make(key, url, socket);
        if (t != NULL) {
            apr_hash_set(child.by_key, t->key, APR_HASH_KEY_STRING, t);
            child.n++;
        }
    }
    if (t != NULL) {
        wh_mod_lru_push(&child.lru, &t->link);
        t->users++;
        t->last_used = r->request_time;
    }
    trim(&child, r->request_time, &dead);
    apr_thread_mutex_unlock(child.lock);
    while (dead != NULL) {
        wh_target_t *next = dead->next_dead;
        apr_pool_destroy(dead->pool);
        dead = next;
    }
    if (t != NULL) {
        apr_pool_cleanup_register(r->pool, t, target_release, apr_pool_cleanup_null);
    }
    return t;
}

/* mod_proxy asks which worker serves r: ours, when this request is ours. */
static int pre_request(proxy_worker **worker, proxy_balancer **balancer, request_rec *r,
                       proxy_server_conf *conf, char **url)
{
    const wh_mod_req_t *req = wh_mod_data_get(r);

    (void)conf;
    (void)url;
    if (req == NULL || req->target == NULL) {
        return DECLINED;
    }
    *balancer = NULL;
    *worker = req->target->worker;
    if (req->target->socket != NULL) {
        apr_table_setn(r->notes, "uds_path", req->target->socket);
    }
    return OK;
}

void wh_mod_proxy_register(void)
{
    wh_hook_pre_request_fn *hook = NULL;

    *(void **)(void *)&hook = find_symbol("proxy_hook_pre_request");
    if (hook != NULL) {
        hook(pre_request, NULL, NULL, APR_HOOK_FIRST);
    }
}

/*
 * One attempt. ap_run_handler and not ap_invoke_handler: filters were inserted once already. What
 * comes back other than OK or DONE is an error before the first byte to the client.
 */
static int attempt(request_rec *r, wh_mod_req_t *req, const char *host, const char *path_query)
{
    const char *handler = r->handler;
    int rc;

    r->filename = apr_pstrcat(r->pool, "proxy:http://", host, path_query, NULL);
    r->proxyreq = PROXYREQ_REVERSE;
    r->handler = "proxy-server";
    rc = ap_run_handler(r);
    req->target = NULL;
    r->handler = handler;
    if (rc != OK && rc != DONE && rc != SUSPENDED) {
        r->proxyreq = PROXYREQ_NONE;
        apr_table_unset(r->notes, "error-notes");
        apr_table_unset(r->notes, "verbose-error-to");
        apr_table_unset(r->notes, "uds_path");
    }
    return rc;
}

/*
 * The path as the client wrote it, so that its encoding survives; unless another module rewrote the
 * URI or a mount is cut off, when the decoded path is encoded anew.
 */
static const char *upstream_path(request_rec *r, const wh_mod_req_t *req)
{
    const char *raw = r->unparsed_uri;
    const char *path;

    if (*req->mount == '\0' && r->uri == r->parsed_uri.path) {
        const char *authority = raw[0] != '/' ? ap_strstr_c(raw, "://") : NULL;

        if (authority != NULL) {
            raw = authority + 3;
            raw += strcspn(raw, "/?#");
        }
        if (*raw == '/') {
            return apr_pstrmemdup(r->pool, raw, strcspn(raw, "#"));
        }
    }
    path = ap_escape_uri(r->pool, *req->path == '/' ? req->path
                                                    : apr_pstrcat(r->pool, "/", req->path, NULL));
    return r->args != NULL ? apr_pstrcat(r->pool, path, "?", r->args, NULL) : path;
}

/* The upstream to begin with: rotates, each as often as its weight says. */
static int first_upstream(const wh_route_t *route)
{
    apr_uint32_t total = 0;
    apr_uint32_t at;
    int i;

    for (i = 0; i < route->n_upstreams; i++) {
        total += (apr_uint32_t)route->upstreams[i].weight;
    }
    if (total == 0) {
        return 0;
    }
    at = apr_atomic_inc32(&turn) % total;
    for (i = 0; i < route->n_upstreams; i++) {
        apr_uint32_t weight = (apr_uint32_t)route->upstreams[i].weight;
        if (at < weight) {
            return i;
        }
        at -= weight;
    }
    return 0;
}

static int try_upstream(request_rec *r, wh_mod_req_t *req, int i, const char *path_query)
{
    const wh_route_upstream_t *up = &req->route->upstreams[i];
    const char *host;

    if (ap_strchr_c(up->address, ':') != NULL) {
        host = apr_psprintf(r->pool, "[%s]:%d", up->address, up->port);
    } else {
        host = apr_psprintf(r->pool, "%s:%d", up->address, up->port);
    }
    req->target = target_acquire(r, host, apr_pstrcat(r->pool, "http://", host, "/", NULL), NULL);
    if (req->target == NULL) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    return attempt(r, req, host, path_query);
}

static int upstream_error(request_rec *r, const wh_mod_req_t *req, int rc)
{
    wh_err_t err = WH_ERR_INIT;

    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  "WH0162: app %s, deployment %s: no upstream answered (%d)", req->route->slug,
                  req->route->deployment_id, rc);
    if (rc == HTTP_GATEWAY_TIME_OUT) {
        (void)wh_err_set(&err, rc, "upstream_timeout", "The application did not answer in time.");
    } else if (rc == HTTP_BAD_GATEWAY) {
        (void)wh_err_set(&err, rc, "upstream_failed",
                         "The application closed the connection before it answered.");
    } else {
        (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "upstream_unreachable",
                         "The application does not answer. Try again soon.");
    }
    return wh_mod_page_send(r, &err);
}

int wh_mod_proxy_handler(request_rec *r, wh_mod_req_t *req)
{
    const wh_route_t *route = req->route;
    const char *path_query = upstream_path(r, req);
    int safe = r->method_number == M_GET && !ap_request_has_body(r);
    int at = first_upstream(route);
    int rc = HTTP_SERVICE_UNAVAILABLE;
    int n;

    if (preserve_host == NULL) {
        return upstream_error(r, req, rc); /* no mod_proxy, and only WiseHostApp to want it */
    }
    rc = wh_mod_forward_check(r);
    if (rc != OK) {
        return rc;
    }
    wh_mod_forward_headers(r, req);
    rc = HTTP_SERVICE_UNAVAILABLE;
    r->per_dir_config = ap_merge_per_dir_configs(r->pool, r->per_dir_config, preserve_host);
    /*
     * 503 means that no connection was made, and mod_proxy keeps what it read of the body for a
     * next attempt. 502 means that it was made and lost: only a GET goes elsewhere then.
     */
    for (n = 0; n < route->n_upstreams && n < WH_PROXY_ATTEMPTS; n++) {
        rc = try_upstream(r, req, (at + n) % route->n_upstreams, path_query);
        if (rc != HTTP_SERVICE_UNAVAILABLE && !(rc == HTTP_BAD_GATEWAY && safe)) {
            break;
        }
    }
    if (rc == HTTP_SERVICE_UNAVAILABLE || rc == HTTP_BAD_GATEWAY || rc == HTTP_GATEWAY_TIME_OUT) {
        return upstream_error(r, req, rc);
    }
    return rc;
}

int wh_mod_proxy_hub(request_rec *r, const char *path_query)
{
    wh_mod_req_t *req = wh_mod_data_get(r);
    wh_err_t err = WH_ERR_INIT;
    int rc = HTTP_SERVICE_UNAVAILABLE;

    if (req == NULL) {
        req = wh_mod_data_make(r, WH_PLACE_HUB);
    }
    req->target = target_acquire(r, "hub", "http://localhost/", wh_mod_conf_hub_socket(r->server));
    if (req->target != NULL) {
        apr_table_setn(r->headers_in, "X-Request-Id", wh_mod_problem_request_id(r));
        rc = attempt(r, req, "localhost", path_query);
    }
    if (rc == HTTP_SERVICE_UNAVAILABLE || rc == HTTP_BAD_GATEWAY || rc == HTTP_GATEWAY_TIME_OUT) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "WH0163: wh-scheduler on %s: %d",
                      wh_mod_conf_hub_socket(r->server), rc);
        (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "hub_unreachable",
                         "The scheduler does not answer. Try again soon.");
        return wh_mod_problem_send(r, &err);
    }
    return rc;
}
