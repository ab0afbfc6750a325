/* wh_sched: the planner: a snapshot of workers and open jobs and `now` in, actions out (F136-F148,
 * R10, R24, R32). It decides; who applies an action does so by compare-and-set, and an action that
 * no longer fits is dropped there. Pure: no clock, no database; thread-safe. */
#ifndef WH_SCHED_H
#define WH_SCHED_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "libwh/wh_model.h"

#define WH_SCHED_TICK_MAX 100                                 /* F142 */
#define WH_SCHED_LEASE_US APR_INT64_C(60000000)               /* a lease is for 60 s */
#define WH_SCHED_LOST_US APR_INT64_C(900000000)               /* not renewed for 15 min (R24) */
#define WH_SCHED_DEADLINE_GRACE_US APR_INT64_C(60000000)      /* after the sum of the deadlines */
#define WH_SCHED_HEARTBEAT_TIMEOUT_US APR_INT64_C(120000000)  /* F150 */

typedef struct wh_sched_label_t {
    const char *key, *value;
} wh_sched_label_t;

typedef struct wh_sched_labels_t {
    int n;
    const wh_sched_label_t *list;
} wh_sched_labels_t;

typedef struct wh_sched_worker_t {
    apr_int64_t id;
    int online;          /* a live connection */
    int active;          /* admin_state active: takes new jobs */
    int engine;          /* has a container engine */
    const char *zone;    /* NULL and "" = none */
    const char *refuses; /* why it takes no deployments at the moment, NULL and "" = it does */
    wh_sched_labels_t labels;
    apr_int64_t cpu_millis, cpu_used;     /* reserved, not measured */
    apr_int64_t memory_bytes, memory_used;
    int max_jobs;    /* jobs at once */
    int jobs;        /* deploy jobs assigned or processing now */
    int running;     /* apps running there */
} wh_sched_worker_t;

typedef struct wh_sched_job_t {
    const char *id, *app_id, *deployment_id, *environment;
    wh_job_kind_e kind;
    wh_job_status_e status;
    wh_deployment_status_e deployment_status;
    apr_int64_t number;      /* of the deployment: newer is higher */
    apr_int64_t priority;    /* higher goes first */
    apr_time_t created_at, not_before;
    apr_int64_t worker_id;   /* preset for a pending one (F144), the holder for others; 0 = none */
    int needs_engine;
    const char *zone;         /* of its worker, NULL and "" = any */
    const char *labels_text;  /* as its owner wrote them, for the sentence that says why it waits */
    wh_sched_labels_t labels; /* each must be its worker's */
    apr_int64_t cpu_millis, memory_bytes; /* what it reserves; 0 for static sites and stop jobs */
    const char *cause_code, *cause_detail; /* pending: what its deployment says of the waiting */
    apr_int64_t epoch;
    apr_time_t lease_until, deadline_at, assigned_at, cancel_at; /* deadline_at without the grace */
} wh_sched_job_t;

/* What is open about an app+environment, whether its jobs are among the input's or not. */
typedef struct wh_sched_busy_t {
    const char *app_id, *environment;
    apr_int64_t number; /* of the deployment that is under way, 0 = none is */
    apr_int64_t newest; /* of those that wait and are not to be canceled, 0 = not known */
} wh_sched_busy_t;

/* What the live instances of an app+environment hold of a worker. The next deployment goes where
 * they are, so to it this room is free. */
typedef struct wh_sched_held_t {
    const char *app_id, *environment;
    apr_int64_t worker_id, cpu_millis, memory_bytes;
} wh_sched_held_t;

/* A worker that did not take this job, for now: any other one is better. */
typedef struct wh_sched_avoid_t {
    const char *job_id;
    apr_int64_t worker_id;
} wh_sched_avoid_t;

typedef struct wh_sched_in_t {
    apr_time_t now;
    int n_workers;
    const wh_sched_worker_t *workers;
    int n_jobs;
    const wh_sched_job_t *jobs; /* open ones, in any order; terminal ones are ignored */
    int n_busy;
    const wh_sched_busy_t *busy;
    int n_held;
    const wh_sched_held_t *held; /* at most one for a worker, app and environment */
    int n_avoid;
    const wh_sched_avoid_t *avoid;
    int hold_on_loss; /* job_on_worker_loss = hold: an assigned job waits for its worker (F10) */
} wh_sched_in_t;

