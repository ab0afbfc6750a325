#include "whdb/wh_db_plan.h"
#include "whdb/wh_dbc_priv.h"

#include <string.h>

#define DUE_LIMIT 1000

static wh_sched_worker_t *workers_read(apr_pool_t *p, const wh_rows_t *rows)
{
    wh_sched_worker_t *list = apr_pcalloc(p, sizeof(*list) * (size_t)(rows->n + 1));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_sched_worker_t *w = &list[i];
        wh_worker_status_e status = WH_WORKER_OFFLINE;
        wh_worker_admin_e admin = WH_WORKER_DRAINING;

        w->id = wh_dbc_int(&r);
        (void)wh_model_worker_status_of(wh_dbc_text(&r), &status);
        (void)wh_model_worker_admin_of(wh_dbc_text(&r), &admin);
        w->online = status == WH_WORKER_ONLINE;
        w->active = admin == WH_WORKER_ACTIVE;
        w->engine = wh_dbc_text(&r)[0] != '\0';
        w->zone = wh_dbc_text(&r);
        w->refuses = wh_dbc_text(&r);
        w->labels = wh_sched_labels(p, wh_dbc_text(&r));
        w->cpu_millis = wh_dbc_int(&r);
        w->cpu_used = wh_dbc_int(&r);
        w->memory_bytes = wh_dbc_int(&r);
        w->memory_used = wh_dbc_int(&r);
        w->max_jobs = (int)wh_dbc_int(&r);
        w->jobs = (int)wh_dbc_int(&r);
        w->running = (int)wh_dbc_int(&r);
    }
    return list;
}

static void jobs_read(apr_pool_t *p, const wh_rows_t *rows, wh_sched_job_t *list)
{
    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_sched_job_t *j = &list[i];

        j->id = wh_dbc_text(&r);
        j->app_id = wh_dbc_text(&r);
        j->deployment_id = wh_dbc_text(&r);
        j->environment = wh_dbc_text(&r);
        (void)wh_model_job_kind_of(wh_dbc_text(&r), &j->kind);
        (void)wh_model_job_status_of(wh_dbc_text(&r), &j->status);
        (void)wh_model_deployment_status_of(wh_dbc_text(&r), &j->deployment_status);
        j->number = wh_dbc_int(&r);
        j->priority = wh_dbc_int(&r);
        j->created_at = wh_dbc_int(&r);
        j->not_before = wh_dbc_int(&r);
        j->worker_id = wh_dbc_int(&r);
        j->needs_engine = (int)wh_dbc_int(&r);
        j->cpu_millis = wh_dbc_int(&r);
        j->memory_bytes = wh_dbc_int(&r);
        j->epoch = wh_dbc_int(&r);
        j->lease_until = wh_dbc_int(&r);
        j->deadline_at = wh_dbc_int(&r);
        j->assigned_at = wh_dbc_int(&r);
        j->cancel_at = wh_dbc_int(&r);
        j->cause_code = wh_dbc_text(&r);
        j->cause_detail = wh_dbc_text(&r);
        j->zone = wh_dbc_text(&r);
        j->labels_text = wh_dbc_text(&r);
        j->labels = wh_sched_labels(p, j->labels_text);
    }
}

static const wh_sched_busy_t *busy_read(apr_pool_t *p, const wh_rows_t *rows)
{
    wh_sched_busy_t *list = apr_pcalloc(p, sizeof(*list) * (size_t)(rows->n + 1));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        list[i].app_id = wh_dbc_text(&r);
        list[i].environment = wh_dbc_text(&r);
        list[i].number = wh_dbc_int(&r);
        list[i].newest = wh_dbc_int(&r);
    }
    return list;
}

static const wh_sched_held_t *held_read(apr_pool_t *p, const wh_rows_t *rows)
{
    wh_sched_held_t *list = apr_pcalloc(p, sizeof(*list) * (size_t)(rows->n + 1));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        list[i].app_id = wh_dbc_text(&r);
        list[i].environment = wh_dbc_text(&r);
        list[i].worker_id = wh_dbc_int(&r);
        list[i].cpu_millis = wh_dbc_int(&r);
        list[i].memory_bytes = wh_dbc_int(&r);
    }
    return list;
}

