/* Looking after what should run: when a look is due, and what is done with what it saw. All on the
 * link's thread; the look itself is a pass (pass.h). */
#ifndef WH_AGENT_LOOK_H
#define WH_AGENT_LOOK_H

#include "wh-agent/pass.h"

/* A look now, if it is known what should run; the next follows by itself. */
void wh_look_now(wh_agent_t *agent);

/* A look soon, also when one is under way: it may have come too early. */
void wh_look_again(wh_agent_t *agent);

/* Take up what a pass saw; tell_all: say how each is, not only what has changed. */
void wh_look_take(wh_agent_t *agent, const wh_pass_t *pass, int tell_all);

/* Begin to listen for containers that end. */
void wh_look_events(wh_agent_t *agent);

#endif
