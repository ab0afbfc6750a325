/* Pools that belong to one thread: with an allocator of their own, so that no lock is shared and
 * their memory goes back when they are destroyed. */
#ifndef WH_AGENT_POOL_H
#define WH_AGENT_POOL_H

#include "libwh/wh_types.h"

/* A root pool; the caller destroys it. NULL when out of memory. tag shows in debuggers; static. */
apr_pool_t *wh_pool_make(const char *tag);

#endif
