#include "mod_wisehost/wh_mod_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"

#define FILE_MODE 0644
#define DIR_MODE 0755
#define WANTED_WIDTH 86 /* 64 digits, a space, 20 digits, a line end */
#define MANIFEST_BYTES_MAX (64 * 1024 * 1024)
#define JOB_BYTES_MAX (4 * WH_MANIFEST_BYTES_MAX)
#define FILE_BYTES 4096 /* what the smallest file takes */
#define SUM_PREFIX ".sum-"
#define UPLOAD_KEPT_US (APR_INT64_C(24) * 3600 * APR_USEC_PER_SEC) /* longer than any job lasts */
#define TIDY_EVERY_S 60
#define TIDY_MAX 100 /* taken away at once: somebody waits for it; the rest goes the next time */

struct wh_mod_object_t {
    const wh_mod_store_t *store;
    const char *temp, *dir, *path;
    const char *sha256;
    apr_off_t size, got;
    int fd;
    wh_sign_ctx_t *hash;
};

static apr_status_t failed(wh_err_t *err, const char *what)
{
    apr_status_t rv = APR_FROM_OS_ERROR(errno);

    return wh_err_wrap(err, rv, 503, "storage_error", "The store could not %s", what);
}

static const char *path_of(const wh_mod_store_t *store, const char *a, const char *b)
{
    return apr_pstrcat(store->p, store->state_dir, "/", a, "/", b, NULL);
}

static const char *object_dir(const wh_mod_store_t *store, const char *sha256)
{
    return path_of(store, "objects", apr_pstrmemdup(store->p, sha256, 2));
}

static const char *upload_dir(const wh_mod_store_t *store, const wh_mod_upload_t *up)
{
    return path_of(store, "uploads",
                   apr_psprintf(store->p, "%s.%" APR_INT64_T_FMT, up->job, up->epoch));
}

static int flush_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) < 0;

    if (fd >= 0) {
        close(fd);
    }
    return bad ? -1 : 0;
}

/* Makes a directory that may be there; a new one is made durable in its parent. */
static int make_dir(const char *path, const char *parent)
{
    if (mkdir(path, DIR_MODE) == 0) {
        return flush_dir(parent);
    }
    return errno == EEXIST ? 0 : -1;
}

static int write_all(int fd, const char *data, apr_size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, data, n);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return -1;
        }
        data += done;
        n -= (apr_size_t)done;
    }
    return 0;
}

/* A name beside the real one that nobody else has. */
static const char *temp_name(const wh_mod_store_t *store, const char *dir)
{
    const char *random = wh_rand_hex(store->p, wh_sys_rand(), 12);

    return random ? apr_pstrcat(store->p, dir, "/.tmp-", random, NULL) : NULL;
}

static int make_temp(const wh_mod_store_t *store, const char *dir, const char **temp)
{
    *temp = temp_name(store, dir);
    if (!*temp) {
        errno = EAGAIN;
        return -1;
    }
    return open(*temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
}

/* Flushes and gives the file its name; fd is closed in any case. */
static int seal(int fd, const char *temp, const char *path, const char *dir)
{
    int bad = fsync(fd) < 0;

    bad |= close(fd) < 0;
    if (bad || rename(temp, path) < 0) {
        int keep = errno;

        unlink(temp);
        errno = keep;
        return -1;
    }
    return flush_dir(dir);
}

static apr_status_t write_file(const wh_mod_store_t *store, const char *dir, const char *name,
                               const char *data, apr_size_t n, wh_err_t *err)
{
    const char *temp;
    int fd = make_temp(store, dir, &temp);

    if (fd < 0) {
        return failed(err, "make a file");
    }
    if (write_all(fd, data, n) < 0) {
        apr_status_t rv = failed(err, "write a file");

        close(fd);
        unlink(temp);
        return rv;
    }
    return seal(fd, temp, apr_pstrcat(store->p, dir, "/", name, NULL), dir)
               ? failed(err, "keep a file")
               : APR_SUCCESS;
}

int wh_mod_store_has(const wh_mod_store_t *store, const char *sha256, apr_off_t size)
{
    struct stat st;
    const char *path = apr_pstrcat(store->p, object_dir(store, sha256), "/", sha256, NULL);

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
}

int wh_mod_store_release_exists(const wh_mod_store_t *store, const char *release_id)
{
    struct stat st;
    const char *path =
        apr_pstrcat(store->p, path_of(store, "releases", release_id), "/manifest", NULL);

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* ---- releases under way --------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, WH_SHA256_HEX);
}

