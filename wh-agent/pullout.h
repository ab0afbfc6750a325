/* What an engine says while it pulls: its lines for the log, how far it is, and whether it is too
 * much. */
#ifndef WH_AGENT_PULLOUT_H
#define WH_AGENT_PULLOUT_H

#include "wh-agent/buildout.h"
#include "wh-agent/engine.h"

#define WH_PULLOUT_LAYERS_MAX 256
#define WH_PULLOUT_SAY_US ((apr_interval_time_t)5 * APR_USEC_PER_SEC)

typedef struct wh_pullout_layer_t {
    char id[65];
    apr_int64_t total, now; /* bytes, as they travel */
} wh_pullout_layer_t;

typedef struct wh_pullout_t {
    const wh_engine_pull_t *what;
    const wh_clock_t *clock;
    wh_buildout_t lines;
    wh_mono_t said;
    wh_pullout_layer_t layers[WH_PULLOUT_LAYERS_MAX];
    int n;
    apr_int64_t total, now; /* of all that were heard of; more come as it goes on */
} wh_pullout_t;

/* what is borrowed for as long as out is used. Errors: internal. */
apr_status_t wh_pullout_init(apr_pool_t *p, wh_pullout_t *out, const wh_engine_pull_t *what,
                             const wh_clock_t *clock, wh_err_t *err) WH_MUST_CHECK;

/* More bytes (wh_engine_sink_fn); the baton is a wh_pullout_t. Not 0: it is too much, and engines
 * stop a pull whose client goes away. */
int wh_pullout_feed(void *out, const char *buf, size_t n);

/* It is over, rv is how. Codes: too_large, build_failed (the engine's own word). */
apr_status_t wh_pullout_end(wh_pullout_t *out, apr_status_t rv, wh_err_t *err) WH_MUST_CHECK;

#endif
