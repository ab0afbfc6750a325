/* Rollbacks and promotions, carried out. The module stores the wish (whdb/wh_db_switch.h) and
 * pokes; here the judge (libwh/wh_switch.h) is asked once more, and then either one transaction
 * moves all names of the environment and one more the route table, or a deployment is made that
 * starts from the retained image and switches as any other does.
 *
 * A switch wins over what was under way in its environment when it was asked for: that is ended
 * where it can be, and where it comes to an end all the same it does not switch. */
#ifndef WH_SCHED_SWITCH_H
#define WH_SCHED_SWITCH_H

#include "wh-scheduler/core.h"

/* Carries out what waits, and settles those whose deployment has ended since. */
apr_status_t wh_switch_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                            wh_err_t *err) WH_MUST_CHECK;

#endif
