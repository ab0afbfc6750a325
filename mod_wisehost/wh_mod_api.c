#include "mod_wisehost/wh_mod_api.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "mod_wisehost/wh_mod_api_fields.h"
#include "mod_wisehost/wh_mod_git.h"

#define BIG_BYTES WH_MANIFEST_BODY_MAX
#define BIG_VALUES (WH_MANIFEST_JSON_LIMITS->values)
#define SMALL_VALUES 2000

#define WH_API(op, verb, path, act, obj, body_fields, query_fields, bits, code, fn, text)          \
    {.operation = #op,                                                                             \
     .method = #verb,                                                                              \
     .pattern = path,                                                                              \
     .action = WH_ACT_##act,                                                                       \
     .object = WH_OBJ_##obj,                                                                       \
     .body = body_fields,                                                                          \
     .query = query_fields,                                                                        \
     .flags = (bits),                                                                              \
     .status = (code),                                                                             \
     .handler = fn,                                                                                \
     .summary = text},
const wh_api_route_t wh_api_routes[] = {
#include "mod_wisehost/wh_mod_api.def"
};
#undef WH_API
const int wh_api_routes_n = (int)(sizeof(wh_api_routes) / sizeof(wh_api_routes[0]));

/* ---- finding the route ---------------------------------------------------------------------- */

/* Segments of letters, digits and "._~-" alone: no escape, no ";x", no empty or dot segment. So
 * what is matched is exactly what was sent, and "%2f", "//", "/../" and "/v1;x" can never become a
 * route. */
static int plain_path(const char *path)
{
    for (const char *s = path; *s == '/';) {
        const char *segment = s + 1;
        apr_size_t n =
            strspn(segment, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-");

        if (n == 0 || n > 255 || (segment[0] == '.' && (n == 1 || (n == 2 && segment[1] == '.')))) {
            return 0;
        }
        s = segment + n;
        if (!*s) {
            return 1;
        }
    }
    return 0;
}

/* The path as it was sent: r->uri and r->parsed_uri were decoded and straightened by httpd already.
 */
static const char *sent_path(const request_rec *r)
{
    const char *uri = r->unparsed_uri ? r->unparsed_uri : "";
    const char *authority = *uri == '/' ? NULL : strstr(uri, "://");

    if (authority) {
        authority += 3;
        uri = authority + strcspn(authority, "/?#");
    }
    return apr_pstrmemdup(r->pool, uri, strcspn(uri, "?#"));
}

const char *wh_mod_api_sent_path(const request_rec *r)
{
    const char *path = sent_path(r);

    return plain_path(path) && !strcmp(path, r->uri) ? path : NULL;
}

/* True when path has the pattern's form; the parameters are copied into param. */
static int pattern_fits(apr_pool_t *p, const char *pattern, const char *path, const char **param)
{
    int n = 0;

    while (*pattern && *path) {
        if (*pattern == '{') {
            apr_size_t len = strcspn(path, "/");

            param[n++] = apr_pstrmemdup(p, path, len);
            path += len;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *path++) {
            return 0;
        }
    }
    return !*pattern && !*path;
}

static int method_fits(const request_rec *r, const wh_api_route_t *route)
{
    return !strcmp(r->method, route->method) || (r->header_only && !strcmp(route->method, "GET"));
}

/* A literal route wins over one with a parameter ("/v1/workers/ws" over "/v1/workers/{id}"): it
 * stands before it in the table, and the first fit is taken. */
static apr_status_t find_route(wh_call_t *c)
{
    const char *path = wh_mod_api_sent_path(c->r);
    const char *allow = NULL;

    if (!path) {
        return wh_err_set(&c->err, 404, "not_found", "There is nothing here.");
    }
    for (int i = 0; i < wh_api_routes_n; i++) {
        const wh_api_route_t *route = &wh_api_routes[i];

        if (!pattern_fits(c->p, route->pattern, path, c->param)) {
            continue;
        }
        if (method_fits(c->r, route)) {
            c->route = route;
            if (route->flags & WH_API_QUIET) {
                apr_table_setn(c->r->subprocess_env, "wisehost-quiet", "1");
            }
            return APR_SUCCESS;
        }
        allow = apr_pstrcat(c->p, allow ? allow : "", allow ? ", " : "", route->method,
                            strcmp(route->method, "GET") ? "" : ", HEAD", NULL);
    }
    if (allow) {
        apr_table_setn(c->r->err_headers_out, "Allow", allow);
        return wh_err_set(&c->err, 405, "method_not_allowed", "This address takes %s.", allow);
    }
    return wh_err_set(&c->err, 404, "not_found", "There is nothing here.");
}

/* ---- the steps ------------------------------------------------------------------------------ */

static apr_status_t read_query(wh_call_t *c)
{
    apr_status_t rv = wh_mod_field_query(c->p, c->route->query, c->r->args, &c->query, &c->err);

    if (rv && c->r->args && (strstr(c->r->args, "token=") || strstr(c->r->args, "jwt="))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, c->r,
                      "WH0210: a credential in the query string was refused");
    }
    return rv;
}

