/* What running containers use: asked of the engine every WH_USES_EVERY_US on a thread of its own,
 * told to the hub as app_stats. A container is told of from its second look on, 2 s after the
 * first, because CPU is the difference of two. The link's thread. */
#ifndef WH_AGENT_USES_H
#define WH_AGENT_USES_H

#include "wh-agent/agent.h"

#define WH_USES_EVERY_US ((apr_interval_time_t)15 * APR_USEC_PER_SEC)
#define WH_USES_SOON_US ((apr_interval_time_t)APR_USEC_PER_SEC) /* after one came up */
#define WH_USES_SECOND_US ((apr_interval_time_t)2 * APR_USEC_PER_SEC)

/* Thousandths of a core between two looks at a CPU time in ns; 0 for one that went back. */
apr_int64_t wh_uses_cpu_millis(apr_int64_t before_ns, apr_int64_t now_ns, apr_interval_time_t us);

/* It is time (WH_LINK_T_USES): look, and set the next time. */
void wh_uses_due(wh_agent_t *agent);

#endif
