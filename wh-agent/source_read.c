/* Reading a source that is in the cache, and what others need to run git there. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_file.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/source_int.h"

apr_status_t wh_source_git_ok(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                              const char *what, wh_err_t *err)
{
    wh_proc_result_t result;
    apr_status_t rv = wh_source_git(p, source, run, &result, err);

    if (rv != APR_SUCCESS || wh_source_git_exited(&result, 0))
        return rv;
    return wh_err_set(err, 422, "clone_failed", "%s: %s", what, wh_gitsays_line(p, result.errors));
}

apr_status_t wh_source_input(const char *buf, size_t n, int *fd, wh_err_t *err)
{
    apr_status_t rv;

    *fd = memfd_create("input", MFD_CLOEXEC);
    rv = *fd >= 0 ? wh_file_put(*fd, buf, n) : errno;
    if (rv == APR_SUCCESS && lseek(*fd, 0, SEEK_SET) == 0)
        return APR_SUCCESS;
    rv = rv == APR_SUCCESS ? errno : rv;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return wh_err_wrap(err, rv, 500, "internal", "cannot hand anything to git");
}

/* One name a line. */
static apr_status_t names_of(apr_pool_t *p, const char *const *names, size_t n, int *fd,
                             wh_err_t *err)
{
    size_t have = 0;
    char *buf = apr_palloc(p, n * 80 + 1);

    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);

        if (len > 78)
            return wh_err_set(err, 500, "internal", "an object name is too long");
        memcpy(buf + have, names[i], len);
        buf[have + len] = '\n';
        have += len + 1;
    }
    return wh_source_input(buf, have, fd, err);
}

void wh_source_text_init(wh_source_text_t *text, apr_pool_t *p, size_t max)
{
    *text = (wh_source_text_t){.p = p, .buf = apr_pcalloc(p, 1), .max = max};
}

int wh_source_text_add(void *baton, const char *buf, size_t n)
{
    wh_source_text_t *t = baton;

    if (n > t->max - t->n)
        return 1;
    if (t->n + n + 1 > t->room) {
        size_t room = 2 * (t->n + n + 1);
        char *more = apr_palloc(t->p, room);

        memcpy(more, t->buf, t->n);
        t->buf = more;
        t->room = room;
    }
    memcpy(t->buf + t->n, buf, n);
    t->n += n;
    t->buf[t->n] = '\0';
    return 0;
}

apr_status_t wh_source_read(apr_pool_t *p, const wh_source_t *source, const wh_source_read_t *what,
                            int *ended, wh_err_t *err)
{
    const char *args[] = {"cat-file", "--batch", NULL};
    wh_catfile_t *cat = apr_palloc(p, sizeof(*cat));
    wh_source_run_t run = {.args = args, .in_fd = -1, .out = wh_catfile_feed, .baton = cat};
    wh_proc_result_t result;
    apr_status_t rv;

    if (ended != NULL)
        *ended = 0;
    wh_catfile_init(cat, what->fn, what->baton);
    rv = names_of(p, what->oids, what->n, &run.in_fd, err);
    if (rv != APR_SUCCESS)
        return rv;
    rv = wh_source_git(p, source, &run, &result, err);
    close(run.in_fd);
    if (rv != APR_SUCCESS)
        return rv;
    if (result.end == WH_PROC_REFUSED && !cat->broken) {
        if (ended != NULL)
            *ended = 1;
        return APR_SUCCESS;
    }
    if (!wh_source_git_exited(&result, 0) || !wh_catfile_complete(cat, what->n))
        return wh_err_set(err, 422, "clone_failed", "git could not read the objects: %s",
                          wh_gitsays_line(p, result.errors));
    return APR_SUCCESS;
}

