/*
 * Applications behind mod_proxy_http: which upstream gets the request, what happens when it does
 * not answer, and what the visitor is told then.
 *
 * The pre_request hook of mod_proxy is handed the worker of the attempt under way (wh_mod_target),
 * so that everything else is done as for any ProxyPass.
 */
#include <dlfcn.h>

#include <apr_atomic.h>
#include <apr_strings.h>
#include <util_cookies.h>

#include "libwh/wh_sign.h"
#include "mod_wisehost/wh_mod_counters.h"
#include "mod_wisehost/wh_mod_proxy.h"

#define WH_PROXY_COOKIE "__wh-up"
#define WH_PROXY_RETRY_S 5       /* another upstream is begun with within that time only */
#define WH_PROXY_TURNS 4         /* routes that one request may go through */
#define WH_PROXY_CLIENT_GONE 499 /* of the access log: nobody is there to read it */

typedef __typeof__(proxy_hook_pre_request) wh_hook_pre_request_fn;

/* Set in post_config, read-only afterwards. */
static module *proxy_mod; /* NULL without mod_proxy */
static size_t section_bytes;
static unsigned char sticky_key[WH_UPSTREAM_KEY_LEN];

static apr_uint32_t turn; /* rotates through upstreams; of this child */

/* One request on its way. */
typedef struct wh_trip_t {
    const char *path_query;
    apr_time_t retry_until;
    int idempotent;  /* it may be sent twice (RFC 9110, 9.2.2) */
    wh_body_t *body; /* of such a one, NULL when it has none */
    int retries;
    int repeated; /* once at the same upstream, because a kept connection was closed meanwhile */
    int refused;  /* no upstream took a connection */
    int gone;
} wh_trip_t;

/* The same for all front ends that share the root key; without the API, of this server's life. */
static void make_sticky_key(void)
{
    const wh_keys_t *keys = wh_mod_keys();
    unsigned char *kept = ap_retained_data_get("wisehost-sticky");

    if (keys != NULL && wh_sign_hkdf(keys->hub_assertion, WH_KEY_LEN, "wisehost-sticky-v1",
                                     sticky_key, sizeof(sticky_key)) == APR_SUCCESS) {
        return;
    }
    if (kept == NULL) {
        kept = ap_retained_data_create("wisehost-sticky", sizeof(sticky_key));
        if (apr_generate_random_bytes(kept, sizeof(sticky_key)) != APR_SUCCESS) {
            memset(kept, 0, sizeof(sticky_key)); /* then a visitor may choose his replica */
        }
    }
    memcpy(sticky_key, kept, sizeof(sticky_key));
}

void wh_mod_proxy_post_config(apr_pool_t *pconf, server_rec *s)
{
    int last = 0;

    proxy_mod = ap_find_linked_module("mod_proxy.c");
    if (proxy_mod == NULL || !wh_mod_target_post_config()) {
        proxy_mod = NULL;
        return;
    }
    for (const module *m = ap_top_module; m != NULL; m = m->next) {
        last = m->module_index > last ? m->module_index : last;
    }
    section_bytes = ((size_t)last + 1) * sizeof(void *);
    make_sticky_key();
    wh_mod_upstream_post_config(pconf, s);
}

void wh_mod_proxy_child_init(apr_pool_t *pchild, server_rec *s)
{
    wh_mod_target_child_init(pchild, s);
    wh_mod_hold_child_init(s);
    turn = (apr_uint32_t)getpid(); /* prefork: children must not begin with the same one each */
}

/* mod_proxy asks which worker serves r: ours, when this request is ours. */
static int pre_request(proxy_worker **worker, proxy_balancer **balancer, request_rec *r,
                       proxy_server_conf *conf, char **url)
{
    const wh_mod_req_t *req = wh_mod_data_get(r);
    const wh_target_t *target = req != NULL && req->attempt != NULL ? req->attempt->target : NULL;

    (void)conf;
    (void)url;
    if (target == NULL) {
        return DECLINED;
    }
    *balancer = NULL;
    *worker = target->worker;
    if (target->socket != NULL) {
        apr_table_setn(r->notes, "uds_path", target->socket);
    }
    return OK;
}

