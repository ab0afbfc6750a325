/* The batch API of Git LFS, transfer "basic": where each file lies, and from there. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "libwh/wh_file.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-agent/lfs_int.h"
#include "wh-agent/lfshttp.h"
#include "wh-agent/source_int.h"

#define BATCH 100 /* as clients do */
#define REPLY_MAX ((size_t)(4 * 1024 * 1024))
#define HEADERS_MAX 16
#define SSH_PROGRAM "/usr/bin/ssh"

/* The server, and what it is asked with. */
typedef struct server_t {
    apr_pool_t *p;
    const wh_lfs_of_t *of;
    const char *url;            /* …/info/lfs */
    const char *const *headers; /* that ssh gave; NULL = none */
    int fd;
} server_t;

static const wh_source_opts_t *opts_of(const server_t *s)
{
    return &s->of->source->opts;
}

/* ---- headers ---- */

static int header_ok(const char *name, const char *value)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");

    return n > 0 && name[n] == '\0' && strlen(value) < 8192 && wh_text_plain(value, strlen(value));
}

/* {name: value} of "header"; NULL where there is none, or one is not taken. */
static const char *const *headers_of(apr_pool_t *p, json_t *object)
{
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(const char *));
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        if (!json_is_string(value) || !header_ok(name, json_string_value(value)) ||
            list->nelts == HEADERS_MAX)
            return NULL;
        APR_ARRAY_PUSH(list, const char *) =
            apr_pstrcat(p, name, ": ", json_string_value(value), NULL);
    }
    APR_ARRAY_PUSH(list, const char *) = NULL;
    return list->nelts > 1 ? (const char *const *)list->elts : NULL;
}

static int authorized(const char *const *headers)
{
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++)
        if (strncasecmp(headers[i], "Authorization:", 14) == 0)
            return 1;
    return 0;
}

/* User and token go to the host that they are for, unless the server gave something else. */
static void add_credentials(const server_t *s, wh_lfshttp_t *call)
{
    const wh_gitauth_t *auth = s->of->auth;

    if (auth == NULL || authorized(call->headers) || (auth->own_only && !s->of->own) ||
        auth->token[0] == '\0' || strncmp(call->url, "https://", 8) != 0 ||
        strcmp(auth->site, wh_giturl_site(s->p, call->url)) != 0)
        return;
    call->user = auth->user;
    call->password = auth->token;
}

static apr_status_t bad_status(long status, wh_err_t *err)
{
    if (status == 401 || status == 403)
        return wh_err_set(err, 422, "repository_auth",
                          "the LFS server asks for credentials, or does not take the app's: see wh "
                          "apps credentials");
    return wh_err_set(err, 422, "clone_failed", "the LFS server answered %ld", status);
}

/* ---- where the server is ---- */

static const char *https_url(apr_pool_t *p, const char *repository)
{
    size_t n = strlen(repository);

    while (n > 0 && repository[n - 1] == '/')
        n--;
    return apr_pstrcat(p, apr_pstrmemdup(p, repository, n),
                       n > 4 && strncmp(repository + n - 4, ".git", 4) == 0 ? "" : ".git",
                       "/info/lfs", NULL);
}

/* docs/api/server-discovery.md: over ssh the host is asked, with the app's key. The path holds
 * nothing that a shell would see (wh_giturl_check). */
