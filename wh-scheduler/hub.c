#include "wh-scheduler/hub_lws.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libwh/wh_log.h"

#if LWS_PRE > WH_HUB_CONN_HEADROOM
#error "WH_HUB_CONN_HEADROOM is too small for this libwebsockets"
#endif

#define TRIM_US (120 * LWS_US_PER_SEC)
#define PACE_US (50 * LWS_US_PER_MS)
#define DRAIN_US APR_INT64_C(2000000)
#define POLICY 1008 /* a peer that keeps no measure */

/* Quiet peers are pinged after 72 s and given up after 90 (F64, F65). */
const lws_retry_bo_t wh_hub_idle_policy = {
    .secs_since_valid_ping = 72,
    .secs_since_valid_hangup = 90,
};

static wh_hub_conn_t *conn_of(const wh_hub_session_t *session)
{
    return session != NULL && session->magic == WH_HUB_SESSION_MAGIC ? session->conn : NULL;
}

static void want_write(wh_hub_conn_t *conn)
{
    conn->asked = 1;
    lws_callback_on_writable(conn->wsi);
}

static void start_closing(wh_hub_conn_t *conn, int code)
{
    if (code == 0 || !wh_hub_conn_close(conn, code)) {
        return;
    }
    if (conn->established) {
        /* A peer that does not read never becomes writable: the timeout ends it all the same. */
        lws_set_timeout(conn->wsi, PENDING_TIMEOUT_CLOSE_SEND, 5);
        want_write(conn);
    }
}

static void pause_reading(wh_hub_conn_t *conn, unsigned why)
{
    conn->paused |= why;
    if (conn->established) {
        lws_rx_flow_control(conn->wsi, 0);
    }
}

static void go_on_reading(wh_hub_conn_t *conn, unsigned why)
{
    conn->paused &= ~why;
    if (conn->established && conn->paused == 0) {
        lws_rx_flow_control(conn->wsi, 1);
    }
}

/* ---- Coming ---- */

int wh_hub_enter(wh_hub_t *hub, struct lws *wsi, wh_hub_session_t *session, apr_int64_t worker,
                 const char *agent_nonce)
{
    const char *own = wh_rand_hex(hub->env.scratch, hub->opt.rand, WH_PROTO_NONCE_HEX / 2);
    wh_hub_conn_t *conn =
        own != NULL ? wh_hub_conn_make(++hub->last_id, worker, own, agent_nonce) : NULL;

    apr_pool_clear(hub->env.scratch);
    if (conn == NULL) {
        return -1;
    }
    conn->wsi = wsi;
    conn->way = (int)wh_hub_way(wsi);
    wh_idmap_put(&hub->by_id, &conn->by_id, conn->id);
    wh_idmap_put(&hub->by_worker, &conn->by_worker, (apr_uint64_t)worker);
    conn->next = hub->conns;
    conn->at = &hub->conns;
    if (conn->next != NULL) {
        conn->next->at = &conn->next;
    }
    hub->conns = conn;
    hub->n_conns++;
    session->conn = conn;
    session->magic = WH_HUB_SESSION_MAGIC;
    return 0;
}

/* The newest connection of a worker wins (F80). */
static void replace_older(wh_hub_t *hub, const wh_hub_conn_t *conn)
{
    wh_idmap_link_t *link = wh_idmap_find(&hub->by_worker, (apr_uint64_t)conn->worker);

    for (; link != NULL; link = wh_idmap_older(link)) {
        wh_hub_conn_t *old = WH_IDMAP_OF(link, wh_hub_conn_t, by_worker);

        if (old != conn && old->established && old->state != WH_HUB_CONN_CLOSING) {
            wh_log(WH_LOG_INFO, NULL,
                   "worker %" APR_INT64_T_FMT " connects again: the older connection is closed",
                   conn->worker);
            start_closing(old, WH_CLOSE_REPLACED);
        }
    }
}

static int established(struct lws *wsi, wh_hub_session_t *session)
{
    wh_hub_t *hub = wh_hub_of(wsi);
    wh_hub_conn_t *conn = conn_of(session);

    if (conn == NULL) {
        return -1;
    }
    conn->established = 1;
    pause_reading(conn, WH_HUB_PAUSE_KEY);
    replace_older(hub, conn);
    conn->announced = wh_hub_dispatch_event(&hub->env, conn, WH_WORK_CONNECT);
    return conn->announced ? 0 : -1;
}

