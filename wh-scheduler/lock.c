#include "wh-scheduler/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <apr_strings.h>

static apr_status_t cleanup(void *data)
{
    close((int)(intptr_t)data);
    return APR_SUCCESS;
}

static long read_pid(int fd)
{
    char buf[24] = "";
    ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
    char *end;
    apr_int64_t pid;

    if (n <= 0) {
        return 0;
    }
    pid = apr_strtoi64(buf, &end, 10);
    return pid > 0 && pid < INT32_MAX ? (long)pid : 0;
}

apr_status_t wh_lock_file(apr_pool_t *p, const char *path, long *pid, wh_err_t *err)
{
    char text[24];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

    *pid = 0;
    if (fd < 0) {
        return wh_err_wrap(err, errno, 500, "lock_unusable", "%s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;

        *pid = read_pid(fd);
        close(fd);
        if (error != EWOULDBLOCK) {
            return wh_err_wrap(err, error, 500, "lock_unusable", "%s", path);
        }
        return wh_err_set(
            err, 503, "lock_held",
            "another wh-scheduler%s works in this state directory (%s is locked): stop "
            "it first, or give this one a state_dir of its own",
            *pid > 0 ? apr_psprintf(p, " (process %ld)", *pid) : "", path);
    }
    apr_pool_cleanup_register(p, (void *)(intptr_t)fd, cleanup, apr_pool_cleanup_null);
    apr_snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text)) {
        /* Only who holds it would be unknown; the lock itself stands. */
        return APR_SUCCESS;
    }
    return APR_SUCCESS;
}

int wh_lock_file_free(apr_pool_t *p, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW), free_now;

    (void)p;
    if (fd < 0) {
        return errno == ENOENT;
    }
    free_now = flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return free_now;
}
