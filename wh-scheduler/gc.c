#include "wh-scheduler/gc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_log.h"
#include "libwh/wh_manifest.h"
#include "whdb/wh_db_gc.h"
#include "whdb/wh_db_release.h"
#include "whdb/wh_db_schema.h"
#include "wh-scheduler/gc_int.h"

#define BATCH 20     /* releases in one hold of the lock */
#define SWITCHES 500 /* rows of one statement */
#define LOCK_PAUSE_US 20000
#define LOCK_MODE 0664
#define NO_BUDGET_US APR_INT64_C(86400000000)

/* ---- what all of it needs ---- */

int wh_gc_over(wh_gc_t *gc)
{
    gc->done->cut |= wh_mono_reached(wh_clock_mono(gc->opts->clock), gc->end);
    return gc->done->cut;
}

int wh_gc_lock(wh_gc_t *gc)
{
    while (flock(gc->lock, LOCK_EX | LOCK_NB) != 0) {
        if (wh_gc_over(gc)) {
            return 0;
        }
        usleep(LOCK_PAUSE_US);
    }
    return 1;
}

void wh_gc_unlock(const wh_gc_t *gc)
{
    (void)flock(gc->lock, LOCK_UN);
}

const char *wh_gc_dir(const wh_gc_t *gc, const char *part)
{
    return apr_pstrcat(gc->p, gc->opts->settings->state_dir, "/", part, NULL);
}

apr_status_t wh_gc_failed(const char *path, wh_err_t *err)
{
    return wh_err_wrap(err, errno, 500, "store_unusable", "%s", path);
}

apr_status_t wh_gc_each(wh_gc_t *gc, const char *dir, wh_gc_entry_fn *fn, void *baton,
                        wh_err_t *err)
{
    const apr_int32_t wanted = APR_FINFO_TYPE | APR_FINFO_MTIME | APR_FINFO_SIZE | APR_FINFO_LINK;
    apr_finfo_t entry, info;
    apr_pool_t *p, *scratch;
    apr_dir_t *d;
    apr_status_t rv;

    apr_pool_create(&p, gc->p);
    apr_pool_create(&scratch, p);
    rv = apr_dir_open(&d, dir, p);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(p);
        return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS
                                        : wh_err_wrap(err, rv, 500, "store_unusable", "%s", dir);
    }
    while (rv == APR_SUCCESS && apr_dir_read(&entry, APR_FINFO_NAME, d) == APR_SUCCESS) {
        const char *path;

        if (strcmp(entry.name, ".") == 0 || strcmp(entry.name, "..") == 0) {
            continue;
        }
        apr_pool_clear(scratch);
        path = apr_pstrcat(scratch, dir, "/", entry.name, NULL);
        if (apr_stat(&info, path, wanted, scratch) == APR_SUCCESS) {
            info.name = apr_pstrdup(scratch, entry.name);
            rv = fn(gc, scratch, path, &info, baton, err);
        }
    }
    apr_pool_destroy(p);
    return rv;
}

apr_status_t wh_gc_remove_dir(apr_pool_t *p, const char *dir, wh_err_t *err)
{
    apr_finfo_t entry;
    apr_dir_t *d;
    apr_status_t rv = apr_dir_open(&d, dir, p);

    if (rv != APR_SUCCESS) {
        return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS
                                        : wh_err_wrap(err, rv, 500, "store_unusable", "%s", dir);
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, d) == APR_SUCCESS) {
        if (strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0) {
            (void)unlink(apr_pstrcat(p, dir, "/", entry.name, NULL));
        }
    }
    apr_dir_close(d);
    if (rmdir(dir) != 0 && errno != ENOENT) {
        return wh_gc_failed(dir, err);
    }
    wh_fault("gc.dir");
    return APR_SUCCESS;
}

/* ---- releases that no deployment has ---- */

