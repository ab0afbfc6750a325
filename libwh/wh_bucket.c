#include "libwh/wh_bucket.h"

#define FIGURE_MAX (INT64_C(1) << 40)

static apr_int64_t hold(apr_int64_t v)
{
    return v < 0 ? 0 : v > FIGURE_MAX ? FIGURE_MAX : v;
}

void wh_bucket_init(wh_bucket_t *bucket, apr_int64_t rate, apr_int64_t burst, wh_mono_t now)
{
    *bucket =
        (wh_bucket_t){.rate = hold(rate), .burst = hold(burst), .level = hold(burst), .last = now};
}

/* What a time too short for a whole unit brings is kept in rest_us, so that asking often does not
 * starve the bucket. */
static void refill(wh_bucket_t *bucket, wh_mono_t now)
{
    apr_int64_t us = now.us - bucket->last.us;
    apr_int64_t missing = bucket->burst - bucket->level;

    bucket->last = now;
    if (us <= 0 || bucket->rate == 0)
        return;
    /* Past the time that fills it nothing happens; this also keeps products in 64 bits. */
    if (us / APR_USEC_PER_SEC > missing / bucket->rate) {
        bucket->level = bucket->burst;
        bucket->rest_us = 0;
        return;
    }
    bucket->level += us / APR_USEC_PER_SEC * bucket->rate;
    bucket->rest_us += us % APR_USEC_PER_SEC * bucket->rate;
    bucket->level += bucket->rest_us / APR_USEC_PER_SEC;
    bucket->rest_us %= APR_USEC_PER_SEC;
    if (bucket->level >= bucket->burst) {
        bucket->level = bucket->burst;
        bucket->rest_us = 0;
    }
}

int wh_bucket_take(wh_bucket_t *bucket, apr_int64_t n, wh_mono_t now)
{
    refill(bucket, now);
    if (n <= 0)
        return 1;
    if (n > bucket->level)
        return 0;
    bucket->level -= n;
    return 1;
}

apr_interval_time_t wh_bucket_wait(wh_bucket_t *bucket, apr_int64_t n, wh_mono_t now)
{
    apr_int64_t missing, whole, part;

    refill(bucket, now);
    missing = n - bucket->level;
    if (missing <= 0)
        return 0;
    if (n > bucket->burst || bucket->rate == 0)
        return -1;
    whole = missing / bucket->rate;
    part = missing % bucket->rate * APR_USEC_PER_SEC - bucket->rest_us;
    if (part > 0)
        part += bucket->rate - 1; /* round up */
    return whole * APR_USEC_PER_SEC + part / bucket->rate;
}
