/*
 * Which place a request belongs to, decided once in translate_name from its host and path, and the
 * phases that carry the decision to the handler without a directory walk.
 */
#include <apr_strings.h>
#include <http_main.h>

#include "libwh/wh_host.h"
#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_git.h"
#include "mod_wisehost/wh_mod_keep.h"

wh_mod_req_t *wh_mod_data_get(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &wisehost_module);
}

wh_mod_req_t *wh_mod_data_make(request_rec *r, wh_place_e place)
{
    wh_mod_req_t *req = apr_pcalloc(r->pool, sizeof(*req));

    req->place = place;
    req->path = r->uri;
    req->mount = "";
    ap_set_module_config(r->request_config, &wisehost_module, req);
    return req;
}

/* True for X-Wisehost-*, also spelt with underscores, which some back ends take for the same. The
 * nonce is an agent's own word in its upgrade request: it proves nothing and has to reach the hub.
 */
static int reserved_header(const char *name)
{
    static const char prefix[] = "x-wisehost-";
    apr_size_t i;

    if ((*name | 0x20) != 'x' || ap_cstr_casecmp(name, "X-Wisehost-Nonce") == 0) {
        return 0;
    }
    for (i = 0; i < sizeof(prefix) - 1; i++) {
        char c = name[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        } else if (c == '_') {
            c = '-';
        }
        if (c != prefix[i]) {
            return 0;
        }
    }
    return 1;
}

int wh_mod_host_post_read(request_rec *r)
{
    const apr_array_header_t *all;
    const apr_table_entry_t *e;
    int i;

    wh_mod_keep_judge(r);
    if (!wh_mod_conf_engine(r->server) && !wh_mod_conf_api(r->server)) {
        return DECLINED;
    }
    all = apr_table_elts(r->headers_in);
    e = (const apr_table_entry_t *)(const void *)all->elts;
    for (i = 0; i < all->nelts; i++) {
        if (reserved_header(e[i].key)) {
            apr_table_unset(r->headers_in, e[i].key);
            i = -1; /* the array moved: begin anew; each turn removes one name */
            e = (const apr_table_entry_t *)(const void *)all->elts;
        }
    }
    return DECLINED;
}

/* True when this host is a ServerName or ServerAlias of the virtual host; all = 0: "ServerAlias *"
 * does not count. */
