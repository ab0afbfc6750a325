#include "libwh/wh_backoff.h"

apr_interval_time_t wh_backoff_wait(apr_interval_time_t first, apr_interval_time_t most,
                                    unsigned attempt, uint32_t random)
{
    apr_interval_time_t base = first;
    apr_interval_time_t half;

    for (unsigned i = 0; i < attempt && base > 0 && base < most; i++)
        base *= 2;
    if (base > most)
        base = most;
    half = base / 2;
    return half + (apr_interval_time_t)(((uint64_t)half * random) >> 32);
}

apr_interval_time_t wh_backoff_next(wh_backoff_t *backoff, uint32_t random)
{
    apr_interval_time_t wait =
        wh_backoff_wait(WH_BACKOFF_FIRST_US, WH_BACKOFF_MAX_US, backoff->attempt, random);

    if (backoff->attempt < 64)
        backoff->attempt++;
    return wait;
}

void wh_backoff_reset(wh_backoff_t *backoff)
{
    backoff->attempt = 0;
}