typedef enum wh_sched_do_e {
    WH_SCHED_ASSIGN,        /* job -> worker_id; epoch + 1, lease, capacity */
    WH_SCHED_SKIP,          /* superseded: completed/skipped, job canceled */
    WH_SCHED_RELEASE,       /* assigned to a worker that dropped: pending again (R10) */
    WH_SCHED_FAIL_LOST,     /* lease not renewed for 15 min: failed agent_lost. A processing job not
                               before its deadline; an assigned one only with hold_on_loss */
    WH_SCHED_FAIL_DEADLINE  /* processing beyond all its deadlines: failed deadline, cancel sent */
} wh_sched_do_e;

typedef struct wh_sched_action_t {
    wh_sched_do_e what;
    const wh_sched_job_t *job; /* in the input */
    apr_int64_t worker_id;     /* ASSIGN */
    const char *by;            /* SKIP: id of the newest deployment, "" = not in the input */
} wh_sched_action_t;

/* A deployment that waits, and not for the reason that it says: no_worker, no_match (zone, labels),
 * no_engine, no_room, or busy; one sentence, in the plan's pool. */
typedef struct wh_sched_wait_t {
    const wh_sched_job_t *job;
    const char *code, *detail;
} wh_sched_wait_t;

typedef struct wh_sched_plan_t {
    apr_array_header_t *actions; /* wh_sched_action_t, in the order to apply: fails, releases,
                                    skips, assignments by priority, then age */
    apr_array_header_t *waits;   /* wh_sched_wait_t */
    int more;                    /* 1: the limit of a tick was reached, plan again at once */
    apr_time_t next_at;          /* when something is due by time alone, 0 = nothing */
} wh_sched_plan_t;

/* Plans one tick; the plan is in p and points into the input. Never fails. Of the waiting
 * deployments of one app+environment only the newest is kept; it is placed when none of them is
 * active. A job with cancel_at set is never placed. A stop job goes to its worker alone. */
void wh_sched_plan(apr_pool_t *p, const wh_sched_in_t *in, wh_sched_plan_t *plan);

/* How full a worker would be with this job, in thousandths: 50 % CPU, 35 % memory, 15 % running
 * apps (32 count as full); lower is better (F139). -1 when it cannot take it. held: what the job's
 * own app and environment hold there, NULL = nothing. */
int wh_sched_score(const wh_sched_worker_t *w, const wh_sched_job_t *job,
                   const wh_sched_held_t *held);

/* The labels of a JSON object of strings; NULL and "" count as {}. What is no such object becomes a
 * label that nobody has: such a job waits, such a worker matches no labels. In p. */
wh_sched_labels_t wh_sched_labels(apr_pool_t *p, const char *text);

/* What a job adds to what its worker has promised: its app and environment hold there the larger of
 * what is live and what the open jobs will make live (capacity is never counted twice). */
static inline apr_int64_t wh_sched_adds(apr_int64_t live, apr_int64_t open, apr_int64_t own)
{
    apr_int64_t before = live > open ? live : open;

    return live > open + own ? 0 : open + own - before;
}

/* What it needs there once it has taken the place of all that is live: less than that, or less than
 * nothing, where two deployments of its app are live since the older has its last requests. */
static inline apr_int64_t wh_sched_needs(apr_int64_t live, apr_int64_t open, apr_int64_t own)
{
    return live > open ? open + own - live : own;
}

/* How long the phases of a deploy job may take, in microseconds. */
typedef struct wh_sched_limits_t {
    apr_interval_time_t clone, build, start, check;
} wh_sched_limits_t;

/* What this phase and those after it may take in all: the sum at the beginning, less with each
 * phase. */
apr_interval_time_t wh_sched_phase_left(wh_phase_e phase, const wh_sched_limits_t *limits);

/* 1 when an online worker is to be called offline: its last heartbeat is older than two minutes,
 * and so is the scheduler's own start (F150, R9). In microseconds of one clock, and not of one
 * that somebody can set. */
int wh_sched_worker_stale(apr_int64_t now, apr_int64_t last_heartbeat,
                          apr_int64_t scheduler_start);

#endif
