/* Listens to the engine for containers of ours that end, on a thread of its own that connects again
 * whenever the stream breaks off. It only says that a look is worth it: what is true is looked up.
 */
#ifndef WH_AGENT_EVENTS_H
#define WH_AGENT_EVENTS_H

#include "wh-agent/conf.h"
#include "wh-agent/engine.h"

typedef struct wh_events_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    wh_engine_open_fn *engine;
    const char *agent;
    void (*happened)(void *baton); /* on the events' thread */
    void *baton;
} wh_events_opts_t;

typedef struct wh_events_t wh_events_t;

/* Errors: internal. */
apr_status_t wh_events_start(apr_pool_t *p, const wh_events_opts_t *opts, wh_events_t **events,
                             wh_err_t *err) WH_MUST_CHECK;

/* Ask the thread to end; it does so within moments. NULL is fine. */
void wh_events_stop(wh_events_t *events);

#endif
