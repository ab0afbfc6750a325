/* Failed credentials by address: a table of fixed size, so that nobody fills memory with addresses.
 * IPv4 by address, IPv6 by its first 64 bits. Pure; belongs to the event loop. */
#ifndef WH_HUB_RATE_H
#define WH_HUB_RATE_H

#include <sys/types.h>

#include "libwh/wh_bucket.h"
#include "libwh/wh_rand.h"

#define WH_HUB_RATE_PER_MINUTE 30
#define WH_HUB_RATE_BURST 20

typedef struct wh_hub_rate_t wh_hub_rate_t;

/* NULL without random numbers. */
wh_hub_rate_t *wh_hub_rate_make(apr_pool_t *p, const wh_rand_t *rnd, wh_mono_t now);

/* Counts a failure. 0 = answer it as it is; else the seconds after which to come again (429).
 * address: 16 bytes, IPv4 mapped into IPv6. */
int wh_hub_rate_failed(wh_hub_rate_t *rate, const unsigned char address[16], wh_mono_t now);

#endif
