#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include "libwh/wh_sign.h"
#include "wh-agent/lfs.h"
#include "wh-agent/lfs_int.h"
#include "wh-agent/source_int.h"

#define POINTER_MAX 1024 /* as the specification has it */
#define POINTER_MIN 100
#define CANDIDATES_MAX 20000
#define KEPT "refs/wisehost/lfs/" /* and a SHA-256: its blob */

/* ---- pointers ---- */

/* "key value" of this line; the next one, NULL when it is none. */
static const char *line_of(const char *at, const char *end, const char *key, const char **value,
                           size_t *n)
{
    size_t k = strlen(key);
    const char *nl = memchr(at, '\n', (size_t)(end - at));

    if (nl == NULL || (size_t)(nl - at) <= k + 1 || memcmp(at, key, k) != 0 || at[k] != ' ')
        return NULL;
    *value = at + k + 1;
    *n = (size_t)(nl - *value);
    return nl + 1;
}

static int is_version(const char *s, size_t n)
{
    static const char *const known[] = {"https://git-lfs.github.com/spec/v1",
                                        "https://hawser.github.com/spec/v1"};

    for (size_t i = 0; i < WH_ARRAY_LEN(known); i++)
        if (strlen(known[i]) == n && memcmp(known[i], s, n) == 0)
            return 1;
    return 0;
}

int wh_lfs_pointer(const char *text, size_t n, char sha256[65], apr_int64_t *size)
{
    const char *end = text + n, *value;
    size_t len;

    if (n > POINTER_MAX || (text = line_of(text, end, "version", &value, &len)) == NULL ||
        !is_version(value, len))
        return 0;
    while (end - text > 4 && memcmp(text, "ext-", 4) == 0) { /* sorted: they come before oid */
        const char *nl = memchr(text, '\n', (size_t)(end - text));

        if (nl == NULL)
            return 0;
        text = nl + 1;
    }
    text = line_of(text, end, "oid", &value, &len);
    if (text == NULL || len != 7 + 64 || memcmp(value, "sha256:", 7) != 0)
        return 0;
    apr_cpystrn(sha256, value + 7, 65);
    text = line_of(text, end, "size", &value, &len);
    if (!wh_sign_is_hex(sha256, 64) || text != end || len == 0 || len > 15 ||
        strspn(value, "0123456789") != len)
        return 0;
    *size = apr_atoi64(value);
    return 1;
}

/* ---- which files ---- */

void wh_lfs_init(wh_lfs_t *lfs, apr_pool_t *p)
{
    *lfs = (wh_lfs_t){.p = p, .files = apr_array_make(p, 8, sizeof(wh_lfs_file_t))};
}

void wh_lfs_consider(wh_lfs_t *lfs, const wh_lstree_entry_t *entry)
{
    const char *name = strrchr(entry->path, '/');
    wh_lfs_file_t *file;

    if (entry->kind != WH_LSTREE_FILE)
        return;
    lfs->attributes |= strcmp(name != NULL ? name + 1 : entry->path, ".gitattributes") == 0;
    if (entry->size < POINTER_MIN || entry->size > POINTER_MAX || lfs->too_many)
        return;
    if (lfs->files->nelts == CANDIDATES_MAX) {
        lfs->too_many = 1;
        return;
    }
    file = apr_array_push(lfs->files);
    memset(file, 0, sizeof(*file));
    file->path = apr_pstrdup(lfs->p, entry->path);
    file->mode = entry->mode;
    apr_cpystrn(file->pointer, entry->oid, sizeof(file->pointer));
    file->blob = "";
}

int wh_lfs_any(const wh_lfs_t *lfs)
{
    return lfs->attributes && lfs->files->nelts > 0;
}

