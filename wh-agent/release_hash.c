#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_sign.h"
#include "wh-agent/release_int.h"
#include "wh-agent/thread.h"

typedef struct hashing_t {
    wh_release_run_t *r;
    const char *const *oids;
    size_t n;
    apr_hash_t *compressed; /* oids of which variants are made */
    apr_pool_t *scratch;    /* of one object */
    wh_sign_ctx_t *ctx;
    char *data; /* NULL = not held */
    int ours;   /* data is malloc()ed, for this object alone */
    apr_int64_t have;
    apr_interval_time_t used_us; /* by compressing */
    int made;
    wh_compress_tier_e said; /* the last tier that the log was told of */
    apr_status_t rv;
    wh_err_t *err;
} hashing_t;

const wh_variants_entry_t *wh_release_variants(const wh_release_run_t *r,
                                               const wh_release_file_t *file)
{
    const char *sha256 = file->variants ? wh_blobs_find(r->blobs, file->oid) : NULL;
    const wh_variants_entry_t *entry =
        sha256 != NULL ? wh_variants_find(r->variants, sha256) : NULL;

    return entry != NULL && entry->any ? entry : NULL;
}

/* ---- variants ---- */

static void keep(wh_release_run_t *r, const char *sha256, const wh_release_kept_t *kept)
{
    apr_hash_set(r->kept, apr_pstrdup(r->p, sha256), APR_HASH_KEY_STRING,
                 apr_pmemdup(r->p, kept, sizeof(*kept)));
}

