#include <string.h>
#include <unistd.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include "libwh/wh_giturl.h"
#include "libwh/wh_text.h"
#include "wh-agent/compose.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/lfs.h"
#include "wh-agent/source_int.h"

#define SUBMODULES_MAX 64
#define DEPTH_MAX 8
#define MODULES_MAX ((size_t)(256 * 1024))
/* As long as a SHA-256; a SHA-1 is shorter. */
#define NULL_OID "0000000000000000000000000000000000000000000000000000000000000000"

/* A repository at a commit: the app's own, or a submodule. */
typedef struct level_t {
    wh_compose_t *c;
    wh_source_t at;   /* tree: what is worked at */
    const char *root; /* only what lies below it */
    int depth;
    apr_array_header_t *links; /* of link_t */
    wh_lfs_t lfs;
    const char *index;
} level_t;

typedef struct link_t {
    const char *path;
    char oid[65];
    const char *url;  /* as .gitmodules has it; NULL = it has none */
    const char *tree; /* what comes there */
} link_t;

static apr_status_t compose_level(apr_pool_t *p, level_t *level, wh_err_t *err);

/* ---- what there is ---- */

static int below(const char *root, const char *path)
{
    size_t n = strlen(root);

    return n == 0 || (strncmp(path, root, n) == 0 && path[n] == '/');
}

/* A submodule that is the root directory itself, or one above it, counts as well. */
static int matters(const level_t *level, const char *path)
{
    return below(level->root, path) || strcmp(level->root, path) == 0 || below(path, level->root);
}

static int take_entry(void *baton, const wh_lstree_entry_t *entry)
{
    level_t *level = baton;
    link_t *link;

    if (level->c->lfs && below(level->root, entry->path))
        wh_lfs_consider(&level->lfs, entry);
    if (!level->c->submodules || entry->kind != WH_LSTREE_SUBMODULE ||
        !matters(level, entry->path))
        return 0;
    if (++level->c->n_submodules > SUBMODULES_MAX)
        return 1;
    link = apr_array_push(level->links);
    memset(link, 0, sizeof(*link));
    link->path = apr_pstrdup(level->links->pool, entry->path);
    apr_cpystrn(link->oid, entry->oid, sizeof(link->oid));
    return 0;
}

static apr_status_t look(apr_pool_t *p, level_t *level, wh_err_t *err)
{
    int ended = 0;
    apr_status_t rv;

    level->links = apr_array_make(p, 4, sizeof(link_t));
    wh_lfs_init(&level->lfs, p);
    rv = wh_source_list(p, &level->at, "", take_entry, level, &ended, err);
    if (rv == APR_SUCCESS && ended)
        return wh_err_set(err, 422, "too_large", "the repository has more than %d submodules",
                          SUBMODULES_MAX);
    return rv;
}

/* ---- .gitmodules: read by git's own parser, from the object ---- */

/* "submodule.<name>.path\n<path>" each with a NUL behind it; a name may have dots in it. */
static void read_modules(apr_pool_t *p, const char *text, size_t n, apr_hash_t *paths,
                         apr_hash_t *urls)
{
    static const char head[] = "submodule.";

    for (const char *end = text + n; text < end; text += strlen(text) + 1) {
        const char *value = strchr(text, '\n'), *dot = NULL;

        if (value == NULL || strncmp(text, head, sizeof(head) - 1) != 0)
            continue;
        for (const char *s = text; s < value; s++)
            dot = *s == '.' ? s : dot;
        if (dot < text + sizeof(head))
            continue;
        apr_hash_set(strncmp(dot, ".url\n", 5) == 0 ? urls : paths,
                     apr_pstrmemdup(p, text + sizeof(head) - 1,
                                    (size_t)(dot - text) - sizeof(head) + 1),
                     APR_HASH_KEY_STRING, value + 1);
    }
}

static void join_modules(apr_pool_t *p, const level_t *level, apr_hash_t *paths, apr_hash_t *urls)
{
    for (apr_hash_index_t *i = apr_hash_first(p, paths); i != NULL; i = apr_hash_next(i)) {
        const void *name;
        void *path;

        apr_hash_this(i, &name, NULL, &path);
        for (int n = 0; n < level->links->nelts; n++) {
            link_t *link = &APR_ARRAY_IDX(level->links, n, link_t);

            if (strcmp(link->path, path) == 0)
                link->url = apr_hash_get(urls, name, APR_HASH_KEY_STRING);
        }
    }
}

