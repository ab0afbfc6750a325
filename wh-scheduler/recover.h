/* What is set right when somebody comes back: the scheduler itself after a crash, a worker after it
 * was away; and what follows when a worker goes. */
#ifndef WH_RECOVER_H
#define WH_RECOVER_H

#include "wh-scheduler/core.h"

/* At start, and after the database came back: the whole route table, then every deployment that was
 * caught between its transaction and its switch. */
apr_status_t wh_recover_start(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                              wh_err_t *err) WH_MUST_CHECK;

/* Publishes and completes what is in `finalize` (and ends what is in `fail`). */
apr_status_t wh_recover_unfinished(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                                   wh_err_t *err) WH_MUST_CHECK;

/* A worker's hello against what we believe of it. Jobs that are processing here and unknown there
 * fail as agent_lost; what runs there and must not, gets a job_cancel; a go that may have got lost
 * is said again. Assigned jobs are sent, oldest first (R11). After `welcome` went out. */
apr_status_t wh_recover_worker(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer,
                               const wh_msg_hello_t *hello, apr_time_t now,
                               wh_err_t *err) WH_MUST_CHECK;

/* A worker has gone: offline, its assigned jobs wait for another (R10), its apps are observed
 * `stopped` with reason worker_offline (R9). Names and routes stay. */
apr_status_t wh_recover_drop(wh_core_t *core, apr_pool_t *p, apr_int64_t worker, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
