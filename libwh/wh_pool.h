/* Pools with an allocator of their own: no lock is shared with other pools, they may go from thread
 * to thread (one at a time has them), and their memory goes back when they are cleared or
 * destroyed. */
#ifndef WH_POOL_H
#define WH_POOL_H

#include "libwh/wh_types.h"

/* A root pool; the caller destroys it, in any thread. NULL when out of memory. tag shows in
 * debuggers; static. */
apr_pool_t *wh_pool_make(const char *tag);

#endif
