/* What running apps printed goes with them: when nothing of a deleted app runs or waits any more,
 * its log is removed. What a killed scheduler left behind is found at the next start. In the
 * database thread. */
#ifndef WH_GONE_H
#define WH_GONE_H

#include "wh-scheduler/core.h"

/* deleted: the deleted apps (wh_app_t *) of which something is left, as of now. */
apr_status_t wh_gone_look(wh_core_t *core, apr_pool_t *p, const apr_array_header_t *deleted,
                          wh_err_t *err) WH_MUST_CHECK;

/* Forgets what it knows: the next look is the first one. */
void wh_gone_forget(wh_core_t *core);

#endif
