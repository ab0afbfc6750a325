/* Says to forges what is to be said (whdb/wh_db_forge.h) by their APIs (libwh/wh_forge.h): that a
 * hook is wanted or is not any more, the state of a commit, one comment on a request. What stands
 * in the outbox is only that there is something; the newest state is read when it is said, so a
 * forge that was away for an hour hears one thing. */
#ifndef WH_FORGES_H
#define WH_FORGES_H

#include "wh-scheduler/core.h"

apr_status_t wh_forges_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                            wh_err_t *err) WH_MUST_CHECK;

#endif