/* ---- Frames ---- */

static void pace(lws_sorted_usec_list_t *sul)
{
    wh_hub_t *hub = lws_container_of(sul, wh_hub_t, pace);
    wh_mono_t now = wh_clock_mono(hub->opt.clock);
    int waiting = 0;

    for (wh_hub_conn_t *conn = hub->conns; conn != NULL; conn = conn->next) {
        if (!(conn->paused & WH_HUB_PAUSE_PACE)) {
            continue;
        }
        if (wh_hub_conn_rested(conn, now)) {
            go_on_reading(conn, WH_HUB_PAUSE_PACE);
        } else {
            waiting = 1;
        }
    }
    if (waiting) {
        lws_sul_schedule(hub->context, 0, &hub->pace, pace, PACE_US);
    }
}

/* It is not read until it has rested: what it sends meanwhile waits on its own machine. */
static void slow_down(wh_hub_t *hub, wh_hub_conn_t *conn)
{
    if (!(conn->paused & WH_HUB_PAUSE_PACE)) {
        pause_reading(conn, WH_HUB_PAUSE_PACE);
        lws_sul_schedule(hub->context, 0, &hub->pace, pace, PACE_US);
    }
}

static int received(struct lws *wsi, wh_hub_session_t *session, const void *data, size_t len)
{
    wh_hub_t *hub = wh_hub_of(wsi);
    wh_hub_conn_t *conn = conn_of(session);
    int last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
    int code = 0;

    if (conn == NULL) {
        return -1;
    }
    if (conn->state != WH_HUB_CONN_OPEN) {
        return 0;
    }
    if (!wh_hub_conn_pace(conn, len, last, wh_clock_mono(hub->opt.clock))) {
        slow_down(hub, conn);
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
        if (!wh_hub_conn_weigh(conn, conn->weight, wh_clock_mono(hub->opt.clock))) {
            slow_down(hub, conn);
        }
        break;
    case WH_HUB_RX_TOO_BIG:
        code = WH_CLOSE_TOO_BIG;
        break;
    case WH_HUB_RX_MEMORY:
        code = LWS_CLOSE_STATUS_UNEXPECTED_CONDITION;
        break;
    }
    wh_hub_conn_rx_done(conn);
    if (conn->paused != 0) {
        pause_reading(conn, conn->paused);
    }
    if (conn->out != NULL) {
        want_write(conn);
    }
    start_closing(conn, code);
    return 0;
}

/* Without this the worker would not hear of its other jobs: it comes again then. */
static void say_room(wh_hub_t *hub, wh_hub_conn_t *conn)
{
    if (!wh_hub_dispatch_event(&hub->env, conn, WH_WORK_ROOM)) {
        start_closing(conn, WH_CLOSE_RESTART);
    }
}

static int writeable(struct lws *wsi, wh_hub_session_t *session)
{
    wh_hub_conn_t *conn = conn_of(session);
    wh_hub_out_t *out;
    int n;

    if (conn == NULL) {
        return -1;
    }
    conn->odd += !conn->asked; /* the library has answered a ping */
    conn->asked = 0;
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
    if (wh_hub_conn_sent(conn)) {
        say_room(wh_hub_of(wsi), conn);
    }
    if (conn->out != NULL || conn->state == WH_HUB_CONN_CLOSING) {
        want_write(conn);
    }
    return 0;
}

static int pong(wh_hub_session_t *session)
{
    wh_hub_conn_t *conn = conn_of(session);

    if (conn != NULL) {
        conn->odd++; /* one in 72 s is the answer to our own ping */
    }
    return 0;
}

/* The one place where a connection goes, whatever ended it. CLOSED can come without ESTABLISHED,
 * and for a broken handshake only WSI_DESTROY comes. */
static void dropped(struct lws *wsi, wh_hub_session_t *session)
{
    wh_hub_t *hub = wh_hub_of(wsi);
    wh_hub_conn_t *conn = conn_of(session);

    if (conn == NULL) {
        return;
    }
    session->conn = NULL;
    session->magic = 0;
    wh_idmap_drop(&hub->by_id, &conn->by_id);
    wh_idmap_drop(&hub->by_worker, &conn->by_worker);
    *conn->at = conn->next;
    if (conn->next != NULL) {
        conn->next->at = conn->at;
    }
    hub->n_conns--;
    wh_hub_say_room(hub);
    if (conn->announced && !hub->draining) { /* when we stop, nobody is called offline */
        (void)wh_hub_dispatch_event(&hub->env, conn, WH_WORK_DISCONNECT);
    }
    wh_hub_conn_free(conn);
}

