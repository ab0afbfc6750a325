#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_file.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "wh-agent/release_int.h"

/* Where an object comes from. */
typedef struct origin_t {
    const char *sha256;
    const wh_release_file_t *file;
    int coding; /* of a variant; -1 = the file itself */
    wh_compress_tier_e tier;
} origin_t;

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

/* ---- what is not held any more: asked of git again, and sent as it comes ---- */

typedef struct sending_t {
    wh_release_run_t *r;
    apr_pool_t *scratch;     /* of one object */
    const origin_t *origins; /* as the oids asked */
    char *data;              /* malloc()ed */
    int fd;                  /* -1 = data */
    apr_int64_t have;
    wh_err_t err;
    int sent;
} sending_t;

static void let_go(sending_t *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->data);
    s->fd = -1;
    s->data = NULL;
}

static int spool_begin(sending_t *s, const wh_catfile_object_t *o)
{
    s->have = 0;
    if (o->size <= WH_RELEASE_SPOOL_MIN || s->origins[o->index].coding >= 0) {
        s->data = malloc((size_t)o->size + 1);
        if (s->data != NULL)
            return 0;
        (void)wh_err_set(&s->err, 500, "internal", "out of memory");
        return 1;
    }
    s->fd = open(s->r->source->opts.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return 0;
    (void)wh_err_wrap(&s->err, errno, 500, "internal", "cannot make a temporary file");
    return 1;
}

/* The same file, tier and libraries make the same bytes: that is checked, and if it is not so the
 * next deployment begins anew. */
static apr_status_t again(sending_t *s, const origin_t *from)
{
    unsigned char sum[WH_SHA256_LEN];
    char *made = NULL;
    size_t n = 0;
    apr_status_t rv =
        wh_compress((wh_coding_e)from->coding, from->tier, s->data, (size_t)s->have, &made, &n);

    free(s->data);
    s->data = made;
    s->have = (apr_int64_t)n;
    if (rv == APR_SUCCESS) {
        wh_sign_sha256(made, n, sum);
        if (strcmp(wh_sign_hex(s->scratch, sum, sizeof(sum)), from->sha256) == 0)
            return APR_SUCCESS;
    }
    wh_variants_forget(s->r->variants);
    return wh_err_set(&s->err, 500, "internal",
                      "a file did not compress as it did before; deploy again");
}

static int spool_end(sending_t *s, const wh_catfile_object_t *o)
{
    const origin_t *from = &s->origins[o->index];
    apr_status_t rv = from->coding >= 0 ? again(s, from) : APR_SUCCESS;

    if (rv == APR_SUCCESS) {
        wh_api_call_t c = {.data = s->data, .fd = s->fd, .n = s->have};

        rv = wh_release_put(s->r, s->scratch, from->sha256, &c, &s->err);
        s->sent++;
    }
    let_go(s);
    apr_pool_clear(s->scratch);
    return rv == APR_SUCCESS ? 0 : 1;
}

static int take_missing(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    sending_t *s = baton;
    apr_status_t rv;

    if (strcmp(o->type, "blob") != 0)
        return 1;
    if (s->data == NULL && s->fd < 0 && spool_begin(s, o) != 0)
        return 1;
    if (n == 0)
        return spool_end(s, o);
    if (s->data != NULL) {
        memcpy(s->data + s->have, buf, n);
    } else if ((rv = wh_file_put(s->fd, buf, n)) != APR_SUCCESS) {
        (void)wh_err_wrap(&s->err, rv, 500, "internal", "cannot write a temporary file");
        return 1;
    }
    s->have += (apr_int64_t)n;
    return 0;
}

static apr_status_t send_from_git(wh_release_run_t *r, const apr_array_header_t *origins,
                                  wh_release_done_t *done, wh_err_t *err)
{
    sending_t s = {.r = r, .fd = -1, .origins = (const origin_t *)origins->elts};
    const char **oids = apr_palloc(r->p, sizeof(*oids) * ((apr_size_t)origins->nelts + 1));
    wh_source_read_t what = {
        .oids = oids, .n = (size_t)origins->nelts, .fn = take_missing, .baton = &s};
    int ended = 0;
    apr_status_t rv;

    if (origins->nelts == 0)
        return APR_SUCCESS;
    for (int i = 0; i < origins->nelts; i++)
        oids[i] = s.origins[i].file->oid;
    rv = apr_pool_create(&s.scratch, r->p);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    rv = wh_release_read(r, &what, &ended, err);
    let_go(&s);
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

/* ---- what is held ---- */

/* sha256 -> origin_t, of everything that the release needs. */
static apr_hash_t *origins_of(const wh_release_run_t *r)
{
    apr_hash_t *all = apr_hash_make(r->p);

    for (int f = 0; f < r->files->nelts; f++) {
        const wh_release_file_t *file = &APR_ARRAY_IDX(r->files, f, wh_release_file_t);
        const wh_variants_entry_t *made = wh_release_variants(r, file);
        origin_t *from = apr_palloc(r->p, sizeof(*from) * (1 + WH_CODINGS));

        *from =
            (origin_t){.sha256 = wh_blobs_find(r->blobs, file->oid), .file = file, .coding = -1};
        apr_hash_set(all, from->sha256, APR_HASH_KEY_STRING, from);
        for (int c = 0; made != NULL && c < WH_CODINGS; c++) {
            if (made->of[c].size == 0 ||
                apr_hash_get(all, made->of[c].sha256, APR_HASH_KEY_STRING) != NULL)
                continue;
            *++from = (origin_t){
                .sha256 = made->of[c].sha256, .file = file, .coding = c, .tier = made->tier};
            apr_hash_set(all, from->sha256, APR_HASH_KEY_STRING, from);
        }
    }
    return all;
}

static apr_status_t put_kept(wh_release_run_t *r, apr_pool_t *p, const char *sha256,
                             const wh_release_kept_t *kept, wh_err_t *err)
{
    wh_api_call_t c = {.data = kept->data, .fd = -1, .n = kept->n};
    char *bytes = NULL;
    apr_status_t rv;

    if (kept->data == NULL) {
        c.data = bytes = malloc((size_t)kept->n);
        if (bytes == NULL ||
            pread(r->spool, bytes, (size_t)kept->n, kept->at) != (ssize_t)kept->n) {
            free(bytes);
            return wh_err_set(err, 500, "internal", "cannot read a temporary file");
        }
    }
    rv = wh_release_put(r, p, sha256, &c, err);
    free(bytes);
    return rv;
}

static apr_status_t send_missing(wh_release_run_t *r, const json_t *missing,
                                 wh_release_done_t *done, wh_err_t *err)
{
    apr_hash_t *all = origins_of(r);
    apr_array_header_t *from_git = apr_array_make(r->p, 16, sizeof(origin_t));
    apr_pool_t *scratch;
    apr_status_t rv = apr_pool_create(&scratch, r->p);
    json_t *item;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)missing, i, item)
    {
        const char *hash = json_string_value(item);
        origin_t *from = hash != NULL ? apr_hash_get(all, hash, APR_HASH_KEY_STRING) : NULL;
        wh_release_kept_t *kept =
            hash != NULL ? apr_hash_get(r->kept, hash, APR_HASH_KEY_STRING) : NULL;

        if (rv != APR_SUCCESS)
            return rv;
        if (from == NULL)
            return wh_err_set(err, 502, "bad_reply", "the server asks for an object of no file");
        if (kept == NULL) {
            APR_ARRAY_PUSH(from_git, origin_t) = *from;
            continue;
        }
        apr_pool_clear(scratch);
        rv = put_kept(r, scratch, hash, kept, err);
        done->sent++;
    }
    return rv == APR_SUCCESS ? send_from_git(r, from_git, done, err) : rv;
}

