#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <archive.h>
#include <archive_entry.h>
#include "libwh/wh_file.h"
#include "libwh/wh_log.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-agent/hold.h"
#include "wh-agent/output.h"

#define ENTRIES_MAX (10 * WH_MANIFEST_FILES_MAX)
#define TAR_MAX (WH_MANIFEST_BYTES_MAX + 256 * WH_MIB) /* heads and rounding */
#define PIECE (64 * 1024)
#define COPY_MEMORY (16 * WH_MIB)
#define COPY_PIDS 16

typedef struct file_t {
    wh_lstree_entry_t entry;
    apr_off_t at;
} file_t;

struct wh_output_t {
    apr_pool_t *p;
    int fd; /* the contents, one after another */
    apr_off_t end;
    apr_array_header_t *files;    /* file_t * */
    apr_hash_t *by_path, *by_oid; /* file_t * */
};

/* ---- temporary files ---- */

static apr_status_t close_fd(void *data)
{
    close((int)(intptr_t)data);
    return APR_SUCCESS;
}

/* A file without a name, gone with p. */
static apr_status_t nameless(apr_pool_t *p, const char *dir, int *fd, wh_err_t *err)
{
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot make a temporary file");
    apr_pool_cleanup_register(p, (void *)(intptr_t)*fd, close_fd, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

/* ---- the tar stream, taken apart ---- */

typedef struct parse_t {
    wh_output_t *out;
    struct archive *a;
    const char *base;
    apr_pool_t *scratch;
    int entries;
    wh_err_t *err;
} parse_t;

static apr_status_t refuse(parse_t *x, const char *name, const char *why)
{
    return wh_err_set(x->err, 422, "output_refused", "the output of the build: \"%s\" %s",
                      wh_text_log_escape(x->scratch, name, strlen(name), 200), why);
}

static apr_status_t too_large(parse_t *x)
{
    return wh_err_set(x->err, 422, "too_large", "the output has more than %" APR_INT64_T_FMT " MiB",
                      WH_MANIFEST_BYTES_MAX / WH_MIB);
}

/* The name below the directory: "" = the directory itself, NULL = it lies elsewhere. */
static const char *below(const parse_t *x, const char *name)
{
    size_t n = strlen(x->base);

    while (strncmp(name, "./", 2) == 0)
        name += 2;
    if (strncmp(name, x->base, n) != 0 || (name[n] != '\0' && name[n] != '/'))
        return NULL;
    name += n + (name[n] == '/');
    return name;
}

/* No part that is empty, "." or "..". */
static int parts_ok(const char *path)
{
    for (;;) {
        size_t n = strcspn(path, "/");

        if (n == 0 || (n <= 2 && strspn(path, ".") >= n))
            return 0;
        if (path[n] == '\0')
            return 1;
        path += n + 1;
    }
}

/* Below a file or a link there is nothing. */
static int parent_is_file(const parse_t *x, const char *path)
{
    char *copy = apr_pstrdup(x->scratch, path);

    for (char *slash = strrchr(copy, '/'); slash != NULL; slash = strrchr(copy, '/')) {
        *slash = '\0';
        if (apr_hash_get(x->out->by_path, copy, APR_HASH_KEY_STRING) != NULL)
            return 1;
    }
    return 0;
}

static file_t *add(parse_t *x, const char *path, wh_lstree_kind_e kind)
{
    wh_output_t *out = x->out;
    file_t *file = apr_pcalloc(out->p, sizeof(*file));

    file->entry.kind = kind;
    file->entry.mode = 0100644;
    file->entry.path = apr_pstrdup(out->p, path);
    file->entry.size = -1;
    APR_ARRAY_PUSH(out->files, file_t *) = file;
    apr_hash_set(out->by_path, file->entry.path, APR_HASH_KEY_STRING, file);
    return file;
}

/* The contents, as they come and not as the head says. */
static apr_status_t take_contents(parse_t *x, file_t *file)
{
    wh_output_t *out = x->out;
    wh_sign_ctx_t *ctx = wh_sign_sha256_begin(x->scratch);
    unsigned char sum[WH_SHA256_LEN];
    char *buf = apr_palloc(x->scratch, PIECE);
    la_ssize_t n;

    file->at = out->end;
    while ((n = archive_read_data(x->a, buf, PIECE)) > 0) {
        if (out->end + n > WH_MANIFEST_BYTES_MAX)
            return too_large(x);
        if (wh_file_put(out->fd, buf, (size_t)n) != APR_SUCCESS)
            return wh_err_wrap(x->err, errno, 500, "internal", "cannot write a temporary file");
        wh_sign_add(ctx, buf, (size_t)n);
        out->end += n;
    }
    if (n < 0)
        return refuse(x, file->entry.path, "cannot be read from the engine's stream");
    wh_sign_end(ctx, sum);
    file->entry.size = out->end - file->at;
    apr_cpystrn(file->entry.oid, wh_sign_hex(x->scratch, sum, sizeof(sum)),
                sizeof(file->entry.oid));
    apr_hash_set(out->by_oid, file->entry.oid, APR_HASH_KEY_STRING, file);
    return APR_SUCCESS;
}

static void take_hard_link(parse_t *x, const char *path, const char *to)
{
    const char *target = below(x, to);
    const file_t *first =
        target != NULL ? apr_hash_get(x->out->by_path, target, APR_HASH_KEY_STRING) : NULL;
    int good = first != NULL && first->entry.kind == WH_LSTREE_FILE;
    file_t *file = add(x, path, good ? WH_LSTREE_FILE : WH_LSTREE_ODD);

    if (!good)
        return;
    file->at = first->at;
    file->entry.size = first->entry.size;
    memcpy(file->entry.oid, first->entry.oid, sizeof(file->entry.oid));
}

static apr_status_t take_top(parse_t *x, struct archive_entry *e)
{
    if (archive_entry_filetype(e) == AE_IFDIR)
        return APR_SUCCESS;
    if (archive_entry_filetype(e) == AE_IFREG && archive_entry_hardlink(e) == NULL)
        return wh_err_set(x->err, 422, "output_missing", "the output directory is a file");
    return refuse(x, x->base, "is no directory, and links are not followed");
}

static apr_status_t take_entry(parse_t *x, struct archive_entry *e)
{
    const char *name = archive_entry_pathname(e), *link = archive_entry_hardlink(e);
    unsigned type = archive_entry_filetype(e);
    const char *path = name != NULL ? below(x, name) : NULL;
    size_t n = path != NULL ? strlen(path) : 0;

    if (++x->entries > ENTRIES_MAX)
        return wh_err_set(x->err, 422, "too_many_files", "the output has more than %d entries",
                          ENTRIES_MAX);
    if (name == NULL)
        return APR_SUCCESS; /* not even a name: nobody could ask for it */
    if (path == NULL)
        return refuse(x, name, "leads outside");
    if (n == 0)
        return take_top(x, e);
    if (type == AE_IFDIR && path[n - 1] == '/')
        path = apr_pstrmemdup(x->scratch, path, n - 1);
    if (!parts_ok(path))
        return refuse(x, name, "leads outside");
    if (parent_is_file(x, path))
        return refuse(x, name, "lies below something that is no directory");
    if (apr_hash_get(x->out->by_path, path, APR_HASH_KEY_STRING) != NULL)
        return refuse(x, name, "is there twice");
    if (type == AE_IFDIR)
        return APR_SUCCESS;
    if (link != NULL) {
        take_hard_link(x, path, link);
        return APR_SUCCESS;
    }
    if (type == AE_IFLNK || type != AE_IFREG) {
        (void)add(x, path, type == AE_IFLNK ? WH_LSTREE_SYMLINK : WH_LSTREE_ODD);
        return APR_SUCCESS;
    }
    if (archive_entry_size(e) > WH_MANIFEST_BYTES_MAX)
        return too_large(x);
    return take_contents(x, add(x, path, WH_LSTREE_FILE));
}

static apr_status_t take_all(parse_t *x)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS) {
        struct archive_entry *e;
        int got = archive_read_next_header(x->a, &e);

        if (got == ARCHIVE_EOF)
            return APR_SUCCESS;
        if (got < ARCHIVE_WARN)
            return wh_err_set(x->err, 422, "output_refused",
                              "the output of the build is no stream of files");
        rv = take_entry(x, e);
        apr_pool_clear(x->scratch);
    }
    return rv;
}

