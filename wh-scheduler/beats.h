/* Heartbeats on their way to the database: those of a second are written in one transaction. One
 * each would be a write to the disk for every 30 s of every worker, and with a thousand of them
 * whatever else happens would wait for that. Lost with a crash is a second of them, which the next
 * ones make good. In the database thread. */
#ifndef WH_BEATS_H
#define WH_BEATS_H

#include "wh-scheduler/core.h"

#define WH_BEATS_EVERY_US APR_INT64_C(1000000)

/* Keeps a heartbeat (an older one of the peer that still waits is replaced), and writes all that
 * wait if a second has passed since that was last done. */
apr_status_t wh_beats_note(wh_core_t *core, apr_pool_t *p, wh_peer_t *peer,
                           const wh_msg_heartbeat_t *m, apr_time_t now,
                           wh_err_t *err) WH_MUST_CHECK;

/* Writes those that wait, if it is time; with every tick. A job that is not the worker's any more
 * is answered by a cancel (R24). */
apr_status_t wh_beats_write(wh_core_t *core, apr_pool_t *p, wh_err_t *err) WH_MUST_CHECK;

/* Forgets what waits of a peer that goes. */
void wh_beats_forget(wh_core_t *core, wh_peer_t *peer);

#endif
