/* The line to the hub: one WebSocket at a time, signed frames both ways, a bounded queue out.
 * link.c is the only file that knows libwebsockets; here its callbacks become five events.
 *
 * Everything is called and calls back on the one thread that runs wh_link_run, but wh_link_wake.
 */
#ifndef WH_AGENT_LINK_H
#define WH_AGENT_LINK_H

#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_rand.h"
#include "wh-agent/conf.h"

typedef struct wh_link_t wh_link_t;

/* One-shot timers of the owner. */
typedef enum wh_link_timer_e {
    WH_LINK_T_CONNECT,
    WH_LINK_T_HEARTBEAT,
    WH_LINK_T_LOOK,
    WH_LINK_T_TOKEN,
    WH_LINK_T_FLUSH,
    WH_LINK_T_QUIT,
    WH_LINK_T_COUNT
} wh_link_timer_e;

typedef struct wh_link_end_t {
    int http;   /* the status that refused the upgrade, 0 = none */
    int code;   /* the WebSocket close code of the hub, 0 = none */
    int opened; /* it had been open */
} wh_link_end_t;

typedef struct wh_link_events_t {
    void (*opened)(void *owner);
    /* A verified frame; msg lives until it returns. */
    void (*message)(void *owner, apr_pool_t *p, const wh_proto_msg_t *msg);
    /* The connection, or the attempt, is over. Called once for each wh_link_connect. */
    void (*closed)(void *owner, const wh_link_end_t *end);
    void (*timer)(void *owner, wh_link_timer_e which);
    void (*woken)(void *owner); /* after wh_link_wake, or a signal */
} wh_link_events_t;

typedef struct wh_link_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
    const wh_link_events_t *events;
    void *owner;
} wh_link_opts_t;

/* Errors: internal. */
apr_status_t wh_link_make(apr_pool_t *p, const wh_link_opts_t *opts, wh_link_t **link,
                          wh_err_t *err) WH_MUST_CHECK;

/* Begin to connect. key is the MAC key; both are copied. closed follows, at once when it cannot
 * even be tried. */
void wh_link_connect(wh_link_t *link, const char *token, const unsigned char key[32]);

/* Seal and queue a frame (steals payload, which may be NULL when memory ran out). It is lost when
 * there is no connection; one that cannot keep up is closed (R14). */
void wh_link_send(wh_link_t *link, wh_msg_e type, json_t *payload);

/* Bytes waiting to be written. */
size_t wh_link_queued(const wh_link_t *link);

/* Close from our side. */
void wh_link_close(wh_link_t *link, int code);

/* us < 0 cancels it. */
void wh_link_timer(wh_link_t *link, wh_link_timer_e which, apr_interval_time_t us);

/* Any thread, and signal handlers. */
void wh_link_wake(void *link);

/* Serve until wh_link_stop. */
void wh_link_run(wh_link_t *link);
void wh_link_stop(wh_link_t *link);

/* Close what is open and free it; after wh_link_run. */
void wh_link_destroy(wh_link_t *link);

#endif
