/* The upgrade: who may come in, and what the others are told. Everything is decided in
 * LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION, before the library answers; the callback CVE-2025-11677
 * lies in is not used. */
#include "wh-scheduler/hub_lws.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_assertion.h"
#include "libwh/wh_jwt.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"

#define PATH "/v1/workers/ws"
#define SPOKEN "this hub speaks " WH_PROTO_SUBPROTOCOL
#define BACKLOG_MAX 1024 /* comings and goings that wait for a database that is away */
#define ANSWER_MAX 1024
#define RETRY_S 5

static int add(struct lws *wsi, const char *name, const char *value, unsigned char **at,
               unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at, end);
}

/* A whole answer, after which the connection is closed. Returns 0 when it was written. */
static int answer(struct lws *wsi, unsigned status, const char *text, int retry_s)
{
    unsigned char buf[LWS_PRE + ANSWER_MAX], *start = buf + LWS_PRE, *at = start;
    unsigned char *end = buf + sizeof(buf) - 1;
    char number[24];
    size_t n = strlen(text);

    if (lws_add_http_header_status(wsi, status, &at, end) ||
        add(wsi, "content-type:", "text/plain; charset=utf-8", &at, end) ||
        add(wsi, "connection:", "close", &at, end)) {
        return 1;
    }
    if (status == 426 && (add(wsi, "upgrade:", "websocket", &at, end) ||
                          add(wsi, "sec-websocket-protocol:", WH_PROTO_SUBPROTOCOL, &at, end))) {
        return 1;
    }
    apr_snprintf(number, sizeof(number), "%d", retry_s);
    if (retry_s > 0 && add(wsi, "retry-after:", number, &at, end)) {
        return 1;
    }
    apr_snprintf(number, sizeof(number), "%" APR_SIZE_T_FMT, n + 1);
    if (status != 204 && add(wsi, "content-length:", number, &at, end)) {
        return 1;
    }
    if (lws_finalize_http_header(wsi, &at, end) || (size_t)(end - at) < n + 1) {
        return 1;
    }
    if (status != 204) {
        memcpy(at, text, n); /* NOLINT(bugprone-not-null-terminated-result): bytes for the wire */
        at[n] = '\n';
        at += n + 1;
    }
    return lws_write(wsi, start, (size_t)(at - start), LWS_WRITE_HTTP_FINAL) != (int)(at - start);
}

static int refuse_for(struct lws *wsi, unsigned status, const char *why, int retry_s)
{
    unsigned char address[16];
    char from[64];

    wh_hub_address(wsi, address, from);
    wh_log(WH_LOG_INFO, NULL, "upgrade refused with %u%s%s: %s", status,
           from[0] != '\0' ? " for " : "", from, why);
    (void)answer(wsi, status, why, retry_s);
    return 1;
}

static int refuse(struct lws *wsi, unsigned status, const char *why)
{
    return refuse_for(wsi, status, why, status == 503 ? RETRY_S : 0);
}

static int header(struct lws *wsi, const char *name, char *buf, int size)
{
    int n = lws_hdr_custom_copy(wsi, buf, size, name, (int)strlen(name));

    if (n < 0) {
        buf[0] = '\0';
    }
    return n;
}

/* httpd has looked at the worker's credential and vouches for him. */
static apr_int64_t asserted(wh_hub_t *hub, struct lws *wsi, wh_err_t *err)
{
    char assertion[WH_ASSERTION_MAX];

    if (header(wsi, "x-wisehost-assertion:", assertion, sizeof(assertion)) <= 0) {
        (void)!wh_err_set(err, 401, "bad_assertion", "no assertion");
        return 0;
    }
    return wh_hub_dispatch_worker(&hub->env, hub->opt.assertion_key, assertion, err);
}

/* Nobody vouches: the bearer itself. Who fails too often is told to come later. */
static apr_int64_t shown(wh_hub_t *hub, struct lws *wsi, int *retry_s, wh_err_t *err)
{
    char bearer[WH_JWT_MAX + 16];
    unsigned char address[16];
    char from[64];
    int n = lws_hdr_copy(wsi, bearer, sizeof(bearer), WSI_TOKEN_HTTP_AUTHORIZATION);
    apr_int64_t worker = wh_hub_auth_bearer(hub->env.scratch, &hub->auth, n > 0 ? bearer : NULL,
                                            wh_clock_now(hub->opt.clock), err);

    explicit_bzero(bearer, sizeof(bearer));
    if (worker == 0) {
        wh_hub_address(wsi, address, from);
        *retry_s = wh_hub_rate_failed(hub->failed, address, wh_clock_mono(hub->opt.clock));
    }
    return worker;
}

