#include "libwh/wh_backoff.h"

apr_interval_time_t wh_backoff_next(wh_backoff_t *backoff, uint32_t random)
{
    apr_interval_time_t base = WH_BACKOFF_FIRST_US;
    apr_interval_time_t half;

    for (unsigned i = 0; i < backoff->attempt && base < WH_BACKOFF_MAX_US; i++)
        base *= 2;
    if (base > WH_BACKOFF_MAX_US)
        base = WH_BACKOFF_MAX_US;
    if (backoff->attempt < 64)
        backoff->attempt++;
    half = base / 2;
    return half + (apr_interval_time_t)(((uint64_t)half * random) >> 32);
}

void wh_backoff_reset(wh_backoff_t *backoff)
{
    backoff->attempt = 0;
}
