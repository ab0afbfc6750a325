/* What the files of the store share: names, and how a file gets into its place. */
#ifndef WH_MOD_STORE_INT_H
#define WH_MOD_STORE_INT_H

#include "mod_wisehost/wh_mod_store.h"

/* storage_error 503 by errno: "The store could not <what>". */
apr_status_t wh_mod_store_failed(wh_err_t *err, const char *what);

/* state_dir/a/b; objects/ab. In store->p. */
const char *wh_mod_store_path(const wh_mod_store_t *store, const char *a, const char *b);
const char *wh_mod_store_object_dir(const wh_mod_store_t *store, const char *sha256);

/* 0, or -1 with errno. */
int wh_mod_store_flush_dir(const char *path);
/* A directory that may be there; a new one is made durable in its parent. */
int wh_mod_store_make_dir(const char *path, const char *parent);

/* A name in dir that nobody else has, NULL without random bytes. */
const char *wh_mod_store_temp_name(const wh_mod_store_t *store, const char *dir);
/* A file of such a name, open for writing: its descriptor, or -1. */
int wh_mod_store_make_temp(const wh_mod_store_t *store, const char *dir, const char **temp);
/* Flushes and gives the file its name; fd is closed in any case, temp is gone afterwards. The name
 * itself is durable once its directory was flushed: seal does so. */
int wh_mod_store_place(int fd, const char *temp, const char *path);
int wh_mod_store_seal(int fd, const char *temp, const char *path, const char *dir);

/* A whole small file, durably. */
apr_status_t wh_mod_store_write(const wh_mod_store_t *store, const char *dir, const char *name,
                                const char *data, apr_size_t n, wh_err_t *err) WH_MUST_CHECK;

#endif