static apr_status_t list_with(apr_pool_t *p, const wh_source_t *source, const wh_source_run_t *run,
                              wh_lstree_t *ls, int *ended, wh_err_t *err)
{
    wh_proc_result_t result;
    apr_status_t rv = wh_source_git(p, source, run, &result, err);

    if (rv != APR_SUCCESS)
        return rv;
    *ended = result.end == WH_PROC_REFUSED && !ls->broken;
    if (*ended)
        return APR_SUCCESS;
    if (!wh_source_git_exited(&result, 0) && strstr(result.errors, "Not a valid object name") == NULL &&
        strstr(result.errors, "not a tree object") == NULL)
        return wh_err_set(err, 422, "clone_failed", "git could not list the files: %s",
                          wh_gitsays_line(p, result.errors));
    if (!wh_source_git_exited(&result, 0))
        return APR_NOTFOUND;
    if (!wh_lstree_complete(ls))
        return wh_err_set(err, 422, "clone_failed", "the list of files is malformed");
    return APR_SUCCESS;
}

apr_status_t wh_source_list(apr_pool_t *p, const wh_source_t *source, const char *subdir,
                            wh_lstree_fn *fn, void *baton, int *ended, wh_err_t *err)
{
    wh_lstree_t *ls = apr_palloc(p, sizeof(*ls));
    const char *tree = apr_pstrcat(p, source->tree, ":", subdir, NULL);
    const char *args[] = {"ls-tree", "-r", "-z", "-l", "--full-tree", tree, NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1, .out = wh_lstree_feed, .baton = ls};
    apr_status_t rv;

    wh_lstree_init(ls, fn, baton);
    rv = list_with(p, source, &run, ls, ended, err);
    if (rv == APR_NOTFOUND)
        return wh_err_set(err, 422, "output_missing", "the repository has no directory \"%s\"",
                          subdir);
    return rv;
}

typedef struct stat_baton_t {
    apr_pool_t *p;
    const char *path;
    wh_lstree_entry_t *entry;
    int found;
} stat_baton_t;

static int take_stat(void *baton, const wh_lstree_entry_t *entry)
{
    stat_baton_t *b = baton;

    if (strcmp(entry->path, b->path) == 0) {
        *b->entry = *entry;
        b->entry->path = apr_pstrdup(b->p, entry->path);
        b->found = 1;
    }
    return 0;
}

apr_status_t wh_source_stat(apr_pool_t *p, const wh_source_t *source, const char *path,
                            wh_lstree_entry_t *entry, wh_err_t *err)
{
    wh_lstree_t *ls = apr_palloc(p, sizeof(*ls));
    stat_baton_t baton = {.p = p, .path = path, .entry = entry};
    const char *args[] = {"ls-tree", "-z", "-l", "--full-tree", source->tree, "--", path, NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1, .out = wh_lstree_feed, .baton = ls};
    int ended = 0;
    apr_status_t rv;

    wh_lstree_init(ls, take_stat, &baton);
    rv = list_with(p, source, &run, ls, &ended, err);
    if (rv == APR_SUCCESS && !baton.found)
        rv = APR_NOTFOUND;
    return rv;
}

apr_status_t wh_source_stats(apr_pool_t *p, const wh_source_t *source, const char *const *paths,
                             size_t n, wh_lstree_fn *fn, void *baton, wh_err_t *err)
{
    const char *head[] = {"ls-tree", "-t", "-z", "-l", "--full-tree", source->tree, "--"};
    const char **args = apr_pcalloc(p, sizeof(*args) * (WH_ARRAY_LEN(head) + n + 1));
    wh_lstree_t *ls = apr_palloc(p, sizeof(*ls));
    wh_source_run_t run = {.args = args, .in_fd = -1, .out = wh_lstree_feed, .baton = ls};
    int ended = 0;

    memcpy(args, head, sizeof(head));
    memcpy(args + WH_ARRAY_LEN(head), paths, sizeof(*args) * n);
    wh_lstree_init(ls, fn, baton);
    return list_with(p, source, &run, ls, &ended, err);
}

apr_status_t wh_source_archive(apr_pool_t *p, const wh_source_t *source, const char *subdir,
                               wh_proc_t *proc, wh_err_t *err)
{
    const char *tree = apr_pstrcat(p, source->tree, ":", subdir, NULL);
    const char *args[] = {"archive", "--format=tar", tree, NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1, .baton = proc};
    wh_proc_opts_t opts;

    wh_source_proc_opts(p, source, &run, &opts);
    return wh_proc_start(p, &opts, proc, err);
}
