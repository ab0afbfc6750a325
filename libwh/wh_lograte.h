/* How much of a connection's log bytes an app may have (F66, F67, R12).
 *
 * All logs of a connection share its bucket: 256 KiB a second, 1 MiB at once. The last quarter of
 * it is kept for quiet apps, those within 16 KiB a second and 64 KiB at once: however loud the
 * others are, they run dry before the bucket does, and what flows in goes to the quiet first. An
 * app alone on its connection has nearly all of it. */
#ifndef WH_LOGRATE_H
#define WH_LOGRATE_H

#include "libwh/wh_bucket.h"

#define WH_LOGRATE_QUIET_RATE (16 * WH_KIB)
#define WH_LOGRATE_QUIET_BURST (64 * WH_KIB)
#define WH_LOGRATE_KEPT (256 * WH_KIB)

/* Of one app, or of one build. */
typedef struct wh_lograte_t {
    wh_bucket_t quiet;
} wh_lograte_t;

/* What a frame is measured by: its connection's bucket, and the time it came. */
typedef struct wh_lograte_now_t {
    wh_bucket_t *connection;
    wh_mono_t now;
} wh_lograte_now_t;

void wh_lograte_init(wh_lograte_t *rate, wh_mono_t now);

/* 1 = n more bytes may be stored, and are taken from the buckets. now NULL = always. */
int wh_lograte_take(wh_lograte_t *rate, const wh_lograte_now_t *now, apr_int64_t n);

#endif