void wh_mod_proxy_register(void)
{
    wh_hook_pre_request_fn *hook = NULL;

    *(void **)(void *)&hook = dlsym(RTLD_DEFAULT, "proxy_hook_pre_request");
    if (hook != NULL) {
        hook(pre_request, NULL, NULL, APR_HOOK_FIRST);
    }
    wh_mod_answer_register();
    wh_mod_body_register();
}

/* The section's configuration with ProxyPreserveHost On, for this request alone. A copy of its
 * table of pointers, not a merge: that would run every module's merge function for each request. */
static ap_conf_vector_t *preserving_host(request_rec *r)
{
    ap_conf_vector_t *section = apr_pmemdup(r->pool, r->per_dir_config, section_bytes);
    const proxy_dir_conf *theirs = ap_get_module_config(r->per_dir_config, proxy_mod);
    proxy_dir_conf *dir = apr_pmemdup(r->pool, theirs, sizeof(*dir));

    dir->preserve_host = 1;
    dir->preserve_host_set = 1;
    ap_set_module_config(section, proxy_mod, dir);
    return section;
}

/*
 * One attempt. ap_run_handler and not ap_invoke_handler: filters were inserted once already. What
 * comes back other than OK or DONE is an error before the first byte to the client.
 */
static int attempt(request_rec *r, wh_mod_req_t *req, wh_attempt_t *at, const char *path_query)
{
    const char *handler = r->handler;
    const struct ap_logconf *log = r->log;
    apr_table_t *headers = r->headers_out;
    apr_table_t *trailers = r->trailers_out;
    int rc;

    r->filename = apr_pstrcat(r->pool, "proxy:http://", at->target->name, path_query, NULL);
    r->proxyreq = PROXYREQ_REVERSE;
    r->handler = "proxy-server";
    req->attempt = at;
    rc = ap_run_handler(r);
    req->attempt = NULL;
    r->handler = handler;
    r->log = log;
    if (at->hidden) {
        r->connection->keepalives = at->keepalives;
    }
    if (at->malformed) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "WH0166: answer of %s refused: a malformed header", at->target->name);
        rc = HTTP_BAD_GATEWAY;
    }
    if (rc == HTTP_BAD_GATEWAY && at->late) {
        rc = HTTP_GATEWAY_TIME_OUT;
    }
    if (rc != OK && rc != DONE && rc != SUSPENDED) {
        r->proxyreq = PROXYREQ_NONE;
        r->headers_out = headers; /* mod_proxy put the answer's there, as far as it came */
        r->trailers_out = trailers;
        r->status = HTTP_OK;
        r->status_line = NULL;
        r->eos_sent = 0; /* what was passed went no further than our filter */
        r->sent_bodyct = 0;
        apr_table_unset(r->notes, "error-notes");
        apr_table_unset(r->notes, "verbose-error-to");
        apr_table_unset(r->notes, "uds_path");
    }
    return rc;
}

/* Whether a segment of the path is "." or "..", plain or encoded. */
static int has_dot_segment(const char *path)
{
    const char *end = path + strcspn(path, "?#");

    for (const char *s = path; s < end;) { /* at a slash */
        int dots = 0;

        for (s++; *s == '.' || strncmp(s, "%2e", 3) == 0 || strncmp(s, "%2E", 3) == 0; dots++) {
            s += *s == '.' ? 1 : 3;
        }
        if ((dots == 1 || dots == 2) && (s >= end || *s == '/')) {
            return 1;
        }
        s += strcspn(s, "/?#");
    }
    return 0;
}

/*
 * The path as the client wrote it, so that its encoding survives; unless another module rewrote the
 * URI or a mount is cut off, when the decoded path is encoded anew. So is one with dots: the
 * application shall get the path that the access rules of httpd were asked about.
 */
static const char *upstream_path(request_rec *r, const wh_mod_req_t *req)
{
    const char *raw = r->unparsed_uri;
    const char *path;

    if (*req->mount == '\0' && r->uri == r->parsed_uri.path) {
        const char *authority = raw[0] != '/' ? ap_strstr_c(raw, "://") : NULL;

        if (authority != NULL) {
            raw = authority + 3;
            raw += strcspn(raw, "/?#");
        }
        if (*raw == '/' && !has_dot_segment(raw)) {
            return apr_pstrmemdup(r->pool, raw, strcspn(raw, "#"));
        }
    }
    path = ap_escape_uri(r->pool, *req->path == '/' ? req->path
                                                    : apr_pstrcat(r->pool, "/", req->path, NULL));
    return r->args != NULL ? apr_pstrcat(r->pool, path, "?", r->args, NULL) : path;
}

