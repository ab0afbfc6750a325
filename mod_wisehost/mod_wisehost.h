/*
 * mod_wisehost.h - what the files of the module share.
 *
 * Two planes live in this module. The data plane (wh_mod_route, wh_mod_static, wh_mod_proxy,
 * wh_mod_page) answers the hosts of the route table and touches LMDB, files and upstreams only.
 * The control plane (wh_mod_req, wh_mod_auth, wh_h_*) answers the REST API and uses SQL through
 * mod_dbd. Nothing below wh_mod_* and wh_h_* takes a request_rec.
 *
 * Threads: configuration and secrets are written before the children start and read-only after
 * that; every function here may be called by any request thread unless it says otherwise.
 */
#ifndef MOD_WISEHOST_H
#define MOD_WISEHOST_H

#include <apr_dbd.h> /* before mod_dbd.h, which does not include it itself */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#include "libwh/wh_err.h"
#include "libwh/wh_keys.h"
#include "whdb/wh_dbc.h"

/* The one symbol that leaves the shared object; everything else is hidden. */
extern module AP_MODULE_DECLARE_DATA wisehost_module __attribute__((visibility("default")));
APLOG_USE_MODULE(wisehost);

/* r->handler of the two content generators of this module. */
#define WH_MOD_HANDLER_API "wisehost-api"
#define WH_MOD_HANDLER_APP "wisehost-app"

/* ---- configuration: wh_mod_conf.c ------------------------------------------------------- */

#define WH_MOD_UNSET (-1)

typedef int wh_mod_flag_t;         /* 0, 1 or WH_MOD_UNSET */
typedef int wh_mod_number_t;       /* >= 0 or WH_MOD_UNSET */
typedef const char *wh_mod_text_t; /* NULL is unset */

/* WiseHostGitUser: what somebody may do on /git/ whom another module let in. */
typedef struct wh_mod_git_user_t {
    const char *name; /* "*" is everybody */
    unsigned scopes;  /* WH_SCOPE_* */
    apr_array_header_t *apps; /* const char *, slugs; NULL is all */
} wh_mod_git_user_t;

typedef struct wh_mod_srv_t {
#define WH_SRV(type, member, unset, dflt, directive, takes, context, parser, doc)                  \
    wh_mod_##type##_t member;
#include "mod_wisehost/wh_mod_conf.def"
    apr_array_header_t *allow_apps; /* const char *: WiseHostAllowApps; NULL is none */
    apr_array_header_t *git_users;  /* wh_mod_git_user_t; NULL is none */
    apr_array_header_t *metrics_allow; /* apr_ipsubnet_t *, NULL for loopback; NULL is not given */
} wh_mod_srv_t;

/* What a <Location>, <Directory> or .htaccess says, and a virtual host for all of its paths. */
typedef struct wh_mod_dir_t {
    const char *app;   /* WiseHostApp: slug, "" = none here, NULL when not given */
    const char *mount; /* path of the section: a URL path, or a directory with its slash */
    int in_location;   /* mount is a URL path */
#define WH_DIR(type, member, unset, directive, takes, context, parser, doc)                        \
    wh_mod_##type##_t member;
#include "mod_wisehost/wh_mod_conf.def"
} wh_mod_dir_t;

/* wh_mod_conf_engine(s), wh_mod_conf_base_domain(s) …: the value that holds in server s, its
 * default when no directive was given. Texts live as long as the configuration. hub_socket,
 * key_file and control_secret_file are filled from state_dir in post_config when they were not
 * given, so they are never NULL in a request; base_domain, local_repo_root and proxy_token_file may
 * be NULL. */
#define WH_SRV(type, member, unset, dflt, directive, takes, context, parser, doc)                  \
    wh_mod_##type##_t wh_mod_conf_##member(const server_rec *s);
#include "mod_wisehost/wh_mod_conf.def"

wh_mod_srv_t *wh_mod_conf_srv(const server_rec *s);
void *wh_mod_conf_create_srv(apr_pool_t *p, server_rec *s);
void *wh_mod_conf_merge_srv(apr_pool_t *p, void *base, void *over);
const wh_mod_dir_t *wh_mod_conf_dir(const request_rec *r);
void *wh_mod_conf_create_dir(apr_pool_t *p, char *path);
void *wh_mod_conf_merge_dir(apr_pool_t *p, void *base, void *over);

/* The port that shown URLs carry: WiseHostAppPort, or the scheme's own (443, 80) when unset. */
apr_port_t wh_mod_conf_url_port(const server_rec *s);

