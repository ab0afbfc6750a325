#include "wh-scheduler/hub.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libwebsockets.h>

#include "libwh/wh_assertion.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "wh-scheduler/hub_dispatch.h"

#if LWS_PRE > WH_HUB_CONN_HEADROOM
#error "WH_HUB_CONN_HEADROOM is too small for this libwebsockets"
#endif

#define SESSION_MAGIC 0x77684855u
#define TRIM_US (120 * LWS_US_PER_SEC)
#define BACKLOG_MAX 1024 /* comings and goings that wait for a database that is away */
#define DRAIN_US APR_INT64_C(2000000)

/* Per connection of libwebsockets; conn is ours and outlives it by nothing. */
typedef struct session_t {
    unsigned magic;
    wh_hub_conn_t *conn;
} session_t;

struct wh_hub_t {
    wh_hub_opt_t opt;
    wh_hub_env_t env;
    struct lws_context *context;
    struct lws_vhost *vhost;
    wh_hub_conn_t *conns;
    int n_conns;
    apr_uint64_t last_id;
    int draining;
    lws_sorted_usec_list_t second, trim;
};

/* Quiet peers are pinged after 72 s and given up after 90 (F64, F65). */
static const lws_retry_bo_t idle_policy = {
    .secs_since_valid_ping = 72,
    .secs_since_valid_hangup = 90,
};

static wh_hub_t *hub_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* Out of descriptors libwebsockets writes thousands of lines a second: ten in ten seconds are
 * enough. */
static void lws_said(int level, const char *line)
{
    static time_t since;
    static int lines;
    time_t now = time(NULL);

    if (now - since >= 10) {
        since = now;
        lines = 0;
    }
    if (lines++ < 10) {
        int n = (int)strcspn(line, "\n");

        wh_log(level == LLL_ERR ? WH_LOG_ERROR : WH_LOG_DEBUG, "WH0402", "libwebsockets: %.*s", n,
               line);
    }
}

static void start_closing(wh_hub_conn_t *conn, int code)
{
    if (code == 0 || !wh_hub_conn_close(conn, code)) {
        return;
    }
    if (conn->established) {
        /* A peer that does not read never becomes writable: the timeout ends it all the same. */
        lws_set_timeout(conn->wsi, PENDING_TIMEOUT_CLOSE_SEND, 5);
        lws_callback_on_writable(conn->wsi);
    }
}

static void pause_reading(wh_hub_conn_t *conn, int paused)
{
    conn->paused = paused;
    if (conn->established) {
        lws_rx_flow_control(conn->wsi, !paused);
    }
}

/* ---- The upgrade ---- */

static int refuse(struct lws *wsi, unsigned status, const char *why)
{
    wh_log(WH_LOG_INFO, NULL, "upgrade refused with %u: %s", status, why);
    (void)lws_return_http_status(wsi, status, why);
    return 1;
}

static int header(struct lws *wsi, const char *name, char *buf, int size)
{
    int n = lws_hdr_custom_copy(wsi, buf, size, name, (int)strlen(name));

    if (n < 0) {
        buf[0] = '\0';
    }
    return n;
}

/* LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: who may upgrade. Everything is decided here, before the
 * library answers; the callback CVE-2025-11677 lies in is not used. */
