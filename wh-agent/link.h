/* The line to the hub: one WebSocket at a time, signed frames both ways, a bounded queue out.
 * link.c is the only file that knows libwebsockets; here its callbacks become a few events.
 *
 * Many links can share one loop: an agent has one link, the simulator of bench/sim thousands.
 * Everything is called and calls back on the one thread that runs wh_link_loop_run, but
 * wh_link_loop_wake.
 */
#ifndef WH_AGENT_LINK_H
#define WH_AGENT_LINK_H

#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_rand.h"
#include "wh-agent/huburl.h"

typedef struct wh_link_t wh_link_t;
typedef struct wh_link_loop_t wh_link_loop_t;

/* ---- the loop ---- */

typedef struct wh_link_loop_opts_t {
    const char *ca_file;        /* trusted instead of the system's; "" = the system's */
    int tls;                    /* there will be links with TLS */
    int tls13_only;             /* nothing older is spoken */
    int links;                  /* as many at most */
    void (*woken)(void *owner); /* after wh_link_loop_wake, or a signal */
    void (*tick)(void *owner);  /* every tick_us, when that is > 0; may be NULL */
    apr_interval_time_t tick_us;
    void *owner;
} wh_link_loop_opts_t;

/* Errors: internal. */
apr_status_t wh_link_loop_make(apr_pool_t *p, const wh_link_loop_opts_t *opts,
                               wh_link_loop_t **loop, wh_err_t *err) WH_MUST_CHECK;

/* Any thread, and signal handlers. */
void wh_link_loop_wake(void *loop);

/* Serve until wh_link_loop_stop. */
void wh_link_loop_run(wh_link_loop_t *loop);
void wh_link_loop_stop(wh_link_loop_t *loop);

/* Close what is open and free it; after wh_link_loop_run and after wh_link_destroy of its links. */
void wh_link_loop_destroy(wh_link_loop_t *loop);

/* ---- one link ---- */

/* One-shot timers of the owner. */
typedef enum wh_link_timer_e {
    WH_LINK_T_CONNECT,
    WH_LINK_T_HEARTBEAT,
    WH_LINK_T_LOOK,
    WH_LINK_T_USES,
    WH_LINK_T_HOUSE,
    WH_LINK_T_TOKEN,
    WH_LINK_T_FLUSH,
    WH_LINK_T_QUIT,
    WH_LINK_T_WATCHDOG,
    WH_LINK_T_COUNT
} wh_link_timer_e;

typedef struct wh_link_end_t {
    int http;        /* the status that refused the upgrade, 0 = none */
    int code;        /* the WebSocket close code of the hub, 0 = none */
    int opened;      /* it had been open */
    const char *url; /* where it was */
} wh_link_end_t;

typedef struct wh_link_events_t {
    void (*opened)(void *owner);
    /* A verified frame; msg lives until it returns. */
    void (*message)(void *owner, apr_pool_t *p, const wh_proto_msg_t *msg);
    /* The connection, or the attempt, is over. Called once for each wh_link_connect. */
    void (*closed)(void *owner, const wh_link_end_t *end);
    void (*timer)(void *owner, wh_link_timer_e which); /* NULL when none is set */
} wh_link_events_t;

typedef struct wh_link_opts_t {
    wh_link_loop_t *loop;
    const apr_array_header_t *urls; /* wh_huburl_t, at least one; borrowed */
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
    const wh_link_events_t *events;
    void *owner;
} wh_link_opts_t;

wh_link_t *wh_link_make(apr_pool_t *p, const wh_link_opts_t *opts);

/* Begin to connect. key is the MAC key; both are copied. closed follows, at once when it cannot
 * even be tried. An attempt that fails makes the next one go to the next address; after a line that
 * had been open, and after a refusal by 401 (which another token may cure), the order begins anew
 * or stays. */
void wh_link_connect(wh_link_t *link, const char *token, const unsigned char key[32]);

/* The address in use, or to be tried next. */
const char *wh_link_url(const wh_link_t *link);

/* Seal and queue a frame (steals payload, which may be NULL when memory ran out). It is lost when
 * there is no connection; one that cannot keep up is closed (R14). */
void wh_link_send(wh_link_t *link, wh_msg_e type, json_t *payload);

/* Bytes waiting to be written. */
size_t wh_link_queued(const wh_link_t *link);

/* Close from our side. */
void wh_link_close(wh_link_t *link, int code);

/* Cut it off without a word, as a dead machine would. For the simulator. */
void wh_link_cut(wh_link_t *link);

/* Read no more, read again. For the simulator. */
void wh_link_deaf(wh_link_t *link, int deaf);

/* us < 0 cancels it. */
void wh_link_timer(wh_link_t *link, wh_link_timer_e which, apr_interval_time_t us);

/* Nothing is called back any more, and what it holds is freed; the loop closes the connection. */
void wh_link_destroy(wh_link_t *link);

#endif
