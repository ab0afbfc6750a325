/*
 * wh_mod_counters.h - figures of all children in shared memory.
 *
 * Each child adds to cache lines of its own, so that counting costs one uncontended instruction;
 * who reads sums up. The memory is kept through graceful restarts, and a child that was killed
 * takes its gauges with it but not its totals. Any thread; nothing here locks or allocates.
 */
#ifndef WH_MOD_COUNTERS_H
#define WH_MOD_COUNTERS_H

#include <stdatomic.h>

#include "mod_wisehost/mod_wisehost.h"

typedef enum wh_count_e {
#define WH_COUNTER(kind, name, auto_name, doc) WH_COUNT_##name,
#include "mod_wisehost/wh_mod_counters.def"
#undef WH_COUNTER
    WH_COUNTS
} wh_count_e;

/* What one child adds to. Never NULL: memory of the process itself before child_init. */
extern _Atomic apr_int64_t *wh_mod_counts;

static inline void wh_mod_count_by(wh_count_e which, apr_int64_t by)
{
    (void)atomic_fetch_add_explicit(&wh_mod_counts[which], by, memory_order_relaxed);
}

static inline void wh_mod_count(wh_count_e which)
{
    wh_mod_count_by(which, 1);
}

/* Makes the memory, or finds that of the configuration before. Without it (logged) each child
 * counts for itself. post_config. */
void wh_mod_counters_post_config(server_rec *s);
/* Takes this child's part; given back with pchild. */
void wh_mod_counters_child_init(apr_pool_t *pchild);

/* The sums over all children, and how many children they are of. */
typedef struct wh_mod_counters_t {
    apr_int64_t of[WH_COUNTS];
    int children;
} wh_mod_counters_t;

void wh_mod_counters_read(wh_mod_counters_t *out);

#endif