static apr_status_t delete_rows(wh_gc_t *gc, apr_pool_t *p, const apr_array_header_t *ids,
                                apr_array_header_t *gone, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(gc->dbc, p, err);

    for (int i = 0; rv == APR_SUCCESS && i < ids->nelts; i++) {
        const char *id = APR_ARRAY_IDX(ids, i, const char *);
        int n = 0;

        rv = wh_db_gc_release_delete(gc->dbc, p, id, gc->before, &n, err);
        if (rv == APR_SUCCESS && n > 0 && wh_manifest_id_ok(id)) {
            APR_ARRAY_PUSH(gone, const char *) = id;
        }
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(gc->dbc, err) : rv;
    wh_dbc_rollback(gc->dbc);
    return rv;
}

static apr_status_t remove_batch(wh_gc_t *gc, apr_pool_t *p, const apr_array_header_t *ids,
                                 int *removed, wh_err_t *err)
{
    apr_array_header_t *gone = apr_array_make(p, ids->nelts, sizeof(const char *));
    apr_status_t rv = delete_rows(gc, p, ids, gone, err);

    wh_fault("gc.rows");
    for (int i = 0; rv == APR_SUCCESS && i < gone->nelts; i++) {
        const char *dir = apr_pstrcat(p, wh_gc_dir(gc, "releases"), "/",
                                      APR_ARRAY_IDX(gone, i, const char *), NULL);

        rv = wh_gc_remove_dir(p, dir, err);
        gc->done->releases += rv == APR_SUCCESS;
    }
    *removed = gone->nelts;
    return rv;
}

static apr_status_t releases(wh_gc_t *gc, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int removed = 1;
    apr_pool_t *p;

    apr_pool_create(&p, gc->p);
    while (rv == APR_SUCCESS && removed > 0 && !wh_gc_over(gc)) {
        apr_array_header_t *ids = NULL;

        apr_pool_clear(p);
        removed = 0;
        rv = wh_db_gc_releases(gc->dbc, p, gc->before, BATCH, &ids, err);
        if (rv == APR_SUCCESS && ids->nelts > 0 && wh_gc_lock(gc)) {
            rv = remove_batch(gc, p, ids, &removed, err);
            wh_gc_unlock(gc);
        }
    }
    apr_pool_destroy(p);
    return rv;
}

/* ---- what a crash or a lost job left ---- */

/* A directory without a row: its row was deleted, or never came. */
static apr_status_t stray(wh_gc_t *gc, apr_pool_t *p, const char *path, const apr_finfo_t *info,
                          void *baton, wh_err_t *err)
{
    int is_release = wh_manifest_id_ok(info->name);
    wh_release_t *row;
    apr_status_t rv;

    (void)baton;
    if (info->filetype != APR_DIR || info->mtime >= gc->before ||
        (!is_release && strncmp(info->name, ".tmp-", 5) != 0)) {
        return APR_SUCCESS;
    }
    if (wh_gc_over(gc) || !wh_gc_lock(gc)) {
        return APR_EOF;
    }
    rv = is_release ? wh_db_release_get(gc->dbc, p, info->name, &row, err) : APR_NOTFOUND;
    if (rv == APR_NOTFOUND) {
        wh_err_clear(err);
        rv = wh_gc_remove_dir(p, path, err);
        gc->done->leftovers += rv == APR_SUCCESS;
    }
    wh_gc_unlock(gc);
    return rv;
}

/* <job>.<epoch>/, .sum-<job>.<epoch> */
static apr_status_t upload(wh_gc_t *gc, apr_pool_t *p, const char *path, const apr_finfo_t *info,
                           void *baton, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    (void)baton;
    if (info->mtime >= gc->before) {
        return APR_SUCCESS;
    }
    if (info->filetype == APR_DIR) {
        rv = wh_gc_remove_dir(p, path, err);
    } else if (unlink(path) != 0 && errno != ENOENT) {
        rv = wh_gc_failed(path, err);
    }
    gc->done->leftovers += rv == APR_SUCCESS;
    return rv;
}

static apr_status_t leftovers(wh_gc_t *gc, wh_err_t *err)
{
    apr_status_t rv = wh_gc_each(gc, wh_gc_dir(gc, "releases"), stray, NULL, err);

    rv = rv == APR_EOF ? APR_SUCCESS : rv;
    return rv == APR_SUCCESS ? wh_gc_each(gc, wh_gc_dir(gc, "uploads"), upload, NULL, err) : rv;
}

/* ---- what was asked and done ---- */

static apr_status_t switches(wh_gc_t *gc, wh_err_t *err)
{
    apr_time_t before =
        wh_clock_now(gc->opts->clock) - apr_time_from_sec(gc->opts->settings->switches_kept_s);
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;
    int n = SWITCHES;

    apr_pool_create(&p, gc->p);
    while (rv == APR_SUCCESS && n == SWITCHES && !wh_gc_over(gc)) {
        apr_pool_clear(p);
        rv = wh_db_gc_switches(gc->dbc, p, before, SWITCHES, &n, err);
    }
    apr_pool_destroy(p);
    return rv;
}

/* ---- a run ---- */

/* Where the hourly one can spare itself reading all manifests. */
static int sweep_wanted(wh_gc_t *gc, const char *stamp)
{
    struct stat st;

    return !gc->opts->due || gc->done->releases > 0 || gc->done->leftovers > 0 ||
           stat(stamp, &st) != 0 ||
           apr_time_from_sec(st.st_mtime) <= wh_clock_now(gc->opts->clock) - WH_GC_SWEEP_US;
}

static apr_status_t collect(wh_gc_t *gc, int stamp, const char *stamp_path, wh_err_t *err)
{
    int wanted;
    apr_status_t rv = switches(gc, err);

    rv = rv == APR_SUCCESS ? releases(gc, err) : rv;
    rv = rv == APR_SUCCESS ? leftovers(gc, err) : rv;
    wanted = rv == APR_SUCCESS && sweep_wanted(gc, stamp_path);
    rv = wanted ? wh_gc_objects(gc, err) : rv;
    if (wanted && rv == APR_SUCCESS && !gc->done->cut) {
        (void)futimens(stamp, NULL);
    }
    return rv;
}

static int open_lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, LOCK_MODE);

    if (fd >= 0) {
        (void)fchmod(fd, LOCK_MODE); /* its maker may; for others it is right already */
    }
    return fd;
}

