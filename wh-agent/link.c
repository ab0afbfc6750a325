#include <stdlib.h>
#include <string.h>
#include <libwebsockets.h>
#include <apr_strings.h>
#include <openssl/x509v3.h>
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "libwh/wh_sign.h"
#include "wh-agent/link.h"

#define NONCE_HEADER "x-wisehost-nonce:"
#define QUEUE_MAX ((size_t)(4 * 1024 * 1024))
#define SLOW_US ((apr_interval_time_t)5 * APR_USEC_PER_SEC)
#define PING_S 20
#define HANGUP_S                                                                                   \
    65 /* with the ping's 20 s well under the 95 s after which a dead link must be known */
#define FDS_SPARE 255 /* beside the links: timers, the wake-up pipe, names being looked up */

typedef struct out_t out_t;
struct out_t {
    out_t *next;
    size_t n;
    wh_mono_t since;
    unsigned char bytes[]; /* LWS_PRE, then the frame */
};

typedef struct timer_t_ {
    lws_sorted_usec_list_t sul; /* first: it is what comes back */
    wh_link_t *link;
    wh_link_timer_e which;
} link_timer_t;

struct wh_link_loop_t {
    wh_link_loop_opts_t opts;
    struct lws_context *cx;
    lws_sorted_usec_list_t tick;
    int stopped;
};

struct wh_link_t {
    wh_link_opts_t opts;
    struct lws_context *cx; /* the loop's */
    int at;                 /* the address in use, of opts.urls */
    struct lws *wsi;        /* NULL = no connection and no attempt */
    int open;               /* the handshake is done */
    int over;               /* closed was reported */
    int close_code;         /* ours, 0 = stay */
    wh_link_end_t end;
    wh_proto_link_t proto;
    char *authorization; /* heap */
    char *rx;            /* heap; a message that has not come whole */
    size_t rx_have, rx_room;
    out_t *first, **last;
    size_t queued;
    lws_sorted_usec_list_t slow;
    int watching; /* slow is set */
    link_timer_t timers[WH_LINK_T_COUNT];
};

static const lws_retry_bo_t idle_policy = {.secs_since_valid_ping = PING_S,
                                           .secs_since_valid_hangup = HANGUP_S};

static const wh_huburl_t *url_of(const wh_link_t *link)
{
    return &APR_ARRAY_IDX(link->opts.urls, link->at, wh_huburl_t);
}

/* ---- queue ---- */

static void on_slow(lws_sorted_usec_list_t *sul);

/* One timer a link, looked at when it ends: libwebsockets keeps timers in one sorted list, in which
 * a new one for each frame would be a search of its own. us < 0: none. */
static void watch(wh_link_t *link, apr_interval_time_t us)
{
    if (us >= 0 && link->watching)
        return;
    link->watching = us >= 0;
    lws_sul_schedule(link->cx, 0, &link->slow, us < 0 ? NULL : on_slow,
                     us < 0 ? LWS_SET_TIMER_USEC_CANCEL : us);
}

static void drop_queue(wh_link_t *link)
{
    while (link->first != NULL) {
        out_t *out = link->first;

        link->first = out->next;
        free(out);
    }
    link->last = &link->first;
    link->queued = 0;
    watch(link, -1);
}