/* Those that .gitattributes, of the tree and nothing else, gives filter=lfs. */
static apr_status_t ask_attributes(apr_pool_t *p, wh_lfs_t *lfs, const wh_lfs_of_t *of,
                                   wh_err_t *err)
{
    const char *args[] = {"check-attr", "--cached", "-z", "--stdin", "filter", NULL};
    wh_source_text_t in, out;
    wh_source_run_t run = {
        .args = args, .out = wh_source_text_add, .baton = &out, .index = of->index};
    const char *s, *end;
    apr_status_t rv;
    int i = 0;

    wh_source_text_init(&in, p, 64 * WH_MIB);
    wh_source_text_init(&out, p, 128 * WH_MIB);
    for (int n = 0; n < lfs->files->nelts; n++) {
        const char *path = APR_ARRAY_IDX(lfs->files, n, wh_lfs_file_t).path;

        (void)wh_source_text_add(&in, path, strlen(path) + 1);
    }
    rv = wh_source_input(in.buf, in.n, &run.in_fd, err);
    if (rv != APR_SUCCESS)
        return rv;
    rv = wh_source_git_ok(p, of->source, &run, "git cannot tell the attributes", err);
    close(run.in_fd);
    if (rv != APR_SUCCESS)
        return rv;
    /* path NUL "filter" NUL value NUL, in the order that was asked in */
    for (s = out.buf, end = out.buf + out.n; s < end && i < lfs->files->nelts; i++) {
        wh_lfs_file_t *file = &APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t);
        const char *attr = s + strlen(s) + 1, *value = attr < end ? attr + strlen(attr) + 1 : end;

        file->is_lfs = value < end && strcmp(s, file->path) == 0 && strcmp(value, "lfs") == 0;
        s = value < end ? value + strlen(value) + 1 : end;
    }
    return APR_SUCCESS;
}

static void keep(wh_lfs_t *lfs, int (*wanted)(const wh_lfs_file_t *))
{
    apr_array_header_t *kept = apr_array_make(lfs->p, 8, sizeof(wh_lfs_file_t));

    for (int i = 0; i < lfs->files->nelts; i++) {
        const wh_lfs_file_t *file = &APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t);

        if (wanted(file))
            APR_ARRAY_PUSH(kept, wh_lfs_file_t) = *file;
    }
    lfs->files = kept;
}

static int has_attribute(const wh_lfs_file_t *file)
{
    return file->is_lfs;
}

static int is_pointer(const wh_lfs_file_t *file)
{
    return file->sha256[0] != '\0';
}

typedef struct pointers_t {
    wh_lfs_t *lfs;
    size_t n;
    char buf[POINTER_MAX + 1];
} pointers_t;

static int take_pointer(void *baton, const wh_catfile_object_t *object, const char *buf, size_t n)
{
    pointers_t *b = baton;
    wh_lfs_file_t *file;

    if (object->index >= (size_t)b->lfs->files->nelts || n > POINTER_MAX - b->n)
        return 1;
    memcpy(b->buf + b->n, buf, n);
    b->n += n;
    if (n > 0)
        return 0;
    file = &APR_ARRAY_IDX(b->lfs->files, (int)object->index, wh_lfs_file_t);
    if (!wh_lfs_pointer(b->buf, b->n, file->sha256, &file->size))
        file->sha256[0] = '\0';
    b->n = 0;
    return 0;
}

static apr_status_t read_pointers(apr_pool_t *p, wh_lfs_t *lfs, const wh_lfs_of_t *of,
                                  wh_err_t *err)
{
    const char **oids = apr_pcalloc(p, sizeof(*oids) * ((size_t)lfs->files->nelts + 1));
    pointers_t b = {.lfs = lfs};
    wh_source_read_t what = {
        .oids = oids, .n = (size_t)lfs->files->nelts, .fn = take_pointer, .baton = &b};

    if (lfs->files->nelts == 0)
        return APR_SUCCESS;
    for (int i = 0; i < lfs->files->nelts; i++)
        oids[i] = APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t).pointer;
    return wh_source_read(p, of->source, &what, NULL, err);
}

/* ---- what is there from before ---- */

static int may_keep(const wh_lfs_of_t *of)
{
    return of->auth == NULL || !of->auth->own_only;
}

