#include "mod_wisehost/wh_mod_store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_file.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"

#define FILE_MODE 0644
#define WANTED_WIDTH 86 /* 64 digits, a space, 20 digits, a line end */
#define MANIFEST_BYTES_MAX (64 * 1024 * 1024)
#define JOB_BYTES_MAX (4 * WH_MANIFEST_BYTES_MAX)
#define FILE_BYTES 4096 /* what the smallest file takes */
#define SUM_PREFIX ".sum-"
#define SUM_WIDTH 20
#define UPLOAD_KEPT_US (APR_INT64_C(24) * 3600 * APR_USEC_PER_SEC) /* longer than any job lasts */
#define TIDY_EVERY_S 60
#define TIDY_MAX 100 /* taken away at once: somebody waits for it; the rest goes the next time */

static const char *path_of(const wh_mod_store_t *store, const char *a, const char *b)
{
    return wh_mod_store_path(store, a, b);
}

static const char *upload_dir(const wh_mod_store_t *store, const wh_mod_upload_t *up)
{
    return path_of(store, "uploads",
                   apr_psprintf(store->p, "%s.%" APR_INT64_T_FMT, up->job, up->epoch));
}

/* ---- releases under way --------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, WH_SHA256_HEX);
}

static int add_line(void *baton, const char *sha256, apr_off_t size)
{
    char **at = baton;

    apr_snprintf(*at, WANTED_WIDTH + 1, "%s %020" APR_OFF_T_FMT "\n", sha256, size);
    *at += WANTED_WIDTH;
    return 0;
}

/* Fixed-width lines in the order of the hashes, so that one object is found by a few reads and not
 * by parsing a manifest of 20 000 files for each of 20 000 objects. */
static char *wanted_text(apr_pool_t *p, const wh_manifest_t *m, apr_size_t *n)
{
    apr_size_t lines = (apr_size_t)m->n + (apr_size_t)m->variants;
    char *text = apr_palloc(p, lines * WANTED_WIDTH + 1), *at = text;

    (void)wh_manifest_each_object(m, add_line, &at);
    qsort(text, lines, WANTED_WIDTH, by_hash);
    *n = lines * WANTED_WIDTH;
    return text;
}

static void remove_upload(const wh_mod_store_t *store, const char *dir)
{
    unlink(apr_pstrcat(store->p, dir, "/manifest.json", NULL));
    unlink(apr_pstrcat(store->p, dir, "/wanted", NULL));
    rmdir(dir);
}

/* The sum of a job's announcements lies beside its upload, for that goes when it is committed; and
 * behind the sum, which release that was. */
static const char *sum_path(const wh_mod_store_t *store, const wh_mod_upload_t *up)
{
    return apr_psprintf(store->p, "%s" SUM_PREFIX "%s.%" APR_INT64_T_FMT,
                        path_of(store, "uploads", ""), up->job, up->epoch);
}

/* Objects are never taken back, and a job may announce again and again: all that one job makes us
 * keep has a measure. */
static apr_status_t charge(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                           apr_int64_t bytes, wh_err_t *err)
{
    int fd = open(sum_path(store, up), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE), bad;
    char text[24] = "";

    if (fd < 0) {
        return wh_mod_store_failed(err, "make a file");
    }
    bad = flock(fd, LOCK_EX) < 0 || pread(fd, text, SUM_WIDTH, 0) < 0;
    bytes += apr_atoi64(text);
    if (!bad && bytes <= JOB_BYTES_MAX) {
        apr_snprintf(text, sizeof(text), "%020" APR_INT64_T_FMT, bytes);
        bad = pwrite(fd, text, SUM_WIDTH, 0) != SUM_WIDTH;
    }
    close(fd);
    if (bad) {
        return wh_mod_store_failed(err, "count what a job sends");
    }
    return bytes <= JOB_BYTES_MAX
               ? APR_SUCCESS
               : wh_err_set(err, 422, "too_much", "This job has announced more than 4 GiB in all.");
}

typedef struct price_t {
    const wh_mod_store_t *store;
    apr_int64_t bytes;
} price_t;

static int add_price(void *baton, const char *sha256, apr_off_t size)
{
    price_t *price = baton;

    if (!wh_mod_store_has(price->store, sha256, size)) {
        price->bytes += size + FILE_BYTES;
    }
    return 0;
}

/* What it takes to keep m: what is there already costs nothing, a variant what a file costs. */
static apr_int64_t price_of(const wh_mod_store_t *store, const wh_manifest_t *m, apr_size_t text)
{
    price_t price = {.store = store, .bytes = (apr_int64_t)text};

    (void)wh_manifest_each_object(m, add_price, &price);
    return price.bytes;
}

/* Once a minute for all processes together: whoever finds that it is time writes down that it was
 * done. A time to come (the clock was set back) counts as long ago. */
static int time_to_tidy(const wh_mod_store_t *store)
{
    const char *mark = path_of(store, "uploads", ".tidied");
    time_t now = apr_time_sec(apr_time_now());
    struct stat st;
    int fd;

    if (lstat(mark, &st) == 0 && st.st_mtime <= now && now - st.st_mtime < TIDY_EVERY_S) {
        return 0;
    }
    fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return 0;
    }
    (void)futimens(fd, NULL);
    close(fd);
    return 1;
}