/* Fixed-width lines in the order of the hashes, so that one object is found by a few reads and not
 * by parsing a manifest of 20 000 files for each of 20 000 objects. */
static char *wanted_text(apr_pool_t *p, const wh_manifest_t *m)
{
    char *text = apr_palloc(p, (apr_size_t)m->n * WANTED_WIDTH + 1);

    for (int i = 0; i < m->n; i++) {
        apr_snprintf(text + (apr_size_t)i * WANTED_WIDTH, WANTED_WIDTH + 1,
                     "%s %020" APR_OFF_T_FMT "\n", m->entries[i].sha256, m->entries[i].size);
    }
    qsort(text, (size_t)m->n, WANTED_WIDTH, by_hash);
    return text;
}

static void remove_upload(const wh_mod_store_t *store, const char *dir)
{
    unlink(apr_pstrcat(store->p, dir, "/manifest.json", NULL));
    unlink(apr_pstrcat(store->p, dir, "/wanted", NULL));
    rmdir(dir);
}

/* Objects are never taken back, and a job may announce again and again: all that one job makes us
 * keep has a measure. The sum lies beside its upload, for that goes when it is committed. */
static apr_status_t charge(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                           apr_int64_t bytes, wh_err_t *err)
{
    const char *path = apr_psprintf(store->p, "%s" SUM_PREFIX "%s.%" APR_INT64_T_FMT,
                                    path_of(store, "uploads", ""), up->job, up->epoch);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE), bad;
    char text[24] = "";

    if (fd < 0) {
        return failed(err, "make a file");
    }
    bad = flock(fd, LOCK_EX) < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0;
    bytes += apr_atoi64(text);
    if (!bad && bytes <= JOB_BYTES_MAX) {
        apr_snprintf(text, sizeof(text), "%020" APR_INT64_T_FMT, bytes);
        bad = pwrite(fd, text, 20, 0) != 20;
    }
    close(fd);
    if (bad) {
        return failed(err, "count what a job sends");
    }
    return bytes <= JOB_BYTES_MAX
               ? APR_SUCCESS
               : wh_err_set(err, 422, "too_much", "This job has announced more than 4 GiB in all.");
}

/* What it takes to keep m: what is there already costs nothing. */
static apr_int64_t price_of(const wh_mod_store_t *store, const wh_manifest_t *m, apr_size_t text)
{
    apr_int64_t bytes = (apr_int64_t)text;

    for (int i = 0; i < m->n; i++) {
        if (!wh_mod_store_has(store, m->entries[i].sha256, m->entries[i].size)) {
            bytes += m->entries[i].size + FILE_BYTES;
        }
    }
    return bytes;
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
    const char *text = wh_json_text(store->p, json, &n);
    apr_status_t rv;

    json_decref(json);
    if (!text) {
        return wh_err_set(err, 503, "storage_error", "There is no memory for the manifest.");
    }
    rv = charge(store, up, price_of(store, m, n), err);
    if (rv) {
        return rv;
    }
    if (make_dir(dir, path_of(store, "uploads", ""))) {
        return failed(err, "make the upload's directory");
    }
    tidy_uploads(store);
    rv = write_file(store, dir, "wanted", wanted_text(store->p, m), (apr_size_t)m->n * WANTED_WIDTH,
                    err);
    return rv ? rv : write_file(store, dir, "manifest.json", text, n, err);
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
        return errno == ENOENT ? not_announced(err) : failed(err, "read what was announced");
    }
    found = fstat(fd, &st) == 0 ? search(fd, st.st_size / WANTED_WIDTH, sha256, size) : -1;
    close(fd);
    if (found < 0) {
        return failed(err, "read what was announced");
    }
    return found ? APR_SUCCESS : not_announced(err);
}