static int has_name(const server_rec *s, const char *name, int all)
{
    int i;

    if (s->server_hostname != NULL && ap_cstr_casecmp(s->server_hostname, name) == 0) {
        return 1;
    }
    for (i = 0; s->names != NULL && i < s->names->nelts; i++) {
        const char *alias = APR_ARRAY_IDX(s->names, i, const char *);
        if (alias != NULL && ap_cstr_casecmp(alias, name) == 0) {
            return 1;
        }
    }
    for (i = 0; s->wild_names != NULL && i < s->wild_names->nelts; i++) {
        const char *alias = APR_ARRAY_IDX(s->wild_names, i, const char *);
        if (alias != NULL && (all || strcmp(alias, "*") != 0) &&
            ap_strcasecmp_match(name, alias) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_own_name(const server_rec *s, const char *name)
{
    return has_name(s, name, 1);
}

int wh_mod_host_is_api(const char *name)
{
    for (const server_rec *s = ap_server_conf; s != NULL; s = s->next) {
        if (wh_mod_conf_api(s) && is_own_name(s, name)) {
            return 1;
        }
    }
    return 0;
}

/* A name that the administrator gave to some virtual host in so many words, this one or that of
 * another port: it has a site of its own. */
static int is_given(const char *name)
{
    for (const server_rec *s = ap_server_conf; s != NULL; s = s->next) {
        if (has_name(s, name, 0)) {
            return 1;
        }
    }
    return 0;
}

/* Ends in "." base, whatever stands before it. */
static int ends_under(const char *host, const char *base)
{
    apr_size_t n = strlen(host);
    apr_size_t b = strlen(base);

    if (n > 0 && host[n - 1] == '.') {
        n--;
    }
    return n > b && host[n - b - 1] == '.' && ap_cstr_casecmpn(host + n - b, base, b) == 0;
}

/* Names that no name can be: only those are refused, so that odd but harmless hosts of existing
 * sites (underscores, addresses) pass on. */
static int hostile(const char *host, const char *base)
{
    const char *c;

    if (strlen(host) > WH_HOST_NAME_MAX + 1 || *host == '.' || ap_strstr_c(host, "..") != NULL ||
        (base != NULL && ends_under(host, base))) {
        return 1;
    }
    for (c = host; *c != '\0'; c++) {
        if (*c == '%' || *c == '/' || *c == '\\' || (unsigned char)*c <= ' ') {
            return 1;
        }
    }
    return 0;
}

/* httpd looks at the port of a Host header, not at that of a target in absolute form. */
static int target_port_ok(const request_rec *r)
{
    const char *port = r->parsed_uri.hostname != NULL ? r->parsed_uri.port_str : NULL;
    apr_size_t n = port != NULL ? strlen(port) : 0;
    apr_int64_t value = n > 0 ? apr_atoi64(port) : 0;

    return n == 0 ||
           (n <= 5 && strspn(port, "0123456789") == n && value >= 1 && value <= 65535);
}

static char *file_name(apr_pool_t *p, const char *slug)
{
    static const char scheme[] = "wisehost:";
    apr_size_t n = strlen(slug) + 1;
    char *name = apr_palloc(p, sizeof(scheme) - 1 + n);

    memcpy(name, scheme, sizeof(scheme) - 1);
    memcpy(name + sizeof(scheme) - 1, slug, n);
    return name;
}

static void use_route(request_rec *r, const char *name, const wh_route_t *route)
{
    wh_mod_req_t *req = wh_mod_data_make(r, WH_PLACE_APP);

    req->name = name;
    req->route = route;
    apr_table_addn(r->notes, "wh-app", route->slug); /* not there yet: nothing to look for */
    apr_table_addn(r->notes, "wh-deployment", route->deployment_id);
    apr_table_addn(r->notes, "wh-environment", route->environment);
    if ((route->flags & WH_ROUTE_PREVIEW) != 0) {
        apr_table_addn(r->notes, "wh-preview", "1");
    }
    r->filename = file_name(r->pool, route->slug);
}

/* The host of a virtual host with WiseHostEngine On. OK when it is ours, DECLINED when it is not.
 */
static int place_engine_host(request_rec *r, const char *name, const char *base)
{
    const char *label = NULL;
    const wh_route_t *route = NULL;
    wh_mod_route_rc_e rc;
    int under;

    rc = wh_mod_route_find(r, name, &route);
    if (rc == WH_MOD_ROUTE_FOUND && wh_mod_domain_proof_of(r, route) == NULL) {
        use_route(r, name, route);
        return OK;
    }
    under = wh_host_label_of(r->pool, name, base, &label) != WH_HOST_OTHER;
    /* Nobody may claim a site of the administrator's own by a file that we answer for. */
    if (!under && rc != WH_MOD_ROUTE_ERROR && wh_mod_domain_proof_of(r, route) != NULL &&
        (route != NULL || !is_given(name))) {
        wh_mod_data_make(r, WH_PLACE_PROOF)->mount = name;
        r->filename = apr_pstrdup(r->pool, "wisehost:proof");
        return OK;
    }
    if (rc == WH_MOD_ROUTE_FOUND) {
        use_route(r, name, route);
        return OK;
    }
    if (!under) {
        return DECLINED;
    }
    (void)wh_mod_data_make(r, rc == WH_MOD_ROUTE_NONE ? WH_PLACE_UNKNOWN : WH_PLACE_UNAVAILABLE);
    r->filename = apr_pstrdup(r->pool, "wisehost:unknown");
    return OK;
}

/* A host that was looked up before, spelt as it is in the table: nothing of it is to be judged
 * again. 0 = it has to be. */
static int known_host(request_rec *r)
{
    const wh_route_t *route = wh_mod_route_known(r, r->hostname);

    if (route == NULL || wh_mod_domain_proof_of(r, route) != NULL) {
        return 0;
    }
    use_route(r, r->hostname, route);
    return 1;
}

/* The path below a URL mount, or NULL when uri is not below it. "" stands for the mount without its
 * slash. */
static const char *below(const char *uri, const char *mount)
{
    apr_size_t n = strlen(mount);

    while (n > 0 && mount[n - 1] == '/') {
        n--;
    }
    if (strncmp(uri, mount, n) != 0 || (uri[n] != '/' && uri[n] != '\0')) {
        return NULL;
    }
    return uri + n;
}

/* Serves an application below a URL path of an existing site. */
static int place_mounted(request_rec *r, const char *slug, const char *path, const char *mount)
{
    const char *base = wh_mod_conf_base_domain(r->server);
    const wh_route_t *route = NULL;
    const char *name;
    wh_mod_req_t *req;
    wh_mod_route_rc_e rc;

    if (base == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0130: WiseHostApp needs WiseHostBaseDomain");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    name = apr_pstrcat(r->pool, wh_host_label_app(r->pool, slug), ".", base, NULL);
    rc = wh_mod_route_find(r, name, &route);
    if (rc == WH_MOD_ROUTE_FOUND) {
        use_route(r, name, route);
        req = wh_mod_data_get(r);
    } else {
        req =
            wh_mod_data_make(r, rc == WH_MOD_ROUTE_NONE ? WH_PLACE_UNKNOWN : WH_PLACE_UNAVAILABLE);
        r->filename = apr_pstrdup(r->pool, "wisehost:unknown");
    }
    req->path = path;
    req->mount = mount;
    return OK;
}

static int place_location(request_rec *r)
{
    const wh_mod_dir_t *dir = wh_mod_conf_dir(r);
    const char *path;

    if (dir->app == NULL || *dir->app == '\0' || !dir->in_location) {
        return DECLINED;
    }
    path = below(r->uri, dir->mount);
    if (path == NULL) {
        return DECLINED;
    }
    return place_mounted(r, dir->app, path,
                         apr_pstrmemdup(r->pool, r->uri, strlen(r->uri) - strlen(path)));
}

int wh_mod_host_translate(request_rec *r)
{
    const char *base = wh_mod_conf_base_domain(r->server);
    int engine = wh_mod_conf_engine(r->server);
    int api = wh_mod_conf_api(r->server);
    int routable = 0; /* name can be one of the route table */
    const char *name = NULL;
    wh_err_t err = WH_ERR_INIT;

    if (r->uri == NULL || r->uri[0] != '/' || r->proxyreq != PROXYREQ_NONE) {
        return DECLINED;
    }
    if (engine && base != NULL && r->hostname != NULL && known_host(r)) {
        return target_port_ok(r) ? OK : HTTP_BAD_REQUEST;
    }
    if ((engine || api) && base != NULL && r->hostname != NULL) {
        if (wh_host_normalise(r->pool, r->hostname, &name, &err) != APR_SUCCESS) {
            name = NULL;
            if (engine && hostile(r->hostname, base)) {
                return HTTP_BAD_REQUEST;
            }
        } else if (engine) {
            routable = wh_host_domain_ok(name);
            if (!routable && ends_under(name, base)) {
                return HTTP_BAD_REQUEST;
            }
        }
    }
    if (routable && place_engine_host(r, name, base) == OK) {
        return target_port_ok(r) ? OK : HTTP_BAD_REQUEST;
    }
    if (api && r->hostname != NULL && is_own_name(r->server, name != NULL ? name : r->hostname) &&
        (wh_mod_api_path(r->uri) || wh_mod_git_path(r->server, r->uri))) {
        (void)wh_mod_data_make(r, wh_mod_api_path(r->uri) ? WH_PLACE_API : WH_PLACE_GIT);
        r->filename = apr_pstrdup(r->pool, "wisehost:api");
        return OK;
    }
    return place_location(r);
}

int wh_mod_host_map_to_storage(request_rec *r)
{
    const wh_mod_req_t *req = wh_mod_data_get(r);

    if (req == NULL || req->place != WH_PLACE_APP || req->route->kind != WH_ROUTE_STATIC) {
        wh_mod_keep_slow(); /* files, upstreams, the database */
    }
    if (req == NULL) {
        return DECLINED;
    }
    /* No byte of the request names a file: nothing to walk, nothing to stat. */
    r->finfo.filetype = APR_NOFILE;
    r->path_info = apr_pcalloc(r->pool, 1);
    return OK;
}

int wh_mod_host_type_checker(request_rec *r)
{
    /* Types come from the manifest: neither mod_mime's handlers nor mod_negotiation see the name.
     */
    return wh_mod_data_get(r) != NULL ? OK : DECLINED;
}

/* <Directory> and .htaccess are known after the walk only. */
static int place_directory(request_rec *r)
{
    const wh_mod_dir_t *dir = wh_mod_conf_dir(r);
    const char *file;
    const char *rest;
    apr_size_t n;
    apr_size_t u = strlen(r->uri);

    if (dir->app == NULL || *dir->app == '\0' || dir->in_location || r->filename == NULL) {
        return DECLINED;
    }
    file = apr_pstrcat(r->pool, r->filename, r->path_info, NULL);
    n = strlen(dir->mount);
    while (n > 0 && dir->mount[n - 1] == '/') {
        n--;
    }
    if (strncmp(file, dir->mount, n) != 0 || (file[n] != '/' && file[n] != '\0')) {
        return DECLINED;
    }
    rest = file + n;
    if (strcmp(rest, "/") == 0 && r->uri[u - 1] != '/') {
        rest = ""; /* the walk added the slash, the client did not send it */
    }
    n = strlen(rest);
    if (n > u || strcmp(r->uri + u - n, rest) != 0) {
        return DECLINED; /* an alias that does more than map a prefix */
    }
    r->path_info = apr_pstrdup(r->pool, "");
    r->finfo.filetype = APR_NOFILE;
    r->content_encoding = NULL;
    r->content_languages = NULL;
    return place_mounted(r, dir->app, r->uri + u - n, apr_pstrmemdup(r->pool, r->uri, u - n));
}

const wh_mod_req_t *wh_mod_host_place(request_rec *r)
{
    if (wh_mod_data_get(r) == NULL) {
        (void)place_directory(r); /* what goes wrong goes wrong again in fixups */
    }
    return wh_mod_data_get(r);
}

int wh_mod_host_fixups(request_rec *r)
{
    wh_mod_req_t *req = wh_mod_data_get(r);

    if (req == NULL) {
        int rc = place_directory(r);
        if (rc != OK) {
            return rc;
        }
        req = wh_mod_data_get(r);
    }
    /* Last of the fixups, so that no SetHandler makes a file of an application run. */
    r->handler = req->place == WH_PLACE_API || req->place == WH_PLACE_GIT ? WH_MOD_HANDLER_API
                                                                          : WH_MOD_HANDLER_APP;
    return DECLINED;
}
