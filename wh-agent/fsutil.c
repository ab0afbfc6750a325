#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include "libwh/wh_file.h"
#include "wh-agent/fsutil.h"

#define DEPTH_MAX 64

apr_status_t wh_fsutil_write(apr_pool_t *p, const char *path, const char *text, size_t n,
                             int durable, wh_err_t *err)
{
    const wh_file_new_t file = {
        .dir = AT_FDCWD, .path = path, .mode = 0600, .group = WH_FILE_NO_GROUP, .durable = durable};
    apr_status_t rv = wh_file_replace(p, &file, text, n);

    if (rv == APR_SUCCESS)
        return APR_SUCCESS;
    return wh_err_wrap(err, rv, 500, "state_unwritable", "cannot write %s", path);
}

apr_status_t wh_fsutil_rename(apr_pool_t *p, const char *from, const char *to, wh_err_t *err)
{
    apr_status_t rv = rename(from, to) == 0 ? wh_file_sync_name(p, AT_FDCWD, to) : errno;

    return rv == APR_SUCCESS
               ? rv
               : wh_err_wrap(err, rv, 500, "state_unwritable", "cannot rename %s to %s", from, to);
}

apr_status_t wh_fsutil_read(apr_pool_t *p, const char *path, size_t max, char **text, size_t *n,
                            wh_err_t *err)
{
    wh_file_text_t file;
    apr_status_t rv = wh_file_read(p, AT_FDCWD, path, max, &file);

    if (APR_STATUS_IS_ENOENT(rv)) {
        (void)wh_err_set(err, 500, "state_unreadable", "%s is not there", path);
        return APR_NOTFOUND;
    }
    if (rv == EINVAL || rv == EFBIG)
        return wh_err_set(err, 500, "state_unreadable",
                          "%s is not a regular file of at most %zu bytes", path, max);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "state_unreadable", "cannot read %s", path);
    *text = file.text;
    *n = file.n;
    return APR_SUCCESS;
}

apr_status_t wh_fsutil_mkdir(apr_pool_t *p, const char *path, wh_err_t *err)
{
    apr_status_t rv =
        apr_dir_make_recursive(path, APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE, p);

    if (rv != APR_SUCCESS && !APR_STATUS_IS_EEXIST(rv))
        return wh_err_wrap(err, rv, 500, "state_unwritable", "cannot make the directory %s", path);
    return APR_SUCCESS;
}

static int remove_below(int dirfd, int depth)
{
    DIR *dir = fdopendir(dirfd);
    struct dirent *de;
    int rv = 0;

    if (dir == NULL) {
        close(dirfd);
        return -1;
    }
    while (depth < DEPTH_MAX && (de = readdir(dir)) != NULL) {
        int sub;

        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd, de->d_name, 0) == 0 || errno == ENOENT)
            continue;
        sub = openat(dirfd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0 || remove_below(sub, depth + 1) != 0 ||
            unlinkat(dirfd, de->d_name, AT_REMOVEDIR) != 0)
            rv = -1;
    }
    closedir(dir);
    return rv;
}

apr_status_t wh_fsutil_remove_tree(apr_pool_t *p, const char *path, wh_err_t *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    (void)p;
    if (fd < 0 && errno == ENOENT)
        return APR_SUCCESS;
    if (fd < 0 || remove_below(fd, 0) != 0 || rmdir(path) != 0)
        return wh_err_wrap(err, errno, 500, "state_unwritable", "cannot remove %s", path);
    return APR_SUCCESS;
}

apr_int64_t wh_fsutil_dir_bytes(const char *path, int *files)
{
    DIR *dir = opendir(path);
    struct dirent *de;
    struct stat st;
    apr_int64_t bytes = 0;
    int n = 0;

    while (dir != NULL && (de = readdir(dir)) != NULL) {
        if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        bytes += st.st_size;
        n++;
    }
    if (dir != NULL)
        closedir(dir);
    if (files != NULL)
        *files = n;
    return bytes;
}