/* The cookie that brings this visitor back to upstream i. */
static const char *sticky_cookie(request_rec *r, const wh_mod_req_t *req, int i)
{
    const char *proto = apr_table_get(r->headers_in, "X-Forwarded-Proto");
    char tag[WH_UPSTREAM_TAG_LEN + 1];

    wh_upstream_tag(sticky_key, req->route, i, tag);
    return apr_pstrcat(r->pool, WH_PROXY_COOKIE "=", tag,
                       "; Path=", *req->mount != '\0' ? ap_escape_uri(r->pool, req->mount) : "/",
                       "; HttpOnly; SameSite=Lax",
                       proto != NULL && ap_cstr_casecmp(proto, "https") == 0 ? "; Secure" : "",
                       NULL);
}

/* The upstream that the visitor's cookie names, -1 for none. The application does not see it. */
static int stuck_to(request_rec *r, const wh_route_t *route)
{
    const char *tag = NULL;

    if (!(route->flags & WH_ROUTE_STICKY) ||
        ap_cookie_read(r, WH_PROXY_COOKIE, &tag, 1) != APR_SUCCESS || tag == NULL) {
        return -1;
    }
    return wh_upstream_by_tag(sticky_key, route, tag);
}

/* The upstreams of a route as one request sees them. */
typedef struct wh_choice_t {
    wh_slot_t *slots[WH_ROUTE_UPSTREAMS_MAX];
    int order[WH_ROUTE_UPSTREAMS_MAX];
    int stuck;
    int probe; /* the one that this request tries because its rest is over, -1 for none */
} wh_choice_t;

static void choose(const wh_route_t *route, apr_time_t now, wh_choice_t *choice)
{
    wh_upstream_state_t states[WH_ROUTE_UPSTREAMS_MAX];

    choice->probe = -1;
    for (int i = 0; i < route->n_upstreams; i++) {
        choice->slots[i] = wh_mod_upstream_slot(&route->upstreams[i], now);
        states[i] = wh_mod_upstream_state(choice->slots[i]);
        if (route->n_upstreams == 1 || states[i].failures == 0 || states[i].rests_until > now) {
            continue;
        }
        /* One request finds out whether it is there again; for the others it goes on resting. */
        if (choice->probe < 0 && (choice->stuck < 0 || choice->stuck == i) &&
            wh_mod_upstream_probe(choice->slots[i], now)) {
            choice->probe = i;
        } else {
            states[i].rests_until = now + 1;
        }
    }
    (void)wh_upstream_order(route, states, now, apr_atomic_inc32(&turn),
                            choice->probe >= 0 ? choice->probe : choice->stuck, choice->order);
}

static int try_upstream(request_rec *r, wh_mod_req_t *req, const wh_choice_t *choice, int i,
                        wh_attempt_t *at, const char *path_query)
{
    const wh_route_upstream_t *up = &req->route->upstreams[i];
    wh_target_ask_t ask = {
        .address = up->address, .port = up->port, .timeout_s = req->route->timeout_s};
    wh_slot_t *slot = choice->slots[i];
    apr_time_t begun_at = r->request_time;
    apr_uint64_t begun;
    int failed;
    int rc;

    memset(at, 0, sizeof(*at));
    at->target = wh_mod_target_acquire(r, &ask);
    if (at->target == NULL) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    req->cookie = (req->route->flags & WH_ROUTE_STICKY) && i != choice->stuck
                      ? sticky_cookie(r, req, i)
                      : NULL;
    apr_table_setn(r->notes, "wh-upstream", at->target->name);
    begun = wh_mod_upstream_begin(slot, begun_at);
    rc = attempt(r, req, at, path_query);
    if (at->sent) {
        wh_mod_upstream_reached(slot);
    } else if (rc == HTTP_SERVICE_UNAVAILABLE) {
        wh_mod_upstream_refused(slot, apr_time_now(), i == choice->probe);
    }
    failed = rc != OK && rc != DONE && !at->gone;
    req->upstream_errors += failed != 0;
    wh_mod_upstream_end(slot, begun, failed);
    return rc;
}

