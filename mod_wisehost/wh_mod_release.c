/*
 * Releases on disk: parsed manifests, with the rules of their sites, in a cache of the child, and
 * their objects.
 *
 * A release never changes, so a cached one is never stale; it only falls out when it was not used
 * for long. Every entry has a pool of its own and a count of requests that read it. Eight shards
 * with a lock each, so that threads do not wait for each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "libwh/wh_file.h"
#include "libwh/wh_sys.h"
#include "mod_wisehost/wh_mod_cache.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_lru.h"

#define WH_RELEASE_SHARDS 8
#define WH_RELEASE_CHAINS 512
#define WH_RELEASE_CACHE_BYTES ((apr_size_t)48 << 20)
#define WH_RELEASE_SHARD_BYTES (WH_RELEASE_CACHE_BYTES / WH_RELEASE_SHARDS)
#define WH_RELEASE_TEXT_MAX ((apr_off_t)32 << 20)
#define WH_RELEASE_WARNINGS_MAX 20
#define WH_RELEASE_RULE_BYTES 256 /* of a rule, beside its text */
#define WH_RELEASE_POOL_BYTES 8192 /* what an allocator takes at a time */

typedef struct wh_release_t wh_release_t;
struct wh_release_t {
    wh_mod_lru_t link; /* first member */
    wh_release_t *chain;
    char id[WH_MANIFEST_ID_LEN + 1];
    apr_pool_t *pool;
    wh_mod_release_t view;
    apr_size_t bytes; /* a measure, not the exact size in memory */
    int users;
    int cached;
};

typedef struct wh_shard_t {
    apr_thread_mutex_t *lock;
    wh_mod_lru_t lru;
    apr_size_t bytes;
    wh_release_t *chains[WH_RELEASE_CHAINS];
} wh_shard_t;

typedef struct wh_release_child_t {
    const char *releases; /* directory; NULL = not started */
    const char *objects;
    int objects_fd; /* -1 until first use; never closed while the child serves */
    apr_thread_mutex_t *lock; /* for that */
    wh_hash_key_t key;        /* of the tables of paths */
    wh_shard_t shards[WH_RELEASE_SHARDS];
} wh_release_child_t;

static wh_release_child_t child;

static wh_release_t *entry_of(wh_mod_lru_t *node)
{
    return (wh_release_t *)(void *)node;
}

/* An id is hex of a hash: eight digits of it, mixed. */
static apr_uint32_t hash_of(const char *id)
{
    apr_uint64_t h;

    memcpy(&h, id, sizeof(h));
    h *= 0x9E3779B97F4A7C15u;
    return (apr_uint32_t)(h >> 40);
}

static wh_shard_t *shard_of(const char *id)
{
    return &child.shards[hash_of(id) % WH_RELEASE_SHARDS];
}

static wh_release_t **chain_of(wh_shard_t *shard, const char *id)
{
    return &shard->chains[hash_of(id) / WH_RELEASE_SHARDS % WH_RELEASE_CHAINS];
}

static apr_status_t child_exit(void *data)
{
    wh_release_child_t *c = data;
    int i;

    for (i = 0; i < WH_RELEASE_SHARDS; i++) {
        while (c->shards[i].lru.next != &c->shards[i].lru) {
            wh_release_t *rel = entry_of(c->shards[i].lru.next);
            wh_mod_lru_remove(&rel->link);
            apr_pool_destroy(rel->pool);
        }
    }
    if (c->objects_fd >= 0) {
        close(c->objects_fd);
    }
    c->releases = NULL;
    return APR_SUCCESS;
}

void wh_mod_release_child_init(apr_pool_t *pchild, server_rec *s)
{
    const char *dir = wh_mod_conf_state_dir(s);
    apr_status_t rv = apr_thread_mutex_create(&child.lock, APR_THREAD_MUTEX_DEFAULT, pchild);
    int i;

    child.releases = NULL;
    child.objects_fd = -1;
    for (i = 0; i < WH_RELEASE_SHARDS && rv == APR_SUCCESS; i++) {
        wh_shard_t *shard = &child.shards[i];

        memset(shard, 0, sizeof(*shard));
        wh_mod_lru_init(&shard->lru);
        rv = apr_thread_mutex_create(&shard->lock, APR_THREAD_MUTEX_DEFAULT, pchild);
    }
    rv = rv == APR_SUCCESS ? wh_rand_fill(wh_sys_rand(), &child.key, sizeof(child.key)) : rv;
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "WH0140: no mutex or no key for releases");
        return;
    }
    child.releases = apr_pstrcat(pchild, dir, "/releases", NULL);
    child.objects = apr_pstrcat(pchild, dir, "/objects", NULL);
    apr_pool_cleanup_register(pchild, &child, child_exit, apr_pool_cleanup_null);
}

