/* A container from an image: made with the limits that Wisehost ships, compared with what was
 * asked, started, and probed from outside until it answers (D3, R15, F215-F220). Whatever goes
 * wrong, nothing of it is left behind. */
#ifndef WH_AGENT_RUN_H
#define WH_AGENT_RUN_H

#include "wh-agent/cause.h"
#include "wh-agent/work.h"

typedef struct wh_run_t {
    const char *container;
    const char *address;
    apr_int64_t port;
    apr_int64_t start_ms, check_ms;
} wh_run_t;

/* Codes: no_engine, start_failed, container_exited, not_listening, unhealthy, canceled, internal.
 */
apr_status_t wh_run_container(wh_work_t *work, wh_engine_t *engine, const char *image,
                              wh_run_t *run, wh_err_t *err) WH_MUST_CHECK;

/* Stop and remove every container of a deployment; the app's network goes with the last of its
 * containers. grace_s: between the request to end and the kill. Succeeds when none is left. */
typedef struct wh_run_stop_t {
    const char *agent, *app, *deployment;
    int grace_s;
    /* Each that has stopped, before it goes; NULL = nobody asks. */
    void (*stopped)(void *baton, const char *container);
    void *baton;
} wh_run_stop_t;
apr_status_t wh_run_stop(wh_engine_t *engine, apr_pool_t *p, const wh_run_stop_t *what,
                         wh_err_t *err) WH_MUST_CHECK;

/* Remove, at once, the containers that a job made. */
apr_status_t wh_run_remove_job(wh_engine_t *engine, apr_pool_t *p, const char *agent,
                               const char *job, wh_err_t *err) WH_MUST_CHECK;

/* What a container of this job is made from; port is where it will be published. */
void wh_run_spec(const wh_work_t *work, const char *image, apr_int64_t port,
                 wh_engine_spec_t *spec);

#endif
