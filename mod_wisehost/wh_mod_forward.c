/*
 * What an application learns about its client: the words of this server, never the client's own.
 */
#include <apr_lib.h>
#include <apr_strings.h>

#include <http_ssl.h>

#include "mod_wisehost/wh_mod_data.h"

/* Set here or by mod_proxy, or removed because back ends believe them. Behind a trusted proxy the
 * rest of the X-Forwarded- family is that proxy's word and passes. */
static const char *const ours[] = {"forwarded",          "x-forwarded-for",    "x-forwarded-host",
                                   "x-forwarded-server", "x-forwarded-port",   "x-forwarded-proto",
                                   "x-real-ip",          "x-forwarded-prefix", "x-request-id"};

/* "X_Real_IP" becomes "x-real-ip": CGI and its heirs take both for one variable. */
static const char *folded(apr_pool_t *p, const char *name)
{
    char *low = apr_pstrdup(p, name);

    for (char *c = low; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : (char)apr_tolower(*c);
    }
    return low;
}

static int is_ours(const char *low)
{
    for (apr_size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcmp(low, ours[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* True for a header that a client may not speak. "Proxy" would name a proxy to CGI programs. All of
 * them begin with F, P or X, and few others do: the rest is not looked at. */
static int refused(apr_pool_t *p, const char *name, int trusted)
{
    const char *low;

    if (strchr("FfPpXx", *name) == NULL || *name == '\0') {
        return 0;
    }
    low = folded(p, name);
    if (is_ours(low) || strcmp(low, "proxy") == 0) {
        return 1;
    }
    if (strncmp(low, "x-forwarded-", 12) != 0 && strcmp(low, "x-remote-user") != 0) {
        return 0;
    }
    return !trusted || ap_strchr_c(name, '_') != NULL;
}

static void remove_refused(request_rec *r, int trusted)
{
    const apr_array_header_t *all = apr_table_elts(r->headers_in);
    apr_array_header_t *names = NULL;

    for (int i = 0; i < all->nelts; i++) {
        const char *name = APR_ARRAY_IDX(all, i, apr_table_entry_t).key;
        if (refused(r->pool, name, trusted)) {
            if (names == NULL) {
                names = apr_array_make(r->pool, 8, sizeof(const char *));
            }
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
    for (int i = 0; names != NULL && i < names->nelts; i++) {
        apr_table_unset(r->headers_in, APR_ARRAY_IDX(names, i, const char *));
    }
}

/* mod_proxy removes every header that Connection names: a client that names X-Real-IP there would
 * look like a call from inside (compare CVE-2022-31813). */
static void keep_ours_end_to_end(request_rec *r)
{
    const char *rest = apr_table_get(r->headers_in, "Connection");
    const char *kept = NULL;
    const char *item;

    if (rest == NULL || ap_cstr_casecmp(rest, "keep-alive") == 0 ||
        ap_cstr_casecmp(rest, "close") == 0) {
        return;
    }
    while ((item = ap_get_token(r->pool, &rest, 0)) != NULL && *item != '\0') {
        if (!is_ours(folded(r->pool, item))) {
            kept = kept != NULL ? apr_pstrcat(r->pool, kept, ", ", item, NULL) : item;
        }
        while (*rest == ',' || *rest == ';' || apr_isspace(*rest)) {
            rest++;
        }
    }
    if (kept != NULL) {
        apr_table_setn(r->headers_in, "Connection", kept);
    } else {
        apr_table_unset(r->headers_in, "Connection");
    }
}

/* Behind a trusted proxy (mod_remoteip has replaced the address) its word on scheme and port is
 * kept. */
void wh_mod_forward_headers(request_rec *r, wh_mod_req_t *req)
{
    int trusted = r->useragent_addr != r->connection->client_addr;
    const char *proto = trusted ? apr_table_get(r->headers_in, "X-Forwarded-Proto") : NULL;
    const char *port = trusted ? apr_table_get(r->headers_in, "X-Forwarded-Port") : NULL;

    if (proto == NULL) {
        proto = ap_ssl_conn_is_ssl(r->connection) ? "https" : "http";
    }
    if (port == NULL) {
        port = apr_itoa(r->pool, r->connection->local_addr->port);
    }
    req->request_id = wh_mod_problem_request_id(r);
    remove_refused(r, trusted);
    keep_ours_end_to_end(r);
    /* They were all removed: added without looking for them again. */
    apr_table_addn(r->headers_in, "X-Forwarded-Proto", proto);
    apr_table_addn(r->headers_in, "X-Forwarded-Port", port);
    apr_table_addn(r->headers_in, "X-Real-IP", r->useragent_ip);
    if (*req->mount != '\0') {
        apr_table_addn(r->headers_in, "X-Forwarded-Prefix", ap_escape_uri(r->pool, req->mount));
    }
    apr_table_addn(r->headers_in, "X-Request-Id", req->request_id);
}

/* A 200 to CONNECT would open a tunnel in every proxy before this one; TRACE shows a page its
 * cookies; and mod_proxy_http answers any coding but chunked with a 500 of its own. */
int wh_mod_forward_check(request_rec *r)
{
    const char *coding = apr_table_get(r->headers_in, "Transfer-Encoding");

    if (r->method_number == M_CONNECT || r->method_number == M_TRACE) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    return coding != NULL && ap_cstr_casecmp(coding, "chunked") != 0 ? HTTP_BAD_REQUEST : OK;
}
