/* When house is kept (keep.h): every ten minutes, soon after a job's end, and soon again after a
 * failure. On a thread of its own, one at a time; it may take long and keeps no look waiting. All
 * here is on the link's thread. */
#ifndef WH_AGENT_HOUSE_H
#define WH_AGENT_HOUSE_H

#include "wh-agent/agent.h"

/* Reckon anew when house is kept: the link is made, or what should run is known. */
void wh_house_plan(wh_agent_t *agent);

/* Its timer came. */
void wh_house_due(wh_agent_t *agent);

/* A job ended, or the engine is back: there may be something to do. */
void wh_house_soon(wh_agent_t *agent);

#endif
