/* One look at a container from outside: GET path at address:port. */
#ifndef WH_AGENT_PROBE_H
#define WH_AGENT_PROBE_H

#include "libwh/wh_err.h"
#include "wh-agent/cancel.h"

typedef struct wh_probe_t {
    const char *address;
    apr_int64_t port;
    const char *path;
    apr_interval_time_t timeout_us; /* of this one look */
} wh_probe_t;

typedef struct wh_probe_seen_t {
    int connected; /* something took the connection and did not close it at once */
    int status;    /* HTTP status, 0 = no answer */
} wh_probe_seen_t;

/* Never fails: nothing seen is an answer too. Blocks for at most the timeout. No redirect is
 * followed, the body is not read. */
void wh_probe_look(apr_pool_t *p, const wh_probe_t *probe, wh_probe_seen_t *seen);

/* The pause after the n-th look without success (from 0): 50 ms, doubling every fourth time to 2 s.
 */
apr_interval_time_t wh_probe_pause(unsigned n);

#endif
