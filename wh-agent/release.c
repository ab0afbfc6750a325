#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include "libwh/wh_backoff.h"
#include "libwh/wh_json.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-agent/api.h"
#include "wh-agent/blobs.h"
#include "wh-agent/release.h"

#define WARNINGS_MAX 20
#define KEEP_MAX (2 * WH_MIB)  /* of contents held between hashing and sending, all together */
#define SPOOL_MIN (1 * WH_MIB) /* a larger object goes through a file */
#define TRY_US ((apr_interval_time_t)60 * APR_USEC_PER_SEC) /* that long a call is said again */
#define TRY_PAUSE_MAX_US ((apr_interval_time_t)4 * APR_USEC_PER_SEC)

typedef struct file_t {
    const char *path;
    char oid[65];
    apr_int64_t size;
    unsigned mode;
} file_t;

/* A content that is held: it was read to be hashed and is likely to be sent. */
typedef struct kept_t {
    char *data;
    apr_int64_t n;
} kept_t;

typedef struct release_t {
    wh_work_t *work;
    apr_pool_t *p;
    const wh_source_t *source;
    apr_array_header_t *files; /* file_t */
    apr_int64_t bytes;
    int left_out;
    int has_index;
    enum { FITS, TOO_MANY, TOO_LARGE } fit;
    wh_blobs_t *blobs;
    apr_hash_t *kept; /* sha256 -> kept_t */
    apr_int64_t kept_bytes;
    wh_api_t *api;
} release_t;

const char *wh_release_join(apr_pool_t *p, const char *root, const char *output)
{
    size_t n = strlen(root), m = strlen(output);

    while (n > 0 && root[n - 1] == '/')
        n--;
    while (m > 0 && output[m - 1] == '/')
        m--;
    if (n == 0 || m == 0)
        return n == 0 ? apr_pstrmemdup(p, output, m) : apr_pstrmemdup(p, root, n);
    return apr_pstrcat(p, apr_pstrmemdup(p, root, n), "/", apr_pstrmemdup(p, output, m), NULL);
}

/* ---- the list ---- */

static void warn(release_t *r, const wh_lstree_entry_t *e, const char *what)
{
    if (r->left_out++ < WARNINGS_MAX)
        wh_logs_say(r->work->logs, "left out: %s (%s)",
                    wh_text_log_escape(r->p, e->path, strlen(e->path), 300), what);
}

static int take_entry(void *baton, const wh_lstree_entry_t *e)
{
    release_t *r = baton;
    file_t *file;

    if (e->kind == WH_LSTREE_SYMLINK)
        warn(r, e, "a symbolic link");
    else if (e->kind == WH_LSTREE_SUBMODULE)
        warn(r, e, "a submodule");
    else if (e->kind != WH_LSTREE_FILE)
        warn(r, e, "not a regular file");
    else if (!wh_manifest_path_ok(e->path))
        warn(r, e, "its name cannot be served");
    if (e->kind != WH_LSTREE_FILE || !wh_manifest_path_ok(e->path))
        return r->left_out > 10 * WH_MANIFEST_FILES_MAX ? (r->fit = TOO_MANY) : 0;
    r->bytes += e->size;
    if (r->files->nelts >= WH_MANIFEST_FILES_MAX)
        r->fit = TOO_MANY;
    else if (r->bytes > WH_MANIFEST_BYTES_MAX)
        r->fit = TOO_LARGE;
    if (r->fit != FITS)
        return 1;
    file = &APR_ARRAY_PUSH(r->files, file_t);
    file->path = apr_pstrdup(r->p, e->path);
    memcpy(file->oid, e->oid, sizeof(file->oid));
    file->size = e->size;
    file->mode = e->mode;
    if (strcmp(e->path, "index.html") == 0)
        r->has_index = 1;
    return 0;
}