static apr_status_t find_urls(apr_pool_t *p, const level_t *level, wh_err_t *err)
{
    const char *args[] = {"config", "-z", NULL, "--get-regexp", "^submodule\\..*\\.(path|url)$",
                          NULL};
    wh_source_text_t text;
    wh_source_run_t run = {
        .args = args, .in_fd = -1, .out = wh_source_text_add, .baton = &text};
    apr_hash_t *paths = apr_hash_make(p), *urls = apr_hash_make(p);
    wh_lstree_entry_t entry;
    wh_proc_result_t result;
    apr_status_t rv = wh_source_stat(p, &level->at, ".gitmodules", &entry, err);

    if (rv == APR_NOTFOUND || (rv == APR_SUCCESS && entry.kind != WH_LSTREE_FILE))
        return wh_err_set(err, 422, "clone_failed",
                          "the repository has submodules, but no file .gitmodules");
    if (rv == APR_SUCCESS && entry.size > (apr_int64_t)MODULES_MAX)
        return wh_err_set(err, 422, "too_large", ".gitmodules is larger than 256 KiB");
    args[2] = apr_pstrcat(p, "--blob=", entry.oid, NULL);
    wh_source_text_init(&text, p, MODULES_MAX);
    if (rv == APR_SUCCESS)
        rv = wh_source_git(p, &level->at, &run, &result, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (!wh_source_git_exited(&result, 0) && !wh_source_git_exited(&result, 1))
        return wh_err_set(err, 422, "clone_failed", "git cannot read .gitmodules: %s",
                          wh_gitsays_line(p, result.errors));
    read_modules(p, text.buf, text.n, paths, urls);
    join_modules(p, level, paths, urls);
    return APR_SUCCESS;
}

/* ---- one submodule ---- */

static const char *shown(apr_pool_t *p, const char *text)
{
    return wh_text_clean_line(p, text, strlen(text), 200);
}

static apr_status_t named(apr_pool_t *p, const link_t *link, apr_status_t rv, wh_err_t *err)
{
    wh_err_t why = *err;

    if (rv == APR_SUCCESS || why.http == 500 || wh_err_is(err, "canceled"))
        return rv;
    return wh_err_set(err, 422, why.code, "submodule %s: %s", shown(p, link->path), why.text);
}

/* What was fetched once is complete; but who may not use the app's own access looks for itself. */
static int is_there(apr_pool_t *p, const wh_source_t *at, const char *ref, int own_only)
{
    const char *args[] = {"rev-parse", "--quiet", "--verify", ref, NULL};
    wh_source_run_t run = {.args = args, .in_fd = -1};
    wh_proc_result_t result;

    return !own_only && wh_source_git(p, at, &run, &result, NULL) == APR_SUCCESS &&
           wh_source_git_exited(&result, 0);
}

static apr_status_t fetch_link(apr_pool_t *p, const level_t *level, const link_t *link,
                               level_t *sub, wh_err_t *err)
{
    wh_source_opts_t *o = &sub->at.opts;
    int own_only = level->c->auth != NULL && level->c->auth->own_only;
    const char *ref = apr_pstrcat(p, "refs/wisehost/sub/", link->oid, NULL);
    apr_status_t rv;

    *sub = *level;
    sub->depth = level->depth + 1;
    sub->root = "";
    if (below(link->path, level->root))
        sub->root = level->root + strlen(link->path) + 1;
    o->hub_url = o->bearer = NULL;
    o->branch = "";
    o->sha = link->oid;
    o->auth = own_only ? NULL : level->c->auth;
    sub->at.tree = ref;
    if (link->url == NULL)
        return wh_err_set(err, 422, "clone_failed", ".gitmodules has no address for it");
    if (sub->depth > DEPTH_MAX)
        return wh_err_set(err, 422, "too_large", "submodules are more than %d deep", DEPTH_MAX);
    rv = wh_giturl_submodule(p, level->at.opts.url, link->url,
                             o->local_root != NULL && o->local_root[0] != '\0' ? o->local_root
                                                                               : NULL,
                             &o->url, err);
    if (rv != APR_SUCCESS || is_there(p, &sub->at, ref, own_only))
        return rv;
    rv = wh_source_fetch_to(p, &sub->at, ref, err);
    wh_gitauth_drop(p, o->dir);
    return rv;
}

static apr_status_t take_link(apr_pool_t *p, const level_t *level, link_t *link, wh_err_t *err)
{
    level_t sub;
    apr_status_t rv = fetch_link(p, level, link, &sub, err);

    if (rv == APR_SUCCESS)
        rv = compose_level(p, &sub, err);
    link->tree = sub.at.tree;
    return named(p, link, rv, err);
}

/* ---- the new tree ---- */

static apr_status_t with_index(apr_pool_t *p, const level_t *level, const char *const *args,
                               const char *input, size_t n, wh_source_text_t *out, wh_err_t *err)
{
    wh_source_run_t run = {.args = args, .in_fd = -1, .index = level->index};
    apr_status_t rv = APR_SUCCESS;

    if (out != NULL) {
        wh_source_text_init(out, p, 128);
        run.out = wh_source_text_add;
        run.baton = out;
    }
    if (input != NULL)
        rv = wh_source_input(input, n, &run.in_fd, err);
    if (rv == APR_SUCCESS)
        rv = wh_source_git_ok(p, &level->at, &run, "git could not put the tree together", err);
    if (run.in_fd >= 0)
        close(run.in_fd);
    return rv;
}

/* Submodules go, files of LFS become what they stand for. */
static apr_status_t change_entries(apr_pool_t *p, const level_t *level, wh_err_t *err)
{
    const char *args[] = {"update-index", "-z", "--index-info", NULL};
    wh_source_text_t info;

    wh_source_text_init(&info, p, 64 * WH_MIB);
    for (int i = 0; i < level->links->nelts; i++) {
        const link_t *link = &APR_ARRAY_IDX(level->links, i, link_t);
        const char *line =
            apr_psprintf(p, "0 %.*s\t%s", (int)strlen(link->oid), NULL_OID, link->path);

        (void)wh_source_text_add(&info, line, strlen(line) + 1);
    }
    for (int i = 0; i < level->lfs.files->nelts; i++) {
        const wh_lfs_file_t *file = &APR_ARRAY_IDX(level->lfs.files, i, wh_lfs_file_t);
        const char *line =
            apr_psprintf(p, "%06o %s\t%s", file->mode, file->blob, file->path);

        (void)wh_source_text_add(&info, line, strlen(line) + 1);
    }
    return info.n == 0 ? APR_SUCCESS : with_index(p, level, args, info.buf, info.n, NULL, err);
}

static apr_status_t add_link(apr_pool_t *p, const level_t *level, const link_t *link, wh_err_t *err)
{
    const char *args[] = {"read-tree", "-i", apr_pstrcat(p, "--prefix=", link->path, "/", NULL),
                          apr_pstrcat(p, link->tree, "^{tree}", NULL), NULL};

    return with_index(p, level, args, NULL, 0, NULL, err);
}

static apr_status_t write_tree(apr_pool_t *p, level_t *level, wh_err_t *err)
{
    const char *args[] = {"write-tree", NULL};
    wh_source_text_t oid;
    apr_status_t rv = change_entries(p, level, err);

    for (int i = 0; rv == APR_SUCCESS && i < level->links->nelts; i++)
        rv = add_link(p, level, &APR_ARRAY_IDX(level->links, i, link_t), err);
    if (rv == APR_SUCCESS)
        rv = with_index(p, level, args, NULL, 0, &oid, err);
    if (rv != APR_SUCCESS)
        return rv;
    level->at.tree = apr_pstrmemdup(p, oid.buf, strcspn(oid.buf, "\n"));
    return APR_SUCCESS;
}

static apr_status_t begin_index(apr_pool_t *p, level_t *level, wh_err_t *err)
{
    const char *args[] = {"read-tree", apr_pstrcat(p, level->at.tree, "^{tree}", NULL), NULL};

    level->index = apr_psprintf(p, "%s/index%d", level->at.opts.dir, level->depth);
    (void)unlink(level->index);
    return with_index(p, level, args, NULL, 0, NULL, err);
}

static apr_status_t take_lfs(apr_pool_t *p, level_t *level, wh_err_t *err)
{
    wh_lfs_of_t of = {.source = &level->at,
                      .index = level->index,
                      .auth = level->c->auth,
                      .own = level->depth == 0,
                      .bytes_left = level->at.opts.max_bytes - level->c->lfs_bytes,
                      .files_left = WH_LFS_FILES_MAX - level->c->n_lfs};
    apr_status_t rv = wh_lfs_bring(p, &level->lfs, &of, err);

    level->c->n_lfs += level->lfs.files->nelts;
    level->c->lfs_bytes += level->lfs.bytes;
    return rv;
}

/* level->at.tree becomes what it is with all that it names. */
static apr_status_t compose_level(apr_pool_t *p, level_t *level, wh_err_t *err)
{
    apr_status_t rv = look(p, level, err);

    if (rv != APR_SUCCESS || (level->links->nelts == 0 && !wh_lfs_any(&level->lfs)))
        return rv;
    if (level->links->nelts > 0)
        rv = find_urls(p, level, err);
    for (int i = 0; rv == APR_SUCCESS && i < level->links->nelts; i++)
        rv = take_link(p, level, &APR_ARRAY_IDX(level->links, i, link_t), err);
    if (rv == APR_SUCCESS)
        rv = begin_index(p, level, err);
    if (rv == APR_SUCCESS && wh_lfs_any(&level->lfs))
        rv = take_lfs(p, level, err);
    if (rv == APR_SUCCESS && (level->links->nelts > 0 || level->lfs.files->nelts > 0))
        rv = write_tree(p, level, err);
    if (level->index != NULL)
        (void)unlink(level->index);
    return rv;
}

apr_status_t wh_compose(apr_pool_t *p, wh_source_t *source, wh_compose_t *compose, wh_err_t *err)
{
    level_t top = {.c = compose, .at = *source, .root = compose->root};
    apr_status_t rv;

    compose->n_submodules = compose->n_lfs = 0;
    compose->lfs_bytes = 0;
    top.at.opts.auth = compose->auth;
    rv = compose_level(p, &top, err);
    if (rv == APR_SUCCESS)
        source->tree = top.at.tree;
    return rv;
}