static apr_status_t find_kept(apr_pool_t *p, wh_lfs_t *lfs, const wh_lfs_of_t *of, wh_err_t *err)
{
    const char *args[] = {"for-each-ref", "--format=%(refname) %(objectname)", KEPT, NULL};
    wh_source_text_t out;
    wh_source_run_t run = {.args = args, .in_fd = -1, .out = wh_source_text_add, .baton = &out};
    apr_hash_t *kept = apr_hash_make(p);
    char *line, *state = NULL;
    apr_status_t rv;

    if (!may_keep(of))
        return APR_SUCCESS;
    wh_source_text_init(&out, p, 16 * WH_MIB);
    rv = wh_source_git_ok(p, of->source, &run, "git cannot list what is kept", err);
    if (rv != APR_SUCCESS)
        return rv;
    for (line = apr_strtok(out.buf, "\n", &state); line; line = apr_strtok(NULL, "\n", &state)) {
        char *space = strchr(line, ' ');

        if (space == NULL || strncmp(line, KEPT, strlen(KEPT)) != 0)
            continue;
        *space = '\0';
        apr_hash_set(kept, line + strlen(KEPT), APR_HASH_KEY_STRING, space + 1);
    }
    for (int i = 0; i < lfs->files->nelts; i++) {
        wh_lfs_file_t *file = &APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t);
        const char *blob = apr_hash_get(kept, file->sha256, APR_HASH_KEY_STRING);

        file->blob = blob != NULL ? blob : "";
    }
    return APR_SUCCESS;
}

/* ---- into the cache ---- */

/* Those that are not there, each once; what is alike shares its blob afterwards. */
static apr_array_header_t *missing(apr_pool_t *p, const wh_lfs_t *lfs)
{
    apr_array_header_t *list = apr_array_make(p, 8, sizeof(wh_lfs_file_t));
    apr_hash_t *seen = apr_hash_make(p);

    for (int i = 0; i < lfs->files->nelts; i++) {
        const wh_lfs_file_t *file = &APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t);

        if (file->blob[0] != '\0' || apr_hash_get(seen, file->sha256, APR_HASH_KEY_STRING))
            continue;
        apr_hash_set(seen, file->sha256, APR_HASH_KEY_STRING, file);
        APR_ARRAY_PUSH(list, wh_lfs_file_t) = *file;
    }
    return list;
}

static apr_status_t import(apr_pool_t *p, const wh_lfs_of_t *of, int fd, wh_source_text_t *oids,
                           wh_err_t *err)
{
    const char *args[] = {"fast-import", "--quiet", NULL};
    wh_source_run_t run = {
        .args = args, .in_fd = fd, .out = wh_source_text_add, .baton = oids};

    wh_source_text_init(oids, p, 70 * (WH_LFS_FILES_MAX + 1));
    if (lseek(fd, 0, SEEK_SET) != 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot read what was fetched");
    return wh_source_git_ok(p, of->source, &run, "git cannot take what LFS keeps", err);
}

/* So the next deployment finds them, and git does not throw them away. */
static apr_status_t keep_refs(apr_pool_t *p, const wh_lfs_of_t *of, const apr_array_header_t *got,
                              wh_err_t *err)
{
    const char *args[] = {"update-ref", "--stdin", NULL};
    wh_source_run_t run = {.args = args};
    wh_source_text_t in;
    apr_status_t rv;

    if (!may_keep(of))
        return APR_SUCCESS;
    wh_source_text_init(&in, p, WH_MIB);
    for (int i = 0; i < got->nelts; i++) {
        const wh_lfs_file_t *file = &APR_ARRAY_IDX(got, i, wh_lfs_file_t);
        const char *line = apr_pstrcat(p, "update " KEPT, file->sha256, " ", file->blob, "\n", NULL);

        (void)wh_source_text_add(&in, line, strlen(line));
    }
    rv = wh_source_input(in.buf, in.n, &run.in_fd, err);
    if (rv == APR_SUCCESS)
        rv = wh_source_git_ok(p, of->source, &run, "git cannot keep what LFS keeps", err);
    if (run.in_fd >= 0)
        close(run.in_fd);
    return rv;
}

/* One answer of get-mark a line, in the order of the marks. */
static apr_status_t take_oids(apr_pool_t *p, apr_array_header_t *got, const wh_source_text_t *oids,
                              wh_err_t *err)
{
    const char *s = oids->buf;

    for (int i = 0; i < got->nelts; i++) {
        size_t n = strspn(s, "0123456789abcdef");

        if ((n != 40 && n != 64) || s[n] != '\n')
            return wh_err_set(err, 500, "internal", "git did not say where it put what LFS keeps");
        APR_ARRAY_IDX(got, i, wh_lfs_file_t).blob = apr_pstrmemdup(p, s, n);
        s += n + 1;
    }
    return APR_SUCCESS;
}

static void share(wh_lfs_t *lfs, const apr_array_header_t *got)
{
    apr_hash_t *blobs = apr_hash_make(lfs->p);

    for (int i = 0; i < got->nelts; i++) {
        const wh_lfs_file_t *file = &APR_ARRAY_IDX(got, i, wh_lfs_file_t);

        apr_hash_set(blobs, file->sha256, APR_HASH_KEY_STRING, file->blob);
    }
    for (int i = 0; i < lfs->files->nelts; i++) {
        wh_lfs_file_t *file = &APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t);

        if (file->blob[0] == '\0')
            file->blob = apr_hash_get(blobs, file->sha256, APR_HASH_KEY_STRING);
    }
}