static void unchain(wh_shard_t *shard, wh_release_t *rel)
{
    wh_release_t **at = chain_of(shard, rel->id);

    while (*at != rel) {
        at = &(*at)->chain;
    }
    *at = rel->chain;
    rel->chain = NULL;
    wh_mod_lru_remove(&rel->link);
    rel->cached = 0;
    shard->bytes -= rel->bytes;
}

/* Holding the lock: takes entries off the end until the shard is within its bounds; those that
 * nobody reads are chained to *dead for the caller to destroy without the lock. */
static void trim(wh_shard_t *shard, wh_release_t **dead)
{
    while (shard->bytes > WH_RELEASE_SHARD_BYTES && shard->lru.prev != shard->lru.next) {
        wh_release_t *rel = entry_of(shard->lru.prev);

        unchain(shard, rel);
        wh_mod_count_by(WH_COUNT_RELEASES, -1);
        if (rel->users == 0) {
            rel->chain = *dead;
            *dead = rel;
        }
    }
}

static apr_status_t done_with(void *data)
{
    wh_release_t *rel = data;
    wh_shard_t *shard = shard_of(rel->id);
    int destroy;

    apr_thread_mutex_lock(shard->lock);
    rel->users--;
    destroy = !rel->cached && rel->users == 0;
    apr_thread_mutex_unlock(shard->lock);
    if (destroy) {
        apr_pool_destroy(rel->pool);
    }
    return APR_SUCCESS;
}

/* Holding the lock. */
static wh_release_t *cache_find(wh_shard_t *shard, const char *id)
{
    wh_release_t *rel = *chain_of(shard, id);

    while (rel != NULL && memcmp(rel->id, id, WH_MANIFEST_ID_LEN) != 0) {
        rel = rel->chain;
    }
    if (rel != NULL) {
        rel->users++;
        if (shard->lru.next != &rel->link) {
            wh_mod_lru_remove(&rel->link);
            wh_mod_lru_push(&shard->lru, &rel->link);
        }
    }
    return rel;
}

static apr_status_t read_text(apr_pool_t *p, const char *path, char **buf, apr_size_t *len,
                              wh_err_t *err)
{
    wh_file_text_t file;
    apr_status_t rv = wh_file_read(p, AT_FDCWD, path, WH_RELEASE_TEXT_MAX, &file);

    if (rv) {
        return wh_err_wrap(err, rv, HTTP_SERVICE_UNAVAILABLE, "release_missing",
                           "The release cannot be read");
    }
    *buf = file.text;
    *len = file.n;
    return APR_SUCCESS;
}

typedef struct wh_rules_log_t {
    request_rec *r;
    const char *release;
    const char *file;
    int lines;
} wh_rules_log_t;

/* An owner's mistake and no fault of this server: for those who look, and not without end. */
static void rule_refused(void *baton, int line, const char *text)
{
    wh_rules_log_t *log = baton;

    if (log->lines++ < WH_RELEASE_WARNINGS_MAX) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, log->r, "release %s: %s line %d: %s", log->release,
                      log->file, line, text);
    }
}

