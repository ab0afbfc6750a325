#include <string.h>
#include <apr_strings.h>
#include "wh-agent/looktree.h"
#include "wh-agent/release.h"

#define MODE_DIR 040000

typedef struct taking_t {
    wh_looktree_t *look;
    size_t skip; /* bytes of "root/" */
} taking_t;

static int take_entry(void *baton, const wh_lstree_entry_t *entry)
{
    taking_t *t = baton;
    wh_lstree_entry_t *copy;

    if (strlen(entry->path) <= t->skip)
        return 0;
    copy = apr_pmemdup(t->look->p, entry, sizeof(*entry));
    copy->path = apr_pstrdup(t->look->p, entry->path + t->skip);
    apr_hash_set(t->look->there, copy->path, APR_HASH_KEY_STRING, copy);
    return 0;
}

apr_status_t wh_looktree_open(apr_pool_t *p, const wh_source_t *source, const char *root,
                              const apr_array_header_t *paths, wh_looktree_t **out, wh_err_t *err)
{
    wh_looktree_t *look = apr_pcalloc(p, sizeof(*look));
    const char **full = apr_palloc(p, sizeof(*full) * ((apr_size_t)paths->nelts + 1));
    taking_t taking = {.look = look};

    look->p = p;
    look->source = source;
    look->there = apr_hash_make(p);
    for (int i = 0; i < paths->nelts; i++) {
        const char *path = APR_ARRAY_IDX(paths, i, const char *);

        full[i] = wh_release_join(p, root, path);
        taking.skip = strlen(full[i]) - strlen(path);
    }
    *out = look;
    return wh_source_stats(p, source, full, (size_t)paths->nelts, take_entry, &taking, err);
}

const wh_lstree_entry_t *wh_looktree_entry(const wh_looktree_t *look, const char *path)
{
    return apr_hash_get(look->there, path, APR_HASH_KEY_STRING);
}

typedef struct text_t {
    char *buf;
    size_t n, size;
} text_t;

static int take_text(void *baton, const wh_catfile_object_t *object, const char *buf, size_t n)
{
    text_t *text = baton;

    if (strcmp(object->type, "blob") != 0 || n > text->size - text->n)
        return 1;
    memcpy(text->buf + text->n, buf, n);
    text->n += n;
    return 0;
}

apr_ssize_t wh_looktree_read(wh_looktree_t *look, const char *path, char *buf, size_t n)
{
    const wh_lstree_entry_t *entry = wh_looktree_entry(look, path);
    text_t text = {.buf = buf, .size = n};
    const char *oid;
    wh_source_read_t what = {.oids = &oid, .n = 1, .fn = take_text, .baton = &text};
    int ended = 0;

    if (entry == NULL || entry->kind != WH_LSTREE_FILE || look->rv != APR_SUCCESS)
        return -1;
    if (entry->size > (apr_int64_t)n)
        return (apr_ssize_t)n + 1; /* nobody reads such a file */
    oid = entry->oid;
    look->rv = wh_source_read(look->p, look->source, &what, &ended, &look->err);
    if (look->rv == APR_SUCCESS && ended)
        look->rv =
            wh_err_set(&look->err, 422, "clone_failed", "git gave something else than a file");
    return look->rv == APR_SUCCESS ? (apr_ssize_t)text.n : -1;
}

static wh_preset_there_e has(void *baton, const char *path)
{
    const wh_lstree_entry_t *entry = wh_looktree_entry(baton, path);

    if (entry == NULL)
        return WH_PRESET_NOT_THERE;
    if (entry->kind == WH_LSTREE_FILE)
        return WH_PRESET_FILE;
    return entry->mode == MODE_DIR ? WH_PRESET_DIR : WH_PRESET_NOT_THERE;
}

static apr_ssize_t read_it(void *baton, const char *path, char *buf, size_t n)
{
    return wh_looktree_read(baton, path, buf, n);
}

wh_preset_tree_t wh_looktree_tree(wh_looktree_t *look)
{
    return (wh_preset_tree_t){.has = has, .read = read_it, .baton = look};
}