/* Made variants wait in a file without a name. Where it cannot be written they are made again. */
static void spool(wh_release_run_t *r, const char *sha256, const char *data, size_t n)
{
    wh_release_kept_t kept = {.at = r->spooled, .n = (apr_int64_t)n};

    if (r->spool < 0)
        r->spool = open(r->source->opts.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (r->spool < 0 || pwrite(r->spool, data, n, r->spooled) != (ssize_t)n)
        return;
    r->spooled += (apr_off_t)n;
    keep(r, sha256, &kept);
}

static void make_one(hashing_t *h, wh_coding_e coding, wh_variants_entry_t *entry)
{
    wh_manifest_variant_t *variant = &entry->of[coding];
    unsigned char sum[WH_SHA256_LEN];
    char *made = NULL;
    size_t n = 0;

    if (wh_compress(coding, entry->tier, h->data, (size_t)h->have, &made, &n) != APR_SUCCESS)
        return;
    wh_sign_sha256(made, n, sum);
    apr_cpystrn(variant->sha256, wh_sign_hex(h->scratch, sum, sizeof(sum)),
                sizeof(variant->sha256));
    variant->size = (apr_off_t)n;
    entry->any = 1;
    spool(h->r, variant->sha256, made, n);
    free(made);
}

static void say_tier(hashing_t *h, wh_compress_tier_e tier)
{
    static const char *const what[] = {[WH_COMPRESS_FAST] = "the rest gets quick levels",
                                       [WH_COMPRESS_TIERS] = "the rest is left uncompressed"};

    if (tier < WH_COMPRESS_FAST || tier == h->said)
        return;
    h->said = tier;
    wh_logs_say(h->r->work->logs, "compressing has taken %d s: %s", (int)apr_time_sec(h->used_us),
                what[tier]);
}

static void compress(hashing_t *h, const char *sha256)
{
    const wh_clock_t *clock = h->r->work->clock;
    wh_mono_t begin = wh_clock_mono(clock);
    wh_variants_entry_t entry = {.tier = wh_compress_tier(h->have, h->used_us)};

    say_tier(h, entry.tier);
    if (entry.tier == WH_COMPRESS_TIERS || wh_cancel_is_set(h->r->work->cancel))
        return; /* and nothing is remembered: another deployment may find the time */
    make_one(h, WH_CODING_GZIP, &entry);
    if (!wh_compress_hopeless(h->have, entry.of[WH_CODING_GZIP].size)) {
        make_one(h, WH_CODING_ZSTD, &entry);
        make_one(h, WH_CODING_BR, &entry);
    }
    wh_variants_add(h->r->variants, sha256, &entry);
    h->made++;
    h->used_us += wh_mono_diff(wh_clock_mono(clock), begin);
}

/* ---- hashes ---- */

static void let_go(hashing_t *h)
{
    if (h->ours)
        free(h->data);
    h->data = NULL;
    h->ours = 0;
    h->ctx = NULL;
    apr_pool_clear(h->scratch);
}

static int hash_done(hashing_t *h, const wh_catfile_object_t *o)
{
    const char *oid = h->oids[o->index];
    unsigned char sum[WH_SHA256_LEN];
    const char *hex;

    wh_sign_end(h->ctx, sum);
    hex = wh_sign_hex(h->r->p, sum, sizeof(sum));
    if (wh_blobs_find(h->r->blobs, oid) == NULL)
        wh_blobs_add(h->r->blobs, oid, hex);
    if (h->data != NULL && !h->ours)
        keep(h->r, hex, &(wh_release_kept_t){.data = h->data, .n = h->have});
    if (h->data != NULL && apr_hash_get(h->compressed, oid, APR_HASH_KEY_STRING) != NULL &&
        wh_variants_find(h->r->variants, hex) == NULL)
        compress(h, hex);
    let_go(h);
    return 0;
}

/* Held is what is likely to be sent, up to a measure, and what is to be compressed. */
static void hold(hashing_t *h, const wh_catfile_object_t *o)
{
    wh_release_run_t *r = h->r;

    if (o->size <= WH_RELEASE_SPOOL_MIN && r->kept_bytes + o->size <= WH_RELEASE_KEEP_MAX) {
        h->data = apr_palloc(r->p, (apr_size_t)o->size + 1);
        r->kept_bytes += o->size;
    } else if (o->size <= WH_COMPRESS_MAX &&
               apr_hash_get(h->compressed, h->oids[o->index], APR_HASH_KEY_STRING) != NULL) {
        h->data = malloc((size_t)o->size + 1);
        h->ours = h->data != NULL;
    }
}

static int take_blob(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    hashing_t *h = baton;

    if (strcmp(o->type, "blob") != 0)
        return 1;
    if (h->ctx == NULL) {
        h->ctx = wh_sign_sha256_begin(h->scratch);
        h->have = 0;
        hold(h, o);
    }
    wh_sign_add(h->ctx, buf, n);
    if (h->data != NULL)
        memcpy(h->data + h->have, buf, n);
    h->have += (apr_int64_t)n;
    return n == 0 ? hash_done(h, o) : 0;
}

static void read_all(void *data)
{
    hashing_t *h = data;
    wh_source_read_t what = {.oids = h->oids, .n = h->n, .fn = take_blob, .baton = h};
    int ended = 0;

    h->rv = wh_release_read(h->r, &what, &ended, h->err);
    if (h->rv == APR_SUCCESS && ended)
        h->rv = wh_err_set(h->err, 422, "clone_failed", "git gave something else than a file");
    let_go(h);
}

/* What is to be read: contents that are not known, or of which it is not known how they compress.
 */
static apr_array_header_t *unknown(wh_release_run_t *r, apr_hash_t *compressed)
{
    apr_hash_t *asked = apr_hash_make(r->p);
    apr_array_header_t *oids = apr_array_make(r->p, 16, sizeof(const char *));

    for (int i = 0; i < r->files->nelts; i++) {
        wh_release_file_t *f = &APR_ARRAY_IDX(r->files, i, wh_release_file_t);
        const char *sha256 = wh_blobs_find(r->blobs, f->oid);
        int compress_it =
            f->variants && (sha256 == NULL || wh_variants_find(r->variants, sha256) == NULL);

        if (compress_it)
            apr_hash_set(compressed, f->oid, APR_HASH_KEY_STRING, f);
        if ((sha256 != NULL && !compress_it) ||
            apr_hash_get(asked, f->oid, APR_HASH_KEY_STRING) != NULL)
            continue;
        apr_hash_set(asked, f->oid, APR_HASH_KEY_STRING, f);
        APR_ARRAY_PUSH(oids, const char *) = f->oid;
    }
    return oids;
}

apr_status_t wh_release_hash(wh_release_run_t *r, wh_err_t *err)
{
    hashing_t h = {.r = r, .compressed = apr_hash_make(r->p), .err = err};
    apr_array_header_t *oids = unknown(r, h.compressed);
    apr_status_t rv;

    if (oids->nelts == 0)
        return APR_SUCCESS;
    rv = apr_pool_create(&h.scratch, r->p);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "internal", "no pool");
    h.oids = (const char *const *)oids->elts;
    h.n = (size_t)oids->nelts;
    if (apr_hash_count(h.compressed) == 0)
        read_all(&h);
    else if ((rv = wh_thread_low(read_all, &h, err)) != APR_SUCCESS)
        return rv;
    if (h.rv == APR_SUCCESS && h.made > 0)
        wh_logs_say(r->work->logs, "%d files compressed in %d ms", h.made, (int)(h.used_us / 1000));
    return h.rv;
}
