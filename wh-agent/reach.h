/* Whether anybody can be behind an address and port: the kernel of a container that has its network
 * answers at once, by taking the connection or by refusing it. */
#ifndef WH_AGENT_REACH_H
#define WH_AGENT_REACH_H

#include "libwh/wh_types.h"

/* False only when the address is this machine's own and yet no answer came for some seconds, or no
 * way leads there. When it is not (its interface is down, the address moved), that says nothing of
 * a container: to start it anew would mend nothing. Blocks. */
int wh_reach_look(const char *address, apr_int64_t port);

#endif
