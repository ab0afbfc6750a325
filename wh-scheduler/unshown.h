/* Containers that no environment shows any more: no new request reaches them, and after the app's
 * grace they are stopped. */
#ifndef WH_UNSHOWN_H
#define WH_UNSHOWN_H

#include "wh-scheduler/core.h"

/* All of an app's. In the caller's transaction, which has moved the names; those that are drained
 * already keep their time. */
apr_status_t wh_unshown_drain(wh_core_t *core, apr_pool_t *p, const char *app_id, apr_time_t now,
                                wh_err_t *err) WH_MUST_CHECK;

#endif