static apr_status_t with_locks(wh_gc_t *gc, wh_err_t *err)
{
    const char *stamp_path = wh_gc_dir(gc, "objects/.swept"),
               *lock = wh_gc_dir(gc, "objects/.lock");
    int fresh = access(stamp_path, F_OK) != 0;
    int stamp = open_lock(stamp_path);
    apr_status_t rv;

    if (stamp < 0) {
        return wh_gc_failed(stamp_path, err);
    }
    if (fresh) {
        const struct timespec never[2] = {{.tv_sec = 0}, {.tv_sec = 0}};

        (void)futimens(stamp, never);
    }
    if (flock(stamp, LOCK_EX | LOCK_NB) != 0) {
        gc->done->busy = 1;
        close(stamp);
        return APR_SUCCESS;
    }
    gc->lock = open_lock(lock);
    rv = gc->lock >= 0 ? collect(gc, stamp, stamp_path, err) : wh_gc_failed(lock, err);
    if (gc->lock >= 0) {
        close(gc->lock);
    }
    close(stamp);
    return rv;
}

apr_status_t wh_gc_run(apr_pool_t *p, const wh_gc_opts_t *opts, wh_gc_done_t *done, wh_err_t *err)
{
    const wh_settings_t *s = opts->settings;
    wh_gc_t gc = {.opts = opts, .done = done, .lock = -1};
    apr_status_t rv;

    memset(done, 0, sizeof(*done));
    apr_pool_create(&gc.p, p);
    gc.before = wh_clock_now(opts->clock) - apr_time_from_sec(s->collect_after_s);
    gc.end = wh_mono_add(wh_clock_mono(opts->clock), opts->due ? WH_GC_BUDGET_US : NO_BUDGET_US);
    rv = wh_dbc_open(gc.p, s->db_driver, s->db_params, &gc.dbc, err);
    rv = rv == APR_SUCCESS ? wh_db_schema_check(gc.dbc, gc.p, err) : rv;
    rv = rv == APR_SUCCESS ? with_locks(&gc, err) : rv;
    apr_pool_destroy(gc.p);
    return rv;
}