apr_status_t wh_output_parse(apr_pool_t *p, int tar_fd, const char *base, const char *spool_dir,
                             wh_output_t **result, wh_err_t *err)
{
    wh_output_t *out = apr_pcalloc(p, sizeof(*out));
    parse_t x = {.out = out, .base = base, .err = err, .a = archive_read_new()};
    apr_status_t rv = apr_pool_create(&x.scratch, p);

    out->p = p;
    out->files = apr_array_make(p, 64, sizeof(file_t *));
    out->by_path = apr_hash_make(p);
    out->by_oid = apr_hash_make(p);
    *result = out;
    if (rv != APR_SUCCESS || x.a == NULL)
        rv = wh_err_set(err, 500, "internal", "out of memory");
    if (rv == APR_SUCCESS)
        rv = nameless(p, spool_dir, &out->fd, err);
    /* One format, no compression: what unfolds is not read. Names come as they are, which in this
     * locale libarchive warns of. */
    if (rv == APR_SUCCESS && (archive_read_support_format_tar(x.a) != ARCHIVE_OK ||
                              archive_read_open_fd(x.a, tar_fd, PIECE) != ARCHIVE_OK))
        rv = wh_err_set(err, 422, "output_refused", "the output of the build is no tar stream");
    if (rv == APR_SUCCESS)
        rv = take_all(&x);
    if (x.a != NULL)
        archive_read_free(x.a);
    if (x.scratch != NULL)
        apr_pool_destroy(x.scratch);
    return rv;
}

/* ---- out of the engine ---- */

typedef struct sink_t {
    int fd;
    apr_off_t n;
    int full, failed;
} sink_t;

