#include "mod_wisehost/wh_mod_store_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_sign.h"

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
    unsigned char seen[256];
} dirs_t;

static int flush_once(void *baton, const char *sha256, apr_off_t size)
{
    dirs_t *dirs = baton;
    unsigned char first[1] = {0};

    (void)size;
    if (wh_sign_unhex(sha256, 2, first) != 0 || dirs->seen[first[0]]++) {
        return 0;
    }
    return wh_mod_store_flush_dir(wh_mod_store_object_dir(dirs->store, sha256));
}

apr_status_t wh_mod_store_publish(const wh_mod_store_t *store, const wh_manifest_t *m,
                                  wh_err_t *err)
{
    const char *parent = wh_mod_store_path(store, "releases", "");
    const char *final = wh_mod_store_path(store, "releases", wh_manifest_id(m));
    const char *temp = wh_mod_store_temp_name(store, wh_mod_store_path(store, "releases", "."));
    size_t n = 0;
    const char *text = wh_manifest_text(store->p, m, &n);
    dirs_t dirs = {0};
    apr_status_t rv;
    int lost;

    if (wh_mod_store_release_exists(store, wh_manifest_id(m))) {
        return APR_SUCCESS;
    }
    dirs.store = store;
    if (wh_manifest_each_object(m, flush_once, &dirs)) {
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
        unlink(o->temp);
        o->fd = -1;
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
    return wh_mod_store_write_all(o->fd, data, n) ? wh_mod_store_failed(err, "write an object")
                                                  : APR_SUCCESS;
}

apr_status_t wh_mod_store_end(wh_mod_object_t *o, wh_err_t *err)
{
    unsigned char digest[WH_SHA256_LEN];
    int fd = o->fd;

    if (o->got != o->size) {
        return wh_err_set(err, 422, "length_mismatch",
                          "The object is shorter than its manifest says.");
    }
    wh_sign_end(o->hash, digest);
    if (strcmp(wh_sign_hex(o->store->p, digest, sizeof(digest)), o->sha256)) {
        return wh_err_set(err, 422, "hash_mismatch", "The object is not what its name says.");
    }
    wh_fault("object.written");
    o->fd = -1; /* from here on it closes and removes */
    return wh_mod_store_seal(fd, o->temp, o->path, o->dir)
               ? wh_mod_store_failed(err, "keep an object")
               : APR_SUCCESS;
}
