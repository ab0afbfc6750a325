/* wh_stats: what the running apps use just now, in memory only (F2). One part for each deployment
 * of an app on each worker that reports it; what is asked for is the app, which is the sum of its
 * parts that are not stale.
 *
 * A part expires 45 s after its last report (F3, F69): at 45 s it is still there, a microsecond
 * later it is not. Rates come from the difference of two totals; a total that went back (the
 * container began anew) counts from zero, so that no rate is ever negative. Everything inside is
 * bytes, seconds and thousandths of a core (R6).
 *
 * What an app used in all, for those who ask seldom, is counted here, too, from what came between
 * two reports of a part. What is met first is where its counting begins, and a total that went
 * back adds nothing: a container out of several may have ended, and too little for 15 s is better
 * than what was never used. An app that is swept begins anew.
 *
 * Pure: the time is handed in. Not thread-safe: the table belongs to one thread. */
#ifndef WH_STATS_H
#define WH_STATS_H

#include "libwh/wh_proto_msg.h"

#define WH_STATS_TTL_US APR_INT64_C(45000000)
#define WH_STATS_PARTS_MAX 65536

typedef struct wh_stats_t wh_stats_t;

/* F71, F72 */
typedef struct wh_stats_live_t {
    apr_int64_t cpu_millis; /* percent of a core = cpu_millis / 10 */
    apr_int64_t memory_bytes, memory_limit_bytes;
    apr_int64_t net_rx_per_s, net_tx_per_s, disk_read_per_s, disk_write_per_s; /* bytes */
    apr_int64_t net_bytes, disk_bytes; /* totals of both ways, since the containers began */
    apr_time_t updated_at;             /* of the newest part */
    int parts;
    apr_int64_t used_cpu_us, used_rx, used_tx, used_read, used_write; /* counted, only growing */
    int rated; /* parts of which there were two reports: only they have rates */
} wh_stats_live_t;

/* At most max parts. Everything is freed with p. */
wh_stats_t *wh_stats_make(apr_pool_t *p, int max);

/* Takes a report of a worker. Sweeps what is stale when the TTL has passed since the last sweep
 * (F133). Returns 0 when it found no room. */
int wh_stats_put(wh_stats_t *stats, apr_int64_t worker, const wh_msg_app_use_t *use, apr_time_t now,
                 wh_mono_t mono);

/* F4, F134: 0 = nothing is known of this app, or it is stale; *out is zeroed then. */
int wh_stats_get(const wh_stats_t *stats, const char *app, wh_mono_t mono, wh_stats_live_t *out);

typedef void wh_stats_fn(void *baton, const char *app, const wh_stats_live_t *live);
/* Calls fn for up to max apps that are not stale. Returns how many there were. fn must not change
 * the table, nor look into it: to find an app moves it. */
int wh_stats_each(const wh_stats_t *stats, wh_mono_t mono, int max, wh_stats_fn *fn, void *baton);

/* A part by itself; texts of the table. */
typedef struct wh_stats_part_t {
    const char *app, *deployment;
    apr_int64_t worker, net_bytes; /* total of both ways, since the container began */
} wh_stats_part_t;

/* Up to max parts of an app that are not stale; returns how many. */
int wh_stats_parts(const wh_stats_t *stats, const char *app, wh_mono_t mono, wh_stats_part_t *parts,
                   int max);

/* F135 */
void wh_stats_delete_app(wh_stats_t *stats, const char *app);

/* Parts in the table, stale ones that were not swept included. */
int wh_stats_count(const wh_stats_t *stats);

#endif