/* The apps of the pending jobs, each once or more often, as a batch. */
static const char *apps_of(apr_pool_t *p, const wh_db_plan_t *plan)
{
    json_t *batch = json_array();

    for (int i = 0; i < plan->n_pending; i++) {
        json_array_append_new(batch, json_pack("[s]", plan->jobs[i].app_id));
    }
    return wh_dbc_batch_text(p, batch);
}

static apr_status_t load_jobs(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_plan_opt_t *opt,
                              wh_db_plan_t *plan, wh_err_t *err)
{
    static const wh_sched_job_t head = {.priority = INT64_MAX, .id = ""};
    const wh_sched_job_t *a = opt->after != NULL ? opt->after : &head;
    wh_rows_t pending, due;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_plan_pending,
                                    WH_ARGS(WH_I(opt->now), WH_I(a->priority), WH_I(a->priority),
                                            WH_I(a->created_at), WH_I(a->created_at), WH_S(a->id),
                                            WH_I(opt->limit)),
                                    &pending, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_select(dbc, p, WH_SQL_plan_due,
                           WH_ARGS(WH_I(opt->now), WH_I(opt->now), WH_I(DUE_LIMIT)), &due, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    plan->n_pending = pending.n;
    plan->jobs = apr_pcalloc(p, sizeof(*plan->jobs) * (size_t)(pending.n + due.n + 1));
    jobs_read(p, &pending, plan->jobs);
    jobs_read(p, &due, plan->jobs + pending.n);
    plan->in.jobs = plan->jobs;
    plan->in.n_jobs = pending.n + due.n;
    return APR_SUCCESS;
}

apr_status_t wh_db_plan_load(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_plan_opt_t *opt,
                             wh_db_plan_t *plan, wh_err_t *err)
{
    int hold = plan->in.hold_on_loss;
    const char *apps;
    wh_rows_t workers, busy, held;
    apr_status_t rv;

    *plan = (wh_db_plan_t){.in = {.now = opt->now, .hold_on_loss = hold}};
    rv = load_jobs(dbc, p, opt, plan, err);
    if (rv != APR_SUCCESS || plan->in.n_jobs == 0) {
        return rv;
    }
    apps = apps_of(p, plan);
    rv = wh_dbc_select(dbc, p, WH_SQL_plan_workers, WH_NOARGS, &workers, err);
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_select(dbc, p, WH_SQL_plan_busy, WH_ARGS(WH_J(apps)), &busy, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_select(dbc, p, WH_SQL_plan_held, WH_ARGS(WH_J(apps)), &held, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    plan->workers = workers_read(p, &workers);
    plan->in.n_workers = workers.n;
    plan->in.workers = plan->workers;
    plan->in.n_busy = busy.n;
    plan->in.busy = busy_read(p, &busy);
    plan->in.n_held = held.n;
    plan->in.held = held_read(p, &held);
    return APR_SUCCESS;
}

void wh_db_plan_given(wh_db_plan_t *plan, const wh_sched_job_t *job, apr_int64_t worker_id,
                      apr_int64_t cpu_millis, apr_int64_t memory_bytes)
{
    wh_sched_job_t *own = &plan->jobs[job - plan->jobs];

    own->status = WH_JOB_ASSIGNED;
    own->worker_id = worker_id;
    own->lease_until = plan->in.now + WH_SCHED_LEASE_US;
    for (int i = 0; i < plan->in.n_workers; i++) {
        wh_sched_worker_t *w = &plan->workers[i];

        if (w->id == worker_id && own->kind == WH_JOB_KIND_DEPLOY) {
            w->cpu_used += cpu_millis;
            w->memory_used += memory_bytes;
            w->jobs++;
        }
    }
}