/* ---- directives: wh_mod_cmds.c ---------------------------------------------------------- */

extern const command_rec wh_mod_cmds[];

/* ---- start-up checks and secrets: wh_mod_check.c ----------------------------------------- */

/* Checks what configtest must refuse and completes derived paths. OK, or HTTP_INTERNAL_SERVER_ERROR
 * after logging why. Runs in check_config, single thread. */
int wh_mod_check_config(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* Logs a warning for each daemon that does not answer (test_config: "apachectl configtest"). */
void wh_mod_check_daemons(apr_pool_t *p, server_rec *s);

/* Reads the key files before privileges drop. OK or an error as above. post_config only. */
int wh_mod_check_secrets(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s);

/* Derived keys of this server; NULL when no virtual host has WiseHostAPI On. */
const wh_keys_t *wh_mod_keys(void);

/* 1 for a ServerName or ServerAlias of a virtual host with WiseHostAPI On. wh_mod_host.c */
int wh_mod_host_is_api(const char *name);
/* 64 hex digits; NULL when the API is off. Compare with wh_sign_equal only. */
const char *wh_mod_control_secret(void);
/* NULL when WiseHostProxyTokenFile is not given. Compare with wh_sign_equal only. */
const char *wh_mod_proxy_token(void);
/* NULL when WiseHostMetricsTokenFile is not given. The same. */
const char *wh_mod_metrics_token(void);

/* ---- database: wh_mod_db.c --------------------------------------------------------------- */

/* Registers the post_connect hook of mod_dbd. */
void wh_mod_db_register(void);
/* Looks up the optional functions of mod_dbd. Runs in optional_fn_retrieve. */
void wh_mod_db_retrieve(void);
/* Finds the one server_rec whose DBDParams hold for the API. OK, or an HTTP error after logging
 * why. Runs in check_config: it reads the configuration tree. */
int wh_mod_db_find_server(server_rec *main_server);

/* Lends one connection to this request until r->pool ends or wh_mod_db_release(). *out is borrowed;
 * a second call in the same request gives the same one. A dead connection is retried once on a
 * fresh one. Errors: db_gone 503. The caller ends its transaction before it returns. */
apr_status_t wh_mod_dbc(request_rec *r, wh_dbc_t **out, wh_err_t *err)
    __attribute__((warn_unused_result));
/* Gives the connection back early, for a handler that goes on without SQL. Safe to call twice. */
void wh_mod_db_release(request_rec *r);

/* ---- answers that both planes give: wh_mod_problem.c -------------------------------------- */

/* Request id of r: made on first use, the same for the rest of the request, subrequests and
 * internal redirects included; also in the response as X-Request-Id. Lives as long as r. */
const char *wh_mod_problem_request_id(request_rec *r);
/* Sends err as application/problem+json (Retry-After on 429 and 503, no-store) and returns DONE or
 * OK for a handler to return. The body is left out for HEAD. */
int wh_mod_problem_send(request_rec *r, const wh_err_t *err);

/* ---- control plane entry point: wh_mod_req.c ---------------------------------------------- */

/* Handles one request of the API host. Called by the handler hook for r->handler
 * WH_MOD_HANDLER_API only, that is: host checked, no route of that name, path below /v1, or one of
 * the fixed API paths of wh_mod_api_path(). Returns OK, DONE or an HTTP status. */
int wh_mod_api_handler(request_rec *r);
/* True when the API owns this path of r->uri (/v1, /v1/…, /health …). */
int wh_mod_api_path(const char *uri);

/* Makes this child's table of documents for Traefik (wh_h_traefik.c); single thread, child_init. */
void wh_h_traefik_child_init(apr_pool_t *pchild, server_rec *s);

/* ---- addresses: wh_mod_address.c ------------------------------------------------------------ */

/* 127.0.0.0/8, ::1 and the former inside IPv6. */
int wh_mod_is_loopback(const apr_sockaddr_t *a);

/* ---- upstreams: wh_mod_proxy.c ------------------------------------------------------------- */

/* Forwards r to the scheduler's unix socket as "path_query" (with WebSocket upgrade when the client
 * asks for one) and returns what the handler is to return. The caller has authorised the request
 * and set X-Wisehost-Assertion in r->headers_in; every other X-Wisehost-* header was removed in
 * post_read_request. Errors are answered as 503 hub_unreachable. */
int wh_mod_proxy_hub(request_rec *r, const char *path_query);

#endif
