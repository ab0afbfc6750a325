/* wh_upstream: which of a route's upstreams gets a request. Pure: the state of each upstream and
 * the time are handed in; who keeps them is the caller's business. Thread-safe.
 *
 * An upstream that cannot be connected to rests for 1, 2, 4 … 30 seconds, longer each time in a
 * row. A resting one comes last: it is tried when nobody else is left, so that resting never makes
 * an application unreachable. */
#ifndef WH_UPSTREAM_H
#define WH_UPSTREAM_H

#include <apr_time.h>

#include "libwh/wh_route.h"

#define WH_UPSTREAM_KEY_LEN 16
#define WH_UPSTREAM_TAG_LEN 16
#define WH_UPSTREAM_REST_MAX_S 30

typedef struct wh_upstream_state_t {
    apr_uint32_t failures;  /* connections refused in a row */
    apr_time_t rests_until; /* microseconds, 0 = never rested */
} wh_upstream_state_t;

/* How long an upstream rests after that many failures in a row, microseconds. 0 for none. */
apr_interval_time_t wh_upstream_rest(apr_uint32_t failures);

/* Fills order[0 .. route->n_upstreams - 1] with indexes, best first, and returns how many there
 * are. turn: any number that grows by one a request; among those that do not rest the first is
 * drawn by it, each as often as its weight says. stuck: the upstream that this visitor had before,
 * -1 for none; it goes first unless it rests. */
int wh_upstream_order(const wh_route_t *route, const wh_upstream_state_t *states, apr_time_t now,
                      apr_uint32_t turn, int stuck, int order[WH_ROUTE_UPSTREAMS_MAX]);

/* What a visitor's cookie says of an upstream: SipHash of app, address and port, as hex with its
 * NUL. It tells nothing without the key and cannot be made up. */
void wh_upstream_tag(const unsigned char key[WH_UPSTREAM_KEY_LEN], const wh_route_t *route, int i,
                     char out[WH_UPSTREAM_TAG_LEN + 1]);
/* The upstream of route with this tag, -1 when there is none (any more). tag may be any text. */
int wh_upstream_by_tag(const unsigned char key[WH_UPSTREAM_KEY_LEN], const wh_route_t *route,
                       const char *tag);

#endif
