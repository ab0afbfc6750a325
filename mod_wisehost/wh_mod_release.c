/*
 * Releases on disk: parsed manifests in a cache of the child, and their objects.
 *
 * A release never changes, so a cached manifest is never stale; it only falls out when it was not
 * used for long. Every entry has a pool of its own and a count of requests that read it.
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

#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_lru.h"

#define WH_RELEASE_CACHE_ENTRIES 128
#define WH_RELEASE_CACHE_BYTES ((apr_size_t)32 << 20)
#define WH_RELEASE_TEXT_MAX ((apr_off_t)32 << 20)

typedef struct wh_release_t wh_release_t;
struct wh_release_t {
    wh_mod_lru_t link; /* first member */
    wh_release_t *next_dead;
    char id[WH_MANIFEST_ID_LEN + 1];
    apr_pool_t *pool;
    wh_manifest_t *manifest;
    apr_size_t bytes; /* of the text: a measure, not the exact size in memory */
    int users;
    int cached;
};

typedef struct wh_release_child_t {
    apr_thread_mutex_t *lock;
    const char *releases; /* directory */
    const char *objects;
    int objects_fd; /* -1 until first use */
    wh_mod_lru_t lru;
    int n;
    apr_size_t bytes;
} wh_release_child_t;

static wh_release_child_t child;

static wh_release_t *entry_of(wh_mod_lru_t *node)
{
    return (wh_release_t *)(void *)node;
}

static apr_status_t child_exit(void *data)
{
    wh_release_child_t *c = data;

    while (c->lru.next != &c->lru) {
        wh_release_t *rel = entry_of(c->lru.next);
        wh_mod_lru_remove(&rel->link);
        apr_pool_destroy(rel->pool);
    }
    if (c->objects_fd >= 0) {
        close(c->objects_fd);
    }
    c->lock = NULL;
    return APR_SUCCESS;
}

void wh_mod_release_child_init(apr_pool_t *pchild, server_rec *s)
{
    const char *dir = wh_mod_conf_state_dir(s);

    memset(&child, 0, sizeof(child));
    wh_mod_lru_init(&child.lru);
    child.objects_fd = -1;
    child.releases = apr_pstrcat(pchild, dir, "/releases", NULL);
    child.objects = apr_pstrcat(pchild, dir, "/objects", NULL);
    if (apr_thread_mutex_create(&child.lock, APR_THREAD_MUTEX_DEFAULT, pchild) != APR_SUCCESS) {
        child.lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "WH0140: no mutex for releases");
        return;
    }
    apr_pool_cleanup_register(pchild, &child, child_exit, apr_pool_cleanup_null);
}

/* Holding the lock: takes entries off the end until the cache is within its bounds; those that
 * nobody reads are chained to *dead for the caller to destroy without the lock. */
static void trim(wh_release_child_t *c, wh_release_t **dead)
{
    while (c->n > WH_RELEASE_CACHE_ENTRIES || (c->bytes > WH_RELEASE_CACHE_BYTES && c->n > 1)) {
        wh_release_t *rel = entry_of(c->lru.prev);

        wh_mod_lru_remove(&rel->link);
        rel->cached = 0;
        c->n--;
        c->bytes -= rel->bytes;
        if (rel->users == 0) {
            rel->next_dead = *dead;
            *dead = rel;
        }
    }
}

static apr_status_t done_with(void *data)
{
    wh_release_t *rel = data;
    int destroy;

    apr_thread_mutex_lock(child.lock);
    rel->users--;
    destroy = !rel->cached && rel->users == 0;
    apr_thread_mutex_unlock(child.lock);
    if (destroy) {
        apr_pool_destroy(rel->pool);
    }
    return APR_SUCCESS;
}

/* Holding the lock. */
static wh_release_t *cache_find(wh_release_child_t *c, const char *id)
{
    wh_mod_lru_t *node;

    for (node = c->lru.next; node != &c->lru; node = node->next) {
        wh_release_t *rel = entry_of(node);
        if (memcmp(rel->id, id, WH_MANIFEST_ID_LEN) == 0) {
            wh_mod_lru_remove(node);
            wh_mod_lru_push(&c->lru, node);
            rel->users++;
            return rel;
        }
    }
    return NULL;
}