/* The text of a file of rules, in p; NULL when there is none or it cannot be read. */
static char *rules_text(request_rec *r, apr_pool_t *p, const wh_site_t *site, const char *name,
                        apr_size_t max, apr_size_t *len)
{
    const wh_manifest_entry_t *entry = wh_site_find(site, name);
    wh_err_t err = WH_ERR_INIT;
    apr_file_t *f = NULL;
    char *text;

    if (entry == NULL || entry->size == 0 || (apr_size_t)entry->size > max) {
        return NULL;
    }
    if (wh_mod_release_open(r, entry->sha256, entry->size, &f, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0152: %s: %s", name, err.text);
        return NULL;
    }
    text = apr_palloc(p, (apr_size_t)entry->size);
    if (apr_file_read_full(f, text, (apr_size_t)entry->size, len) != APR_SUCCESS) {
        text = NULL;
    }
    apr_file_close(f);
    return text;
}

static void read_rules(request_rec *r, apr_pool_t *ptemp, wh_release_t *rel, wh_site_t *site)
{
    wh_rules_log_t log = {.r = r, .release = rel->id, .file = WH_REDIRECTS_FILE};
    apr_size_t len = 0;
    char *text = rules_text(r, ptemp, site, WH_REDIRECTS_FILE, WH_REDIRECTS_BYTES_MAX, &len);

    if (text != NULL) {
        site->redirects = wh_redirects_parse(rel->pool, text, len, rule_refused, &log);
        rel->bytes +=
            2 * len + WH_RELEASE_RULE_BYTES * (apr_size_t)wh_redirects_count(site->redirects);
    }
    log.file = WH_HEADERS_FILE;
    text = rules_text(r, ptemp, site, WH_HEADERS_FILE, WH_HEADERS_BYTES_MAX, &len);
    if (text != NULL) {
        site->headers = wh_headers_parse(rel->pool, text, len, rule_refused, &log);
        rel->bytes += 2 * len;
    }
}

static apr_status_t fill(request_rec *r, apr_pool_t *ptemp, const char *id, wh_release_t *rel,
                         wh_err_t *err)
{
    const char *path = apr_pstrcat(ptemp, child.releases, "/", id, "/manifest", NULL);
    wh_manifest_t *manifest = NULL;
    wh_site_t *site;
    apr_size_t len = 0;
    char *buf = NULL;
    apr_status_t rv = read_text(ptemp, path, &buf, &len, err);

    if (rv == APR_SUCCESS) {
        rv = wh_manifest_parse(rel->pool, buf, len, &manifest, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (strcmp(manifest->id, id) != 0) {
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "manifest_corrupt",
                          "The manifest is not that of its release.");
    }
    apr_cpystrn(rel->id, id, sizeof(rel->id));
    site = wh_site_make(rel->pool, manifest, &child.key);
    rel->bytes = WH_RELEASE_POOL_BYTES + site->bytes;
    read_rules(r, ptemp, rel, site);
    rel->bytes += (apr_size_t)manifest->n * sizeof(char *); /* wh_mod_type */
    rel->view.site = site;
    rel->view.pool = rel->pool;
    return APR_SUCCESS;
}

static apr_status_t load(request_rec *r, const char *id, wh_release_t **out, wh_err_t *err)
{
    apr_pool_t *pool = NULL;
    apr_pool_t *ptemp = NULL;
    wh_release_t *rel;
    apr_status_t rv;

    /* Unmanaged, with an allocator of its own: it is made in one thread and destroyed in another.
     */
    rv = apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    if (rv != APR_SUCCESS) {
        return wh_err_wrap(err, rv, HTTP_SERVICE_UNAVAILABLE, "out_of_memory", "No memory");
    }
    apr_pool_tag(pool, "wisehost_release");
    rel = apr_pcalloc(pool, sizeof(*rel));
    rel->pool = pool;
    apr_pool_create(&ptemp, r->pool);
    rv = fill(r, ptemp, id, rel, err);
    apr_pool_destroy(ptemp);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    *out = rel;
    return APR_SUCCESS;
}

/* Puts a fresh one in, unless another thread was faster; the one that is there then. */
static wh_release_t *keep(wh_shard_t *shard, wh_release_t *fresh)
{
    wh_release_t *dead = NULL;
    wh_release_t *rel;

    apr_thread_mutex_lock(shard->lock);
    rel = cache_find(shard, fresh->id);
    if (rel == NULL) {
        wh_release_t **chain = chain_of(shard, fresh->id);

        rel = fresh;
        rel->users = 1;
        rel->cached = 1;
        rel->chain = *chain;
        *chain = rel;
        wh_mod_lru_push(&shard->lru, &rel->link);
        shard->bytes += rel->bytes;
        wh_mod_count(WH_COUNT_RELEASE_LOADS);
        wh_mod_count(WH_COUNT_RELEASES);
        trim(shard, &dead);
    } else {
        fresh->chain = NULL;
        dead = fresh;
    }
    apr_thread_mutex_unlock(shard->lock);
    while (dead != NULL) {
        wh_release_t *next = dead->chain;
        apr_pool_destroy(dead->pool);
        dead = next;
    }
    return rel;
}

apr_status_t wh_mod_release_get(request_rec *r, const char *id, wh_mod_release_t **out,
                                wh_err_t *err)
{
    wh_shard_t *shard;
    wh_release_t *rel = NULL;
    wh_release_t *fresh = NULL;
    apr_status_t rv;

    *out = NULL;
    if (child.releases == NULL || strlen(id) != WH_MANIFEST_ID_LEN) {
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "release_missing",
                          "The release cannot be read.");
    }
    shard = shard_of(id);
    apr_thread_mutex_lock(shard->lock);
    rel = cache_find(shard, id);
    apr_thread_mutex_unlock(shard->lock);
    if (rel == NULL) {
        /* Only such an id may become part of a file name. */
        if (!wh_manifest_id_ok(id)) {
            return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "release_missing",
                              "The release cannot be read.");
        }
        rv = load(r, id, &fresh, err);
        if (rv != APR_SUCCESS || fresh == NULL) {
            return rv;
        }
        rel = keep(shard, fresh);
    }
    apr_pool_cleanup_register(r->pool, rel, done_with, apr_pool_cleanup_null);
    *out = &rel->view;
    return APR_SUCCESS;
}

