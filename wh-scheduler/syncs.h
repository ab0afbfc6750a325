/* Syncs: asks the poller about the branches that are due, and does what its answers mean. */
#ifndef WH_SYNCS_H
#define WH_SYNCS_H

#include "wh-scheduler/core.h"

/* Answers first: a new commit makes its deployment at once; then new questions. */
apr_status_t wh_syncs_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                           wh_err_t *err) WH_MUST_CHECK;

/* What one answer means; takes no pool over. */
apr_status_t wh_syncs_judge(wh_core_t *core, apr_pool_t *p, const wh_poll_t *answer, apr_time_t now,
                            wh_err_t *err) WH_MUST_CHECK;

#endif
