/* Emptying workers. A draining worker gets no new deployments; what its apps show is deployed once
 * more (same commit, same snapshot, trigger `drain`), which brings it elsewhere by the ordinary
 * switch: the new container answers before the old one goes. What finds no place waits, and its
 * deployment says why. The apps of a removed worker move the same way, without an old container
 * to wait for; until then their names answer 503. */
#ifndef WH_SCHED_DRAIN_H
#define WH_SCHED_DRAIN_H

#include "wh-scheduler/core.h"

/* One look: makes what has to be made, and takes back what has not begun and is no longer needed
 * (undrained). */
apr_status_t wh_drain_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                           wh_err_t *err) WH_MUST_CHECK;

#endif
