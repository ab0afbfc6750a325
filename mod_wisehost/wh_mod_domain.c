/*
 * What a domain answers that is no app: where it leads to, and the file that proves whose it is.
 * Both without a database.
 */
#include <apr_strings.h>

#include "libwh/wh_domain.h"
#include "libwh/wh_id.h"
#include "mod_wisehost/wh_mod_data.h"

/* An hour: long enough to spare us, short enough for an owner who changes his mind. */
#define REDIRECT_CACHE "public, max-age=3600"

/* Path and query as the client sent them, so that nothing is decoded and encoded again; where there
 * is no path ("*", an absolute form that ends with its authority) the root. */
static const char *as_sent(const request_rec *r)
{
    const char *s = r->unparsed_uri;
    const char *scheme = ap_strstr_c(s, "://");

    if (*s != '/' && scheme != NULL) {
        s = scheme + 3;
        s += strcspn(s, "/?#");
    }
    return *s == '/' ? s : apr_pstrcat(r->pool, "/", *s == '?' ? s : "", NULL);
}

/* The target is the owner's: a path of "//evil" stays a path behind it. */
int wh_mod_domain_redirect(request_rec *r, const wh_mod_req_t *req)
{
    const char *to = as_sent(r);

    ap_discard_request_body(r);
    apr_table_setn(r->headers_out, "Location",
                   apr_pstrcat(r->pool, req->route->redirect,
                               apr_pstrmemdup(r->pool, to, strcspn(to, "#")), NULL));
    apr_table_setn(r->err_headers_out, "Cache-Control",
                   req->route->redirect_code == HTTP_TEMPORARY_REDIRECT ||
                           req->route->redirect_code == HTTP_MOVED_TEMPORARILY
                       ? "no-cache"
                       : REDIRECT_CACHE);
    return req->route->redirect_code;
}

/* The app whose proof is asked for, NULL = this is no such path. A name that an app has proves
 * nothing for another. */
const char *wh_mod_domain_proof_of(const request_rec *r, const wh_route_t *route)
{
    const char *id;

    if (strncmp(r->uri, WH_DOMAIN_HTTP_PATH, sizeof(WH_DOMAIN_HTTP_PATH) - 1) != 0 ||
        wh_mod_keys() == NULL) {
        return NULL;
    }
    id = r->uri + sizeof(WH_DOMAIN_HTTP_PATH) - 1;
    return wh_id_ok(id) && (route == NULL || strcmp(route->app_id, id) == 0) ? id : NULL;
}

int wh_mod_domain_proof(request_rec *r, const wh_mod_req_t *req)
{
    const char *body;

    if (r->method_number != M_GET) {
        r->allowed = AP_METHOD_BIT << M_GET;
        return HTTP_METHOD_NOT_ALLOWED;
    }
    body = wh_keys_domain_proof(r->pool, wh_mod_keys(), req->mount,
                                r->uri + sizeof(WH_DOMAIN_HTTP_PATH) - 1);
    ap_set_content_type(r, "text/plain");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_set_content_length(r, (apr_off_t)strlen(body));
    ap_rputs(body, r);
    return OK;
}
