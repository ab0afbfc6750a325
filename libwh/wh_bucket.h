/* A token bucket: `rate` units a second on average, up to `burst` at once. Used for log bytes and
 * for requests. Pure: `now` is handed in; a clock that goes back adds nothing, breaks nothing. */
#ifndef WH_BUCKET_H
#define WH_BUCKET_H

#include "libwh/wh_types.h"

#define WH_BUCKET_LOG_RATE (256 * WH_KIB) /* log bytes a second of a connection */
#define WH_BUCKET_LOG_BURST WH_MIB

typedef struct wh_bucket_t {
    apr_int64_t rate;    /* units a second, ≥ 0 */
    apr_int64_t burst;   /* units, ≥ 0 */
    apr_int64_t level;   /* whole units there now */
    apr_int64_t rest_us; /* time not yet turned into a unit, times rate */
    wh_mono_t last;
} wh_bucket_t;

/* A full bucket. Negative figures count as 0; both are held below 2^40. */
void wh_bucket_init(wh_bucket_t *bucket, apr_int64_t rate, apr_int64_t burst, wh_mono_t now);

/* Take n units. Returns 1, or 0 and takes nothing when they are not there. n <= 0 is always had. */
int wh_bucket_take(wh_bucket_t *bucket, apr_int64_t n, wh_mono_t now);

/* Microseconds until n units are there: 0 = now, -1 = never (n over the burst, or rate 0). */
apr_interval_time_t wh_bucket_wait(wh_bucket_t *bucket, apr_int64_t n, wh_mono_t now);

#endif