/*
 * Whether a failed attempt may be followed by another. 503 before anything was sent means that no
 * connection was made, and mod_proxy keeps what it read of the body. Otherwise the application may
 * have acted on it already; and who took too long was given the time that there is.
 */
static int may_go_on(request_rec *r, const wh_trip_t *trip, const wh_attempt_t *at, int rc)
{
    if (at->gone || at->late || apr_time_now() > trip->retry_until) {
        return 0;
    }
    if (rc == HTTP_SERVICE_UNAVAILABLE && !at->sent) {
        return 1;
    }
    return trip->idempotent &&
           (rc == HTTP_BAD_GATEWAY || rc == HTTP_SERVICE_UNAVAILABLE ||
            (rc == HTTP_GATEWAY_TIME_OUT && !at->sent)) &&
           (trip->body == NULL || wh_mod_body_again(r, trip->body));
}

static int try_route(request_rec *r, wh_mod_req_t *req, wh_trip_t *trip)
{
    const wh_route_t *route = req->route;
    wh_choice_t choice;
    wh_attempt_t at = {.target = NULL};
    int rc = HTTP_SERVICE_UNAVAILABLE;

    choice.stuck = route->n_upstreams > 1 ? stuck_to(r, route) : -1;
    choose(route, r->request_time, &choice);
    trip->refused = 1;
    for (int k = 0; k < route->n_upstreams; k++) {
        rc = try_upstream(r, req, &choice, choice.order[k], &at, trip->path_query);
        trip->gone = at.gone;
        trip->refused = trip->refused && rc == HTTP_SERVICE_UNAVAILABLE && !at.sent;
        if (rc == OK || rc == DONE || rc == SUSPENDED || !may_go_on(r, trip, &at, rc)) {
            break;
        }
        if (at.reused && !at.answered && !trip->repeated) {
            trip->repeated = 1;
            k--;
        } else if (k + 1 == route->n_upstreams) {
            break;
        }
        trip->retries++;
        wh_mod_count(WH_COUNT_RETRIES);
    }
    return rc;
}

static int upstream_error(request_rec *r, wh_mod_req_t *req, int rc)
{
    wh_err_t err = WH_ERR_INIT;

    apr_table_unset(r->notes, "wh-upstream");
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  "WH0162: app %s, deployment %s: no upstream answered (%d)", req->route->slug,
                  req->route->deployment_id, rc);
    if (rc == HTTP_GATEWAY_TIME_OUT) {
        (void)wh_err_set(&err, rc, "upstream_timeout", "The application did not answer in time.");
    } else if (rc == HTTP_BAD_GATEWAY) {
        (void)wh_err_set(&err, rc, "upstream_failed", "The application gave no valid answer.");
    } else {
        (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "upstream_unreachable",
                         "The application does not answer. Try again soon.");
    }
    req->cookie = NULL;
    return wh_mod_page_send(r, &err);
}

static int switching(request_rec *r, wh_hold_e what)
{
    wh_err_t err = WH_ERR_INIT;

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "a switch is under way: %s",
                  what == WH_HOLD_FULL ? "too many requests wait" : "waited long enough");
    (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "switching",
                     "The application is being switched. Try again soon.");
    return wh_mod_page_send(r, &err);
}

static int client_gone(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "the client left before there was an answer");
    apr_table_unset(r->notes, "wh-upstream");
    r->connection->keepalive = AP_CONN_CLOSE;
    r->status = WH_PROXY_CLIENT_GONE;
    r->status_line = NULL;
    return OK;
}

/* Another route since translate_name: of the same name, so that the same access rules hold. */
static void follow(request_rec *r, const wh_mod_req_t *req)
{
    apr_table_setn(r->notes, "wh-app", req->route->slug);
    apr_table_setn(r->notes, "wh-deployment", req->route->deployment_id);
}

/* Through the upstreams of the route, and of the one after it when a switch came in between. *rc is
 * what to return when the result is 0, else the route is no proxy's any more. */