static apr_status_t ask_ssh(server_t *s, wh_err_t *err)
{
    const wh_source_opts_t *o = opts_of(s);
    wh_source_text_t out;
    wh_source_run_t run = {.args = (const char *const[]){NULL}, .in_fd = -1};
    wh_giturl_parts_t parts;
    wh_proc_opts_t proc;
    wh_proc_result_t result;
    apr_status_t rv = wh_source_reach(s->p, s->of->source, err);
    json_t *doc;

    if (rv != APR_SUCCESS)
        return rv;
    wh_giturl_parts(s->p, o->url, &parts);
    wh_source_text_init(&out, s->p, 64 * 1024);
    wh_source_proc_opts(s->p, s->of->source, &run, &proc);
    proc.argv = (const char *const[]){
        SSH_PROGRAM, "-F", WH_GITAUTH_DIR "/ssh_config", "-p", parts.port, "-l", parts.user, "--",
        parts.host, apr_pstrcat(s->p, "git-lfs-authenticate '", parts.path, "' download", NULL),
        NULL};
    proc.out = wh_source_text_add;
    proc.out_baton = &out;
    rv = wh_proc_run(s->p, &proc, &result, err);
    wh_gitauth_drop(s->p, o->dir);
    if (rv != APR_SUCCESS)
        return rv;
    if (!wh_source_git_exited(&result, 0) ||
        wh_json_load_object(s->p, out.buf, out.n, NULL, &doc, NULL) != APR_SUCCESS ||
        !json_is_string(json_object_get(doc, "href")))
        return wh_err_set(err, 422, "clone_failed",
                          "the repository's host does not say where its LFS server is");
    s->url = json_string_value(json_object_get(doc, "href"));
    s->headers = headers_of(s->p, json_object_get(doc, "header"));
    return APR_SUCCESS;
}

static apr_status_t find_server(server_t *s, wh_err_t *err)
{
    switch (wh_giturl_kind(opts_of(s)->url)) {
    case WH_GITURL_HTTPS:
        s->url = https_url(s->p, opts_of(s)->url);
        return APR_SUCCESS;
    case WH_GITURL_SSH:
        return ask_ssh(s, err);
    case WH_GITURL_LOCAL:
    case WH_GITURL_HUB:
    default:
        return wh_err_set(err, 422, "clone_failed",
                          "Git LFS needs a repository over https or ssh: this one has no LFS server");
    }
}

/* ---- one file ---- */

typedef struct sink_t {
    wh_sign_ctx_t *hash;
    apr_int64_t left;
    int fd, failed;
} sink_t;

static int take_bytes(void *baton, const char *buf, size_t n)
{
    sink_t *sink = baton;

    if ((apr_int64_t)n > sink->left)
        return 1;
    sink->left -= (apr_int64_t)n;
    wh_sign_add(sink->hash, buf, n);
    sink->failed |= wh_file_put(sink->fd, buf, n) != APR_SUCCESS;
    return sink->failed;
}

static const char *shown(apr_pool_t *p, const wh_lfs_file_t *file)
{
    return wh_text_clean_line(p, file->path, strlen(file->path), 200);
}

static apr_status_t write_text(int fd, const char *text, wh_err_t *err)
{
    return wh_file_put(fd, text, strlen(text)) == APR_SUCCESS
               ? APR_SUCCESS
               : wh_err_wrap(err, errno, 500, "internal", "cannot write what LFS keeps");
}

static apr_status_t get(const server_t *s, apr_pool_t *p, const wh_lfs_file_t *file,
                        json_t *download, wh_err_t *err)
{
    sink_t sink = {
        .hash = wh_sign_sha256_begin(p), .left = file->size, .fd = s->fd};
    wh_lfshttp_t call = {.opts = opts_of(s),
                         .url = json_string_value(json_object_get(download, "href")),
                         .headers = headers_of(p, json_object_get(download, "header")),
                         .sink = take_bytes,
                         .baton = &sink};
    unsigned char hash[WH_SHA256_LEN];
    apr_status_t rv;
    long status = 0;

    if (call.url == NULL)
        return wh_err_set(err, 422, "clone_failed", "the LFS server does not have %s",
                          shown(p, file));
    add_credentials(s, &call);
    rv = wh_lfshttp(p, &call, &status, err);
    if (rv == APR_SUCCESS && status != 200)
        rv = bad_status(status, err);
    wh_sign_end(sink.hash, hash);
    if (rv == APR_SUCCESS &&
        (sink.left != 0 || strcmp(wh_sign_hex(p, hash, sizeof(hash)), file->sha256) != 0))
        rv = wh_err_set(err, 422, "clone_failed",
                        "what the LFS server sent for %s is not what was committed", shown(p, file));
    return rv;
}

