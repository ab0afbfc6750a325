/* Alert rules, every 30 s (F158): what they say of each app is planned (libwh/wh_alert_plan.h), and
 * the plan is one transaction: alerts that fire or resolve, with their events, and what lies
 * between the edges. Rules are kept in memory; each tick asks for what was written since the last
 * one it knows, so it never works by an old rule. In the database thread. */
#ifndef WH_ALERTS_H
#define WH_ALERTS_H

#include "libwh/wh_alert_plan.h"
#include "wh-scheduler/core.h"

/* With each tick; does nothing until it is time. */
apr_status_t wh_alerts_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                            wh_err_t *err) WH_MUST_CHECK;

/* The database may know other than we do (another connection, a clock that was set): all is read
 * again before the next look. */
void wh_alerts_forget(wh_core_t *core);

#endif