static apr_status_t read_json(wh_call_t *c)
{
    int big = (c->route->flags & WH_API_BIG) != 0;
    wh_json_limits_t limits = {.bytes = big ? BIG_BYTES : WH_MOD_BODY_MAX,
                               .depth = WH_JSON_DEPTH_MAX,
                               .values = big ? BIG_VALUES : SMALL_VALUES};
    wh_mod_body_t body;
    apr_status_t rv = wh_mod_req_body(c->r, (apr_off_t)limits.bytes, 0, &body, &c->err);

    if (rv) {
        return rv;
    }
    if (body.len == 0 && (c->route->flags & WH_API_OPTIONAL)) {
        return APR_SUCCESS;
    }
    rv = wh_mod_req_is_json(c->r, &c->err);
    if (rv || (rv = wh_json_load_object(c->p, body.data, body.len, &limits, &c->body, &c->err))) {
        return rv;
    }
    return wh_mod_field_check(c->p, c->route->body, c->body, &c->err);
}

/* A route without a body takes none, so that nothing that was sent is silently ignored. */
static apr_status_t read_body(wh_call_t *c)
{
    wh_mod_body_t none;
    apr_status_t rv;

    if (c->route->flags & WH_API_RAW) {
        return APR_SUCCESS;
    }
    if (ap_request_has_body(c->r)) {
        wh_mod_call_let_go(c);
    }
    if (c->route->body) {
        return read_json(c);
    }
    rv = wh_mod_req_body(c->r, 0, 0, &none, &c->err);
    if (rv && c->err.http == 413) {
        return wh_err_set(&c->err, 400, "unexpected_body", "This call takes no body.");
    }
    return rv;
}

static apr_status_t verdict_err(wh_call_t *c, wh_verdict_e verdict)
{
    /* A delivery to an unknown hook looks like one with a bad signature (api.md). */
    if (verdict != WH_ALLOW && (c->route->flags & WH_API_SIGNED)) {
        return wh_err_set(&c->err, 401, "bad_signature", "The signature is missing or wrong.");
    }
    return wh_authz_err(verdict, &c->err);
}

/* The first push makes the app: for whom it may, what it is about need not be there. */
static int may_make(wh_call_t *c)
{
    return (c->route->flags & WH_API_CREATES) && wh_mod_conf_git_create(c->r->server) &&
           wh_host_slug_check(c->param[0], NULL) == APR_SUCCESS &&
           wh_authz(&c->actor, WH_ACT_APP_CREATE, NULL) == WH_ALLOW;
}

/* A caller whose apps are known by slug gets the id of the one that he asks for. */
static apr_status_t actor_app(wh_call_t *c)
{
    apr_array_header_t *ids = apr_array_make(c->p, 1, sizeof(const char *));

    for (int i = 0; i < c->actor_slugs->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(c->actor_slugs, i, const char *), c->app->slug)) {
            APR_ARRAY_PUSH(ids, const char *) = c->app->id;
        }
    }
    c->actor.apps = ids;
    return APR_SUCCESS;
}

/* Kind and scope first, before a byte of the body or a row is read; then the object. */
static apr_status_t authorize(wh_call_t *c, int with_object)
{
    wh_object_t object = {.exists = 0};
    apr_status_t rv;

    if (!with_object) {
        return verdict_err(c, wh_authz(&c->actor, c->route->action, NULL));
    }
    if (c->route->object == WH_OBJ_NONE) {
        return APR_SUCCESS;
    }
    rv = wh_mod_object(c, &object);
    if (!rv && !object.exists && may_make(c)) {
        return APR_SUCCESS;
    }
    if (!rv && object.exists && c->actor_slugs) {
        rv = actor_app(c);
    }
    return rv ? rv : verdict_err(c, wh_authz(&c->actor, c->route->action, &object));
}

static apr_status_t admit(wh_call_t *c)
{
    apr_status_t rv = read_query(c);

    rv = rv ? rv : wh_mod_auth(c);
    rv = rv ? rv : authorize(c, 0);
    rv = rv ? rv : read_body(c);
    return rv ? rv : authorize(c, 1);
}

/* Whatever becomes of a privileged call stands in the audit log. */
static apr_status_t run(wh_call_t *c)
{
    apr_status_t rv = admit(c);

    if (!rv) {
        wh_mod_audit_arm(c);
        rv = c->route->handler(c);
    }
    return wh_mod_audit_end(c, rv);
}

/* One dispatcher for both: they differ in how a route is found and how a refusal is written. */
static int serve(request_rec *r, apr_status_t (*find)(wh_call_t *c),
                 int (*problem)(request_rec *r, const wh_err_t *err))
{
    wh_call_t c = {.r = r, .p = r->pool, .now = wh_mod_req_now(r), .rc = OK};
    apr_status_t rv = find(&c);

    rv = rv ? rv : run(&c);
    if (!rv) {
        return c.rc;
    }
    if (c.dbc) {
        wh_dbc_rollback(c.dbc);
    }
    wh_mod_call_let_go(&c);
    return problem(r, &c.err);
}

int wh_mod_api_git(request_rec *r)
{
    return serve(r, wh_mod_git_route, wh_mod_git_problem);
}

int wh_mod_api_handler(request_rec *r)
{
    return serve(r, find_route, wh_mod_req_problem);
}

int wh_mod_api_path(const char *uri)
{
    return !strcmp(uri, "/health") || !strcmp(uri, "/metrics") || !strcmp(uri, "/v1") || !strncmp(uri, "/v1/", 4);
}