apr_status_t wh_mod_store_staged(const wh_mod_store_t *store, const wh_mod_upload_t *up,
                                 wh_manifest_t **m, wh_err_t *err)
{
    const wh_json_limits_t limits = {
        .bytes = MANIFEST_BYTES_MAX, .depth = 4, .values = 8 * WH_MANIFEST_FILES_MAX};
    const char *path = apr_pstrcat(store->p, upload_dir(store, up), "/manifest.json", NULL);
    apr_file_t *file;
    apr_finfo_t info;
    json_t *json;
    char *text;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, store->p);

    if (APR_STATUS_IS_ENOENT(rv)) {
        return not_announced(err);
    }
    rv = rv ? rv : apr_file_info_get(&info, APR_FINFO_SIZE, file);
    if (rv || info.size > MANIFEST_BYTES_MAX) {
        return wh_err_wrap(err, rv, 503, "storage_error",
                           "The announced manifest could not be read");
    }
    text = apr_palloc(store->p, (apr_size_t)info.size + 1);
    rv = apr_file_read_full(file, text, (apr_size_t)info.size, NULL);
    apr_file_close(file);
    if (rv) {
        return wh_err_wrap(err, rv, 503, "storage_error",
                           "The announced manifest could not be read");
    }
    rv = wh_json_load(store->p, text, (size_t)info.size, &limits, &json, err);
    return rv ? rv : wh_manifest_from_json(store->p, json, NULL, m, err);
}

void wh_mod_store_unstage(const wh_mod_store_t *store, const wh_mod_upload_t *up)
{
    remove_upload(store, upload_dir(store, up));
}

/* ---- a release ------------------------------------------------------------------------------ */

apr_status_t wh_mod_store_publish(const wh_mod_store_t *store, const wh_manifest_t *m,
                                  wh_err_t *err)
{
    const char *parent = path_of(store, "releases", "");
    const char *final = path_of(store, "releases", wh_manifest_id(m));
    const char *temp = temp_name(store, path_of(store, "releases", "."));
    size_t n = 0;
    const char *text = wh_manifest_text(store->p, m, &n);
    apr_status_t rv;
    int lost;

    if (wh_mod_store_release_exists(store, wh_manifest_id(m))) {
        return APR_SUCCESS;
    }
    if (!temp || mkdir(temp, DIR_MODE) < 0) {
        return failed(err, "make the release's directory");
    }
    rv = write_file(store, temp, "manifest", text, n, err);
    if (rv) {
        rmdir(temp);
        return rv;
    }
    lost = rename(temp, final) < 0;
    if (lost) {
        rv = errno == EEXIST || errno == ENOTEMPTY ? APR_SUCCESS
                                                   : failed(err, "publish the release");
        unlink(apr_pstrcat(store->p, temp, "/manifest", NULL));
        rmdir(temp);
        return rv;
    }
    return flush_dir(parent) ? failed(err, "publish the release") : APR_SUCCESS;
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
    o->dir = object_dir(store, sha256);
    o->path = apr_pstrcat(store->p, o->dir, "/", sha256, NULL);
    if (make_dir(o->dir, path_of(store, "objects", ""))) {
        return failed(err, "make a directory");
    }
    o->fd = make_temp(store, o->dir, &o->temp);
    if (o->fd < 0) {
        return failed(err, "make a file");
    }
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
    return write_all(o->fd, data, n) ? failed(err, "write an object") : APR_SUCCESS;
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
    o->fd = -1; /* from here on seal() closes and removes */
    return seal(fd, o->temp, o->path, o->dir) ? failed(err, "keep an object") : APR_SUCCESS;
}