/* ---- What the database thread says ---- */

/* XD8: who is removed or revoked, or has another key by now, has no business here any more. A
 * worker whom the roster does not know while his key is being looked up is the database's to judge.
 */
static int outdated(const wh_hub_conn_t *conn, const wh_roster_t *roster)
{
    const wh_roster_row_t *row = wh_roster_by_id(roster, conn->worker);

    if (conn->state == WH_HUB_CONN_KEYING) {
        return row != NULL && row->state != WH_ROSTER_GOOD;
    }
    return row == NULL || row->state != WH_ROSTER_GOOD ||
           memcmp(row->key_hash, conn->key_hash, sizeof(conn->key_hash)) != 0;
}

static void take_roster(wh_hub_t *hub, wh_post_t *post)
{
    wh_roster_free(hub->roster);
    hub->roster = post->roster;
    hub->auth.roster = hub->roster;
    post->roster = NULL;
    for (wh_hub_conn_t *conn = hub->conns; conn != NULL; conn = conn->next) {
        if (conn->state != WH_HUB_CONN_CLOSING && outdated(conn, hub->roster)) {
            wh_log(WH_LOG_WARN, "WH0501",
                   "worker %" APR_INT64_T_FMT
                   " was removed or revoked, or has a new key: its connection is closed",
                   conn->worker);
            start_closing(conn, WH_CLOSE_REVOKED);
        }
    }
}

static void handle_post(wh_hub_t *hub, wh_hub_conn_t *conn, const wh_post_t *post)
{
    switch (post->kind) {
    case WH_POST_ACCEPT:
        memcpy(conn->link.key, post->key, sizeof(conn->link.key));
        memcpy(conn->key_hash, post->key_hash, sizeof(conn->key_hash));
        conn->state = WH_HUB_CONN_OPEN;
        go_on_reading(conn, WH_HUB_PAUSE_KEY);
        break;
    case WH_POST_FRAME:
        start_closing(conn, wh_hub_dispatch_out(&hub->env, conn, post->type, post->payload));
        apr_pool_clear(hub->env.scratch);
        want_write(conn);
        break;
    case WH_POST_CLOSE:
        start_closing(conn, post->code);
        break;
    case WH_POST_ROOM:
        if (wh_hub_conn_report(conn)) {
            say_room(hub, conn);
        }
        break;
    case WH_POST_RESUME:
        conn->pending = 0;
        conn->pending_bytes = 0;
        go_on_reading(conn, WH_HUB_PAUSE_DB);
        break;
    case WH_POST_ROSTER:
        break; /* of no connection */
    }
}

