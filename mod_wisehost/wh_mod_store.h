/*
 * wh_mod_store: where releases live (state directory: objects/, releases/, uploads/).
 *
 * objects/ab/<sha256>            one file's content, named by its hash; immutable
 * releases/<release id>/manifest what a release holds; it exists once this directory does
 * uploads/<job>.<epoch>/         manifest.json and "wanted" (hash and size, sorted, fixed width) of
 * a release under way
 *
 * objects/.lock                  held shared from looking whether objects are there to naming what
 * needs them, held alone by the scheduler's collector (wh-scheduler/gc.h)
 *
 * A compressed variant is an object as any file is. That it says what its file says is its agent's
 * word; as an object is named by its own bytes and reached through a manifest alone, a false one
 * harms no release but those of the worker that made it.
 *
 * Everything is written beside its place, flushed, renamed: whatever is seen under its name is
 * whole. Directories are flushed before anything names what is in them (those of objects once a
 * release, not once an object, and only where one of its objects is young), so that it stays so
 * over a power cut. Many files or directories at once are flushed by one syncfs: a flush of the
 * disk for each of 400 small files would take seconds. Names are made of checked hashes and ids
 * alone. Errors: storage_error 503 and those named. Any thread; two writers of one name do no harm.
 */
#ifndef WH_MOD_STORE_H
#define WH_MOD_STORE_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "libwh/wh_err.h"
#include "libwh/wh_manifest.h"

typedef struct wh_mod_store_t {
    apr_pool_t *p;
    const char *state_dir;
} wh_mod_store_t;

/* A release under way: what was announced for one job. */
typedef struct wh_mod_upload_t {
    const char *job; /* checked id */
    apr_int64_t epoch;
} wh_mod_upload_t;

/* True when the object is there with this size. */
int wh_mod_store_has(const wh_mod_store_t *store, const char *sha256, apr_off_t size);

/* The same for an object that a release under way will need: from here on it is young again, and
 * the collector leaves it alone. */
int wh_mod_store_keep(const wh_mod_store_t *store, const char *sha256, apr_off_t size);

#define WH_MOD_STORE_LOCK ".lock"

/* While it is held nothing of the store is removed. Waits for the collector, which lets go after
 * every few files; storage_error 503 after 10 s. Let go of, or goes with store->p. */
typedef struct wh_mod_hold_t {
    int fd;
} wh_mod_hold_t;
apr_status_t wh_mod_store_hold(const wh_mod_store_t *store, wh_mod_hold_t *hold,
                               wh_err_t *err) WH_MUST_CHECK;
void wh_mod_store_let_go(const wh_mod_store_t *store, const wh_mod_hold_t *hold);

/* True when the release is there. */
int wh_mod_store_release_exists(const wh_mod_store_t *store, const char *release_id);

/* Keeps the announced manifest m (its document json) for the job; replaces an earlier one. */
apr_status_t wh_mod_store_stage(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                const wh_manifest_t *m, wh_err_t *err) WH_MUST_CHECK;

/* The size that was announced for this hash. not_announced 422. */
apr_status_t wh_mod_store_wanted(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                 const char *sha256, apr_off_t *size, wh_err_t *err) WH_MUST_CHECK;

/* Reads the announced manifest back. not_announced 422. */
apr_status_t wh_mod_store_staged(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                 wh_manifest_t **m, wh_err_t *err) WH_MUST_CHECK;

/* Makes the release exist, durably, all objects being there; nothing to do when it does. */
apr_status_t wh_mod_store_publish(const wh_mod_store_t *store, const wh_manifest_t *m,
                                  wh_err_t *err) WH_MUST_CHECK;

/* Forgets what was announced for the job, but for which release came of it; failures do not matter.
 */
void wh_mod_store_unstage(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                          const char *release_id);

/* True when this release was committed for the job: its answer may have been lost. */
int wh_mod_store_committed(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                           const char *release_id);

/* One object while it is written. Begin, any number of adds, then end; a cleanup of store->p
 * removes what was not ended. */
typedef struct wh_mod_object_t wh_mod_object_t;
apr_status_t wh_mod_store_begin(const wh_mod_store_t *store, const char *sha256, apr_off_t size,
                                wh_mod_object_t **out, wh_err_t *err) WH_MUST_CHECK;
/* too_large 413 when there is more than announced. */
apr_status_t wh_mod_store_add(wh_mod_object_t *object, const char *data, apr_size_t n,
                              wh_err_t *err) WH_MUST_CHECK;
/* length_mismatch, hash_mismatch 422. Afterwards the object is in its place, whole; its name is
 * durable once a release that needs it was published: until then a power cut may take it away
 * again, and it is sent once more. */
apr_status_t wh_mod_store_end(wh_mod_object_t *object, wh_err_t *err) WH_MUST_CHECK;

/* Many together: each is begun, added to and, instead of ended, let wait (errors as of end); then
 * all that wait (wh_mod_object_t * in objects) are made durable at once and get their names. */
apr_status_t wh_mod_store_wait(wh_mod_object_t *object, wh_err_t *err) WH_MUST_CHECK;
apr_status_t wh_mod_store_end_all(const wh_mod_store_t *store, const apr_array_header_t *objects,
                                  wh_err_t *err) WH_MUST_CHECK;

#endif
