/*
 * A release served: path -> manifest entry -> object. Nothing of the request ever becomes part of a
 * file name; what the manifest does not list does not exist.
 */
#include <apr_buckets.h>
#include <apr_strings.h>

#include "mod_wisehost/wh_mod_data.h"

/* APR_BRIGADE_INSERT_TAIL casts volatile away; clang takes it for ours. */
#pragma GCC diagnostic ignored "-Wcast-qual"

static int fail(request_rec *r, const char *tag, const wh_mod_req_t *req, const wh_err_t *err)
{
    wh_err_t shown = WH_ERR_INIT;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s: app %s, release %s: %s", tag, req->route->slug,
                  req->route->release_id, err->text);
    (void)wh_err_set(&shown, HTTP_SERVICE_UNAVAILABLE, err->code,
                     "The content of this site cannot be read.");
    return wh_mod_page_send(r, &shown);
}

static apr_status_t fill(request_rec *r, const wh_manifest_entry_t *entry, apr_bucket_brigade *bb,
                         wh_err_t *err)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_file_t *f = NULL;

    if (entry->size > 0) {
        apr_status_t rv = wh_mod_release_open(r, entry, &f, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        {
            apr_bucket *b = apr_brigade_insert_file(bb, f, 0, entry->size, r->pool);
#if APR_HAS_MMAP
            if (core->enable_mmap == ENABLE_MMAP_OFF) {
                (void)apr_bucket_file_enable_mmap(b, 0);
            }
#endif
        }
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return APR_SUCCESS;
}

/* Sends one file with status 200 or 404. */
static int send_entry(request_rec *r, const wh_mod_req_t *req, const wh_manifest_entry_t *entry,
                      int status)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    wh_err_t err = WH_ERR_INIT;
    int rc;

    if (fill(r, entry, bb, &err) != APR_SUCCESS) {
        return fail(r, "WH0150", req, &err);
    }
    ap_set_content_type(r, apr_pstrdup(r->pool, entry->type));
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    /* The name keeps, the content moves with the next deployment: ask again, pay a 304. */
    apr_table_setn(r->headers_out, "Cache-Control", "public, max-age=0, must-revalidate");
    if (status == HTTP_OK) {
        apr_table_setn(r->headers_out, "ETag",
                       apr_pstrcat(r->pool, "\"", entry->sha256, "\"", NULL));
        ap_set_accept_ranges(r);
        rc = ap_meets_conditions(r);
        if (rc != OK) {
            r->status = rc;
            return rc;
        }
    }
    r->status = status;
    ap_set_content_length(r, entry->size);
    if (ap_pass_brigade(r->output_filters, bb) != APR_SUCCESS && !r->connection->aborted) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "app %s: response not sent whole",
                      req->route->slug);
    }
    return OK;
}

/* Any segment that begins with a dot, but for /.well-known/ at the top (RFC 8615). */
static int has_dot_segment(const char *path)
{
    const char *c;

    if (strncmp(path, "/.well-known/", 13) == 0) {
        path += 12;
    }
    for (c = path; (c = ap_strchr_c(c, '/')) != NULL; c++) {
        if (c[1] == '.') {
            return 1;
        }
    }
    return 0;
}

/* A path that a browser opens as a page: no suffix in the last segment, nothing under /api/. */
static int is_page_route(const request_rec *r, const char *path)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    apr_size_t n = strlen(path);
    const char *last;

    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    last = path + n;
    while (last > path && last[-1] != '/') {
        if (*--last == '.') {
            return 0;
        }
    }
    if (strcmp(path, "/api") == 0 || strncmp(path, "/api/", 5) == 0) {
        return 0;
    }
    return accept == NULL || ap_strstr_c(accept, "text/html") != NULL ||
           ap_strstr_c(accept, "*/*") != NULL;
}

/* The 404.html nearest to the path, upwards; NULL when there is none. */
static const wh_manifest_entry_t *nearest_404(request_rec *r, const wh_manifest_t *m,
                                              const char *rel)
{
    char *dir = apr_pstrdup(r->pool, rel);
    int depth;

    for (depth = 0; depth <= WH_MANIFEST_DEPTH_MAX; depth++) {
        char *slash = strrchr(dir, '/');
        const wh_manifest_entry_t *entry;

        if (slash == NULL) {
            return wh_manifest_find(m, "404.html");
        }
        *slash = '\0';
        entry = wh_manifest_find(m, apr_pstrcat(r->pool, dir, "/404.html", NULL));
        if (entry != NULL) {
            return entry;
        }
    }
    return wh_manifest_find(m, "404.html");
}

static int not_found(request_rec *r, const wh_mod_req_t *req, const wh_manifest_t *m,
                     const char *rel)
{
    const wh_manifest_entry_t *entry = nearest_404(r, m, rel);

    return entry != NULL ? send_entry(r, req, entry, HTTP_NOT_FOUND) : HTTP_NOT_FOUND;
}

/* The directory without its slash. The target is built from the matched path alone, and is a path
 * only: no host of the request gets into it. */
static int redirect_to_slash(request_rec *r, const wh_mod_req_t *req, const char *rel)
{
    const char *path = apr_pstrcat(r->pool, req->mount, *rel != '\0' ? "/" : "", rel, "/", NULL);
    const char *target = ap_escape_uri(r->pool, path);

    if (target[0] != '/' || target[1] == '/') {
        return HTTP_NOT_FOUND;
    }
    if (r->args != NULL) {
        target = apr_pstrcat(r->pool, target, "?", r->args, NULL);
    }
    apr_table_setn(r->headers_out, "Location", target);
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-cache");
    return HTTP_MOVED_PERMANENTLY;
}

static int serve(request_rec *r, const wh_mod_req_t *req, const wh_manifest_t *m)
{
    const char *rel = *req->path == '/' ? req->path + 1 : req->path;
    apr_size_t n = strlen(rel);
    int as_dir = n == 0 || rel[n - 1] == '/';
    const wh_manifest_entry_t *entry = NULL;

    if (has_dot_segment(req->path)) {
        return not_found(r, req, m, "");
    }
    if (*req->path == '\0') {
        return redirect_to_slash(r, req, "");
    }
    if (n <= WH_MANIFEST_PATH_MAX) {
        entry = wh_manifest_find(m, as_dir ? apr_pstrcat(r->pool, rel, "index.html", NULL) : rel);
        if (entry == NULL && !as_dir &&
            wh_manifest_find(m, apr_pstrcat(r->pool, rel, "/index.html", NULL)) != NULL) {
            return redirect_to_slash(r, req, rel);
        }
    }
    if (entry == NULL && (req->route->flags & WH_ROUTE_SPA) != 0 && is_page_route(r, req->path)) {
        entry = wh_manifest_find(m, "index.html");
    }
    return entry != NULL ? send_entry(r, req, entry, HTTP_OK) : not_found(r, req, m, rel);
}

int wh_mod_static_handler(request_rec *r, const wh_mod_req_t *req)
{
    const wh_manifest_t *m = NULL;
    wh_err_t err = WH_ERR_INIT;
    int rc;

    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, M_OPTIONS, -1);
    if (r->method_number == M_OPTIONS) {
        apr_table_setn(r->headers_out, "Allow", "GET,HEAD,OPTIONS");
        ap_set_content_length(r, 0);
        return OK;
    }
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    rc = ap_discard_request_body(r);
    if (rc != OK) {
        return rc;
    }
    if (wh_mod_release_get(r, req->route->release_id, &m, &err) != APR_SUCCESS) {
        return fail(r, "WH0151", req, &err);
    }
    return serve(r, req, m);
}
