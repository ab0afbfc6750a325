/* The layers that a build makes on its way. Engines put a build's labels on the last one alone, and
 * those of a build that fails would stay for ever, nameless among everybody's. So the build's own
 * words are read for them, and what they name is looked at before it goes: words can be forged by a
 * step of the build. */
#ifndef WH_AGENT_LAYERS_H
#define WH_AGENT_LAYERS_H

#include <apr_tables.h>
#include "wh-agent/work.h"

#define WH_LAYERS_MAX 256

struct wh_layers_t {
    apr_array_header_t *ids; /* const char *: 10 to 64 hex digits, oldest first */
    int cached;              /* the next one was there before */
};

void wh_layers_init(apr_pool_t *p, wh_layers_t *layers);

/* More of what the engine said: whole lines. */
void wh_layers_feed(wh_layers_t *layers, const char *text);

/* Remove them, newest first: those without a name that were made since the build began and that
 * nothing uses. What cannot be removed stays, and is said in the log of the agent. Blocks. */
void wh_layers_remove(const wh_work_t *work, const wh_layers_t *layers, apr_time_t since);

#endif
