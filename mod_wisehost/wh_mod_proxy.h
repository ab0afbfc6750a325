/*
 * wh_mod_proxy.h - what the files behind wh_mod_proxy_handler() share.
 *
 *   wh_mod_target    pooled workers of mod_proxy, made at run time; one child's own
 *   wh_mod_upstream  what is known of each upstream: rests, counters; shared by all children
 *   wh_mod_answer    two filters: what an application sends back is bounded and watched
 *   wh_mod_body      bodies of requests that may be sent twice
 *   wh_mod_hold      requests that wait for a switch
 *   wh_mod_proxy     the handler: which upstream, again or not, what the visitor is told
 *
 * Threads: any request thread, unless said otherwise.
 */
#ifndef WH_MOD_PROXY_H
#define WH_MOD_PROXY_H

#include <mod_proxy.h>

#include "libwh/wh_upstream.h"
#include "mod_wisehost/wh_mod_data.h"

#define WH_TARGET_CONNECT_S 3 /* how long a connection may take to be made */

/* ---- targets: wh_mod_target.c -----------------------------------------------------------------
 */

typedef struct wh_target_t {
    const char *name;   /* the authority of the URL */
    const char *socket; /* unix socket, NULL for TCP */
    proxy_worker *worker;
} wh_target_t;

typedef struct wh_target_ask_t {
    const char *address; /* IP address or DNS name, at most WH_ROUTE_STRING_MAX bytes */
    int port;
    const char *socket; /* unix socket instead, or NULL */
    int timeout_s;      /* of a read from it, 0 = the server's */
} wh_target_ask_t;

/* Finds mod_proxy's functions; s of the first server. 0 when mod_proxy is not there. post_config.
 */
int wh_mod_target_post_config(void);
void wh_mod_target_child_init(apr_pool_t *pchild, server_rec *s);
/* The target, made when it is new, held until r->pool ends. NULL when it cannot be made. */
wh_target_t *wh_mod_target_acquire(request_rec *r, const wh_target_ask_t *ask);

/* ---- what is known of upstreams: wh_mod_upstream.c ---------------------------------------------
 */

typedef struct wh_slot_t wh_slot_t; /* in shared memory; never freed, may be given to another */

/* A snapshot of one, for the status page. */
typedef struct wh_mod_upstream_t {
    const char *name; /* address:port */
    apr_uint32_t in_flight;
    apr_uint32_t requests; /* wraps */
    apr_uint32_t errors;   /* attempts that came to nothing, wraps */
    int resting;           /* 1 while new requests go elsewhere */
} wh_mod_upstream_t;

/* Makes the table, empty. Without it (no shared memory: logged) everything works, nobody rests. */
void wh_mod_upstream_post_config(apr_pool_t *pconf, server_rec *s);
/* The slot of an upstream, NULL when there is none to be had. */
wh_slot_t *wh_mod_upstream_slot(const wh_route_upstream_t *up, apr_time_t now);
wh_upstream_state_t wh_mod_upstream_state(const wh_slot_t *slot);
/* Around one attempt; slot may be NULL. The result of begin goes to end. */
apr_uint64_t wh_mod_upstream_begin(wh_slot_t *slot, apr_time_t now);
void wh_mod_upstream_end(wh_slot_t *slot, apr_uint64_t begun, int failed);
/* Its rest is over: true for the one request that finds out whether it is there again. */
int wh_mod_upstream_probe(wh_slot_t *slot, apr_time_t now);
/* A connection could not be made: it rests from now on. One was made: it does not. */
void wh_mod_upstream_refused(wh_slot_t *slot, apr_time_t now, int probing);
void wh_mod_upstream_reached(wh_slot_t *slot);
/* Those used within the last ten minutes: wh_mod_upstream_t, in p. Never NULL. */
apr_array_header_t *wh_mod_upstream_list(apr_pool_t *p, apr_time_t now);

/* ---- answers: wh_mod_answer.c -------------------------------------------------------------------
 */

/* One attempt at one target, from before mod_proxy is called until it returns. */
typedef struct wh_attempt_t {
    const wh_target_t *target;
    int sent;       /* the request went out on a connection */
    int reused;     /* … which had served another before */
    int answered;   /* a byte came back */
    int gone;       /* the client left while we waited */
    int malformed;  /* the head of the answer is nothing to hand on */
    int late;       /* the head of the answer took too long */
    int keepalives; /* of the client's connection, hidden from mod_proxy until there is an answer */
    int hidden;
} wh_attempt_t;

void wh_mod_answer_register(void);
/* Puts the filter in place that completes the answer's head. Once a request. */
void wh_mod_answer_insert(request_rec *r, wh_mod_req_t *req);
/* True when the client of r has closed its side; waits at most that long for it. */
int wh_mod_answer_client_gone(request_rec *r, apr_interval_time_t wait);

/* ---- bodies: wh_mod_body.c ----------------------------------------------------------------------
 */

#define WH_BODY_KEPT 65536 /* bytes of a body; a longer one is sent once */

typedef struct wh_body_t wh_body_t; /* of a request, in its pool */

void wh_mod_body_register(void);
/* From now on what is read of r's body is kept. Once a request, before mod_proxy is called. */
wh_body_t *wh_mod_body_keep(request_rec *r);
/* Lets mod_proxy find what it has read of the body once more. 0 when that is not to be had. */
int wh_mod_body_again(request_rec *r, const wh_body_t *body);

/* ---- waiting: wh_mod_hold.c ---------------------------------------------------------------------
 */

typedef enum wh_hold_e {
    WH_HOLD_NO,   /* nothing to wait for: what was found out before holds */
    WH_HOLD_GO,   /* req->route is another now */
    WH_HOLD_FULL, /* too many wait already */
    WH_HOLD_OVER, /* waited long enough */
    WH_HOLD_GONE  /* the client went away */
} wh_hold_e;

void wh_mod_hold_child_init(server_rec *s);
/* Looks the route of r up again, and waits while a switch is under way: until `until` at most. */
wh_hold_e wh_mod_hold(request_rec *r, wh_mod_req_t *req, apr_time_t until);

#endif
