/* wh_usage: what apps used, in buckets of five minutes (R1).
 *
 * Each app that has figures is sampled once a minute, and the whole row of its present bucket is
 * written each time: the last write wins, so what is written twice counts once, and a crash loses
 * the minute since the last sample at most. The row after a bucket is over is the accumulator as
 * it was then (F170).
 *
 * Everything is an integer: sums with the number of samples stand in the row, so an average of any
 * stretch of time is exact. What went over the network is the growth of each container's own
 * total; a total that went back began anew and counts from zero, and a container that was not
 * there before counts from zero, too. So neither a new deployment nor a restart counts anything
 * twice.
 *
 * As wh_alert_plan.h: a sample is planned, written, and only then taken over. Pure; a book belongs
 * to one thread. */
#ifndef WH_USAGE_H
#define WH_USAGE_H

#include <apr_tables.h>
#include <jansson.h>

#include "libwh/wh_stats.h"

#define WH_USAGE_BUCKET_US APR_INT64_C(300000000)                /* F166 */
#define WH_USAGE_EVERY_US APR_INT64_C(60000000)                  /* F167 */
#define WH_USAGE_KEPT_US (APR_INT64_C(90) * 24 * 3600 * 1000000) /* F166 */
#define WH_USAGE_POINTS_MAX 2016                                 /* a week of buckets */

typedef struct wh_usage_row_t {
    const char *app_id;
    apr_time_t start;
    apr_int64_t samples;
    apr_int64_t cpu_sum, cpu_max;       /* thousandths of a core */
    apr_int64_t memory_sum, memory_max; /* bytes */
    apr_int64_t net_sum, net_max;       /* bytes a second, both ways */
    apr_int64_t net_bytes;              /* F171: in this bucket */
} wh_usage_row_t;

/* What a container's total was when it was counted last. */
typedef struct wh_usage_part_t {
    const char *app_id, *deployment;
    apr_int64_t worker, net_total;
} wh_usage_part_t;

/* F172: UTC, cut to five minutes. */
apr_time_t wh_usage_bucket(apr_time_t at);

typedef struct wh_usage_book_t wh_usage_book_t;

/* Freed with p. fresh: nothing was ever sampled here, so totals that are met first are only where
 * counting begins. */
wh_usage_book_t *wh_usage_book_make(apr_pool_t *p, int fresh);

/* As it is stored. Return 0 when memory is out. */
int wh_usage_book_row(wh_usage_book_t *book, const wh_usage_row_t *row);
int wh_usage_book_part(wh_usage_book_t *book, const wh_usage_part_t *part);

typedef struct wh_usage_sample_t {
    apr_array_header_t *rows;  /* wh_usage_row_t: the present bucket of each app that has figures */
    apr_array_header_t *parts; /* wh_usage_part_t: those whose total has changed */
} wh_usage_sample_t;

/* In p, with texts of stats. */
void wh_usage_sample(wh_usage_book_t *book, apr_pool_t *p, const wh_stats_t *stats, apr_time_t now,
                     wh_mono_t mono, wh_usage_sample_t *out);

/* It was written. Returns 0 when memory is out: the book is to be made anew. */
int wh_usage_done(wh_usage_book_t *book, const wh_usage_sample_t *sample);

/* ---- what is asked for ---- */

typedef struct wh_usage_query_t {
    apr_time_t from, to; /* [from, to), both at the edge of a bucket */
    apr_interval_time_t step;
} wh_usage_query_t;

/* Texts of the request, NULL = not given: a day up to now; step_s 0 = as fine as 300 points allow.
 * F27: nothing before the window of 90 days is asked for. Codes (400): bad_parameter. */
apr_status_t wh_usage_query(const char *from, const char *to, apr_int64_t step_s, apr_time_t now,
                            wh_usage_query_t *out, wh_err_t *err) WH_MUST_CHECK;

/* {"app","from","to","step_seconds","points":[…],"total":{…}} of rows (wh_usage_row_t) that begin
 * at steps. New reference. */
json_t *wh_usage_json(apr_pool_t *p, const char *slug, const wh_usage_query_t *query,
                      const apr_array_header_t *rows);

#endif