/* As git fast-import reads it. */
static apr_status_t take_file(const server_t *s, apr_pool_t *p, const wh_lfs_file_t *file, int mark,
                              json_t *download, wh_err_t *err)
{
    apr_status_t rv = write_text(
        s->fd, apr_psprintf(p, "blob\nmark :%d\ndata %" APR_INT64_T_FMT "\n", mark, file->size),
        err);

    if (rv == APR_SUCCESS)
        rv = get(s, p, file, download, err);
    return rv == APR_SUCCESS ? write_text(s->fd, apr_psprintf(p, "\nget-mark :%d\n", mark), err)
                             : rv;
}

/* ---- a batch ---- */

static const char *question(apr_pool_t *p, const wh_lfs_file_t *files, int n)
{
    json_t *objects = json_array(), *doc;
    char *text;

    for (int i = 0; i < n; i++)
        json_array_append_new(objects, json_pack("{s:s, s:I}", "oid", files[i].sha256, "size",
                                                 (json_int_t)files[i].size));
    doc = json_pack("{s:s, s:[s], s:o, s:s}", "operation", "download", "transfers", "basic",
                    "objects", objects, "hash_algo", "sha256");
    text = wh_json_text(p, doc, NULL);
    json_decref(doc);
    return text;
}

static apr_status_t ask(const server_t *s, apr_pool_t *p, const wh_lfs_file_t *files, int n,
                        json_t **objects, wh_err_t *err)
{
    static const wh_json_limits_t limits = {.bytes = REPLY_MAX, .depth = 16, .values = 100000};
    wh_source_text_t text;
    wh_lfshttp_t call = {.opts = opts_of(s),
                         .url = apr_pstrcat(p, s->url, "/objects/batch", NULL),
                         .body = question(p, files, n),
                         .headers = s->headers,
                         .sink = wh_source_text_add,
                         .baton = &text};
    const char *transfer;
    json_t *doc;
    long status = 0;
    apr_status_t rv;

    wh_source_text_init(&text, p, REPLY_MAX);
    add_credentials(s, &call);
    rv = wh_lfshttp(p, &call, &status, err);
    if (rv == APR_SUCCESS && status != 200)
        rv = bad_status(status, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (wh_json_load_object(p, text.buf, text.n, &limits, &doc, NULL) != APR_SUCCESS)
        return wh_err_set(err, 422, "clone_failed", "the LFS server's answer is no JSON object");
    transfer = json_string_value(json_object_get(doc, "transfer"));
    if (transfer != NULL && strcmp(transfer, "basic") != 0)
        return wh_err_set(err, 422, "clone_failed", "the LFS server has no basic transfer");
    *objects = json_object_get(doc, "objects");
    return APR_SUCCESS;
}

/* The entry for it, wherever it stands. */
static json_t *download_of(json_t *objects, const char *sha256)
{
    json_t *one;
    size_t i;

    json_array_foreach(objects, i, one)
    {
        const char *oid = json_string_value(json_object_get(one, "oid"));

        if (oid != NULL && strcmp(oid, sha256) == 0)
            return json_object_get(json_object_get(one, "actions"), "download");
    }
    return NULL;
}

static apr_status_t batch(const server_t *s, const wh_lfs_file_t *files, int n, int mark,
                          wh_err_t *err)
{
    apr_pool_t *p;
    json_t *objects = NULL;
    apr_status_t rv = apr_pool_create(&p, s->p);

    if (rv == APR_SUCCESS)
        rv = ask(s, p, files, n, &objects, err);
    for (int i = 0; rv == APR_SUCCESS && i < n; i++)
        rv = take_file(s, p, &files[i], mark + i, download_of(objects, files[i].sha256), err);
    apr_pool_destroy(p);
    return rv;
}

apr_status_t wh_lfs_batch(apr_pool_t *p, const wh_lfs_of_t *of, const apr_array_header_t *files,
                          int fd, wh_err_t *err)
{
    server_t s = {.p = p, .of = of, .fd = fd};
    apr_status_t rv = find_server(&s, err);

    for (int at = 0; rv == APR_SUCCESS && at < files->nelts; at += BATCH) {
        int n = files->nelts - at < BATCH ? files->nelts - at : BATCH;

        rv = batch(&s, &APR_ARRAY_IDX(files, at, wh_lfs_file_t), n, at + 1, err);
    }
    return rv;
}