/* Announce, send what is missing, commit. */
static apr_status_t upload(wh_release_run_t *r, const wh_manifest_t *m, wh_release_done_t *done,
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
    rv = wh_release_call(r, r->p, &announce, &reply, err);
    if (rv != APR_SUCCESS)
        return rv;
    missing = json_object_get(reply, "missing");
    done->id = json_string_value(json_object_get(reply, "release"));
    if (!json_is_array(missing) || done->id == NULL || strcmp(done->id, wh_manifest_id(m)) != 0)
        return wh_err_set(err, 502, "bad_reply",
                          "the server names another release than was announced");
    rv = send_missing(r, missing, done, err);
    if (rv == APR_SUCCESS)
        rv = wh_release_flush(r, err);
    if (rv != APR_SUCCESS)
        return rv;
    commit.path = apr_pstrcat(r->p, "/v1/agent/releases/", done->id, "/commit", NULL);
    commit.json = wh_json_own(r->p, job_ref(r->work));
    return wh_release_call(r, r->p, &commit, NULL, err);
}

apr_status_t wh_release_upload(wh_release_run_t *r, const wh_manifest_t *m, wh_release_done_t *done,
                               wh_err_t *err)
{
    return upload(r, m, done, err) == APR_SUCCESS ? APR_SUCCESS : upload_failed(err);
}
