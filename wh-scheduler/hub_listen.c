/* The two doors of the hub: the unix socket for httpd and, where it is switched on, a TLS 1.3
 * listener for agents. Who may knock, how many, and for how long without coming in. */
#include "wh-scheduler/hub_lws.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"

#define FULL_PERCENT 80
#define CALM_PERCENT 70
#define CERT_WARN_S (14 * 86400)

wh_hub_way_e wh_hub_way(struct lws *wsi)
{
    return lws_get_vhost(wsi) == wh_hub_of(wsi)->vhost[WH_HUB_WAY_TLS] ? WH_HUB_WAY_TLS
                                                                       : WH_HUB_WAY_UNIX;
}

static void address_of(int fd, unsigned char out[16], char text[64])
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);

    memset(out, 0, 16);
    text[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&sa, &len) != 0) {
        return;
    }
    if (sa.ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)&sa;

        out[10] = out[11] = 0xff;
        memcpy(out + 12, &in4->sin_addr, 4);
        (void)inet_ntop(AF_INET, &in4->sin_addr, text, 64);
    } else if (sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sa;

        memcpy(out, &in6->sin6_addr, 16);
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, 64);
    }
}

void wh_hub_address(struct lws *wsi, unsigned char out[16], char text[64])
{
    address_of(lws_get_socket_fd(wsi), out, text);
}

/* ---- Knocking ---- */

/* On the unix socket only httpd, root and ourselves. */
static int peer_wrong(const wh_hub_t *hub, int fd)
{
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
    return 0;
}

/* How many of one address are at a door, and the one of them that has been there longest. */
static int crowd_of(wh_hub_half_t *halves, wh_hub_way_e way, const unsigned char address[16],
                    wh_hub_half_t **oldest)
{
    int n = 0;

    for (wh_hub_half_t *h = halves; h != NULL; h = h->next) {
        if (h->way == way && !h->out && memcmp(h->address, address, sizeof(h->address)) == 0) {
            n++;
            *oldest = h; /* newer ones come first in the list */
        }
    }
    return n;
}

/* A door is full: whoever has fewer there than another address has takes the place of that one's
 * oldest, so that one address alone keeps nobody out. 1 = there is room now. */
