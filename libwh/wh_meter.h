/* wh_meter: figures of requests: how long they took as a histogram, and the last minutes of them.
 *
 * A sum only grows. What came between two looks at it is a slot, small enough that an hour of them
 * can be kept for each app; slots of a ring carry the number of their tick, so that one that was
 * not written again is nobody's and silence costs no memory.
 *
 * Bounds of the histogram are 1, 2, 3, 5, 7 of each decade from 100 us to 100 s: a quantile read
 * between two of them is off by less than a fifth, and every bound is a round number for others.
 *
 * Pure and thread-safe. */
#ifndef WH_METER_H
#define WH_METER_H

#include "libwh/wh_types.h"

typedef enum wh_meter_e {
#define WH_METER(width, name, field) WH_METER_##name,
#include "libwh/wh_meter.def"
#undef WH_METER
    WH_METERS
} wh_meter_e;

#define WH_METER_BUCKETS 32 /* the last has no bound */
#define WH_METER_WIDE 2
#define WH_METER_TICK_S 10
#define WH_METER_TICKS 6    /* of the last minute */
#define WH_METER_MINUTES 60 /* of the last hour */

/* Upper bounds in microseconds, growing; a duration of just that belongs below. */
extern const apr_int64_t wh_meter_bounds_us[WH_METER_BUCKETS - 1];

typedef struct wh_meter_sum_t {
    apr_uint64_t of[WH_METERS];
    apr_uint64_t took[WH_METER_BUCKETS];
} wh_meter_sum_t;

/* A stretch of time. stamp: the number of its tick or minute and one, 0 = never written. */
typedef struct wh_meter_slot_t {
    apr_uint64_t wide[WH_METER_WIDE]; /* the WIDE ones, in the order of the table */
    apr_uint32_t n[WH_METERS];        /* the others */
    apr_uint32_t took[WH_METER_BUCKETS];
    apr_uint32_t stamp;
} wh_meter_slot_t;

/* Which bucket a duration falls into; what is negative (a clock was set) counts as nothing. */
int wh_meter_bucket(apr_int64_t us);

/* Which meter a status is counted by: WH_METER_1XX and its like. */
wh_meter_e wh_meter_class(int status);

/* All requests of a sum: those of every class. */
apr_uint64_t wh_meter_requests(const wh_meter_sum_t *sum);

/* Adds what came between two sums to a slot of that stamp; a slot of another is begun anew. */
void wh_meter_note(wh_meter_slot_t *slot, apr_uint32_t stamp, const wh_meter_sum_t *now,
                   const wh_meter_sum_t *before);

/* Adds a slot of that stamp to a sum; another's is left. Returns whether it was added. */
int wh_meter_add(wh_meter_sum_t *sum, const wh_meter_slot_t *slot, apr_uint32_t stamp);

/* now - before into *out. */
void wh_meter_between(wh_meter_sum_t *out, const wh_meter_sum_t *now, const wh_meter_sum_t *before);

/* The duration that part q (0-1) of the timed requests did not exceed, in microseconds, by a line
 * between the bounds; -1 when none was timed. What lies beyond the last bound is called that. */
apr_int64_t wh_meter_quantile_us(const wh_meter_sum_t *sum, double q);

/* How many requests were timed. */
apr_uint64_t wh_meter_timed(const wh_meter_sum_t *sum);

#endif
