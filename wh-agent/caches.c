#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "libwh/wh_gitauth.h"
#include "libwh/wh_id.h"
#include "wh-agent/caches.h"
#include "wh-agent/fsutil.h"

typedef struct cache_t {
    const char *dir;
    apr_int64_t bytes;
    time_t used; /* when a job last took its lock (source.c) */
} cache_t;

static int oldest_first(const void *a, const void *b)
{
    const cache_t *x = a, *y = b;

    return x->used != y->used ? (x->used > y->used) - (x->used < y->used) : strcmp(x->dir, y->dir);
}

/* git writes packs and nothing else that is large (gitenv.c). */
static apr_int64_t bytes_of(apr_pool_t *p, const char *dir)
{
    static const char *const parts[] = {"", "/git", "/git/objects/pack"};
    apr_int64_t bytes = 0;

    for (size_t i = 0; i < WH_ARRAY_LEN(parts); i++)
        bytes += wh_fsutil_dir_bytes(apr_pstrcat(p, dir, parts[i], NULL), NULL);
    return bytes;
}

static apr_array_header_t *all_below(apr_pool_t *p, const char *top)
{
    apr_array_header_t *all = apr_array_make(p, 8, sizeof(cache_t));
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, top, p) != APR_SUCCESS)
        return all;
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        cache_t c = {.dir = apr_pstrcat(p, top, "/", info.name, NULL)};
        struct stat st;

        if (!wh_id_ok(info.name))
            continue;
        c.bytes = bytes_of(p, c.dir);
        c.used = stat(apr_pstrcat(p, c.dir, "/lock", NULL), &st) == 0 ? st.st_mtime : 0;
        APR_ARRAY_PUSH(all, cache_t) = c;
    }
    apr_dir_close(dir);
    return all;
}

/* Under the lock, which itself stays: a job may be waiting for it. Returns false when one has it.
 */
static int clear(apr_pool_t *p, const cache_t *cache, apr_status_t *rv, wh_err_t *err)
{
    static const char *const files[] = {"/url", "/blobs", "/variants"};
    int fd = open(apr_pstrcat(p, cache->dir, "/lock", NULL),
                  O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int ours = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

    if (ours) {
        for (size_t i = 0; i < WH_ARRAY_LEN(files); i++)
            (void)unlink(apr_pstrcat(p, cache->dir, files[i], NULL));
        *rv = wh_fsutil_remove_tree(p, apr_pstrcat(p, cache->dir, "/git", NULL), err);
    }
    if (fd >= 0)
        close(fd);
    return ours;
}

apr_status_t wh_caches_trim(apr_pool_t *p, const char *state_dir, apr_int64_t bytes,
                            apr_int64_t *left, int *gone, wh_err_t *err)
{
    apr_array_header_t *all = all_below(p, apr_pstrcat(p, state_dir, "/cache", NULL));
    apr_status_t rv = APR_SUCCESS;

    *left = *gone = 0;
    for (int i = 0; i < all->nelts; i++)
        *left += APR_ARRAY_IDX(all, i, cache_t).bytes;
    qsort(all->elts, (size_t)all->nelts, sizeof(cache_t), oldest_first);
    for (int i = 0; rv == APR_SUCCESS && i<all->nelts && * left> bytes; i++) {
        const cache_t *c = &APR_ARRAY_IDX(all, i, cache_t);

        if (c->bytes == 0 || !clear(p, c, &rv, err) || rv != APR_SUCCESS)
            continue;
        *left -= c->bytes;
        *gone += 1;
    }
    return rv;
}

void wh_caches_forget_auth(apr_pool_t *p, const char *state_dir)
{
    const char *top = apr_pstrcat(p, state_dir, "/cache", NULL);
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, top, p) != APR_SUCCESS)
        return;
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS)
        if (wh_id_ok(info.name))
            wh_gitauth_drop(p, apr_pstrcat(p, top, "/", info.name, NULL));
    apr_dir_close(dir);
}