static int make_room(wh_hub_t *hub, wh_hub_way_e way, int fd)
{
    unsigned char address[16];
    char text[64];
    wh_hub_half_t *own = NULL, *oldest = NULL;
    int most = 0;

    address_of(fd, address, text);
    for (const wh_hub_half_t *h = hub->halves; h != NULL; h = h->next) {
        wh_hub_half_t *its = NULL;
        int n = h->way == way && !h->out ? crowd_of(hub->halves, way, h->address, &its) : 0;

        if (n > most) {
            most = n;
            oldest = its;
        }
    }
    if (oldest == NULL || crowd_of(hub->halves, way, address, &own) + 1 >= most) {
        return 0;
    }
    oldest->out = 1;
    hub->n_out[way]++;
    lws_set_timeout(oldest->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    return 1;
}

/* Only while there is room: beyond that every accept would fail at the limit of descriptors, in a
 * busy loop. */
int wh_hub_knock(struct lws *wsi, int fd)
{
    wh_hub_t *hub = wh_hub_of(wsi);
    wh_hub_way_e way = wh_hub_way(wsi);

    if (way == WH_HUB_WAY_UNIX && peer_wrong(hub, fd)) {
        return 1;
    }
    if (hub->n_halves[way] - hub->n_out[way] >= WH_HUB_HALF_MAX &&
        (way == WH_HUB_WAY_UNIX || hub->n_halves[way] >= 2 * WH_HUB_HALF_MAX ||
         !make_room(hub, way, fd))) {
        return 1;
    }
    return hub->draining ||
           hub->n_conns + hub->n_halves[WH_HUB_WAY_UNIX] + hub->n_halves[WH_HUB_WAY_TLS] >=
               hub->room;
}

int wh_hub_half_begin(struct lws *wsi)
{
    wh_hub_t *hub = wh_hub_of(wsi);
    wh_hub_half_t *half = calloc(1, sizeof(*half));
    char text[64];

    if (half == NULL) {
        return -1;
    }
    half->wsi = wsi;
    half->way = wh_hub_way(wsi);
    half->since = wh_clock_mono(hub->opt.clock);
    wh_hub_address(wsi, half->address, text);
    half->next = hub->halves;
    half->at = &hub->halves;
    if (half->next != NULL) {
        half->next->at = &half->next;
    }
    hub->halves = half;
    hub->n_halves[half->way]++;
    lws_set_opaque_user_data(wsi, half);
    return 0;
}

void wh_hub_half_end(struct lws *wsi)
{
    wh_hub_half_t *half = lws_get_opaque_user_data(wsi);

    if (half == NULL) {
        return;
    }
    lws_set_opaque_user_data(wsi, NULL);
    wh_hub_of(wsi)->n_halves[half->way]--;
    wh_hub_of(wsi)->n_out[half->way] -= half->out;
    *half->at = half->next;
    if (half->next != NULL) {
        half->next->at = half->at;
    }
    free(half);
}

/* G20. The library's own timeouts begin anew with every step of the handshake; this one does not.
 */
void wh_hub_half_sweep(wh_hub_t *hub)
{
    wh_mono_t now = wh_clock_mono(hub->opt.clock);

    for (wh_hub_half_t *half = hub->halves; half != NULL; half = half->next) {
        if (wh_mono_diff(now, half->since) >= WH_HUB_HALF_US) {
            lws_set_timeout(half->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        }
    }
}

void wh_hub_say_room(wh_hub_t *hub)
{
    if (!hub->crowded && hub->n_conns * 100 >= hub->opt.max_workers * FULL_PERCENT) {
        hub->crowded = 1;
        wh_log(WH_LOG_WARN, "WH0407",
               "%d of %d workers are connected: raise max_workers before it is full", hub->n_conns,
               hub->opt.max_workers);
    } else if (hub->crowded && hub->n_conns * 100 < hub->opt.max_workers * CALM_PERCENT) {
        hub->crowded = 0;
    }
}

/* ---- Opening ---- */

static void find_room(wh_hub_t *hub)
{
    struct rlimit files;

    hub->room = hub->opt.max_workers + WH_HUB_WAYS * WH_HUB_HALF_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY &&
        files.rlim_cur < (rlim_t)hub->room + WH_HUB_SPARE_FILES) {
        hub->room = files.rlim_cur > WH_HUB_SPARE_FILES + 16
                        ? (int)(files.rlim_cur - WH_HUB_SPARE_FILES)
                        : 16;
        wh_log(WH_LOG_WARN, "WH0408",
               "only %lu files may be open: there is room for %d connections, not for max_workers "
               "%d",
               (unsigned long)files.rlim_cur, hub->room, hub->opt.max_workers);
    }
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

static apr_status_t make_context(wh_hub_t *hub, wh_err_t *err)
{
    struct lws_context_creation_info info;

    memset(&info, 0, sizeof(info));
    lws_set_log_level(LLL_ERR | LLL_WARN, lws_said);
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8 |
                   (hub->tls != NULL ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0);
    info.fd_limit_per_thread = (unsigned)hub->room + 32;
    info.max_http_header_data = 8192;
    info.max_http_header_pool = WH_HUB_WAYS * WH_HUB_HALF_MAX;
    info.pt_serv_buf_size = 16384;
    info.timeout_secs = 4; /* a step of the handshake; a TLS peer that does not answer our end */
    info.user = hub;
    hub->context = lws_create_context(&info);
    return hub->context != NULL
               ? APR_SUCCESS
               : wh_err_set(err, 500, "hub_failed", "libwebsockets makes no context");
}

static void fill(struct lws_context_creation_info *info, const char *name)
{
    memset(info, 0, sizeof(*info));
    info->protocols = wh_hub_protocols;
    info->vhost_name = name;
    info->retry_and_idle_policy = &wh_hub_idle_policy;
    info->timeout_secs_ah_idle = 4;
    info->keepalive_timeout = 4;
    info->options = LWS_SERVER_OPTION_VALIDATE_UTF8;
}

static apr_status_t open_unix(wh_hub_t *hub, wh_err_t *err)
{
    struct lws_context_creation_info info;

    fill(&info, "hub");
    info.options |= LWS_SERVER_OPTION_UNIX_SOCK;
    info.iface = hub->opt.socket;
    hub->vhost[WH_HUB_WAY_UNIX] = lws_create_vhost(hub->context, &info);
    if (hub->vhost[WH_HUB_WAY_UNIX] == NULL) {
        return wh_err_set(err, 500, "hub_socket",
                          "the hub socket %s cannot be made: is its directory there and ours?",
                          hub->opt.socket);
    }
    /* The library's own unix_socket_perms does nothing when the owner is root. */
    if (chown(hub->opt.socket, (uid_t)-1, hub->opt.httpd_gid) != 0) {
        wh_log(WH_LOG_WARN, "WH0404",
               "hub socket %s: its group cannot be set, httpd may find it shut", hub->opt.socket);
    }
    if (chmod(hub->opt.socket, 0770) != 0) {
        wh_log(WH_LOG_WARN, "WH0405", "hub socket %s: its mode cannot be set", hub->opt.socket);
    }
    return APR_SUCCESS;
}

static void say_cert(const wh_hub_t *hub)
{
    apr_int64_t left = wh_tls_left_s(hub->tls, wh_clock_now(hub->opt.clock));

    if (left < CERT_WARN_S) {
        wh_log(WH_LOG_WARN, "WH0409",
               "the certificate %s ends in %" APR_INT64_T_FMT
               " days: replace the files, then SIGHUP",
               hub->opt.listen_cert, left / 86400);
    }
}

static apr_status_t open_tls(wh_hub_t *hub, wh_err_t *err)
{
    struct lws_context_creation_info info;

    fill(&info, "tls");
    info.options |=
        LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
    if (strchr(hub->opt.listen_host, ':') == NULL) {
        info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
    }
    info.iface = hub->opt.listen_host;
    info.port = hub->opt.listen_port;
    info.ssl_cert_filepath = hub->opt.listen_cert;
    info.ssl_private_key_filepath = hub->opt.listen_key;
    info.alpn = "http/1.1";
    hub->vhost[WH_HUB_WAY_TLS] = lws_create_vhost(hub->context, &info);
    if (hub->vhost[WH_HUB_WAY_TLS] == NULL) {
        return wh_err_set(err, 500, "hub_listen",
                          "the hub cannot listen on %s port %d: is the address this machine's, the "
                          "port free, and above 1023?",
                          hub->opt.listen_host, hub->opt.listen_port);
    }
    wh_log(WH_LOG_INFO, NULL, "agents may connect to %s port %d", hub->opt.listen_host,
           hub->opt.listen_port);
    say_cert(hub);
    return APR_SUCCESS;
}

apr_status_t wh_hub_listen(wh_hub_t *hub, wh_err_t *err)
{
    apr_status_t rv;

    find_room(hub);
    rv = make_context(hub, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = open_unix(hub, err);
    rv = rv == APR_SUCCESS && hub->tls != NULL ? open_tls(hub, err) : rv;
    if (rv != APR_SUCCESS) {
        lws_context_destroy(hub->context);
        hub->context = NULL;
    }
    return rv;
}

void wh_hub_reload(wh_hub_t *hub)
{
    wh_err_t err = WH_ERR_INIT;

    if (hub->tls == NULL) {
        return;
    }
    if (wh_tls_reload(hub->tls, wh_clock_now(hub->opt.clock), &err) != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0500", "the former certificate stays in use: %s", err.text);
        return;
    }
    wh_log(WH_LOG_INFO, NULL, "certificate read again");
    say_cert(hub);
}
