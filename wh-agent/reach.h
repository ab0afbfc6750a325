/* Whether anybody can be behind an address and port: the kernel of a container that has its network
 * answers at once, by taking the connection or by refusing it. */
#ifndef WH_AGENT_REACH_H
#define WH_AGENT_REACH_H

#include "libwh/wh_types.h"

/* False only when no answer came for some seconds, or no way leads there. Blocks. */
int wh_reach_look(const char *address, apr_int64_t port);

#endif
