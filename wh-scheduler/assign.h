/* Places waiting jobs: the plan of libwh/wh_sched.h, applied by compare-and-set. An action that no
 * longer fits (somebody was quicker) is dropped. */
#ifndef WH_ASSIGN_H
#define WH_ASSIGN_H

#include "wh-scheduler/core.h"

/* One look at the database. *more is 1 when the limit of a tick was reached: come again at once. */
apr_status_t wh_assign_run(wh_core_t *core, apr_pool_t *p, apr_time_t now, int *more,
                           wh_err_t *err) WH_MUST_CHECK;

/* Sends an assigned job to its worker (also again, on connect: R11), or puts it behind those that
 * wait until the worker has taken in what was sent (offers.h). One that cannot be sent, ever, is
 * ended as failed. */
apr_status_t wh_assign_send(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer, const wh_job_t *job,
                            wh_err_t *err) WH_MUST_CHECK;

/* What was sent has been written: the next ones that wait. */
apr_status_t wh_assign_go_on(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
