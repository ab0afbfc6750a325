#include "mod_wisehost/wh_mod_store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_file.h"
#include "libwh/wh_sign.h"

#define FEW 8                     /* files or directories that are flushed one by one */
#define YOUNG_S ((time_t)10 * 60) /* what is older the kernel has long written of its own accord   \
                                   */

struct wh_mod_object_t {
    const wh_mod_store_t *store;
    const char *temp, *dir, *path;
    const char *sha256;
    apr_off_t size, got;
    int fd;
    wh_sign_ctx_t *hash;
};

/* ---- a release ------------------------------------------------------------------------------ */

typedef struct dirs_t {
    const wh_mod_store_t *store;
    time_t now;
    int n;
    unsigned char young[256]; /* by the first byte of the hash */
} dirs_t;

static int find_young(void *baton, const char *sha256, apr_off_t size)
{
    dirs_t *dirs = baton;
    unsigned char first[1] = {0};
    struct stat st;

    (void)size;
    if (wh_sign_unhex(sha256, 2, first) != 0 || dirs->young[first[0]] ||
        lstat(apr_pstrcat(dirs->store->p, wh_mod_store_object_dir(dirs->store, sha256), "/", sha256,
                          NULL),
              &st) != 0 ||
        dirs->now - st.st_ctime > YOUNG_S) {
        return 0;
    }
    dirs->young[first[0]] = 1;
    dirs->n++;
    return 0;
}

