/* The jobs that this agent has taken: offered, waiting for their go, running, done. The table
 * belongs to the link's thread; each running job has a thread of its own, which reports through the
 * box.
 *
 *     offered --ack--> WAITING --go--> RUNNING --done--> DONE --result_ack--> forgotten
 *                         |  canceled: forgotten (it never began)
 *
 * A result is stored before it is said that the job is done; it is sent, on each connection, until
 * it is acknowledged. */
#ifndef WH_AGENT_JOB_H
#define WH_AGENT_JOB_H

#include <apr_tables.h>
#include "libwh/wh_proto.h"
#include "wh-agent/box.h"
#include "wh-agent/results.h"
#include "wh-agent/work.h"

typedef struct wh_jobs_t wh_jobs_t;

typedef struct wh_jobs_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
    wh_identity_t *identity;
    wh_engine_open_fn *engine; /* NULL = none */
    const char *engine_root;   /* of the link's thread, see work.h */
    const char *mark;
    wh_box_t *box;
    wh_results_t *results;
    void (*wake)(void *baton); /* of the link's thread: log lines are there; any thread */
    void *wake_baton;
    /* A job has something new to tell (phase, end); on the link's thread. */
    void (*changed)(void *owner);
    /* A container has stopped, and goes when this returns; on the job's thread. */
    void (*stopped)(void *owner, const char *container);
    void (*ended)(void *owner); /* one that ran has ended; likewise */
    void *owner;
} wh_jobs_opts_t;

/* Errors: internal. */
apr_status_t wh_jobs_make(apr_pool_t *p, const wh_jobs_opts_t *opts, wh_jobs_t **jobs,
                          wh_err_t *err) WH_MUST_CHECK;

/* Forget all that no thread holds. */
void wh_jobs_free(wh_jobs_t *jobs);

/* A job is offered; payload is borrowed. Returns NULL when it is taken (or was already), else why
 * not. */
const char *wh_jobs_offer(wh_jobs_t *jobs, json_t *payload);

/* Its go. Returns false when there is no such job waiting (a repeated go of a running job is fine).
 */
int wh_jobs_go(wh_jobs_t *jobs, const wh_msg_ref_t *ref);

/* The deployment that this job stops, NULL when it is none that stops. Lives as long as the job. */
const char *wh_jobs_stops(const wh_jobs_t *jobs, const wh_msg_ref_t *ref);

/* Its cancel. What has not begun, or is not known at all, gets its result "canceled" at once. */
void wh_jobs_cancel(wh_jobs_t *jobs, const wh_msg_ref_t *ref);

/* result_ack: forget it. Returns the deployment and app of a container deployment that succeeded,
 * in p, or false. */
int wh_jobs_acked(wh_jobs_t *jobs, apr_pool_t *p, const wh_msg_ref_t *ref,
                  wh_msg_desired_t *now_running);

void wh_jobs_log_acked(wh_jobs_t *jobs, const char *job, apr_int64_t seq);

/* The connection is gone: phases, logs and results will be handed out again. */
void wh_jobs_disconnected(wh_jobs_t *jobs);

/* Jobs that run: wh_msg_ref_t in p. */
apr_array_header_t *wh_jobs_running(const wh_jobs_t *jobs, apr_pool_t *p);
/* And those that wait for their go: what a hello names. */
apr_array_header_t *wh_jobs_held(const wh_jobs_t *jobs, apr_pool_t *p);
int wh_jobs_count_running(const wh_jobs_t *jobs);

/* Running or unacknowledged: const char * ids in p. */
apr_array_header_t *wh_jobs_busy(const wh_jobs_t *jobs, apr_pool_t *p);

/* Deployments that have not ended here, running or waiting: const char * ids in p. */
apr_array_header_t *wh_jobs_building(const wh_jobs_t *jobs, apr_pool_t *p);

/* Cancel all that run, at shutdown: their result is agent_lost. */
void wh_jobs_abandon(wh_jobs_t *jobs);

/* What has to be sent, one at a time: returns the payload (new reference) and its type, or NULL.
 * budget (of log bytes) is lowered by what was taken. After wh_jobs_disconnected the present phase
 * of each job is told again. */
json_t *wh_jobs_next(wh_jobs_t *jobs, apr_pool_t *p, apr_int64_t *budget, wh_msg_e *type);

#endif