static int travel(request_rec *r, wh_mod_req_t *req, wh_trip_t *trip, int *rc)
{
    apr_time_t until = r->request_time + apr_time_from_sec(req->route->hold_s);

    for (int n = 0;; n++) {
        int held = (req->route->flags & WH_ROUTE_HOLD) != 0;
        wh_hold_e what;

        *rc = held ? HTTP_SERVICE_UNAVAILABLE : try_route(r, req, trip);
        if ((!held && !trip->refused) || n == WH_PROXY_TURNS) {
            return 0;
        }
        what = wh_mod_hold(r, req, until);
        if (what == WH_HOLD_GO) {
            follow(r, req);
            if (req->route->kind != WH_ROUTE_PROXY) {
                return 1;
            }
            continue;
        }
        trip->gone = what == WH_HOLD_GONE;
        if (what == WH_HOLD_OVER && held && req->route->n_upstreams > 0) {
            *rc = try_route(r, req, trip); /* rather than nothing */
        } else if (what == WH_HOLD_FULL || what == WH_HOLD_OVER) {
            *rc = switching(r, what);
        }
        return 0;
    }
}

int wh_mod_proxy_handler(request_rec *r, wh_mod_req_t *req)
{
    wh_trip_t trip = {.retry_until = r->request_time + apr_time_from_sec(WH_PROXY_RETRY_S)};
    int rc = HTTP_SERVICE_UNAVAILABLE;

    if (proxy_mod == NULL) {
        return upstream_error(r, req, rc); /* no mod_proxy, and only WiseHostApp to want it */
    }
    rc = wh_mod_forward_check(r);
    if (rc != OK) {
        return rc;
    }
    trip.path_query = upstream_path(r, req);
    trip.idempotent = r->method_number == M_GET || r->method_number == M_OPTIONS ||
                      r->method_number == M_PUT || r->method_number == M_DELETE;
    trip.body = trip.idempotent && ap_request_has_body(r) ? wh_mod_body_keep(r) : NULL;
    wh_mod_forward_headers(r, req);
    if (apr_table_get(r->headers_in, "Transfer-Encoding") != NULL) {
        /* Handed on as it comes: the other side may answer before the end. */
        apr_table_setn(r->subprocess_env, "proxy-prefetch-nonblocking", "1");
    }
    r->per_dir_config = preserving_host(r);
    wh_mod_answer_insert(r, req);
    if (travel(r, req, &trip, &rc)) {
        return wh_mod_app_handler(r, req);
    }
    if (trip.retries > 0) {
        req->retries = (unsigned short)trip.retries;
        apr_table_setn(r->notes, "wh-retries", apr_itoa(r->pool, trip.retries));
    }
    if (trip.gone) {
        return client_gone(r);
    }
    if (rc == HTTP_SERVICE_UNAVAILABLE || rc == HTTP_BAD_GATEWAY || rc == HTTP_GATEWAY_TIME_OUT) {
        return upstream_error(r, req, rc);
    }
    return rc;
}

int wh_mod_proxy_hub(request_rec *r, const char *path_query)
{
    wh_target_ask_t ask = {.address = "localhost", .socket = wh_mod_conf_hub_socket(r->server)};
    wh_mod_req_t *req = wh_mod_data_get(r);
    wh_attempt_t at = {.target = wh_mod_target_acquire(r, &ask)};
    wh_err_t err = WH_ERR_INIT;
    int rc = HTTP_SERVICE_UNAVAILABLE;

    if (req == NULL) {
        req = wh_mod_data_make(r, WH_PLACE_HUB);
    }
    if (at.target != NULL) {
        apr_table_setn(r->headers_in, "X-Request-Id", wh_mod_problem_request_id(r));
        rc = attempt(r, req, &at, path_query);
    }
    if (at.gone) {
        return client_gone(r);
    }
    if (rc == HTTP_SERVICE_UNAVAILABLE || rc == HTTP_BAD_GATEWAY || rc == HTTP_GATEWAY_TIME_OUT) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "WH0163: wh-scheduler on %s: %d",
                      wh_mod_conf_hub_socket(r->server), rc);
        (void)wh_err_set(&err, HTTP_SERVICE_UNAVAILABLE, "hub_unreachable",
                         "The scheduler does not answer. Try again soon.");
        return wh_mod_problem_send(r, &err);
    }
    return rc;
}