/* The directory of the objects, opened once a child; -1 with errno. */
static int objects_dir(void)
{
    int fd = child.objects_fd;

    if (fd >= 0) {
        return fd; /* set once */
    }
    apr_thread_mutex_lock(child.lock);
    if (child.objects_fd < 0) {
        child.objects_fd = open(child.objects, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    fd = child.objects_fd;
    apr_thread_mutex_unlock(child.lock);
    return fd;
}

/* Opens below the objects directory without following any link. Kernels before 5.6 and seccomp
 * filters know no openat2; there O_NOFOLLOW guards the last component, and the name is all hex. */
static int open_beneath(int dir, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        return openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    }
    return (int)fd;
}

/* An object's descriptor, looked at; -1 with *err. */
static int open_object(const char *sha256, apr_off_t size, wh_err_t *err)
{
    char name[3 + 65];
    int dir = objects_dir();
    struct stat st;
    int fd;

    apr_snprintf(name, sizeof(name), "%.2s/%s", sha256, sha256);
    fd = dir >= 0 ? open_beneath(dir, name) : -1;
    if (fd < 0) {
        (void)wh_err_wrap(err, APR_FROM_OS_ERROR(errno), HTTP_SERVICE_UNAVAILABLE,
                          "object_missing", "Object %s cannot be opened", sha256);
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != size) {
        close(fd);
        (void)wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "object_corrupt",
                         "Object %s has not the size of its manifest.", sha256);
        return -1;
    }
    return fd;
}

apr_status_t wh_mod_release_content(const char *sha256, apr_off_t size, int map,
                                    wh_mod_content_t **out, wh_err_t *err)
{
    int fd = open_object(sha256, size, err);

    *out = NULL;
    if (fd < 0) {
        return APR_EGENERAL;
    }
    *out = wh_mod_content_make(fd, (apr_size_t)size, map);
    close(fd);
    if (*out == NULL) {
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "object_corrupt",
                          "Object %s cannot be read.", sha256);
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_release_open(request_rec *r, const char *sha256, apr_off_t size,
                                 apr_file_t **f, wh_err_t *err)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_FOPEN_READ | APR_FOPEN_BINARY;
    apr_file_t *raw = NULL;
    apr_status_t rv;
    int fd = open_object(sha256, size, err);

    if (fd < 0) {
        return APR_EGENERAL;
    }
    if (core->enable_sendfile == ENABLE_SENDFILE_ON) {
        flags |= APR_FOPEN_SENDFILE_ENABLED;
    }
    /* apr_os_file_put makes a file that nobody closes; its duplicate is one that filters may set
     * aside beyond this request (HTTP/2, write completion). */
    rv = apr_os_file_put(&raw, &fd, flags, r->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_dup(f, raw, r->pool);
    }
    close(fd);
    if (rv != APR_SUCCESS) {
        return wh_err_wrap(err, rv, HTTP_SERVICE_UNAVAILABLE, "object_missing",
                           "Object %s cannot be opened", sha256);
    }
    return APR_SUCCESS;
}
