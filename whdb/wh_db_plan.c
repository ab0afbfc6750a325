#include "whdb/wh_db_plan.h"
#include "whdb/wh_dbc_priv.h"

static const wh_sched_worker_t *workers_read(apr_pool_t *p, const wh_rows_t *rows)
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

static const wh_sched_job_t *jobs_read(apr_pool_t *p, const wh_rows_t *rows)
{
    wh_sched_job_t *list = apr_pcalloc(p, sizeof(*list) * (size_t)(rows->n + 1));

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
    }
    return list;
}

static const wh_sched_busy_t *busy_read(apr_pool_t *p, const wh_rows_t *rows)
{
    wh_sched_busy_t *list = apr_pcalloc(p, sizeof(*list) * (size_t)(rows->n + 1));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        list[i].app_id = wh_dbc_text(&r);
        list[i].environment = wh_dbc_text(&r);
        list[i].number = wh_dbc_int(&r);
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

apr_status_t wh_db_plan_load(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                             wh_sched_in_t *in, wh_err_t *err)
{
    wh_rows_t workers;
    wh_rows_t jobs;
    wh_rows_t busy;
    wh_rows_t held;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_plan_workers, WH_NOARGS, &workers, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_select(dbc, p, WH_SQL_plan_jobs, WH_ARGS(WH_I(limit)), &jobs, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_select(dbc, p, WH_SQL_plan_busy, WH_NOARGS, &busy, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_select(dbc, p, WH_SQL_plan_held, WH_NOARGS, &held, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    in->now = now;
    in->n_workers = workers.n;
    in->workers = workers_read(p, &workers);
    in->n_jobs = jobs.n;
    in->jobs = jobs_read(p, &jobs);
    in->n_busy = busy.n;
    in->busy = busy_read(p, &busy);
    in->n_held = held.n;
    in->held = held_read(p, &held);
    return APR_SUCCESS;
}
