/* The hub wants this worker to have a new key (rotate_key): it is changed in a thread, then the
 * agent comes back on a new connection. The link's thread. */
#ifndef WH_AGENT_ROTATE_H
#define WH_AGENT_ROTATE_H

#include "wh-agent/agent.h"

/* Once at a time; asked meanwhile it does nothing. */
void wh_rotate_begin(wh_agent_t *agent);

#endif
