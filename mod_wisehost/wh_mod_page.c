/* What a visitor sees when there is no site to show: small pages in place, never a redirect. */
#include <apr_strings.h>

#include "mod_wisehost/wh_mod_data.h"

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

static int send_page(request_rec *r, int status, const char *title, const char *text)
{
    const char *id = wh_mod_problem_request_id(r);
    const char *body;

    title = ap_escape_html(r->pool, title);
    text = ap_escape_html(r->pool, text);
    body = apr_pstrcat(r->pool, page_head, "<title>", title, "</title></head>\n<body><h1>", title,
                       "</h1>\n<p>", text, "</p>\n<p><small>Request ", ap_escape_html(r->pool, id),
                       "</small></p></body></html>\n", NULL);
    r->status = status;
    r->status_line = NULL;
    ap_set_content_type(r, "text/html;charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'");
    apr_table_setn(r->headers_out, "X-Request-Id", id);
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
    ap_discard_request_body(r);
    return send_page(r, HTTP_NOT_FOUND, "No such deployment",
                     "Nothing is deployed under this name.");
}
