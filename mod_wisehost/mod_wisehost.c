/*
 * mod_wisehost: hooks and the order of starting up.
 *
 *  1. pre_config       the hook into mod_proxy, which is loaded by now; nothing is kept across
 *  2. directives       wh_mod_cmds.c, into memory of the configuration
 *  3. check_config     everything that configtest refuses; derived paths; the server of mod_dbd
 *  4. test_config      configtest only: warns of daemons that do not answer
 *  5. post_config      secrets (still root), mod_proxy, the sink of libwh's log
 *  6. child_init       as the children's user, after mod_proxy: route table, releases, upstreams
 *
 * A request: post_read_request removes what only this server may say; translate_name decides the
 * place; map_to_storage and type_checker keep the file system and mod_mime out; all access, authn,
 * authz and fixups phases of other modules run; fixups fixes the handler; handler answers.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include <http_ssl.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_log.h"
#include "mod_wisehost/wh_mod_cache.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_git.h"
#include "mod_wisehost/wh_mod_keep.h"
#include "mod_wisehost/wh_mod_meter.h"
#include "mod_wisehost/wh_mod_rate.h"
#include "mod_wisehost/wh_mod_stream.h"

static void log_sink(void *baton, int level, const char *tag, const char *line)
{
    static const int levels[] = {[WH_LOG_ERROR] = APLOG_ERR,
                                 [WH_LOG_WARN] = APLOG_WARNING,
                                 [WH_LOG_INFO] = APLOG_INFO,
                                 [WH_LOG_DEBUG] = APLOG_DEBUG};
    const server_rec *s = baton;

    if (level < WH_LOG_ERROR || level > WH_LOG_DEBUG) {
        level = WH_LOG_ERROR;
    }
    ap_log_error(APLOG_MARK, levels[level], 0, s, "%s%s%s", tag, *tag != '\0' ? ": " : "", line);
}

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)pconf;
    (void)plog;
    (void)ptemp;
    wh_mod_proxy_register();
    wh_log_set_sink(NULL, NULL); /* its server_rec went with the former configuration */
    return OK;
}

static void test_config(apr_pool_t *pconf, server_rec *s)
{
    if (ap_exists_config_define("DUMP_WISEHOST")) {
        wh_mod_dump(pconf, s);
    }
    wh_mod_check_daemons(pconf, s);
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    int rc;

    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* the first of two passes at start */
    }
    rc = wh_mod_check_secrets(pconf, ptemp, s);
    if (rc != OK) {
        return rc;
    }
    wh_mod_counters_post_config(s);
    wh_mod_meter_post_config(s);
    wh_mod_stream_post_config(s);
    wh_mod_proxy_post_config(pconf, s);
    wh_mod_type_post_config();
    wh_mod_send_post_config();
    wh_fault_arm(getenv("WISEHOST_FAULT_FILE"));
    wh_log_set_level(WH_LOG_DEBUG); /* LogLevel decides */
    wh_log_set_sink(log_sink, s);
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    wh_mod_counters_child_init(pchild);
    wh_mod_route_child_init(pchild, s);
    wh_mod_release_child_init(pchild, s);
    wh_mod_cache_child_init(pchild, (apr_size_t)wh_mod_conf_cache_size(s) << 20);
    wh_mod_type_child_init(pchild);
    wh_mod_keep_child_init(pchild, s);
    wh_mod_proxy_child_init(pchild, s);
    wh_mod_rate_child_init(pchild);
    wh_mod_stream_child_init(pchild);
    wh_mod_git_child_init(s);
    wh_h_git_child_init(pchild);
    wh_h_traefik_child_init(pchild, s);
}

static void optional_fn_retrieve(void)
{
    wh_mod_db_retrieve();
}

/* Tokens travel in the API: without TLS it is answered on loopback only, or when told to. */
static int transport_ok(const request_rec *r)
{
    return wh_mod_conf_insecure_http(r->server) || ap_ssl_conn_is_ssl(r->connection) ||
           wh_mod_is_loopback(r->connection->local_addr) || strcmp(r->uri, "/health") == 0;
}

/* What a directive says goes before the application's own setting. */
static unsigned with_flag(unsigned flags, unsigned flag, wh_mod_flag_t said)
{
    if (said == WH_MOD_UNSET) {
        return flags;
    }
    return said ? flags | flag : flags & ~flag;
}

