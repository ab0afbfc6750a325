/* Threads that do one thing and end: small stacks, nobody waits for them but at shutdown. */
#ifndef WH_AGENT_THREAD_H
#define WH_AGENT_THREAD_H

#include "libwh/wh_err.h"

#define WH_THREAD_STACK ((size_t)(320 * 1024))

typedef void wh_thread_fn(void *data);

/* Start it. Errors: internal (then fn never runs). Any thread. */
apr_status_t wh_thread_start(wh_thread_fn *fn, void *data, wh_err_t *err) WH_MUST_CHECK;

/* Run it with a low priority, on a thread of its own, and wait for its end: others go first.
 * Errors: internal (then fn never runs). */
apr_status_t wh_thread_low(wh_thread_fn *fn, void *data, wh_err_t *err) WH_MUST_CHECK;

/* How many have been started here and have not ended. */
int wh_thread_running(void);

#endif