static int who(wh_hub_t *hub, struct lws *wsi, apr_int64_t *worker)
{
    wh_err_t err = WH_ERR_INIT;
    int retry_s = 0;

    *worker = wh_hub_way(wsi) == WH_HUB_WAY_UNIX ? asserted(hub, wsi, &err)
                                                 : shown(hub, wsi, &retry_s, &err);
    apr_pool_clear(hub->env.scratch);
    if (*worker != 0) {
        return 0;
    }
    return retry_s > 0 ? refuse_for(wsi, 429, "too many wrong credentials", retry_s)
                       : refuse(wsi, (unsigned)err.http, err.text);
}

/* A worker that comes again and again, before that costs the database anything. */
static int too_often(wh_hub_t *hub, struct lws *wsi, apr_int64_t worker)
{
    wh_mono_t now = wh_clock_mono(hub->opt.clock);
    int retry_s = wh_hub_rate_came(hub->came, worker, now);

    if (retry_s == 0) {
        return 0;
    }
    if (wh_say_may(&hub->says, worker, now)) {
        wh_log(WH_LOG_INFO, NULL,
               "worker %" APR_INT64_T_FMT ": upgrade refused with 429: it connects too often",
               worker);
    }
    (void)answer(wsi, 429, "too many connections of this worker", retry_s);
    return 1;
}

int wh_hub_upgrade(struct lws *wsi, wh_hub_session_t *session, const char *wanted)
{
    wh_hub_t *hub = wh_hub_of(wsi);
    char uri[64], nonce[WH_PROTO_NONCE_HEX + 2];
    unsigned char raw[WH_PROTO_NONCE_HEX / 2];
    apr_int64_t worker;

    if (lws_hdr_copy(wsi, uri, sizeof(uri), WSI_TOKEN_GET_URI) < 0 || strcmp(uri, PATH) != 0) {
        return refuse(wsi, 404, "there is nothing here");
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0) {
        return refuse(wsi, 403, "browsers may not connect here");
    }
    if (wanted == NULL || strcmp(wanted, WH_PROTO_SUBPROTOCOL) != 0) {
        return refuse(wsi, 426, SPOKEN);
    }
    if (who(hub, wsi, &worker) != 0) {
        return 1;
    }
    if (header(wsi, "x-wisehost-nonce:", nonce, sizeof(nonce)) != WH_PROTO_NONCE_HEX ||
        wh_sign_unhex(nonce, WH_PROTO_NONCE_HEX, raw) != 0) {
        return refuse(wsi, 400, "X-Wisehost-Nonce is not 32 hex digits");
    }
    if (hub->draining || hub->n_conns >= hub->opt.max_workers) {
        return refuse(wsi, 503, hub->draining ? "the hub is stopping" : "too many workers");
    }
    if (wh_mailbox_waiting(hub->env.box) > BACKLOG_MAX) {
        return refuse(wsi, 503, "the database is away");
    }
    if (too_often(hub, wsi, worker)) {
        return 1;
    }
    if (wh_hub_enter(hub, wsi, session, worker, nonce) != 0) {
        return refuse(wsi, 503, "out of memory");
    }
    wh_hub_half_end(wsi);
    wh_hub_say_room(hub);
    return 0;
}

int wh_hub_add_headers(struct lws *wsi, wh_hub_session_t *session,
                       struct lws_process_html_args *args)
{
    unsigned char *at = (unsigned char *)args->p, *end = at + args->max_len;

    if (session == NULL || session->magic != WH_HUB_SESSION_MAGIC || session->conn == NULL) {
        return 0;
    }
    if (add(wsi, "x-wisehost-nonce:", session->conn->link.hub_nonce, &at, end)) {
        return 1;
    }
    args->p = (char *)at;
    return 0;
}

/* Every answer here is the last on its connection. */
int wh_hub_http(struct lws *wsi, const char *uri)
{
    if (wh_hub_way(wsi) == WH_HUB_WAY_UNIX && lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0 &&
        strcmp(uri, "/poke") == 0) {
        wh_mailbox_poke(wh_hub_of(wsi)->env.box);
        (void)answer(wsi, 204, "", 0);
    } else if (strcmp(uri, PATH) == 0) {
        (void)answer(wsi, 426, "this address wants a WebSocket: " SPOKEN, 0);
    } else {
        (void)answer(wsi, 404, "there is nothing here", 0);
    }
    return -1;
}