static int take_bytes(void *baton, const char *buf, size_t n)
{
    sink_t *s = baton;

    s->n += (apr_off_t)n;
    s->full = s->n > TAR_MAX;
    s->failed = s->full ? 0 : wh_file_put(s->fd, buf, n);
    return s->full || s->failed;
}

static apr_status_t fetch(wh_work_t *work, wh_engine_t *e, const wh_output_opts_t *opts,
                          const char *id, int fd, wh_err_t *err)
{
    sink_t sink = {.fd = fd};
    wh_engine_archive_t what = {
        .id = id, .path = opts->path, .fn = take_bytes, .baton = &sink, .deadline = opts->deadline};
    apr_status_t rv = e->vt->archive(e, work->p, &what, err);

    if (sink.full)
        return wh_err_set(err, 422, "too_large",
                          "the output has more than %" APR_INT64_T_FMT " MiB",
                          WH_MANIFEST_BYTES_MAX / WH_MIB);
    if (sink.failed)
        return wh_err_wrap(err, sink.failed, 500, "internal", "cannot write a temporary file");
    if (rv == APR_NOTFOUND)
        return wh_err_set(err, 422, "output_missing", "the build made no %s", opts->path);
    if (rv == APR_SUCCESS && lseek(fd, 0, SEEK_SET) != 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot read a temporary file");
    return rv;
}

/* A container of it, made and never started: engines hand out files of containers only. */
static apr_status_t with_container(wh_work_t *work, wh_engine_t *e, const wh_output_opts_t *opts,
                                   int fd, wh_err_t *err)
{
    wh_engine_spec_t spec = {
        .name = apr_pstrcat(work->p, "wisehost-output-", work->job->job, NULL),
        .image = opts->image,
        .network = "",
        .publish_address = "",
        .memory_bytes = COPY_MEMORY,
        .pids = COPY_PIDS,
        .labels = wh_hold_labels(work),
    };
    wh_err_t why = WH_ERR_INIT;
    const char *id = "";
    apr_status_t rv = e->vt->create(e, work->p, &spec, &id, err);

    if (rv == APR_SUCCESS)
        rv = fetch(work, e, opts, id, fd, err);
    if (id[0] != '\0' && e->vt->remove(e, work->p, id, &why) != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0637", "the container that the output of %s came from stays: %s",
               work->job->slug, why.text);
    return rv;
}

apr_status_t wh_output_copy(wh_work_t *work, wh_engine_t *engine, const wh_output_opts_t *opts,
                            wh_output_t **out, wh_err_t *err)
{
    const char *slash = strrchr(opts->path, '/');
    apr_pool_t *ptemp;
    int fd;
    apr_status_t rv = apr_pool_create(&ptemp, work->p);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    rv = nameless(ptemp, opts->spool_dir, &fd, err);
    if (rv == APR_SUCCESS)
        rv = with_container(work, engine, opts, fd, err);
    if (rv == APR_SUCCESS)
        rv = wh_output_parse(work->p, fd, slash + 1, opts->spool_dir, out, err);
    apr_pool_destroy(ptemp);
    return rv;
}

/* ---- as a tree ---- */

void wh_output_list(const wh_output_t *out, wh_lstree_fn *fn, void *baton)
{
    for (int i = 0; i < out->files->nelts; i++)
        if (fn(baton, &APR_ARRAY_IDX(out->files, i, file_t *)->entry) != 0)
            return;
}

static apr_status_t read_one(const wh_output_t *out, const wh_source_read_t *what, size_t i,
                             char *buf, int *ended, wh_err_t *err)
{
    const file_t *file = apr_hash_get(out->by_oid, what->oids[i], APR_HASH_KEY_STRING);
    wh_catfile_object_t object = {.index = i, .type = "blob"};
    apr_off_t at = 0;

    if (file == NULL)
        return wh_err_set(err, 500, "internal", "the output has no such file");
    apr_cpystrn(object.oid, file->entry.oid, sizeof(object.oid));
    object.size = file->entry.size;
    while (at < file->entry.size && !*ended) {
        size_t want = file->entry.size - at < PIECE ? (size_t)(file->entry.size - at) : PIECE;
        ssize_t got = pread(out->fd, buf, want, file->at + at);

        if (got <= 0)
            return wh_err_wrap(err, got < 0 ? errno : 0, 500, "internal",
                               "cannot read a temporary file");
        *ended = what->fn(what->baton, &object, buf, (size_t)got) != 0;
        at += got;
    }
    if (!*ended)
        *ended = what->fn(what->baton, &object, "", 0) != 0;
    return APR_SUCCESS;
}

apr_status_t wh_output_read(const wh_output_t *out, const wh_source_read_t *what, int *ended,
                            wh_err_t *err)
{
    char *buf;
    apr_pool_t *scratch;
    int stop = 0;
    apr_status_t rv = apr_pool_create(&scratch, NULL);

    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    buf = apr_palloc(scratch, PIECE);
    for (size_t i = 0; i < what->n && rv == APR_SUCCESS && !stop; i++)
        rv = read_one(out, what, i, buf, &stop, err);
    apr_pool_destroy(scratch);
    if (ended != NULL)
        *ended = stop;
    return rv;
}
