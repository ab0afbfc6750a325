/* A request to stop, seen by the thread that works: a flag that is tested between steps and a
 * descriptor that wakes every poll. Set once, never taken back. */
#ifndef WH_AGENT_CANCEL_H
#define WH_AGENT_CANCEL_H

#include "libwh/wh_err.h"

typedef struct wh_cancel_t {
    int fd;              /* readable once set; -1 when there is none */
    volatile int is_set; /* read and written atomically */
} wh_cancel_t;

/* Make it; the descriptor is closed with p. Errors: internal. */
apr_status_t wh_cancel_init(apr_pool_t *p, wh_cancel_t *cancel, wh_err_t *err) WH_MUST_CHECK;

/* Any thread. */
void wh_cancel_set(wh_cancel_t *cancel);

/* Any thread; NULL is never set. */
int wh_cancel_is_set(const wh_cancel_t *cancel);

/* Wait for at most us microseconds, less when the request comes. Returns true when it came. */
int wh_cancel_wait(const wh_cancel_t *cancel, apr_interval_time_t us);

#endif
