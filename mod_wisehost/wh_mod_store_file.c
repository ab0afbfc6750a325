#include "mod_wisehost/wh_mod_store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_file.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sys.h"

#define FILE_MODE 0644
#define DIR_MODE 02775 /* the collector is the scheduler's, in httpd's group */
#define LOCK_MODE 0664
#define LOCK_TRIES 500 /* of LOCK_PAUSE_US: the collector lets go after every few files */
#define LOCK_PAUSE_US 20000
#define FRESH_S (12 * 3600) /* half of the shortest collect_after_s that two machines share */

apr_status_t wh_mod_store_failed(wh_err_t *err, const char *what)
{
    apr_status_t rv = APR_FROM_OS_ERROR(errno);

    return wh_err_wrap(err, rv, 503, "storage_error", "The store could not %s", what);
}

const char *wh_mod_store_path(const wh_mod_store_t *store, const char *a, const char *b)
{
    return apr_pstrcat(store->p, store->state_dir, "/", a, "/", b, NULL);
}

const char *wh_mod_store_object_dir(const wh_mod_store_t *store, const char *sha256)
{
    return wh_mod_store_path(store, "objects", apr_pstrmemdup(store->p, sha256, 2));
}

int wh_mod_store_flush_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) < 0;

    if (fd >= 0) {
        close(fd);
    }
    return bad ? -1 : 0;
}

int wh_mod_store_make_dir(const char *path, const char *parent)
{
    if (mkdir(path, DIR_MODE) == 0) {
        (void)chmod(path, DIR_MODE); /* what the umask took: the scheduler clears up in here */
        return wh_mod_store_flush_dir(parent);
    }
    return errno == EEXIST ? 0 : -1;
}

/* A name beside the real one that nobody else has. */
const char *wh_mod_store_temp_name(const wh_mod_store_t *store, const char *dir)
{
    const char *random = wh_rand_hex(store->p, wh_sys_rand(), 12);

    return random ? apr_pstrcat(store->p, dir, "/.tmp-", random, NULL) : NULL;
}

int wh_mod_store_make_temp(const wh_mod_store_t *store, const char *dir, const char **temp)
{
    *temp = wh_mod_store_temp_name(store, dir);
    if (!*temp) {
        errno = EAGAIN;
        return -1;
    }
    return open(*temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
}

int wh_mod_store_place(int fd, const char *temp, const char *path)
{
    int bad = fsync(fd) < 0;

    bad |= close(fd) < 0;
    wh_fault("file.synced");
    if (bad || rename(temp, path) < 0) {
        int keep = errno;

        unlink(temp);
        errno = keep;
        return -1;
    }
    wh_fault("file.renamed");
    return 0;
}

int wh_mod_store_seal(int fd, const char *temp, const char *path, const char *dir)
{
    return wh_mod_store_place(fd, temp, path) ? -1 : wh_mod_store_flush_dir(dir);
}

apr_status_t wh_mod_store_write(const wh_mod_store_t *store, const char *dir, const char *name,
                                const char *data, apr_size_t n, wh_err_t *err)
{
    const char *temp;
    int fd = wh_mod_store_make_temp(store, dir, &temp);

    if (fd < 0) {
        return wh_mod_store_failed(err, "make a file");
    }
    errno = wh_file_put(fd, data, n);
    if (errno != 0) {
        apr_status_t rv = wh_mod_store_failed(err, "write a file");

        close(fd);
        unlink(temp);
        return rv;
    }
    return wh_mod_store_seal(fd, temp, apr_pstrcat(store->p, dir, "/", name, NULL), dir)
               ? wh_mod_store_failed(err, "keep a file")
               : APR_SUCCESS;
}

static const char *object_path(const wh_mod_store_t *store, const char *sha256)
{
    return apr_pstrcat(store->p, wh_mod_store_object_dir(store, sha256), "/", sha256, NULL);
}

int wh_mod_store_has(const wh_mod_store_t *store, const char *sha256, apr_off_t size)
{
    struct stat st;

    return lstat(object_path(store, sha256), &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
}

int wh_mod_store_release_exists(const wh_mod_store_t *store, const char *release_id)
{
    struct stat st;
    const char *path =
        apr_pstrcat(store->p, wh_mod_store_path(store, "releases", release_id), "/manifest", NULL);

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int wh_mod_store_keep(const wh_mod_store_t *store, const char *sha256, apr_off_t size)
{
    const char *path = object_path(store, sha256);
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != size) {
        return 0;
    }
    return st.st_mtime > (time_t)apr_time_sec(apr_time_now()) - FRESH_S ||
           utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- the collector and we -------------------------------------------------------------------- */

static apr_status_t close_lock(void *data)
{
    close((int)(intptr_t)data);
    return APR_SUCCESS;
}

apr_status_t wh_mod_store_hold(const wh_mod_store_t *store, wh_mod_hold_t *hold, wh_err_t *err)
{
    const char *path = wh_mod_store_path(store, "objects", WH_MOD_STORE_LOCK);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, LOCK_MODE);

    if (fd < 0) {
        return wh_mod_store_failed(err, "open its lock");
    }
    (void)fchmod(fd, LOCK_MODE); /* its maker may; for others it is right already */
    for (int i = 0; flock(fd, LOCK_SH | LOCK_NB) != 0; i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i >= LOCK_TRIES) {
            apr_status_t rv = wh_mod_store_failed(err, "be locked");

            close(fd);
            return rv;
        }
        apr_sleep(LOCK_PAUSE_US);
    }
    hold->fd = fd;
    apr_pool_cleanup_register(store->p, (void *)(intptr_t)fd, close_lock, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

void wh_mod_store_let_go(const wh_mod_store_t *store, const wh_mod_hold_t *hold)
{
    apr_pool_cleanup_run(store->p, (void *)(intptr_t)hold->fd, close_lock);
}
