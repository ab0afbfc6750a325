/* What should run where: told to a worker with its welcome, and anew by `settings` whenever it
 * changes while it is connected. The list is always the whole of it, so that it may be said twice,
 * late, or not at all: the next one sets everything right. */
#ifndef WH_DESIRED_H
#define WH_DESIRED_H

#include "wh-scheduler/core.h"

/* What this worker should run: every deployment that it (by its hello, NULL = not asked) or we know
 * of; an array of wh_msg_desired_t. One whose job is under way is left out: that is the job's
 * business. What is being drained runs on until its stop job comes; what belongs to an app that its
 * owner stopped does not. */
apr_status_t wh_desired_list(wh_core_t *core, apr_pool_t *p, apr_int64_t worker,
                             const wh_msg_hello_t *hello, apr_array_header_t **out,
                             wh_err_t *err) WH_MUST_CHECK;

/* This worker's list has changed; wh_desired_send tells it. Nothing happens when it is not
 * connected: its welcome will say so. */
void wh_desired_changed(wh_core_t *core, apr_int64_t worker);

/* A deployment took the names of its app, on this worker if it has containers (else 0): the app is
 * observed running, or stopped where that is what its owner wants; then the worker is told. In the
 * caller's transaction. An app that is gone costs nothing. */
apr_status_t wh_desired_shown(wh_core_t *core, apr_pool_t *p, const char *app_id,
                              apr_int64_t worker, apr_time_t now, wh_err_t *err) WH_MUST_CHECK;

/* `settings` to everybody whose list has changed since. */
apr_status_t wh_desired_send(wh_core_t *core, apr_pool_t *p, wh_err_t *err) WH_MUST_CHECK;

/* Which apps are stopped by their owners, against the last look: whatever was stopped or started
 * since gets its names and its workers told. tell = 0: only remember (before everything is
 * published and nobody is connected). */
apr_status_t wh_desired_look(wh_core_t *core, apr_pool_t *p, int tell, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
