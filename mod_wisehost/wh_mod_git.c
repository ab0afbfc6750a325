/*
 * The routes of git's smart protocol, and answers in a form that git shows to people. What a route
 * asks of its caller stands here in a table as for the rest of the API; the dispatcher there walks
 * the same steps for both.
 */
#include "mod_wisehost/wh_mod_git.h"

#include <apr_strings.h>

#define PREFIX "/git/"
#define SUFFIX ".git"

static const wh_mod_field_t service_fields[] = {
    {.name = "service", .type = WH_FIELD_STRING, .required = 1, .min = 1, .max = 32},
    {.name = NULL}};

typedef struct git_route_t {
    const char *rest;    /* of the path, behind the repository */
    const char *service; /* the query must name it; NULL: no query */
    wh_api_route_t route;
} git_route_t;

#define GIT_ROUTE(verb, path, asked, act, fields, bits, fn)                                        \
    {                                                                                              \
        .rest = (path), .service = (asked), .route = {                                             \
            .operation = "git",                                                                    \
            .method = (verb),                                                                      \
            .pattern = "/git/{repository}" path,                                                   \
            .action = WH_ACT_##act,                                                                \
            .object = WH_OBJ_REPOSITORY,                                                           \
            .query = (fields),                                                                     \
            .flags = WH_API_GIT | (bits),                                                          \
            .status = 200,                                                                         \
            .handler = (fn)                                                                        \
        }                                                                                          \
    }

static const git_route_t routes[] = {
    GIT_ROUTE("GET", "/info/refs", "git-upload-pack", GIT_FETCH, service_fields, 0, wh_h_git_refs),
    GIT_ROUTE("GET", "/info/refs", "git-receive-pack", GIT_PUSH, service_fields, WH_API_CREATES,
              wh_h_git_refs),
    GIT_ROUTE("POST", "/git-upload-pack", NULL, GIT_FETCH, NULL, WH_API_RAW, wh_h_git_fetch),
    GIT_ROUTE("POST", "/git-receive-pack", NULL, GIT_PUSH, NULL, WH_API_RAW | WH_API_CREATES,
              wh_h_git_push),
};

int wh_mod_git_path(const server_rec *s, const char *uri)
{
    return wh_mod_conf_git(s) && strncmp(uri, "/git", 4) == 0 && (uri[4] == '/' || uri[4] == '\0');
}

static apr_status_t nothing_here(wh_call_t *c)
{
    return wh_err_set(&c->err, 404, "not_found",
                      "There is no repository here. An app is pushed to /git/<app>.git");
}

/* "?service=git-receive-pack" and nothing else: what the smart protocol asks for. */
static int asks_for(const request_rec *r, const char *service)
{
    if (service == NULL) {
        return r->args == NULL || *r->args == '\0';
    }
    return r->args != NULL && strncmp(r->args, "service=", 8) == 0 &&
           strcmp(r->args + 8, service) == 0;
}

/* The slug before ".git", as it was sent. */
static const char *slug_of(wh_call_t *c, const char *path, const char **rest)
{
    const char *name = path + sizeof(PREFIX) - 1;
    apr_size_t n = strcspn(name, "/");

    *rest = name + n;
    if (n <= sizeof(SUFFIX) - 1 || strncmp(name + n - (sizeof(SUFFIX) - 1), SUFFIX, 4) != 0) {
        return NULL;
    }
    return apr_pstrmemdup(c->p, name, n - (sizeof(SUFFIX) - 1));
}

apr_status_t wh_mod_git_route(wh_call_t *c)
{
    const char *path = wh_mod_api_sent_path(c->r);
    const char *rest, *slug;
    int known = 0;

    if (path == NULL || strncmp(path, PREFIX, sizeof(PREFIX) - 1) != 0) {
        return nothing_here(c);
    }
    slug = slug_of(c, path, &rest);
    if (slug == NULL) {
        return nothing_here(c);
    }
    for (apr_size_t i = 0; i < WH_ARRAY_LEN(routes); i++) {
        if (strcmp(rest, routes[i].rest) != 0) {
            continue;
        }
        known = 1;
        if (strcmp(c->r->method, routes[i].route.method) == 0 &&
            asks_for(c->r, routes[i].service)) {
            c->route = &routes[i].route;
            c->param[0] = slug;
            return APR_SUCCESS;
        }
    }
    if (known && strcmp(rest, "/info/refs") == 0 && c->r->method_number == M_GET) {
        return wh_err_set(&c->err, 403, "dumb_protocol",
                          "Only git's smart protocol is spoken here: update git.");
    }
    return known ? wh_err_set(&c->err, 405, "method_not_allowed", "git does not ask like that.")
                 : nothing_here(c);
}

int wh_mod_git_problem(request_rec *r, const wh_err_t *err)
{
    const char *text = apr_pstrcat(r->pool, err->text, "\n", NULL);

    ap_log_rerror(APLOG_MARK, err->http >= 500 ? APLOG_ERR : APLOG_DEBUG, 0, r,
                  "WH0242: %d %s: %s (request %s)", err->http, err->code, err->text,
                  wh_mod_problem_request_id(r));
    r->status = err->http;
    r->status_line = NULL;
    if (err->http == HTTP_UNAUTHORIZED) {
        apr_table_setn(r->err_headers_out, "WWW-Authenticate",
                       "Basic realm=\"wisehost\", charset=\"UTF-8\"");
    }
    if (err->http == HTTP_SERVICE_UNAVAILABLE &&
        apr_table_get(r->err_headers_out, "Retry-After") == NULL) {
        apr_table_setn(r->err_headers_out, "Retry-After", "5");
    }
    ap_set_content_type(r, "text/plain"); /* git shows it to people; no other type, no charset */
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "X-Request-Id", wh_mod_problem_request_id(r));
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}

const char *wh_mod_git_url(wh_call_t *c, const char *slug)
{
    if (!wh_mod_conf_git(c->r->server)) {
        return NULL;
    }
    return ap_construct_url(c->p, apr_pstrcat(c->p, PREFIX, slug, SUFFIX, NULL), c->r);
}