static void kill_slow(wh_link_t *link)
{
    wh_log(WH_LOG_WARN, "WH0640", "the hub does not take what is sent: %zu bytes wait; closing",
           link->queued);
    if (link->wsi != NULL)
        lws_set_timeout(link->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

/* Five seconds after a frame was queued: is it still there? */
static void on_slow(lws_sorted_usec_list_t *sul)
{
    wh_link_t *link = lws_container_of(sul, wh_link_t, slow);
    apr_interval_time_t waited;

    link->watching = 0;
    if (link->first == NULL || link->wsi == NULL)
        return;
    waited = wh_mono_diff(wh_clock_mono(link->opts.clock), link->first->since);
    if (waited >= SLOW_US)
        kill_slow(link);
    else
        watch(link, SLOW_US - waited + 1000);
}

void wh_link_send(wh_link_t *link, wh_msg_e type, json_t *payload)
{
    apr_pool_t *p = link->open && payload != NULL ? wh_pool_make("seal") : NULL;
    const char *id, *text = NULL;
    size_t n = 0;
    out_t *out = NULL;

    if (p != NULL && (id = wh_rand_hex(p, link->opts.rnd, WH_PROTO_ID_HEX / 2)) != NULL)
        text = wh_proto_seal(p, &link->proto, wh_proto_type_name(type), id,
                             wh_clock_now(link->opts.clock), payload, &n);
    if (text != NULL)
        out = malloc(sizeof(*out) + LWS_PRE + n);
    if (out != NULL) {
        *out = (out_t){.n = n, .since = wh_clock_mono(link->opts.clock)};
        memcpy(out->bytes + LWS_PRE, text, n);
        *link->last = out;
        link->last = &out->next;
        link->queued += n;
        watch(link, SLOW_US);
        lws_callback_on_writable(link->wsi);
        if (link->queued > QUEUE_MAX)
            kill_slow(link);
    } else if (link->open) {
        wh_log(WH_LOG_ERROR, "WH0641", "a %s frame could not be made", wh_proto_type_name(type));
    }
    json_decref(payload);
    if (p != NULL)
        apr_pool_destroy(p);
}

size_t wh_link_queued(const wh_link_t *link)
{
    return link->queued;
}

/* Returns -1 to close. */
static int write_one(wh_link_t *link)
{
    out_t *out = link->first;
    int wrote;

    if (link->close_code != 0) {
        lws_close_reason(link->wsi, (enum lws_close_status)link->close_code, NULL, 0);
        return -1;
    }
    if (out == NULL)
        return 0;
    wrote = lws_write(link->wsi, out->bytes + LWS_PRE, out->n, LWS_WRITE_TEXT);
    link->first = out->next;
    if (link->first == NULL)
        link->last = &link->first;
    link->queued -= out->n;
    free(out);
    if (wrote < 0)
        return -1;
    if (link->first != NULL)
        lws_callback_on_writable(link->wsi);
    return 0;
}

/* ---- what comes ---- */

static int open_frame(wh_link_t *link)
{
    apr_pool_t *p = wh_pool_make("frame");
    wh_proto_msg_t msg;
    wh_err_t err = WH_ERR_INIT;
    int code = 0;

    if (p == NULL)
        return -1;
    if (wh_proto_open(p, &link->proto, link->rx, link->rx_have, wh_clock_now(link->opts.clock),
                      &msg, &err) == APR_SUCCESS) {
        link->opts.events->message(link->opts.owner, p, &msg);
    } else {
        wh_log(WH_LOG_WARN, "WH0642", "a frame of the hub is refused (%s): %s", err.code, err.text);
        code = wh_proto_close_code(err.code);
    }
    apr_pool_destroy(p);
    link->rx_have = 0;
    if (code == 0)
        return 0;
    lws_close_reason(link->wsi, (enum lws_close_status)code, NULL, 0);
    return -1;
}

static int take_piece(wh_link_t *link, const void *in, size_t n)
{
    if (link->rx_have + n > WH_PROTO_MAX_BYTES) {
        lws_close_reason(link->wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, NULL, 0);
        return -1;
    }
    if (link->rx_have + n + 1 > link->rx_room) {
        size_t room = (link->rx_have + n) * 2 + 1024;
        char *rx = realloc(link->rx, room);

        if (rx == NULL)
            return -1;
        link->rx = rx;
        link->rx_room = room;
    }
    if (n > 0)
        memcpy(link->rx + link->rx_have, in, n);
    link->rx_have += n;
    if (!lws_is_final_fragment(link->wsi) || lws_remaining_packet_payload(link->wsi) != 0)
        return 0;
    return open_frame(link);
}

/* ---- handshake ---- */

static int add_headers(wh_link_t *link, struct lws *wsi, unsigned char **at, size_t room)
{
    unsigned char *end = *at + room;

    return lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION,
                                        (unsigned char *)link->authorization,
                                        (int)strlen(link->authorization), at, end) ||
           lws_add_http_header_by_name(wsi, (const unsigned char *)NONCE_HEADER,
                                       (unsigned char *)link->proto.agent_nonce, WH_PROTO_NONCE_HEX,
                                       at, end);
}

/* The answer's header is there to be read only now; afterwards it is freed. */
static int take_nonce(wh_link_t *link, struct lws *wsi)
{
    int n = lws_hdr_custom_copy(wsi, link->proto.hub_nonce, sizeof(link->proto.hub_nonce),
                                NONCE_HEADER, (int)strlen(NONCE_HEADER));

    if (n == WH_PROTO_NONCE_HEX && wh_sign_is_hex(link->proto.hub_nonce, WH_PROTO_NONCE_HEX))
        return 0;
    wh_log(WH_LOG_ERROR, "WH0643", "what answered at %s is no hub: it sent no nonce",
           url_of(link)->text);
    return -1;
}

/* ---- the end of a connection ---- */

static void over(wh_link_t *link)
{
    if (link->over)
        return;
    link->over = 1;
    link->end.opened = link->open;
    link->end.url = url_of(link)->text;
    link->open = 0;
    if (link->wsi != NULL)
        lws_set_opaque_user_data(link->wsi, NULL); /* what it still says is not of the next one */
    link->wsi = NULL;
    if (link->end.opened)
        link->at = 0;
    else if (link->end.http != 401)
        link->at = (link->at + 1) % link->opts.urls->nelts;
    drop_queue(link);
    free(link->rx);
    link->rx = NULL;
    link->rx_have = link->rx_room = 0;
    link->opts.events->closed(link->opts.owner, &link->end);
}

static void failed(wh_link_t *link, struct lws *wsi, const void *in, size_t n)
{
    if (wsi != NULL)
        link->end.http = (int)lws_http_client_http_response(wsi);
    wh_log(WH_LOG_DEBUG, NULL, "no connection: %.*s", (int)(in != NULL ? n : 0),
           in != NULL ? (const char *)in : "");
    over(link);
}

static void woken(struct lws_context *cx)
{
    wh_link_loop_t *loop = cx != NULL ? lws_context_user(cx) : NULL;

    if (loop != NULL)
        loop->opts.woken(loop->opts.owner);
}

/* libwebsockets 4.1 takes the name to verify from the Host header up to its first colon, which
 * leaves
 * "[" of an IPv6 address. So for such a one, and for this error alone, the address is looked for in
 * the certificate here; everything else about the chain is judged as ever. */
static void judge_v6(const wh_link_t *link, X509_STORE_CTX *x509)
{
    const char *host = url_of(link)->host;
    X509 *cert = X509_STORE_CTX_get_current_cert(x509);

    if (strchr(host, ':') != NULL && cert != NULL && X509_STORE_CTX_get_error_depth(x509) == 0 &&
        X509_STORE_CTX_get_error(x509) == X509_V_ERR_HOSTNAME_MISMATCH &&
        X509_check_ip_asc(cert, host, 0) == 1)
        X509_STORE_CTX_set_error(x509, X509_V_OK);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t n)
{
    wh_link_t *link = lws_get_opaque_user_data(wsi);

    if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
        woken(lws_get_context(wsi));
        return 0;
    }
    if (link == NULL)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        judge_v6(link, user);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_headers(link, wsi, in, n) ? -1 : 0;
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
        return take_nonce(link, wsi);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        link->wsi = wsi;
        link->open = 1;
        link->opts.events->opened(link->opts.owner);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return take_piece(link, in, n);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return link->open ? write_one(link) : 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (n >= 2)
            link->end.code = ((const unsigned char *)in)[0] << 8 | ((const unsigned char *)in)[1];
        /* libwebsockets 4.1 knows no 1012 and makes "protocol error" of it, which no hub says. */
        if (link->end.code == LWS_CLOSE_STATUS_PROTOCOL_ERR)
            link->end.code = WH_CLOSE_RESTART;
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        failed(link, wsi, in, n);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        over(link);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = WH_PROTO_SUBPROTOCOL, .callback = callback, .rx_buffer_size = 16384}, {.name = NULL}};