static apr_status_t bring_missing(apr_pool_t *p, wh_lfs_t *lfs, const wh_lfs_of_t *of,
                                  wh_err_t *err)
{
    apr_array_header_t *got = missing(p, lfs);
    const char *path = apr_pstrcat(p, of->source->opts.dir, "/lfs", NULL);
    wh_source_text_t oids;
    apr_status_t rv;
    int fd;

    if (got->nelts == 0)
        return APR_SUCCESS;
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot write %s", path);
    (void)unlink(path);
    rv = wh_lfs_batch(p, of, got, fd, err);
    if (rv == APR_SUCCESS)
        rv = import(p, of, fd, &oids, err);
    close(fd);
    if (rv == APR_SUCCESS)
        rv = take_oids(p, got, &oids, err);
    if (rv == APR_SUCCESS)
        rv = keep_refs(p, of, got, err);
    if (rv == APR_SUCCESS)
        share(lfs, got);
    return rv;
}

static apr_status_t in_bounds(wh_lfs_t *lfs, const wh_lfs_of_t *of, wh_err_t *err)
{
    if (lfs->too_many || lfs->files->nelts > of->files_left)
        return wh_err_set(err, 422, "too_many_files", "Git LFS keeps more than %d of its files",
                          WH_LFS_FILES_MAX);
    for (int i = 0; i < lfs->files->nelts; i++)
        lfs->bytes += APR_ARRAY_IDX(lfs->files, i, wh_lfs_file_t).size;
    if (lfs->bytes > of->bytes_left)
        return wh_err_set(err, 422, "too_large",
                          "what Git LFS keeps of it has more than %" APR_INT64_T_FMT " MiB",
                          of->source->opts.max_bytes / WH_MIB);
    return APR_SUCCESS;
}

apr_status_t wh_lfs_bring(apr_pool_t *p, wh_lfs_t *lfs, const wh_lfs_of_t *of, wh_err_t *err)
{
    apr_status_t rv = ask_attributes(p, lfs, of, err);

    if (rv != APR_SUCCESS)
        return rv;
    keep(lfs, has_attribute);
    rv = read_pointers(p, lfs, of, err);
    if (rv != APR_SUCCESS)
        return rv;
    keep(lfs, is_pointer);
    rv = in_bounds(lfs, of, err);
    if (rv == APR_SUCCESS)
        rv = find_kept(p, lfs, of, err);
    return rv == APR_SUCCESS ? bring_missing(p, lfs, of, err) : rv;
}
