/* systemd's watchdog (WatchdogSec): it is told that we live only while both threads do. The event
 * loop calls at each turn, so a loop that hangs says nothing; the database thread leaves a mark
 * whenever it comes round, and when that mark is old nothing is said for it either. Without
 * WATCHDOG_USEC nothing happens. */
#ifndef WH_WATCHDOG_H
#define WH_WATCHDOG_H

#include <stdatomic.h>

#include "libwh/wh_clock.h"

typedef struct wh_watchdog_t {
    apr_interval_time_t limit; /* 0 = nobody watches */
    wh_mono_t next;
    _Atomic apr_int64_t mark; /* of the database thread, in monotonic microseconds */
} wh_watchdog_t;

/* usec and pid as systemd leaves them in the environment (NULL = unset); ours is our own pid. */
void wh_watchdog_init(wh_watchdog_t *dog, const char *usec, const char *pid, long ours,
                      wh_mono_t now);

/* The database thread comes round. NULL = nobody watches. */
void wh_watchdog_mark(wh_watchdog_t *dog, wh_mono_t now);

/* 1 when it is time to say that we live, and true; then the next time is set: a quarter of the
 * limit later, and the mark must not be older than half of it. */
int wh_watchdog_due(wh_watchdog_t *dog, wh_mono_t now);

#endif