static int filter_upgrade(struct lws *wsi, session_t *session, const char *wanted)
{
    wh_hub_t *hub = hub_of(wsi);
    wh_err_t err = WH_ERR_INIT;
    char uri[64], assertion[WH_ASSERTION_MAX], nonce[WH_PROTO_NONCE_HEX + 2];
    unsigned char raw[WH_PROTO_NONCE_HEX / 2];
    const char *own;
    apr_int64_t worker;

    if (lws_hdr_copy(wsi, uri, sizeof(uri), WSI_TOKEN_GET_URI) < 0 ||
        strcmp(uri, "/v1/workers/ws") != 0) {
        return refuse(wsi, 404, "there is nothing here");
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0) {
        return refuse(wsi, 403, "browsers may not connect here");
    }
    if (wanted == NULL || strcmp(wanted, WH_PROTO_SUBPROTOCOL) != 0) {
        return refuse(wsi, 426, "this hub speaks " WH_PROTO_SUBPROTOCOL);
    }
    if (header(wsi, "x-wisehost-assertion:", assertion, sizeof(assertion)) <= 0) {
        return refuse(wsi, 401, "no assertion");
    }
    worker = wh_hub_dispatch_worker(&hub->env, hub->opt.assertion_key, assertion, &err);
    apr_pool_clear(hub->env.scratch);
    if (worker == 0) {
        return refuse(wsi, (unsigned)err.http, err.text);
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
    own = wh_rand_hex(hub->env.scratch, hub->opt.rand, sizeof(raw));
    session->conn = own != NULL ? wh_hub_conn_make(++hub->last_id, worker, own, nonce) : NULL;
    apr_pool_clear(hub->env.scratch);
    if (session->conn == NULL) {
        return refuse(wsi, 503, "out of memory");
    }
    session->magic = SESSION_MAGIC;
    session->conn->wsi = wsi;
    session->conn->next = hub->conns;
    hub->conns = session->conn;
    hub->n_conns++;
    return 0;
}

static int add_headers(struct lws *wsi, session_t *session, struct lws_process_html_args *args)
{
    unsigned char *at = (unsigned char *)args->p, *end = at + args->max_len;

    if (session == NULL || session->conn == NULL) {
        return 0;
    }
    if (lws_add_http_header_by_name(wsi, (const unsigned char *)"x-wisehost-nonce:",
                                    (const unsigned char *)session->conn->link.hub_nonce,
                                    WH_PROTO_NONCE_HEX, &at, end)) {
        return 1;
    }
    args->p = (char *)at;
    return 0;
}

/* The newest connection of a worker wins (F80). */
static void replace_older(wh_hub_t *hub, const wh_hub_conn_t *conn)
{
    for (wh_hub_conn_t *old = hub->conns; old != NULL; old = old->next) {
        if (old != conn && old->worker == conn->worker && old->established) {
            wh_log(WH_LOG_INFO, NULL,
                   "worker %" APR_INT64_T_FMT " connects again: the older "
                   "connection is closed",
                   conn->worker);
            start_closing(old, WH_CLOSE_REPLACED);
        }
    }
}

static int established(struct lws *wsi, session_t *session)
{
    wh_hub_t *hub = hub_of(wsi);
    wh_hub_conn_t *conn = session->conn;

    if (conn == NULL) {
        return -1;
    }
    conn->established = 1;
    pause_reading(conn, 1); /* until its key is known */
    replace_older(hub, conn);
    conn->announced = wh_hub_dispatch_event(&hub->env, conn, WH_WORK_CONNECT);
    return conn->announced ? 0 : -1;
}

/* ---- Frames ---- */

static int received(struct lws *wsi, session_t *session, const void *data, size_t len)
{
    wh_hub_t *hub = hub_of(wsi);
    wh_hub_conn_t *conn = session->conn;
    int last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
    int code = 0;

    if (conn == NULL) {
        return -1;
    }
    if (conn->state != WH_HUB_CONN_OPEN) {
        return 0;
    }
    if (lws_frame_is_binary(wsi)) {
        start_closing(conn, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE);
        return 0;
    }
    switch (wh_hub_conn_rx(conn, data, len, last)) {
    case WH_HUB_RX_MORE:
        return 0;
    case WH_HUB_RX_WHOLE:
        code = wh_hub_dispatch_in(&hub->env, conn);
        apr_pool_clear(hub->env.scratch);
        break;
    case WH_HUB_RX_TOO_BIG:
        code = WH_CLOSE_TOO_BIG;
        break;
    case WH_HUB_RX_MEMORY:
        code = LWS_CLOSE_STATUS_UNEXPECTED_CONDITION;
        break;
    }
    wh_hub_conn_rx_done(conn);
    if (conn->paused) {
        pause_reading(conn, 1);
    }
    if (conn->out != NULL) {
        lws_callback_on_writable(wsi);
    }
    start_closing(conn, code);
    return 0;
}

static int writeable(struct lws *wsi, session_t *session)
{
    wh_hub_conn_t *conn = session->conn;
    wh_hub_out_t *out;
    int n;

    if (conn == NULL) {
        return -1;
    }
    /* What was queued before the decision to close is worth nothing to a peer that is sent away,
     * but an error frame that says why is: it was queued first and goes first. */
    out = wh_hub_conn_next(conn);
    if (out == NULL || (conn->state == WH_HUB_CONN_CLOSING && conn->close_code == WH_CLOSE_SLOW)) {
        if (conn->state == WH_HUB_CONN_CLOSING) {
            lws_close_reason(wsi, (enum lws_close_status)conn->close_code, NULL, 0);
            return -1;
        }
        return 0;
    }
    n = lws_write(wsi, out->data, out->len, LWS_WRITE_TEXT);
    if (n < (int)out->len) {
        return -1;
    }
    wh_hub_conn_sent(conn);
    if (conn->out != NULL || conn->state == WH_HUB_CONN_CLOSING) {
        lws_callback_on_writable(wsi);
    }
    return 0;
}

/* The one place where a connection goes, whatever ended it. CLOSED can come without ESTABLISHED,
 * and for a broken handshake only WSI_DESTROY comes. */
static void dropped(struct lws *wsi, session_t *session)
{
    wh_hub_t *hub = hub_of(wsi);
    wh_hub_conn_t **at, *conn;

    if (session == NULL || session->magic != SESSION_MAGIC || session->conn == NULL) {
        return;
    }
    conn = session->conn;
    session->conn = NULL;
    session->magic = 0;
    for (at = &hub->conns; *at != NULL && *at != conn; at = &(*at)->next) {
    }
    if (*at == conn) {
        *at = conn->next;
        hub->n_conns--;
    }
    if (conn->announced && !hub->draining) { /* when we stop, nobody is called offline */
        (void)wh_hub_dispatch_event(&hub->env, conn, WH_WORK_DISCONNECT);
    }
    wh_hub_conn_free(conn);
}

/* ---- What the database thread says ---- */

static wh_hub_conn_t *find(wh_hub_t *hub, apr_uint64_t id)
{
    wh_hub_conn_t *conn = hub->conns;

    while (conn != NULL && conn->id != id) {
        conn = conn->next;
    }
    return conn;
}

static void handle_post(wh_hub_t *hub, wh_hub_conn_t *conn, const wh_post_t *post)
{
    switch (post->kind) {
    case WH_POST_ACCEPT:
        memcpy(conn->link.key, post->key, sizeof(conn->link.key));
        conn->state = WH_HUB_CONN_OPEN;
        pause_reading(conn, 0);
        break;
    case WH_POST_FRAME:
        start_closing(conn, wh_hub_dispatch_out(&hub->env, conn, post->type, post->payload));
        apr_pool_clear(hub->env.scratch);
        lws_callback_on_writable(conn->wsi);
        break;
    case WH_POST_CLOSE:
        start_closing(conn, post->code);
        break;
    case WH_POST_RESUME:
        conn->pending = 0;
        conn->pending_bytes = 0;
        pause_reading(conn, 0);
        break;
    }
}

static void collect_posts(wh_hub_t *hub)
{
    wh_post_t *post = wh_mailbox_posts(hub->env.box);

    while (post != NULL) {
        wh_post_t *next = post->next;
        wh_hub_conn_t *conn = find(hub, post->conn);

        if (conn != NULL && conn->state != WH_HUB_CONN_CLOSING) {
            handle_post(hub, conn, post);
        }
        wh_mailbox_post_free(post);
        post = next;
    }
}

/* ---- HTTP beside the upgrade ---- */

static int answer(struct lws *wsi, unsigned status, const char *text)
{
    if (lws_return_http_status(wsi, status, text)) {
        return -1;
    }
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int http(struct lws *wsi, const char *uri)
{
    if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0 && strcmp(uri, "/poke") == 0) {
        wh_mailbox_poke(hub_of(wsi)->env.box);
        return answer(wsi, 204, NULL);
    }
    if (strcmp(uri, "/v1/workers/ws") == 0) {
        return answer(wsi, 426, "this address wants a WebSocket: " WH_PROTO_SUBPROTOCOL);
    }
    return answer(wsi, 404, NULL);
}

/* Only httpd, root and ourselves, and only while there is room: beyond that every accept would fail
 * at the limit of descriptors, in a busy loop. */
static int filter_peer(struct lws *wsi, int fd)
{
    wh_hub_t *hub = hub_of(wsi);
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return 1;
    }
    if (peer.uid != 0 && peer.uid != geteuid() && peer.uid != hub->opt.httpd_uid) {
        wh_log(WH_LOG_WARN, "WH0403", "hub socket: user %u (process %d) was turned away",
               (unsigned)peer.uid, (int)peer.pid);
        return 1;
    }
    return hub->n_conns > hub->opt.max_workers;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        return filter_peer(wsi, (int)(intptr_t)in);
    case LWS_CALLBACK_HTTP:
        return http(wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return filter_upgrade(wsi, user, in);
    case LWS_CALLBACK_ADD_HEADERS:
        return add_headers(wsi, user, in);
    case LWS_CALLBACK_ESTABLISHED:
        return established(wsi, user);
    case LWS_CALLBACK_RECEIVE:
        return received(wsi, user, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return writeable(wsi, user);
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        dropped(wsi, user);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        collect_posts(hub_of(wsi));
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* A client without a subprotocol is bound to the first: that one refuses every upgrade. */
static const struct lws_protocols protocols[] = {
    {"http", callback, sizeof(session_t), 0, 0, NULL, 0},
    {WH_PROTO_SUBPROTOCOL, callback, sizeof(session_t), 16384, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- Timers ---- */

static void every_second(lws_sorted_usec_list_t *sul)
{
    wh_hub_t *hub = lws_container_of(sul, wh_hub_t, second);
    wh_mono_t now = wh_clock_mono(hub->opt.clock);

    for (wh_hub_conn_t *conn = hub->conns; conn != NULL; conn = conn->next) {
        if (wh_hub_conn_stuck(conn, now)) {
            start_closing(conn, WH_CLOSE_SLOW);
        }
    }
    collect_posts(hub);
    lws_sul_schedule(hub->context, 0, &hub->second, every_second, LWS_US_PER_SEC);
}

/* After many connections came and went the heap is mostly holes: give whole pages back. */
static void trim(lws_sorted_usec_list_t *sul)
{
    wh_hub_t *hub = lws_container_of(sul, wh_hub_t, trim);

    malloc_trim(0);
    lws_sul_schedule(hub->context, 0, &hub->trim, trim, TRIM_US);
}

static void wake(void *baton)
{
    wh_hub_t *hub = baton;

    lws_cancel_service(hub->context);
}

/* ---- Life ---- */

static apr_status_t make_context(wh_hub_t *hub, wh_err_t *err)
{
    struct lws_context_creation_info info;

    memset(&info, 0, sizeof(info));
    lws_set_log_level(LLL_ERR | LLL_WARN, lws_said);
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.fd_limit_per_thread = (unsigned)hub->opt.max_workers + 128;
    info.max_http_header_data = 8192;
    info.max_http_header_pool = 16;
    info.timeout_secs = 10;
    info.user = hub;
    hub->context = lws_create_context(&info);
    if (hub->context == NULL) {
        return wh_err_set(err, 500, "hub_failed", "libwebsockets makes no context");
    }
    info.options = LWS_SERVER_OPTION_UNIX_SOCK;
    info.iface = hub->opt.socket;
    info.port = 0;
    info.protocols = protocols;
    info.vhost_name = "hub";
    info.retry_and_idle_policy = &idle_policy;
    hub->vhost = lws_create_vhost(hub->context, &info);
    if (hub->vhost == NULL) {
        lws_context_destroy(hub->context);
        return wh_err_set(err, 500, "hub_socket",
                          "the hub socket %s cannot be made: is its directory there and ours?",
                          hub->opt.socket);
    }
    return APR_SUCCESS;
}

apr_status_t wh_hub_start(apr_pool_t *p, const wh_hub_opt_t *opt, wh_hub_t **out, wh_err_t *err)
{
    wh_hub_t *hub = apr_pcalloc(p, sizeof(*hub));
    apr_status_t rv;

    hub->opt = *opt;
    hub->env.clock = opt->clock;
    hub->env.rand = opt->rand;
    apr_pool_create(&hub->env.scratch, p);
    apr_pool_tag(hub->env.scratch, "hub scratch");
    rv = make_context(hub, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* The library's own unix_socket_perms does nothing when the owner is root. */
    if (chown(opt->socket, (uid_t)-1, opt->httpd_gid) != 0) {
        wh_log(WH_LOG_WARN, "WH0404",
               "hub socket %s: its group cannot be set, httpd may find it shut", opt->socket);
    }
    if (chmod(opt->socket, 0770) != 0) {
        wh_log(WH_LOG_WARN, "WH0405", "hub socket %s: its mode cannot be set", opt->socket);
    }
    hub->env.box = wh_mailbox_make(p, wake, hub);
    lws_sul_schedule(hub->context, 0, &hub->second, every_second, LWS_US_PER_SEC);
    lws_sul_schedule(hub->context, 0, &hub->trim, trim, 10 * LWS_US_PER_SEC);
    *out = hub;
    return APR_SUCCESS;
}

wh_mailbox_t *wh_hub_mailbox(wh_hub_t *hub)
{
    return hub->env.box;
}

void wh_hub_run(wh_hub_t *hub, const volatile sig_atomic_t *stop, void (*turn)(void *baton),
                void *baton)
{
    while (!*stop) {
        if (lws_service(hub->context, 0) < 0) {
            wh_log(WH_LOG_ERROR, "WH0406", "the event loop failed");
            break;
        }
        turn(baton);
    }
}

void wh_hub_drain(wh_hub_t *hub)
{
    wh_mono_t end = wh_mono_add(wh_clock_mono(hub->opt.clock), DRAIN_US);

    hub->draining = 1;
    for (wh_hub_conn_t *conn = hub->conns; conn != NULL; conn = conn->next) {
        start_closing(conn, WH_CLOSE_RESTART);
    }
    while (hub->conns != NULL && !wh_mono_reached(wh_clock_mono(hub->opt.clock), end)) {
        if (lws_service(hub->context, 0) < 0) {
            break;
        }
    }
}

void wh_hub_destroy(wh_hub_t *hub)
{
    lws_sul_schedule(hub->context, 0, &hub->second, NULL, LWS_SET_TIMER_USEC_CANCEL);
    lws_sul_schedule(hub->context, 0, &hub->trim, NULL, LWS_SET_TIMER_USEC_CANCEL);
    lws_context_destroy(hub->context);
    unlink(hub->opt.socket);
}
