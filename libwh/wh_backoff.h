/* Waiting before trying again: 0.5 s, doubling to 30 s, each wait drawn from its upper half so that
 * a thousand clients do not come back in step. Pure: the caller brings the random bits and the
 * clock. */
#ifndef WH_BACKOFF_H
#define WH_BACKOFF_H

#include "libwh/wh_types.h"

#define WH_BACKOFF_FIRST_US ((apr_interval_time_t)500000)
#define WH_BACKOFF_MAX_US ((apr_interval_time_t)30000000)

typedef struct wh_backoff_t {
    unsigned attempt; /* failures since the last success; {0} is a fresh one */
} wh_backoff_t;

/* How long to wait now, in [base/2, base]; counts one more failure. random: 32 bits, see
 * wh_rand_jitter. */
apr_interval_time_t wh_backoff_next(wh_backoff_t *backoff, uint32_t random);

/* The same with bounds of the caller's, who counts the failures; most is at most two hours. */
apr_interval_time_t wh_backoff_wait(apr_interval_time_t first, apr_interval_time_t most,
                                    unsigned attempt, uint32_t random);

/* It worked: start over. */
void wh_backoff_reset(wh_backoff_t *backoff);

#endif
