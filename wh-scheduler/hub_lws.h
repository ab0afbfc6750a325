/* What the files of the hub that speak with libwebsockets share: hub.c (connections, posts,
 * timers), hub_listen.c (sockets, who may knock), hub_upgrade.c (who may come in). Nobody else
 * includes it. */
#ifndef WH_HUB_LWS_H
#define WH_HUB_LWS_H

#include <libwebsockets.h>

#include "wh-scheduler/hub.h"
#include "wh-scheduler/hub_auth.h"
#include "wh-scheduler/hub_dispatch.h"
#include "wh-scheduler/hub_rate.h"
#include "wh-scheduler/say.h"
#include "wh-scheduler/tls.h"

typedef enum wh_hub_way_e { WH_HUB_WAY_UNIX, WH_HUB_WAY_TLS, WH_HUB_WAYS } wh_hub_way_e;

/* Accepted, not upgraded yet. Each listener has room for so many of them, so that those who knock
 * at one never keep others from coming in at the other. */
#define WH_HUB_HALF_MAX 96
#define WH_HUB_HALF_US APR_INT64_C(3500000) /* G20: gone within 5 s */
/* Descriptors that the process keeps for the database, logs, routes. */
#define WH_HUB_SPARE_FILES 96

typedef struct wh_hub_half_t {
    struct wh_hub_half_t *next, **at;
    struct lws *wsi;
    wh_hub_way_e way;
    wh_mono_t since;
    unsigned char address[16];
    int out; /* it has to go: another comes in its place */
} wh_hub_half_t;

#define WH_HUB_SESSION_MAGIC 0x77684855u

/* Per connection of libwebsockets; conn is ours and outlives it by nothing. */
typedef struct wh_hub_session_t {
    unsigned magic;
    wh_hub_conn_t *conn;
} wh_hub_session_t;

struct wh_hub_t {
    wh_hub_opt_t opt;
    wh_hub_env_t env;
    struct lws_context *context;
    struct lws_vhost *vhost[WH_HUB_WAYS];
    wh_hub_conn_t *conns;
    wh_idmap_t by_id, by_worker;
    int n_conns, room; /* room: connections of any kind for which there are descriptors */
    int crowded;       /* it was said that there is little room left */
    wh_hub_half_t *halves;
    int n_halves[WH_HUB_WAYS], n_out[WH_HUB_WAYS]; /* n_out: of the halves, those that have to go */
    apr_uint64_t last_id;
    int draining;
    wh_hub_auth_t auth;
    wh_roster_t *roster;
    wh_hub_rate_t *failed, *came;
    wh_says_t says; /* about who comes too often */
    wh_tls_t *tls; /* NULL without a listener of our own */
    lws_sorted_usec_list_t second, trim, pace;
};

static inline wh_hub_t *wh_hub_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* ---- hub.c ---- */
extern const struct lws_protocols wh_hub_protocols[];
extern const lws_retry_bo_t wh_hub_idle_policy;
/* A connection that is let in. 0, or -1 when memory ran out. */
int wh_hub_enter(wh_hub_t *hub, struct lws *wsi, wh_hub_session_t *session, apr_int64_t worker,
                 const char *agent_nonce);

/* ---- hub_listen.c ---- */
apr_status_t wh_hub_listen(wh_hub_t *hub, wh_err_t *err);
wh_hub_way_e wh_hub_way(struct lws *wsi);
/* LWS_CALLBACK_FILTER_NETWORK_CONNECTION: nonzero = hang up. */
int wh_hub_knock(struct lws *wsi, int fd);
int wh_hub_half_begin(struct lws *wsi);
void wh_hub_half_end(struct lws *wsi);
void wh_hub_half_sweep(wh_hub_t *hub);
void wh_hub_say_room(wh_hub_t *hub);
/* The address of the other end, IPv4 mapped into IPv6; all zero when it has none. */
void wh_hub_address(struct lws *wsi, unsigned char out[16], char text[64]);

/* ---- hub_upgrade.c ---- */
/* LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: who may upgrade. wanted: the subprotocol that was
 * chosen. */
int wh_hub_upgrade(struct lws *wsi, wh_hub_session_t *session, const char *wanted);
int wh_hub_add_headers(struct lws *wsi, wh_hub_session_t *session,
                       struct lws_process_html_args *args);
/* LWS_CALLBACK_HTTP: everything that is no upgrade. */
int wh_hub_http(struct lws *wsi, const char *uri);

#endif
