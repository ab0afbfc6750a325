/* Previews: environments of one branch each, whose names go a while after their last deployment, or
 * when newer ones fill the app's share (F190, F221). */
#ifndef WH_PREVIEWS_H
#define WH_PREVIEWS_H

#include "wh-scheduler/core.h"

/* When the names of this deployment are to go, 0 = never. */
apr_time_t wh_previews_until(const wh_app_t *app, const char *environment, apr_time_t now);

/* Inside the transaction that has claimed them: all names of the preview last as long as the
 * newest, and what is more than the app's share goes, the oldest first. */
apr_status_t wh_previews_claimed(wh_core_t *core, apr_pool_t *p, const wh_app_t *app,
                                 const char *environment, apr_time_t now,
                                 wh_err_t *err) WH_MUST_CHECK;

/* Closes those whose time has come: names out of the table in one transaction, containers stopped,
 * rows deleted. */
apr_status_t wh_previews_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                              wh_err_t *err) WH_MUST_CHECK;

#endif