int wh_mod_app_handler(request_rec *r, wh_mod_req_t *req)
{
    const wh_mod_dir_t *dir = wh_mod_conf_dir(r);

    if (dir->maintenance == 1 && req->route->kind != WH_ROUTE_REDIRECT) {
        return wh_mod_page_maintenance(r, req);
    }
    if (req->route->kind == WH_ROUTE_STATIC) {
        req->flags = with_flag(req->route->flags, WH_ROUTE_SPA, dir->spa);
        req->flags = with_flag(req->flags, WH_ROUTE_CLEAN, dir->clean_urls);
        req->cache_control = dir->cache_control;
        wh_mod_count(WH_COUNT_STATIC);
        return wh_mod_static_handler(r, req);
    }
    if (req->route->kind == WH_ROUTE_PROXY) {
        wh_mod_count(WH_COUNT_PROXY);
        return wh_mod_proxy_handler(r, req);
    }
    if (req->route->kind == WH_ROUTE_REDIRECT) {
        wh_mod_count(WH_COUNT_REDIRECT);
        return wh_mod_domain_redirect(r, req);
    }
    return wh_mod_page_maintenance(r, req);
}

static int handler(request_rec *r)
{
    wh_mod_req_t *req;
    wh_err_t err = WH_ERR_INIT;

    if (r->handler == NULL || strncmp(r->handler, "wisehost-", 9) != 0) {
        return DECLINED;
    }
    req = wh_mod_data_get(r);
    if (req == NULL) {
        return DECLINED; /* somebody's SetHandler: only the decision of translate_name counts */
    }
    switch (req->place) {
    case WH_PLACE_API:
    case WH_PLACE_GIT:
        wh_mod_count(WH_COUNT_API);
        if (!transport_ok(r)) {
            (void)wh_err_set(&err, HTTP_FORBIDDEN, "tls_required",
                             "The API is answered over TLS only (see WiseHostInsecureHTTP).");
            return wh_mod_problem_send(r, &err);
        }
        return req->place == WH_PLACE_GIT ? wh_mod_api_git(r) : wh_mod_api_handler(r);
    case WH_PLACE_APP:
        return wh_mod_app_handler(r, req);
    case WH_PLACE_UNKNOWN:
        return wh_mod_page_unknown(r);
    case WH_PLACE_UNAVAILABLE:
        wh_mod_count(WH_COUNT_UNAVAILABLE);
        (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "routes_unavailable",
                         "This site cannot be looked up at the moment.");
        return wh_mod_page_send(r, &err);
    case WH_PLACE_PROOF:
        return wh_mod_domain_proof(r, req);
    case WH_PLACE_NONE:
    case WH_PLACE_HUB:
        break;
    }
    return DECLINED;
}

static void register_hooks(apr_pool_t *p)
{
    /* Administrator's rules of the virtual host go first; global aliases (Debian's /icons/) must
     * not hide a path of an application. */
    static const char *const after_rules[] = {"mod_rewrite.c", "mod_proxy.c", NULL};
    static const char *const before_aliases[] = {"mod_alias.c", "mod_userdir.c",
                                                 "mod_vhost_alias.c", NULL};
    static const char *const after_proxy[] = {"mod_proxy.c", NULL};
    static const char *const before_dir[] = {"mod_dir.c", NULL};

    wh_mod_access_register(p);
    wh_mod_git_auth_register(p);
    wh_mod_keep_register();
    wh_mod_status_register();
    wh_mod_meter_register();
    wh_mod_stream_register();
    wh_mod_meter_file_register();
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(wh_mod_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(test_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_optional_fn_retrieve(optional_fn_retrieve, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, after_proxy, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, after_proxy, NULL, APR_HOOK_MIDDLE);
    ap_hook_process_connection(wh_mod_keep_process, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(wh_mod_host_post_read, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_translate_name(wh_mod_host_translate, after_rules, before_aliases, APR_HOOK_FIRST);
    ap_hook_map_to_storage(wh_mod_host_map_to_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_access_checker(wh_mod_keep_access, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_type_checker(wh_mod_host_type_checker, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(wh_mod_host_fixups, NULL, before_dir, APR_HOOK_LAST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_FIRST);
    wh_mod_db_register();
}

module AP_MODULE_DECLARE_DATA wisehost_module = {
    STANDARD20_MODULE_STUFF,
    .create_dir_config = wh_mod_conf_create_dir,
    .merge_dir_config = wh_mod_conf_merge_dir,
    .create_server_config = wh_mod_conf_create_srv,
    .merge_server_config = wh_mod_conf_merge_srv,
    .cmds = wh_mod_cmds,
    .register_hooks = register_hooks,
    .flags = 0,
};