static apr_status_t read_text(apr_pool_t *p, const char *path, char **buf, apr_size_t *len,
                              wh_err_t *err)
{
    apr_file_t *f = NULL;
    apr_finfo_t info;
    apr_status_t rv = apr_file_open(&f, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, p);

    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_TYPE, f);
    }
    if (rv == APR_SUCCESS && (info.filetype != APR_REG || info.size > WH_RELEASE_TEXT_MAX)) {
        rv = APR_EINVAL;
    }
    if (rv == APR_SUCCESS) {
        *buf = apr_palloc(p, (apr_size_t)info.size + 1);
        rv = apr_file_read_full(f, *buf, (apr_size_t)info.size, len);
    }
    if (f != NULL) {
        apr_file_close(f);
    }
    if (rv != APR_SUCCESS) {
        return wh_err_wrap(err, rv, HTTP_SERVICE_UNAVAILABLE, "release_missing",
                           "The release cannot be read");
    }
    (*buf)[*len] = '\0';
    return APR_SUCCESS;
}

static apr_status_t load(request_rec *r, const char *id, wh_release_t **out, wh_err_t *err)
{
    const char *path = apr_pstrcat(r->pool, child.releases, "/", id, "/manifest", NULL);
    apr_pool_t *pool = NULL;
    apr_pool_t *ptemp = NULL;
    wh_release_t *rel;
    apr_status_t rv;
    char *buf = NULL;
    apr_size_t len = 0;

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
    rv = read_text(ptemp, path, &buf, &len, err);
    if (rv == APR_SUCCESS) {
        rel->bytes = len;
        rv = wh_manifest_parse(pool, buf, len, &rel->manifest, err);
    }
    if (rv == APR_SUCCESS && strcmp(rel->manifest->id, id) != 0) {
        rv = wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "manifest_corrupt",
                        "The manifest is not that of its release.");
    }
    apr_pool_destroy(ptemp);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    apr_cpystrn(rel->id, id, sizeof(rel->id));
    *out = rel;
    return APR_SUCCESS;
}

apr_status_t wh_mod_release_get(request_rec *r, const char *id, const wh_manifest_t **out,
                                wh_err_t *err)
{
    wh_release_t *rel = NULL;
    wh_release_t *fresh = NULL;
    wh_release_t *dead = NULL;
    apr_status_t rv;

    *out = NULL;
    if (child.lock == NULL || !wh_manifest_id_ok(id)) {
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "release_missing",
                          "The release cannot be read.");
    }
    apr_thread_mutex_lock(child.lock);
    rel = cache_find(&child, id);
    apr_thread_mutex_unlock(child.lock);
    if (rel == NULL) {
        rv = load(r, id, &fresh, err);
        if (rv != APR_SUCCESS || fresh == NULL) {
            return rv;
        }
        apr_thread_mutex_lock(child.lock);
        rel = cache_find(&child, id); /* another thread may have been faster */
        if (rel == NULL) {
            rel = fresh;
            fresh = NULL;
            rel->users = 1;
            rel->cached = 1;
            wh_mod_lru_push(&child.lru, &rel->link);
            child.n++;
            child.bytes += rel->bytes;
            trim(&child, &dead);
        }
        apr_thread_mutex_unlock(child.lock);
        if (fresh != NULL) {
            apr_pool_destroy(fresh->pool);
        }
    }
    while (dead != NULL) {
        wh_release_t *next = dead->next_dead;
        apr_pool_destroy(dead->pool);
        dead = next;
    }
    apr_pool_cleanup_register(r->pool, rel, done_with, apr_pool_cleanup_null);
    *out = rel->manifest;
    return APR_SUCCESS;
}

/* The directory of the objects, opened once a child; -1 with errno. */
static int objects_dir(void)
{
    int fd;

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

apr_status_t wh_mod_release_open(request_rec *r, const wh_manifest_entry_t *entry, apr_file_t **f,
                                 wh_err_t *err)
{
    char name[3 + sizeof(entry->sha256)];
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_FOPEN_READ | APR_FOPEN_BINARY;
    apr_file_t *raw = NULL;
    struct stat st;
    apr_status_t rv;
    int dir = objects_dir();
    int fd;

    apr_snprintf(name, sizeof(name), "%.2s/%s", entry->sha256, entry->sha256);
    fd = dir >= 0 ? open_beneath(dir, name) : -1;
    if (fd < 0) {
        return wh_err_wrap(err, APR_FROM_OS_ERROR(errno), HTTP_SERVICE_UNAVAILABLE,
                           "object_missing", "Object %s cannot be opened", entry->sha256);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != entry->size) {
        close(fd);
        return wh_err_set(err, HTTP_SERVICE_UNAVAILABLE, "object_corrupt",
                          "Object %s has not the size of its manifest.", entry->sha256);
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
                           "Object %s cannot be opened", entry->sha256);
    }
    return APR_SUCCESS;
}
