/* What the units of the planner share: a small world of workers and jobs. */
#ifndef T_UNIT_SCHED_WORLD_H
#define T_UNIT_SCHED_WORLD_H

#include <stdio.h>
#include "t/unit/unit.h"
#include "libwh/wh_sched.h"

#define S(seconds) ((apr_time_t)(seconds)*1000000)
#define T0 APR_INT64_C(1767225600000000)
#define GIB (APR_INT64_C(1) << 30)
#define MAX 300

/* A small world: tables of workers and jobs, a clock that is moved by hand. */
typedef struct world_t {
    apr_pool_t *p;
    wh_sched_worker_t workers[8];
    wh_sched_job_t jobs[MAX];
    wh_sched_busy_t busy[8];
    wh_sched_held_t held[8];
    wh_sched_in_t in;
    wh_sched_plan_t plan;
} world_t;

static inline world_t *world(apr_pool_t *p)
{
    world_t *w = apr_pcalloc(p, sizeof(*w));

    w->p = p;
    w->in = (wh_sched_in_t){
        .now = T0, .workers = w->workers, .jobs = w->jobs, .busy = w->busy, .held = w->held};
    return w;
}

static inline wh_sched_worker_t *worker(world_t *w, apr_int64_t id)
{
    wh_sched_worker_t *wk = &w->workers[w->in.n_workers++];

    *wk = (wh_sched_worker_t){.id = id,
                              .online = 1,
                              .active = 1,
                              .engine = 1,
                              .cpu_millis = 4000,
                              .memory_bytes = 4 * GIB,
                              .max_jobs = 2};
    return wk;
}

static inline wh_sched_job_t *job(world_t *w, const char *id, const char *app)
{
    wh_sched_job_t *j = &w->jobs[w->in.n_jobs++];

    *j = (wh_sched_job_t){.id = id,
                          .app_id = app,
                          .deployment_id = id,
                          .environment = "production",
                          .kind = WH_JOB_KIND_DEPLOY,
                          .status = WH_JOB_PENDING,
                          .number = w->in.n_jobs,
                          .created_at = T0 + w->in.n_jobs};
    return j;
}

static inline wh_sched_job_t *held(world_t *w, const char *id, const char *app,
                                   wh_job_status_e status)
{
    wh_sched_job_t *j = job(w, id, app);

    j->status = status;
    j->worker_id = 1;
    j->epoch = 1;
    j->assigned_at = T0;
    j->lease_until = T0 + WH_SCHED_LEASE_US;
    return j;
}

/* The plan as text, "assign j1 1; skip j2 j3": what a reader of the test sees. */
static inline const char *plan(world_t *w)
{
    static const char *const words[] = {"assign", "skip", "release", "lost", "deadline"};
    const char *text = "";

    wh_sched_plan(w->p, &w->in, &w->plan);
    for (int i = 0; i < w->plan.actions->nelts; i++) {
        const wh_sched_action_t *a = &APR_ARRAY_IDX(w->plan.actions, i, wh_sched_action_t);

        text = apr_psprintf(w->p, "%s%s%s %s", text, *text ? "; " : "", words[a->what], a->job->id);
        if (a->what == WH_SCHED_ASSIGN)
            text = apr_psprintf(w->p, "%s %d", text, (int)a->worker_id);
        if (a->what == WH_SCHED_SKIP)
            text = apr_pstrcat(w->p, text, " ", a->by, NULL);
    }
    return text;
}

/* What is to be told of job i, "code: sentence", "" when nothing new; the plan is made anew. */
static inline const char *why(world_t *w, int i)
{
    (void)plan(w);
    for (int n = 0; n < w->plan.waits->nelts; n++) {
        const wh_sched_wait_t *wait = &APR_ARRAY_IDX(w->plan.waits, n, wh_sched_wait_t);

        if (wait->job == &w->jobs[i])
            return apr_pstrcat(w->p, wait->code, ": ", wait->detail, NULL);
    }
    return "";
}

#endif