/* What was announced for a job that was lost is committed by nobody. */
static void tidy_uploads(const wh_mod_store_t *store)
{
    const apr_int32_t wanted = APR_FINFO_NAME | APR_FINFO_TYPE | APR_FINFO_MTIME;
    const char *all = path_of(store, "uploads", "");
    apr_time_t old = apr_time_now() - UPLOAD_KEPT_US;
    apr_finfo_t info;
    apr_dir_t *d;
    int n = 0;

    if (!time_to_tidy(store) || apr_dir_open(&d, all, store->p) != APR_SUCCESS) {
        return;
    }
    while (n < TIDY_MAX && apr_dir_read(&info, wanted, d) == APR_SUCCESS) {
        if (info.filetype == APR_DIR && info.name[0] != '.' && info.mtime < old) {
            remove_upload(store, apr_pstrcat(store->p, all, info.name, NULL));
            n++;
        } else if (info.filetype == APR_REG && info.mtime < old &&
                   !strncmp(info.name, SUM_PREFIX, strlen(SUM_PREFIX))) {
            unlink(apr_pstrcat(store->p, all, info.name, NULL));
            n++;
        }
    }
    apr_dir_close(d);
}

apr_status_t wh_mod_store_stage(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                const wh_manifest_t *m, wh_err_t *err)
{
    const char *dir = upload_dir(store, up);
    json_t *json = wh_manifest_json(m);
    size_t n = 0;
    const char *text = wh_json_text(store->p, json, &n), *wanted;
    apr_size_t wanted_n = 0;
    apr_status_t rv;

    json_decref(json);
    if (!text) {
        return wh_err_set(err, 503, "storage_error", "There is no memory for the manifest.");
    }
    rv = charge(store, up, price_of(store, m, n), err);
    if (rv) {
        return rv;
    }
    if (wh_mod_store_make_dir(dir, path_of(store, "uploads", ""))) {
        return wh_mod_store_failed(err, "make the upload's directory");
    }
    tidy_uploads(store);
    wh_fault("stage.dir");
    wanted = wanted_text(store->p, m, &wanted_n);
    rv = wh_mod_store_write(store, dir, "wanted", wanted, wanted_n, err);
    wh_fault("stage.wanted");
    rv = rv ? rv : wh_mod_store_write(store, dir, "manifest.json", text, n, err);
    wh_fault("stage.manifest");
    return rv;
}

static apr_status_t not_announced(wh_err_t *err)
{
    return wh_err_set(err, 422, "not_announced", "This was not announced for the job.");
}

/* Binary search over the file; fd is open, count its number of lines. */
static int search(int fd, apr_off_t count, const char *sha256, apr_off_t *size)
{
    apr_off_t low = 0;

    while (low < count) {
        apr_off_t middle = low + (count - low) / 2;
        char line[WANTED_WIDTH + 1];
        int order;

        if (pread(fd, line, WANTED_WIDTH, middle * WANTED_WIDTH) != WANTED_WIDTH) {
            return -1;
        }
        line[WANTED_WIDTH] = '\0';
        order = memcmp(sha256, line, WH_SHA256_HEX);
        if (order == 0) {
            *size = (apr_off_t)apr_atoi64(line + WH_SHA256_HEX + 1);
            return 1;
        }
        if (order > 0) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return 0;
}

apr_status_t wh_mod_store_wanted(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                 const char *sha256, apr_off_t *size, wh_err_t *err)
{
    const char *path = apr_pstrcat(store->p, upload_dir(store, up), "/wanted", NULL);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int found;

    if (fd < 0) {
        return errno == ENOENT ? not_announced(err)
                               : wh_mod_store_failed(err, "read what was announced");
    }
    found = fstat(fd, &st) == 0 ? search(fd, st.st_size / WANTED_WIDTH, sha256, size) : -1;
    close(fd);
    if (found < 0) {
        return wh_mod_store_failed(err, "read what was announced");
    }
    return found ? APR_SUCCESS : not_announced(err);
}

apr_status_t wh_mod_store_staged(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                 wh_manifest_t **m, wh_err_t *err)
{
    const wh_json_limits_t limits = {
        .bytes = MANIFEST_BYTES_MAX, .depth = 6, .values = 24 * WH_MANIFEST_FILES_MAX};
    const char *path = apr_pstrcat(store->p, upload_dir(store, up), "/manifest.json", NULL);
    wh_file_text_t file;
    json_t *json;
    apr_status_t rv = wh_file_read(store->p, AT_FDCWD, path, MANIFEST_BYTES_MAX, &file);

    if (APR_STATUS_IS_ENOENT(rv)) {
        return not_announced(err);
    }
    if (rv) {
        return wh_err_wrap(err, rv, 503, "storage_error",
                           "The announced manifest could not be read");
    }
    rv = wh_json_load(store->p, file.text, file.n, &limits, &json, err);
    return rv ? rv : wh_manifest_from_json(store->p, json, NULL, m, err);
}

void wh_mod_store_unstage(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                          const char *release_id)
{
    int fd = open(sum_path(store, up), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) {
        (void)!pwrite(fd, release_id, WH_MANIFEST_ID_LEN, SUM_WIDTH);
        close(fd);
    }
    remove_upload(store, upload_dir(store, up));
}

int wh_mod_store_committed(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                           const char *release_id)
{
    char id[WH_MANIFEST_ID_LEN];
    int fd = open(sum_path(store, up), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int same = fd >= 0 && wh_manifest_id_ok(release_id) &&
               pread(fd, id, sizeof(id), SUM_WIDTH) == (ssize_t)sizeof(id) &&
               memcmp(id, release_id, sizeof(id)) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return same;
}