/* Whatever is dirty on the file system: one flush of the disk instead of one a file. */
static int flush_all(const wh_mod_store_t *store)
{
    int fd = open(wh_mod_store_path(store, "objects", ""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || syncfs(fd) < 0;

    if (fd >= 0) {
        close(fd);
    }
    return bad ? -1 : 0;
}

/* The names of m's objects become durable; those of old ones are so already. */
static int flush_names(const wh_mod_store_t *store, const wh_manifest_t *m)
{
    dirs_t dirs = {.store = store, .now = (time_t)apr_time_sec(apr_time_now())};
    char hex[3];

    (void)wh_manifest_each_object(m, find_young, &dirs);
    if (dirs.n > FEW) {
        return flush_all(store);
    }
    for (int i = 0; i < 256; i++) {
        apr_snprintf(hex, sizeof(hex), "%02x", (unsigned)i);
        if (dirs.young[i] && wh_mod_store_flush_dir(wh_mod_store_object_dir(store, hex))) {
            return -1;
        }
    }
    return 0;
}

apr_status_t wh_mod_store_publish(const wh_mod_store_t *store, const wh_manifest_t *m,
                                  wh_err_t *err)
{
    const char *parent = wh_mod_store_path(store, "releases", "");
    const char *final = wh_mod_store_path(store, "releases", wh_manifest_id(m));
    const char *temp = wh_mod_store_temp_name(store, wh_mod_store_path(store, "releases", "."));
    size_t n = 0;
    const char *text = wh_manifest_text(store->p, m, &n);
    apr_status_t rv;
    int lost;

    if (wh_mod_store_release_exists(store, wh_manifest_id(m))) {
        return APR_SUCCESS;
    }
    if (flush_names(store, m)) {
        return wh_mod_store_failed(err, "keep the release's objects");
    }
    if (!temp || wh_mod_store_make_dir(temp, parent)) {
        return wh_mod_store_failed(err, "make the release's directory");
    }
    wh_fault("release.dir");
    rv = wh_mod_store_write(store, temp, "manifest", text, n, err);
    if (rv) {
        rmdir(temp);
        return rv;
    }
    wh_fault("release.manifest");
    lost = rename(temp, final) < 0;
    if (lost) {
        rv = errno == EEXIST || errno == ENOTEMPTY
                 ? APR_SUCCESS
                 : wh_mod_store_failed(err, "publish the release");
        unlink(apr_pstrcat(store->p, temp, "/manifest", NULL));
        rmdir(temp);
        return rv;
    }
    wh_fault("release.renamed");
    return wh_mod_store_flush_dir(parent) ? wh_mod_store_failed(err, "publish the release")
                                          : APR_SUCCESS;
}

/* ---- one object ----------------------------------------------------------------------------- */

static apr_status_t abandon(void *data)
{
    wh_mod_object_t *o = data;

    if (o->fd >= 0) {
        close(o->fd);
        o->fd = -1;
    }
    if (o->temp) {
        unlink(o->temp);
        o->temp = NULL;
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_store_begin(const wh_mod_store_t *store, const char *sha256, apr_off_t size,
                                wh_mod_object_t **out, wh_err_t *err)
{
    wh_mod_object_t *o = apr_pcalloc(store->p, sizeof(*o));

    o->store = store;
    o->sha256 = sha256;
    o->size = size;
    o->dir = wh_mod_store_object_dir(store, sha256);
    o->path = apr_pstrcat(store->p, o->dir, "/", sha256, NULL);
    if (wh_mod_store_make_dir(o->dir, wh_mod_store_path(store, "objects", ""))) {
        return wh_mod_store_failed(err, "make a directory");
    }
    o->fd = wh_mod_store_make_temp(store, o->dir, &o->temp);
    if (o->fd < 0) {
        return wh_mod_store_failed(err, "make a file");
    }
    wh_fault("object.begun");
    apr_pool_cleanup_register(store->p, o, abandon, apr_pool_cleanup_null);
    o->hash = wh_sign_sha256_begin(store->p);
    *out = o;
    return APR_SUCCESS;
}

apr_status_t wh_mod_store_add(wh_mod_object_t *o, const char *data, apr_size_t n, wh_err_t *err)
{
    if ((apr_off_t)n > o->size - o->got) {
        return wh_err_set(err, 413, "too_large", "The object is longer than its manifest says.");
    }
    wh_sign_add(o->hash, data, n);
    o->got += (apr_off_t)n;
    errno = wh_file_put(o->fd, data, n);
    return errno ? wh_mod_store_failed(err, "write an object") : APR_SUCCESS;
}

static apr_status_t check(wh_mod_object_t *o, wh_err_t *err)
{
    unsigned char digest[WH_SHA256_LEN];

    if (o->got != o->size) {
        return wh_err_set(err, 422, "length_mismatch",
                          "The object is shorter than its manifest says.");
    }
    wh_sign_end(o->hash, digest);
    if (strcmp(wh_sign_hex(o->store->p, digest, sizeof(digest)), o->sha256)) {
        return wh_err_set(err, 422, "hash_mismatch", "The object is not what its name says.");
    }
    wh_fault("object.written");
    return APR_SUCCESS;
}

apr_status_t wh_mod_store_end(wh_mod_object_t *o, wh_err_t *err)
{
    const char *temp = o->temp;
    int fd = o->fd;
    apr_status_t rv = check(o, err);

    if (rv) {
        return rv;
    }
    o->fd = -1; /* from here on it closes and removes */
    o->temp = NULL;
    if (wh_mod_store_place(fd, temp, o->path)) {
        return wh_mod_store_failed(err, "keep an object");
    }
    wh_fault("object.kept");
    return APR_SUCCESS;
}

/* ---- many objects --------------------------------------------------------------------------- */

apr_status_t wh_mod_store_wait(wh_mod_object_t *o, wh_err_t *err)
{
    int fd = o->fd;
    apr_status_t rv = check(o, err);

    if (rv) {
        return rv;
    }
    o->fd = -1;
    return close(fd) < 0 ? wh_mod_store_failed(err, "write an object") : APR_SUCCESS;
}

static int flush_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) < 0;

    if (fd >= 0) {
        close(fd);
    }
    return bad;
}

/* A file that was opened anew still hears of a write that failed before, once. */
static int flush_contents(const wh_mod_store_t *store, const apr_array_header_t *objects)
{
    if (objects->nelts > FEW) {
        return flush_all(store);
    }
    for (int i = 0; i < objects->nelts; i++) {
        if (flush_file(APR_ARRAY_IDX(objects, i, wh_mod_object_t *)->temp)) {
            return -1;
        }
    }
    return 0;
}

apr_status_t wh_mod_store_end_all(const wh_mod_store_t *store, const apr_array_header_t *objects,
                                  wh_err_t *err)
{
    if (flush_contents(store, objects)) {
        return wh_mod_store_failed(err, "keep the objects");
    }
    wh_fault("batch.synced");
    for (int i = 0; i < objects->nelts; i++) {
        wh_mod_object_t *o = APR_ARRAY_IDX(objects, i, wh_mod_object_t *);

        if (rename(o->temp, o->path) < 0) {
            return wh_mod_store_failed(err, "keep the objects");
        }
        o->temp = NULL;
        wh_fault("batch.renamed");
    }
    return APR_SUCCESS;
}