/* ---- making it ---- */

static void say(int level, const char *line)
{
    size_t n = strcspn(line, "\n");

    wh_log(level == LLL_ERR ? WH_LOG_WARN : WH_LOG_DEBUG, level == LLL_ERR ? "WH0644" : NULL,
           "websocket: %.*s", (int)n, line);
}

static void on_tick(lws_sorted_usec_list_t *sul)
{
    wh_link_loop_t *loop = lws_container_of(sul, wh_link_loop_t, tick);

    lws_sul_schedule(loop->cx, 0, sul, on_tick, loop->opts.tick_us);
    loop->opts.tick(loop->opts.owner);
}

apr_status_t wh_link_loop_make(apr_pool_t *p, const wh_link_loop_opts_t *opts, wh_link_loop_t **out,
                               wh_err_t *err)
{
    wh_link_loop_t *loop = apr_pcalloc(p, sizeof(*loop));
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                             .protocols = protocols,
                                             .gid = (gid_t)-1,
                                             .uid = (uid_t)-1,
                                             .user = loop,
                                             .fd_limit_per_thread =
                                                 (unsigned)opts->links + FDS_SPARE,
                                             .pt_serv_buf_size = 8192};

    loop->opts = *opts;
    if (opts->tls) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        if (opts->ca_file[0] != '\0') {
            info.client_ssl_ca_filepath = opts->ca_file;
            info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
        }
        if (opts->tls13_only)
            info.ssl_client_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2;
    }
    lws_set_log_level(LLL_ERR | LLL_WARN, say);
    loop->cx = lws_create_context(&info);
    if (loop->cx == NULL)
        return wh_err_set(err, 500, "internal", "cannot make the event loop");
    if (opts->tick_us > 0)
        lws_sul_schedule(loop->cx, 0, &loop->tick, on_tick, opts->tick_us);
    *out = loop;
    return APR_SUCCESS;
}

