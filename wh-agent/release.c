#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_manifest.h"
#include "libwh/wh_mime.h"
#include "libwh/wh_text.h"
#include "wh-agent/release_int.h"

#define WARNINGS_MAX 20

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

const char *wh_release_too_large(apr_pool_t *p, const wh_lstree_entry_t *e, apr_int64_t most)
{
    return apr_psprintf(p,
                        "%s has %" APR_INT64_T_FMT " MiB; a file may have %" APR_INT64_T_FMT " MiB",
                        wh_text_log_escape(p, e->path, strlen(e->path), 200), e->size / WH_MIB,
                        most / WH_MIB);
}

static void warn(wh_release_run_t *r, const wh_lstree_entry_t *e, const char *what)
{
    if (r->left_out++ < WARNINGS_MAX)
        wh_logs_say(r->work->logs, "left out: %s (%s)",
                    wh_text_log_escape(r->p, e->path, strlen(e->path), 300), what);
}

static int take_entry(void *baton, const wh_lstree_entry_t *e)
{
    wh_release_run_t *r = baton;
    wh_release_file_t *file;

    if (e->kind == WH_LSTREE_SYMLINK)
        warn(r, e, "a symbolic link");
    else if (e->kind == WH_LSTREE_SUBMODULE)
        warn(r, e, "a submodule");
    else if (e->kind != WH_LSTREE_FILE)
        warn(r, e, "not a regular file");
    else if (!wh_manifest_path_ok(e->path))
        warn(r, e, "its name cannot be served");
    if (e->kind != WH_LSTREE_FILE || !wh_manifest_path_ok(e->path))
        return r->left_out > 10 * WH_MANIFEST_FILES_MAX ? (r->fit = WH_RELEASE_TOO_MANY) : 0;
    r->bytes += e->size;
    if (r->output == NULL && e->size > r->source->opts.max_bytes) {
        r->large = wh_release_too_large(r->p, e, r->source->opts.max_bytes);
        return 1;
    }
    if (r->files->nelts >= WH_MANIFEST_FILES_MAX)
        r->fit = WH_RELEASE_TOO_MANY;
    else if (r->bytes > WH_MANIFEST_BYTES_MAX)
        r->fit = WH_RELEASE_TOO_LARGE;
    if (r->fit != WH_RELEASE_FITS)
        return 1;
    file = &APR_ARRAY_PUSH(r->files, wh_release_file_t);
    file->path = apr_pstrdup(r->p, e->path);
    memcpy(file->oid, e->oid, sizeof(file->oid));
    file->size = e->size;
    file->mode = e->mode;
    file->variants = wh_compress_wanted(wh_mime_type(e->path), e->size);
    if (strcmp(e->path, "index.html") == 0)
        r->has_index = 1;
    return 0;
}

apr_status_t wh_release_read(const wh_release_run_t *r, const wh_source_read_t *what, int *ended,
                             wh_err_t *err)
{
    return r->output != NULL ? wh_output_read(r->output, what, ended, err)
                             : wh_source_read(r->p, r->source, what, ended, err);
}

static apr_status_t list(wh_release_run_t *r, const char *dir, wh_err_t *err)
{
    int ended = 0;
    apr_status_t rv = APR_SUCCESS;

    if (r->output != NULL)
        wh_output_list(r->output, take_entry, r);
    else
        rv = wh_source_list(r->p, r->source, dir, take_entry, r, &ended, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (r->large != NULL)
        return wh_err_set(err, 422, "too_large", "%s", r->large);
    if (r->left_out > WARNINGS_MAX)
        wh_logs_say(r->work->logs, "left out: %d more", r->left_out - WARNINGS_MAX);
    if (r->fit == WH_RELEASE_TOO_MANY)
        return wh_err_set(err, 422, "too_many_files", "there are more than %d files",
                          WH_MANIFEST_FILES_MAX);
    if (r->fit == WH_RELEASE_TOO_LARGE)
        return wh_err_set(err, 422, "too_large",
                          "the files have more than %" APR_INT64_T_FMT " MiB",
                          WH_MANIFEST_BYTES_MAX / WH_MIB);
    if (r->files->nelts == 0)
        return wh_err_set(err, 422, "output_missing", "the directory \"%s\" holds no files", dir);
    if (!r->has_index)
        wh_logs_say(r->work->logs, "note: there is no index.html at the top");
    return APR_SUCCESS;
}

/* ---- the release ---- */

static apr_status_t make_manifest(wh_release_run_t *r, wh_manifest_t **m, wh_err_t *err)
{
    int n = r->files->nelts;
    wh_manifest_entry_t *entries = apr_pcalloc(r->p, sizeof(*entries) * (apr_size_t)n);

    for (int i = 0; i < n; i++) {
        wh_release_file_t *f = &APR_ARRAY_IDX(r->files, i, wh_release_file_t);
        const char *hash = wh_blobs_find(r->blobs, f->oid);
        const wh_variants_entry_t *made = wh_release_variants(r, f);

        if (hash == NULL)
            return wh_err_set(err, 500, "internal", "a file has no hash");
        entries[i].path = f->path;
        entries[i].size = (apr_off_t)f->size;
        memcpy(entries[i].sha256, hash, 64);
        entries[i].variants = made != NULL ? made->of : NULL;
    }
    return wh_manifest_make(r->p, entries, n, NULL, m, err);
}

apr_status_t wh_release_publish(wh_work_t *work, const wh_source_t *source,
                                const wh_output_t *output, wh_release_done_t *done, wh_err_t *err)
{
    const wh_snapshot_t *snap = &work->job->snapshot;
    const char *dir = wh_release_join(work->p, snap->repo_root, snap->build_output);
    wh_release_run_t r = {.work = work, .p = work->p, .source = source, .output = output,
                          .spool = -1};
    wh_manifest_t *m = NULL;
    apr_status_t rv;

    memset(done, 0, sizeof(*done));
    r.files = apr_array_make(r.p, 128, sizeof(wh_release_file_t));
    r.kept = apr_hash_make(r.p);
    r.blobs = wh_blobs_open(r.p, apr_pstrcat(r.p, source->opts.dir, "/blobs", NULL));
    r.variants = wh_variants_open(r.p, apr_pstrcat(r.p, source->opts.dir, "/variants", NULL));
    rv = list(&r, dir, err);
    if (rv == APR_SUCCESS)
        rv = wh_release_hash(&r, err);
    if (rv == APR_SUCCESS)
        rv = make_manifest(&r, &m, err);
    if (rv == APR_SUCCESS) {
        wh_blobs_save(r.blobs);
        wh_variants_save(r.variants);
        wh_release_rules(&r);
        work->phase(work->phase_baton, WH_PHASE_SWITCHING, NULL);
        rv = wh_release_upload(&r, m, done, err);
    }
    if (r.spool >= 0)
        close(r.spool);
    if (rv != APR_SUCCESS)
        return rv;
    done->files = m->n;
    done->bytes = m->bytes;
    wh_logs_say(work->logs, "%d files, %" APR_INT64_T_FMT " bytes; %d sent", done->files,
                done->bytes, done->sent);
    return APR_SUCCESS;
}