static apr_status_t list(release_t *r, const char *dir, wh_err_t *err)
{
    int ended = 0;
    apr_status_t rv = wh_source_list(r->p, r->source, dir, take_entry, r, &ended, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (r->left_out > WARNINGS_MAX)
        wh_logs_say(r->work->logs, "left out: %d more", r->left_out - WARNINGS_MAX);
    if (r->fit == TOO_MANY)
        return wh_err_set(err, 422, "too_many_files", "there are more than %d files",
                          WH_MANIFEST_FILES_MAX);
    if (r->fit == TOO_LARGE)
        return wh_err_set(err, 422, "too_large",
                          "the files have more than %" APR_INT64_T_FMT " MiB",
                          WH_MANIFEST_BYTES_MAX / WH_MIB);
    if (r->files->nelts == 0)
        return wh_err_set(err, 422, "output_missing", "the directory \"%s\" holds no files", dir);
    if (!r->has_index)
        wh_logs_say(r->work->logs, "note: there is no index.html at the top");
    return APR_SUCCESS;
}

/* ---- hashes ---- */

typedef struct hashing_t {
    release_t *r;
    const char *const *oids;
    apr_pool_t *scratch; /* of one object */
    wh_sign_ctx_t *ctx;
    char *data; /* NULL = not held */
    apr_int64_t have;
    apr_int64_t limit;
} hashing_t;

static int hash_done(hashing_t *h, const wh_catfile_object_t *o)
{
    unsigned char sum[WH_SHA256_LEN];
    const char *hex;

    wh_sign_end(h->ctx, sum);
    hex = wh_sign_hex(h->r->p, sum, sizeof(sum));
    wh_blobs_add(h->r->blobs, h->oids[o->index], hex);
    if (h->data != NULL) {
        kept_t *kept = apr_palloc(h->r->p, sizeof(*kept));

        kept->data = h->data;
        kept->n = h->have;
        apr_hash_set(h->r->kept, hex, APR_HASH_KEY_STRING, kept);
    }
    h->ctx = NULL;
    apr_pool_clear(h->scratch);
    return 0;
}

static int take_blob(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    hashing_t *h = baton;

    if (strcmp(o->type, "blob") != 0)
        return 1;
    if (h->ctx == NULL) {
        h->ctx = wh_sign_sha256_begin(h->scratch);
        h->have = 0;
        h->data = NULL;
        if (o->size <= SPOOL_MIN && h->r->kept_bytes + o->size <= KEEP_MAX) {
            h->data = apr_palloc(h->r->p, (apr_size_t)o->size + 1);
            h->r->kept_bytes += o->size;
        }
    }
    wh_sign_add(h->ctx, buf, n);
    if (h->data != NULL)
        memcpy(h->data + h->have, buf, n);
    h->have += (apr_int64_t)n;
    return n == 0 ? hash_done(h, o) : 0;
}

/* Each blob that was never seen before is read and hashed, once. */
static apr_status_t hash_new(release_t *r, wh_err_t *err)
{
    apr_hash_t *asked = apr_hash_make(r->p);
    apr_array_header_t *oids = apr_array_make(r->p, 16, sizeof(const char *));
    hashing_t h = {.r = r};
    wh_source_read_t what = {.fn = take_blob, .baton = &h};
    int ended = 0;
    apr_status_t rv;

    for (int i = 0; i < r->files->nelts; i++) {
        file_t *f = &APR_ARRAY_IDX(r->files, i, file_t);

        if (wh_blobs_find(r->blobs, f->oid) != NULL ||
            apr_hash_get(asked, f->oid, APR_HASH_KEY_STRING) != NULL)
            continue;
        apr_hash_set(asked, f->oid, APR_HASH_KEY_STRING, f);
        APR_ARRAY_PUSH(oids, const char *) = f->oid;
    }
    if (oids->nelts == 0)
        return APR_SUCCESS;
    rv = apr_pool_create(&h.scratch, r->p);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    what.oids = h.oids = (const char *const *)oids->elts;
    what.n = (size_t)oids->nelts;
    rv = wh_source_read(r->p, r->source, &what, &ended, err);
    if (rv == APR_SUCCESS && ended)
        rv = wh_err_set(err, 422, "clone_failed", "git gave something else than a file");
    return rv;
}

/* ---- sending ---- */

static apr_status_t upload_failed(wh_err_t *err)
{
    wh_err_t was = *err;

    if (wh_err_is(err, "canceled") || wh_err_is(err, "too_many_files") ||
        wh_err_is(err, "too_large"))
        return APR_EGENERAL;
    return wh_err_set(err, was.http, "upload_failed", "the release could not be sent: %s",
                      was.text);
}

static json_t *job_ref(const wh_work_t *work)
{
    return json_pack("{s:s, s:I}", "job", work->job->job, "epoch", (json_int_t)work->job->epoch);
}

/* The server, its database or the line may be away for a moment: every call here may be said twice.
 */
static int may_pass(const wh_err_t *err)
{
    return err->http == 502 || err->http == 503 || err->http == 504;
}

/* Waits before the next try; false when there is to be none. */
static int try_again(const release_t *r, wh_backoff_t *backoff, wh_mono_t end)
{
    const wh_work_t *work = r->work;
    apr_interval_time_t wait = wh_backoff_next(backoff, wh_rand_jitter(work->rnd));
    apr_interval_time_t left = wh_mono_diff(end, wh_clock_mono(work->clock));

    if (wait > TRY_PAUSE_MAX_US)
        wait = TRY_PAUSE_MAX_US;
    return left > wait && !wh_cancel_wait(work->cancel, wait);
}

/* Every call asks for the token anew: one that is about to end is refreshed on the way. */
static apr_status_t call(release_t *r, apr_pool_t *p, wh_api_call_t *c, json_t **reply,
                         wh_err_t *err)
{
    const wh_work_t *work = r->work;
    wh_mono_t end = wh_mono_add(wh_clock_mono(work->clock), TRY_US);
    wh_backoff_t backoff = {0};
    apr_status_t rv;

    if (wh_mono_diff(r->source->opts.deadline, end) < 0)
        end = r->source->opts.deadline;
    c->timeout_us = (apr_interval_time_t)300 * APR_USEC_PER_SEC;
    do {
        wh_err_clear(err);
        if (c->fd >= 0 && lseek(c->fd, 0, SEEK_SET) != 0)
            return wh_err_wrap(err, errno, 500, "internal", "cannot read a temporary file");
        rv = wh_identity_token(work->identity, p, 0, &c->bearer, err);
        if (rv == APR_SUCCESS)
            rv = wh_api_call(r->api, p, c, reply, err);
    } while (rv != APR_SUCCESS && may_pass(err) && try_again(r, &backoff, end));
    return rv;
}

static apr_status_t put(release_t *r, apr_pool_t *p, const char *sha256, wh_api_call_t *c,
                        wh_err_t *err)
{
    c->method = "PUT";
    c->path = apr_psprintf(p, "/v1/agent/objects/%s?job=%s&epoch=%" APR_INT64_T_FMT, sha256,
                           r->work->job->job, r->work->job->epoch);
    return call(r, p, c, NULL, err);
}

typedef struct sending_t {
    release_t *r;
    apr_pool_t *scratch;       /* of one object */
    const char *const *hashes; /* as the oids asked */
    char *data;
    int fd; /* -1 = data */
    apr_int64_t have;
    wh_err_t err;
    int sent;
} sending_t;

static int spool_begin(sending_t *s, const wh_catfile_object_t *o)
{
    s->have = 0;
    if (o->size <= SPOOL_MIN) {
        s->data = apr_palloc(s->scratch, (apr_size_t)o->size + 1);
        return 0;
    }
    s->fd = open(s->r->source->opts.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return 0;
    (void)wh_err_wrap(&s->err, errno, 500, "internal", "cannot make a temporary file");
    return 1;
}

static int spool_end(sending_t *s, const wh_catfile_object_t *o)
{
    wh_api_call_t c = {.data = s->data, .fd = s->fd, .n = s->have};
    apr_status_t rv = put(s->r, s->scratch, s->hashes[o->index], &c, &s->err);

    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->data = NULL;
    s->sent++;
    apr_pool_clear(s->scratch);
    return rv == APR_SUCCESS ? 0 : 1;
}

static int take_missing(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    sending_t *s = baton;

    if (strcmp(o->type, "blob") != 0)
        return 1;
    if (s->data == NULL && s->fd < 0 && spool_begin(s, o) != 0)
        return 1;
    if (n == 0)
        return spool_end(s, o);
    if (s->data != NULL) {
        memcpy(s->data + s->have, buf, n);
    } else if (write(s->fd, buf, n) != (ssize_t)n) {
        (void)wh_err_wrap(&s->err, errno, 500, "internal", "cannot write a temporary file");
        return 1;
    }
    s->have += (apr_int64_t)n;
    return 0;
}

/* What is not held any more is asked of git again, and sent as it comes. */
static apr_status_t send_from_git(release_t *r, apr_array_header_t *oids,
                                  apr_array_header_t *hashes, wh_release_done_t *done,
                                  wh_err_t *err)
{
    sending_t s = {.r = r, .fd = -1, .hashes = (const char *const *)hashes->elts};
    wh_source_read_t what = {.oids = (const char *const *)oids->elts,
                             .n = (size_t)oids->nelts,
                             .fn = take_missing,
                             .baton = &s};
    int ended = 0;
    apr_status_t rv;

    if (oids->nelts == 0)
        return APR_SUCCESS;
    rv = apr_pool_create(&s.scratch, r->p);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    rv = wh_source_read(r->p, r->source, &what, &ended, err);
    if (s.fd >= 0)
        close(s.fd);
    if (rv == APR_SUCCESS && ended) {
        rv = APR_EGENERAL;
        if (s.err.rv != APR_SUCCESS)
            *err = s.err;
        else
            (void)wh_err_set(err, 422, "clone_failed", "git gave something else than a file");
    }
    done->sent += s.sent;
    return rv;
}

static apr_status_t send_missing(release_t *r, const json_t *missing, wh_release_done_t *done,
                                 wh_err_t *err)
{
    apr_hash_t *by_hash = apr_hash_make(r->p);
    apr_array_header_t *oids = apr_array_make(r->p, 16, sizeof(const char *));
    apr_array_header_t *hashes = apr_array_make(r->p, 16, sizeof(const char *));
    apr_pool_t *scratch;
    apr_status_t rv = apr_pool_create(&scratch, r->p);
    json_t *item;
    size_t i;

    for (int f = 0; f < r->files->nelts; f++) {
        file_t *file = &APR_ARRAY_IDX(r->files, f, file_t);

        apr_hash_set(by_hash, wh_blobs_find(r->blobs, file->oid), APR_HASH_KEY_STRING, file);
    }
    json_array_foreach((json_t *)(uintptr_t)missing, i, item)
    {
        const char *hash = json_string_value(item);
        file_t *file = hash != NULL ? apr_hash_get(by_hash, hash, APR_HASH_KEY_STRING) : NULL;
        kept_t *kept = hash != NULL ? apr_hash_get(r->kept, hash, APR_HASH_KEY_STRING) : NULL;

        if (rv != APR_SUCCESS)
            return rv;
        if (file == NULL)
            return wh_err_set(err, 502, "bad_reply", "the server asks for an object of no file");
        if (kept == NULL) {
            APR_ARRAY_PUSH(oids, const char *) = file->oid;
            APR_ARRAY_PUSH(hashes, const char *) = hash;
            continue;
        }
        wh_api_call_t c = {.data = kept->data, .fd = -1, .n = kept->n};

        apr_pool_clear(scratch);
        rv = put(r, scratch, hash, &c, err);
        done->sent++;
    }
    return rv == APR_SUCCESS ? send_from_git(r, oids, hashes, done, err) : rv;
}

static apr_status_t make_manifest(release_t *r, wh_manifest_t **m, wh_err_t *err)
{
    int n = r->files->nelts;
    wh_manifest_entry_t *entries = apr_pcalloc(r->p, sizeof(*entries) * (apr_size_t)n);

    for (int i = 0; i < n; i++) {
        file_t *f = &APR_ARRAY_IDX(r->files, i, file_t);
        const char *hash = wh_blobs_find(r->blobs, f->oid);

        if (hash == NULL)
            return wh_err_set(err, 500, "internal", "a file has no hash");
        entries[i].path = f->path;
        entries[i].size = (apr_off_t)f->size;
        memcpy(entries[i].sha256, hash, 64);
    }
    return wh_manifest_make(r->p, entries, n, NULL, m, err);
}

/* Announce, send what is missing, commit. */
static apr_status_t upload(release_t *r, const wh_manifest_t *m, wh_release_done_t *done,
                           wh_err_t *err)
{
    json_t *body = wh_json_own(r->p, job_ref(r->work)), *reply = NULL;
    wh_api_call_t announce = {
        .method = "POST", .path = "/v1/agent/releases", .json = body, .fd = -1};
    wh_api_call_t commit = {.method = "POST", .fd = -1};
    const json_t *missing;
    apr_status_t rv = wh_api_open(r->p, r->work->conf, r->work->cancel, &r->api, err);

    if (rv != APR_SUCCESS)
        return rv;
    json_object_set_new(body, "manifest", wh_manifest_json(m));
    rv = call(r, r->p, &announce, &reply, err);
    if (rv != APR_SUCCESS)
        return rv;
    missing = json_object_get(reply, "missing");
    done->id = json_string_value(json_object_get(reply, "release"));
    if (!json_is_array(missing) || done->id == NULL || strcmp(done->id, wh_manifest_id(m)) != 0)
        return wh_err_set(err, 502, "bad_reply",
                          "the server names another release than was announced");
    rv = send_missing(r, missing, done, err);
    if (rv != APR_SUCCESS)
        return rv;
    commit.path = apr_pstrcat(r->p, "/v1/agent/releases/", done->id, "/commit", NULL);
    commit.json = wh_json_own(r->p, job_ref(r->work));
    return call(r, r->p, &commit, NULL, err);
}

apr_status_t wh_release_publish(wh_work_t *work, const wh_source_t *source, wh_release_done_t *done,
                                wh_err_t *err)
{
    const wh_snapshot_t *snap = &work->job->snapshot;
    const char *dir = wh_release_join(work->p, snap->repo_root, snap->build_output);
    release_t r = {.work = work, .p = work->p, .source = source};
    wh_manifest_t *m = NULL;
    apr_status_t rv;

    memset(done, 0, sizeof(*done));
    r.files = apr_array_make(r.p, 128, sizeof(file_t));
    r.kept = apr_hash_make(r.p);
    r.blobs = wh_blobs_open(r.p, apr_pstrcat(r.p, source->opts.dir, "/blobs", NULL));
    rv = list(&r, dir, err);
    if (rv == APR_SUCCESS)
        rv = hash_new(&r, err);
    if (rv == APR_SUCCESS)
        rv = make_manifest(&r, &m, err);
    if (rv != APR_SUCCESS)
        return rv;
    wh_blobs_save(r.blobs);
    work->phase(work->phase_baton, WH_PHASE_SWITCHING, NULL);
    rv = upload(&r, m, done, err);
    if (rv != APR_SUCCESS)
        return upload_failed(err);
    done->files = m->n;
    done->bytes = m->bytes;
    wh_logs_say(work->logs, "%d files, %" APR_INT64_T_FMT " bytes; %d sent", done->files,
                done->bytes, done->sent);
    return APR_SUCCESS;
}