wh_link_t *wh_link_make(apr_pool_t *p, const wh_link_opts_t *opts)
{
    wh_link_t *link = apr_pcalloc(p, sizeof(*link));

    link->opts = *opts;
    link->cx = opts->loop->cx;
    link->last = &link->first;
    link->over = 1;
    for (int i = 0; i < WH_LINK_T_COUNT; i++) {
        link->timers[i].link = link;
        link->timers[i].which = (wh_link_timer_e)i;
    }
    return link;
}

const char *wh_link_url(const wh_link_t *link)
{
    return url_of(link)->text;
}

void wh_link_connect(wh_link_t *link, const char *token, const unsigned char key[32])
{
    const wh_huburl_t *url = url_of(link);
    struct lws_client_connect_info ci = {.context = link->cx,
                                         .address = url->host,
                                         .port = url->port,
                                         .path = url->path,
                                         .host = url->host_header,
                                         .protocol = WH_PROTO_SUBPROTOCOL,
                                         .local_protocol_name = WH_PROTO_SUBPROTOCOL,
                                         .ssl_connection = url->tls ? LCCSCF_USE_SSL : 0,
                                         .retry_and_idle_policy = &idle_policy,
                                         .opaque_user_data = link,
                                         .pwsi = &link->wsi};
    unsigned char nonce[WH_PROTO_NONCE_HEX / 2];
    size_t n = strlen(token) + sizeof("Bearer ");

    memset(&link->proto, 0, sizeof(link->proto));
    memcpy(link->proto.key, key, sizeof(link->proto.key));
    link->proto.out = WH_PROTO_A2H;
    link->end = (wh_link_end_t){0};
    link->over = link->open = link->close_code = 0;
    if (link->authorization != NULL)
        wh_sign_wipe(link->authorization, strlen(link->authorization));
    free(link->authorization);
    link->authorization = malloc(n);
    if (link->authorization == NULL || wh_rand_fill(link->opts.rnd, nonce, sizeof(nonce))) {
        over(link);
        return;
    }
    (void)apr_snprintf(link->authorization, n, "Bearer %s", token);
    wh_sign_hex_buf(link->proto.agent_nonce, nonce, sizeof(nonce));
    if (lws_client_connect_via_info(&ci) == NULL)
        over(link);
}

void wh_link_close(wh_link_t *link, int code)
{
    if (link->wsi == NULL)
        return;
    link->close_code = code;
    lws_callback_on_writable(link->wsi);
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_CLOSE_SEND, 5);
}

static void on_timer(lws_sorted_usec_list_t *sul)
{
    link_timer_t *timer = lws_container_of(sul, link_timer_t, sul);

    timer->link->opts.events->timer(timer->link->opts.owner, timer->which);
}

void wh_link_timer(wh_link_t *link, wh_link_timer_e which, apr_interval_time_t us)
{
    lws_sul_schedule(link->cx, 0, &link->timers[which].sul, us < 0 ? NULL : on_timer,
                     us < 0 ? LWS_SET_TIMER_USEC_CANCEL : us);
}

void wh_link_cut(wh_link_t *link)
{
    if (link->wsi != NULL)
        lws_set_timeout(link->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
}

void wh_link_deaf(wh_link_t *link, int deaf)
{
    if (link->wsi != NULL && link->open)
        lws_rx_flow_control(link->wsi, !deaf);
}

void wh_link_destroy(wh_link_t *link)
{
    link->over = 1; /* nobody is told any more */
    if (link->wsi != NULL)
        lws_set_opaque_user_data(link->wsi, NULL);
    link->wsi = NULL;
    drop_queue(link);
    for (int i = 0; i < WH_LINK_T_COUNT; i++)
        wh_link_timer(link, (wh_link_timer_e)i, -1);
    free(link->rx);
    link->rx = NULL;
    if (link->authorization != NULL)
        wh_sign_wipe(link->authorization, strlen(link->authorization));
    free(link->authorization);
    link->authorization = NULL;
}

void wh_link_loop_wake(void *baton)
{
    wh_link_loop_t *loop = baton;

    lws_cancel_service(loop->cx);
}

void wh_link_loop_run(wh_link_loop_t *loop)
{
    while (!loop->stopped && lws_service(loop->cx, 0) >= 0)
        ;
}

void wh_link_loop_stop(wh_link_loop_t *loop)
{
    loop->stopped = 1;
    lws_cancel_service(loop->cx);
}

void wh_link_loop_destroy(wh_link_loop_t *loop)
{
    lws_sul_schedule(loop->cx, 0, &loop->tick, NULL, LWS_SET_TIMER_USEC_CANCEL);
    lws_context_destroy(loop->cx);
    loop->cx = NULL;
}
