#include "wh-scheduler/publish_dir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "libwh/wh_log.h"

static const char *parent(apr_pool_t *p, const char *link)
{
    const char *slash = strrchr(link, '/');

    return slash != NULL ? apr_pstrmemdup(p, link, (apr_size_t)(slash - link)) : ".";
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The number of "<name>.<number>", 0 when it is none. */
static apr_int64_t number_of(const char *entry, const char *name)
{
    size_t n = strlen(name);
    char *end;
    apr_int64_t number;

    if (strncmp(entry, name, n) != 0 || entry[n] != '.' || entry[n + 1] < '1' ||
        entry[n + 1] > '9') {
        return 0;
    }
    number = apr_strtoi64(entry + n + 1, &end, 10);
    return *end == '\0' && number < APR_INT64_C(1000000000) ? number : 0;
}

apr_status_t wh_publish_dir_next(apr_pool_t *p, const char *link, const char **dir, wh_err_t *err)
{
    const char *base = parent(p, link), *name = last_part(link);
    apr_int64_t highest = 0;
    apr_dir_t *handle;
    apr_finfo_t info;
    apr_status_t rv = apr_dir_open(&handle, base, p);

    if (rv != APR_SUCCESS) {
        return wh_err_wrap(err, rv, 500, "routes_unusable", "%s", base);
    }
    while (apr_dir_read(&info, APR_FINFO_NAME, handle) == APR_SUCCESS) {
        apr_int64_t number = number_of(info.name, name);

        highest = number > highest ? number : highest;
    }
    apr_dir_close(handle);
    *dir = apr_psprintf(p, "%s.%" APR_INT64_T_FMT, link, highest + 1);
    if (mkdir(*dir, 0750) != 0 || chmod(*dir, 02750) != 0) {
        return wh_err_wrap(err, errno, 500, "routes_unusable", "%s", *dir);
    }
    return APR_SUCCESS;
}

apr_status_t wh_publish_dir_swap(apr_pool_t *p, const char *link, const char *dir, wh_err_t *err)
{
    const char *fresh = apr_pstrcat(p, link, ".new", NULL);

    (void)unlink(fresh);
    if (symlink(last_part(dir), fresh) != 0 || rename(fresh, link) != 0) {
        return wh_err_wrap(err, errno, 500, "routes_unusable", "link %s", link);
    }
    return APR_SUCCESS;
}

apr_status_t wh_publish_dir_modes(apr_pool_t *p, const char *dir, wh_err_t *err)
{
    const char *data = apr_pstrcat(p, dir, "/data.mdb", NULL);
    const char *lock = apr_pstrcat(p, dir, "/lock.mdb", NULL);

    if (chmod(data, 0640) != 0 || chmod(lock, 0660) != 0) {
        return wh_err_wrap(err, errno, 500, "routes_unusable", "modes in %s", dir);
    }
    return APR_SUCCESS;
}

static void remove_dir(apr_pool_t *p, const char *dir)
{
    static const char *const files[] = {"/data.mdb", "/lock.mdb"};

    for (size_t i = 0; i < WH_ARRAY_LEN(files); i++) {
        (void)unlink(apr_pstrcat(p, dir, files[i], NULL));
    }
    if (rmdir(dir) == 0) {
        wh_log(WH_LOG_INFO, NULL, "route table: old directory %s removed", dir);
    }
}

void wh_publish_dir_sweep(apr_pool_t *p, const char *link)
{
    const char *base = parent(p, link), *name = last_part(link);
    char now[256];
    ssize_t n = readlink(link, now, sizeof(now) - 1);
    apr_int64_t current;
    apr_dir_t *handle;
    apr_finfo_t info;

    if (n <= 0) {
        return;
    }
    now[n] = '\0';
    current = number_of(last_part(now), name);
    if (current == 0 || apr_dir_open(&handle, base, p) != APR_SUCCESS) {
        return;
    }
    while (apr_dir_read(&info, APR_FINFO_NAME, handle) == APR_SUCCESS) {
        apr_int64_t number = number_of(info.name, name);

        if (number > 0 && number != current && number != current - 1) {
            remove_dir(p, apr_pstrcat(p, base, "/", info.name, NULL));
        }
    }
    apr_dir_close(handle);
}

int wh_publish_dir_sound(apr_pool_t *p, const char *verifier, const char *link)
{
    const char *args[] = {verifier, "--verify-routes", link, NULL};
    apr_procattr_t *attr;
    apr_proc_t proc;
    apr_exit_why_e why = APR_PROC_EXIT;
    int code = 1;

    if (apr_procattr_create(&attr, p) != APR_SUCCESS ||
        apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV) != APR_SUCCESS ||
        apr_proc_create(&proc, verifier, args, NULL, attr, p) != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0413", "%s cannot be run to look the route table through",
               verifier);
        return 0;
    }
    (void)apr_proc_wait(&proc, &code, &why, APR_WAIT);
    return why == APR_PROC_EXIT && code == 0;
}
