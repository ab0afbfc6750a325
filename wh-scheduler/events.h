/* Live events: what the database's triggers put into event_outbox goes into the event log
 * (eventlog.h), from where httpd shows it; then the rows go. At each tick, and soon after messages
 * that may have written a status. In the database thread. */
#ifndef WH_EVENTS_H
#define WH_EVENTS_H

#include "wh-scheduler/core.h"

#define WH_EVENTS_EVERY_US APR_INT64_C(200000) /* between two looks while messages come */
#define WH_EVENTS_PRUNE_US APR_INT64_C(3600000000)

/* core->events_due is 0 afterwards, unless there are more than one look takes. A log that cannot be
 * written is logged and tried again; the rows stay meanwhile. */
apr_status_t wh_events_look(wh_core_t *core, apr_pool_t *p, wh_err_t *err) WH_MUST_CHECK;

#endif
