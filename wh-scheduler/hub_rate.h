/* How often somebody may do what costs us something: wrong credentials by address, connections by
 * worker. A table of fixed size, so that nobody fills memory with addresses; where it is full, who
 * came longest ago is forgotten. IPv4 by address, IPv6 by its first 64 bits. Pure; belongs to the
 * event loop. */
#ifndef WH_HUB_RATE_H
#define WH_HUB_RATE_H

#include <sys/types.h>

#include "libwh/wh_bucket.h"
#include "libwh/wh_rand.h"

typedef struct wh_hub_rate_t wh_hub_rate_t;

typedef struct wh_hub_rate_opt_t {
    int per_minute, burst;
    int entries; /* there is room for as many at least */
} wh_hub_rate_opt_t;

#define WH_HUB_RATE_FAILED_BURST 20
#define WH_HUB_RATE_FAILED                                                                         \
    ((wh_hub_rate_opt_t){.per_minute = 30, .burst = WH_HUB_RATE_FAILED_BURST, .entries = 1024})

/* A connection costs the database half a dozen statements and every assigned job said again. An
 * agent that comes back a moment after each loss needs a few of them in a row, and no more. */
#define WH_HUB_RATE_CAME_BURST 10
#define WH_HUB_RATE_CAME(workers)                                                                  \
    ((wh_hub_rate_opt_t){                                                                          \
        .per_minute = 12, .burst = WH_HUB_RATE_CAME_BURST, .entries = 2 * (workers)})

/* NULL without random numbers. */
wh_hub_rate_t *wh_hub_rate_make(apr_pool_t *p, const wh_rand_t *rnd, wh_hub_rate_opt_t opt);

/* Count a failure, a connection. 0 = go on; else the seconds after which to come again (429).
 * address: 16 bytes, IPv4 mapped into IPv6. */
int wh_hub_rate_failed(wh_hub_rate_t *rate, const unsigned char address[16], wh_mono_t now);
int wh_hub_rate_came(wh_hub_rate_t *rate, apr_int64_t worker, wh_mono_t now);

#endif
