/* What a visitor sees when there is no site to show: small pages in place, never a redirect. */
#include <apr_buckets.h>
#include <apr_strings.h>

#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_data.h"

/* APR_BRIGADE_INSERT_TAIL casts volatile away; clang takes it for ours. */
#pragma GCC diagnostic ignored "-Wcast-qual"

#define WH_PAGE_BYTES_MAX ((apr_off_t)1 << 20)
#define WH_PAGE_RETRY_S "120" /* of maintenance: people are at work */

static const char page_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<meta name=\"robots\" content=\"noindex\">\n"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 "
    "1rem;"
    "color:#222;background:#fff}h1{font-size:1.4rem}small{color:#666}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}</style>\n";

static int wants_html(const request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    return accept != NULL && ap_strcasestr(accept, "text/html") != NULL;
}

/* A program's request: it names JSON and no HTML. */
static int wants_json(const request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    return accept != NULL && ap_strcasestr(accept, "json") != NULL && !wants_html(r);
}

/* What every page of this server has. */
static void set_page_headers(request_rec *r, int status)
{
    r->status = status;
    r->status_line = NULL;
    ap_set_content_type(r, "text/html;charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "X-Request-Id", wh_mod_problem_request_id(r));
}

/* The administrator's file. DECLINED, with nothing sent, when it is not to be had: then ours. */
static int send_own(request_rec *r, int status, const char *path)
{
    apr_bucket_brigade *bb;
    apr_file_t *f = NULL;
    apr_finfo_t info;
    apr_status_t rv = apr_file_open(&f, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, r->pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_TYPE, f);
    }
    if (rv == APR_SUCCESS && (info.filetype != APR_REG || info.size > WH_PAGE_BYTES_MAX)) {
        rv = APR_EINVAL;
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, "WH0190: page %s cannot be read: ours is sent",
                      path);
        return DECLINED;
    }
    set_page_headers(r, status);
    ap_set_content_length(r, info.size);
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    if (info.size > 0) {
        (void)apr_brigade_insert_file(bb, f, 0, info.size, r->pool);
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    (void)ap_pass_brigade(r->output_filters, bb);
    return OK;
}

static int send_page(request_rec *r, int status, const char *title, const char *text)
{
    const char *id = wh_mod_problem_request_id(r);
    const char *body;

    title = ap_escape_html(r->pool, title);
    text = ap_escape_html(r->pool, text);
    body = apr_pstrcat(r->pool, page_head, "<title>", title, "</title></head>\n<body><h1>", title,
                       "</h1>\n<p>", text, "</p>\n<p><small>Request ", ap_escape_html(r->pool, id),
                       "</small></p></body></html>\n", NULL);
    set_page_headers(r, status);
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'");
    ap_set_content_length(r, (apr_off_t)strlen(body));
    ap_rputs(body, r);
    return OK;
}

int wh_mod_page_send(request_rec *r, const wh_err_t *err)
{
    ap_discard_request_body(r);
    if (!wants_html(r)) {
        return wh_mod_problem_send(r, err);
    }
    if (err->http == HTTP_SERVICE_UNAVAILABLE &&
        apr_table_get(r->headers_out, "Retry-After") == NULL) {
        apr_table_setn(r->headers_out, "Retry-After", "2");
    }
    return send_page(r, err->http, wh_err_title(err->http), err->text);
}

int wh_mod_page_unknown(request_rec *r)
{
    const char *own = wh_mod_conf_not_found_page(r->server);
    wh_err_t err = WH_ERR_INIT;

    wh_mod_count(WH_COUNT_UNKNOWN);
    ap_discard_request_body(r);
    if (wants_json(r)) {
        (void)wh_err_set(&err, HTTP_NOT_FOUND, "deployment_not_found",
                         "Nothing is deployed under this name.");
        return wh_mod_problem_send(r, &err);
    }
    if (own != NULL && send_own(r, HTTP_NOT_FOUND, own) == OK) {
        return OK;
    }
    return send_page(r, HTTP_NOT_FOUND, "No such deployment",
                     "Nothing is deployed under this name.");
}

int wh_mod_page_maintenance(request_rec *r, wh_mod_req_t *req)
{
    const char *own = wh_mod_conf_dir(r)->maintenance_page;
    wh_err_t err = WH_ERR_INIT;

    wh_mod_count(WH_COUNT_MAINTENANCE);
    ap_discard_request_body(r);
    apr_table_setn(r->headers_out, "Retry-After", WH_PAGE_RETRY_S);
    if (wants_html(r)) {
        req->cache_control = "no-store";
        if ((own != NULL && send_own(r, HTTP_SERVICE_UNAVAILABLE, own) == OK) ||
            wh_mod_static_page(r, req, "503.html", HTTP_SERVICE_UNAVAILABLE) == OK) {
            return OK;
        }
    }
    (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "maintenance",
                     "This site is not being served at the moment.");
    return wh_mod_page_send(r, &err);
}