static void collect_posts(wh_hub_t *hub)
{
    wh_post_t *post = wh_mailbox_posts(hub->env.box);

    while (post != NULL) {
        wh_post_t *next = post->next;
        wh_hub_conn_t *conn =
            WH_IDMAP_OF(wh_idmap_find(&hub->by_id, post->conn), wh_hub_conn_t, by_id);

        if (post->kind == WH_POST_ROSTER) {
            take_roster(hub, post);
        } else if (conn != NULL && conn->state != WH_HUB_CONN_CLOSING) {
            handle_post(hub, conn, post);
        }
        wh_mailbox_post_free(post);
        post = next;
    }
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        return wh_hub_knock(wsi, (int)(intptr_t)in);
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        return wh_hub_half_begin(wsi);
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        return wh_hub_of(wsi)->tls != NULL ? wh_tls_prepare(wh_hub_of(wsi)->tls, user) : 0;
    case LWS_CALLBACK_HTTP:
        return wh_hub_http(wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return wh_hub_upgrade(wsi, user, in);
    case LWS_CALLBACK_ADD_HEADERS:
        return wh_hub_add_headers(wsi, user, in);
    case LWS_CALLBACK_ESTABLISHED:
        return established(wsi, user);
    case LWS_CALLBACK_RECEIVE:
        return received(wsi, user, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return writeable(wsi, user);
    case LWS_CALLBACK_RECEIVE_PONG:
        return pong(user);
    case LWS_CALLBACK_CLOSED:
        dropped(wsi, user);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        wh_hub_half_end(wsi);
        dropped(wsi, user);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        collect_posts(wh_hub_of(wsi));
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* A client without a subprotocol is bound to the first: that one refuses every upgrade. So do the
 * versions that we do not speak, which have to have a name here to be refused in words. */
#define REFUSED(name)                                                                              \
    {                                                                                              \
        name, callback, sizeof(wh_hub_session_t), 0, 0, NULL, 0                                    \
    }
const struct lws_protocols wh_hub_protocols[] = {
    REFUSED("http"),
    {WH_PROTO_SUBPROTOCOL, callback, sizeof(wh_hub_session_t), 16384, 0, NULL, 0},
    REFUSED("wisehost.v0"),
    REFUSED("wisehost.v2"),
    REFUSED("wisehost.v3"),
    REFUSED("wisehost.v4"),
    REFUSED("wisehost.v5"),
    REFUSED("wisehost.v6"),
    REFUSED("wisehost.v7"),
    REFUSED("wisehost.v8"),
    REFUSED("wisehost.v9"),
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- Timers ---- */

/* Bytes that the kernel holds for us although nothing kept us from reading them. */
static int unread(const wh_hub_conn_t *conn)
{
    int n = 0;

    return conn->paused == 0 && conn->out == NULL && conn->blocked_s == 0 &&
           ioctl(lws_get_socket_fd(conn->wsi), FIONREAD, &n) == 0 && n > 0;
}

static void look_at(wh_hub_conn_t *conn, wh_mono_t now)
{
    if (!conn->established || conn->state == WH_HUB_CONN_CLOSING) {
        return;
    }
    conn->blocked_s = lws_partial_buffered(conn->wsi) ? conn->blocked_s + 1 : 0;
    if (wh_hub_conn_stuck(conn, now) || conn->blocked_s > WH_HUB_CONN_BLOCKED_S) {
        start_closing(conn, WH_CLOSE_SLOW);
    } else if (wh_hub_conn_flood(conn, unread(conn))) {
        wh_log(WH_LOG_WARN, "WH0502", "worker %" APR_INT64_T_FMT ": a flood of control frames",
               conn->worker);
        start_closing(conn, POLICY);
    }
}

static void every_second(lws_sorted_usec_list_t *sul)
{
    wh_hub_t *hub = lws_container_of(sul, wh_hub_t, second);
    wh_mono_t now = wh_clock_mono(hub->opt.clock);

    for (wh_hub_conn_t *conn = hub->conns; conn != NULL; conn = conn->next) {
        look_at(conn, now);
    }
    wh_hub_half_sweep(hub);
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

apr_status_t wh_hub_start(apr_pool_t *p, const wh_hub_opt_t *opt, wh_hub_t **out, wh_err_t *err)
{
    wh_hub_t *hub = apr_pcalloc(p, sizeof(*hub));
    apr_status_t rv = APR_SUCCESS;

    hub->opt = *opt;
    hub->env.clock = opt->clock;
    hub->env.rand = opt->rand;
    apr_pool_create(&hub->env.scratch, p);
    apr_pool_tag(hub->env.scratch, "hub scratch");
    wh_idmap_init(&hub->by_id, p, (size_t)opt->max_workers);
    wh_idmap_init(&hub->by_worker, p, (size_t)opt->max_workers);
    memcpy(hub->auth.worker_jwt, opt->worker_jwt, sizeof(hub->auth.worker_jwt));
    hub->auth.allow_raw_key = opt->allow_raw_key;
    hub->failed = wh_hub_rate_make(p, opt->rand, WH_HUB_RATE_FAILED);
    hub->came = wh_hub_rate_make(p, opt->rand, WH_HUB_RATE_CAME(opt->max_workers));
    if (hub->failed == NULL || hub->came == NULL) {
        return wh_err_set(err, 500, "hub_failed", "there are no random numbers");
    }
    if (opt->listen_host != NULL) {
        rv = wh_tls_open(p, opt->listen_cert, opt->listen_key, wh_clock_now(opt->clock), &hub->tls,
                         err);
    }
    rv = rv == APR_SUCCESS ? wh_hub_listen(hub, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
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
    lws_sul_schedule(hub->context, 0, &hub->pace, NULL, LWS_SET_TIMER_USEC_CANCEL);
    lws_context_destroy(hub->context);
    wh_roster_free(hub->roster);
    explicit_bzero(&hub->auth, sizeof(hub->auth));
    unlink(hub->opt.socket);
}
