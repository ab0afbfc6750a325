#include "whdb/wh_db_fleet.h"

#include <string.h>

#include <apr_strings.h>

#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"

#define REMOVED_DETAIL "The worker was removed before the deployment was through."

apr_status_t wh_db_fleet_set_admin(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id,
                                   wh_worker_admin_e from, wh_worker_admin_e to, apr_time_t now,
                                   wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_admin,
                      WH_ARGS(WH_S(wh_model_worker_admin_text(to)),
                              WH_I(to == WH_WORKER_DRAINING ? now : 0), WH_I(now), WH_I(id),
                              WH_S(wh_model_worker_admin_text(from))),
                      err);
}

apr_status_t wh_db_fleet_revoke(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                                wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_revoke, WH_ARGS(WH_I(now), WH_I(now), WH_I(id)), err);
}

apr_status_t wh_db_fleet_ask_rotate(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                                    wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_ask_rotate, WH_ARGS(WH_I(now), WH_I(now), WH_I(id)),
                      err);
}

apr_status_t wh_db_fleet_rotate(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, const char *old_hash,
                                const char *new_hash, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_worker_rotate,
                      WH_ARGS(WH_S(new_hash), WH_I(now), WH_I(id), WH_S(old_hash)), err);
}

apr_status_t wh_db_fleet_take_over(wh_dbc_t *dbc, apr_pool_t *p, const char *name,
                                   const char *new_hash, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_worker_take_over,
                        WH_ARGS(WH_S(new_hash), WH_I(now), WH_S(name), WH_S(new_hash)), NULL, err);
}

/* ---- removal ---- */

static apr_status_t end_job(wh_dbc_t *dbc, apr_pool_t *p, const wh_job_t *job, apr_time_t now,
                            wh_err_t *err)
{
    const wh_db_claim_t claim = {
        .worker_id = job->worker_id, .job_id = job->id, .epoch = job->epoch};

    return job->status == WH_JOB_PROCESSING
               ? wh_db_job_finish(dbc, p, &claim, WH_JOB_EV_LOST, now, err)
               : wh_db_job_abandon(dbc, p, job->id, job->epoch, WH_JOB_EV_FAIL, now, err);
}

static apr_status_t fence_deploy(wh_dbc_t *dbc, apr_pool_t *p, const wh_job_t *job, apr_time_t now,
                                 wh_err_t *err)
{
    static const wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_FAILED,
                                        .cause_code = "worker_removed",
                                        .cause_detail = REMOVED_DETAIL};
    wh_deployment_t *d;
    int pinned = 0;
    apr_status_t rv = wh_db_deployment_get(dbc, p, job->deployment_id, &d, err);

    if (rv == APR_SUCCESS) {
        rv = wh_db_deployment_pinned(dbc, p, d, job->worker_id, &pinned, err);
    }
    if (rv == APR_SUCCESS && job->status == WH_JOB_ASSIGNED && !pinned) {
        return wh_db_job_reassign(dbc, p, job->id, job->epoch, err);
    }
    rv = rv == APR_SUCCESS ? end_job(dbc, p, job, now, err) : rv;
    if (rv == APR_SUCCESS && d->status != WH_DEPLOYMENT_COMPLETED) {
        rv = wh_db_deployment_complete(dbc, p, d->id, d->status, &how, now, err);
    }
    return rv;
}

static apr_status_t fence(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t now,
                          wh_err_t *err)
{
    apr_array_header_t *jobs;
    apr_status_t rv = wh_db_job_list_by_worker_open(dbc, p, id, &jobs, err);

    for (int i = 0; rv == APR_SUCCESS && i < jobs->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);

        rv = job->kind == WH_JOB_KIND_DEPLOY ? fence_deploy(dbc, p, job, now, err)
                                             : end_job(dbc, p, job, now, err);
    }
    return rv;
}

apr_status_t wh_db_fleet_remove(wh_dbc_t *dbc, apr_pool_t *p, const wh_worker_t *w, apr_time_t now,
                                wh_err_t *err)
{
    /* No name that can be registered has a blank in it, so this one is in nobody's way. */
    const char *name = apr_psprintf(p, "%s (removed %" APR_INT64_T_FMT ")", w->name, w->id);
    apr_status_t rv = fence(dbc, p, w->id, now, err);

    if (rv == APR_SUCCESS) {
        rv = wh_dbc_query(dbc, p, WH_SQL_worker_orphan_apps,
                          WH_ARGS(WH_I(now), WH_I(w->id), WH_I(w->id)), NULL, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_query(dbc, p, WH_SQL_worker_stop_instances, WH_ARGS(WH_I(now), WH_I(w->id)),
                          NULL, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_cas(dbc, p, WH_SQL_worker_remove,
                                        WH_ARGS(WH_S(name), WH_I(now), WH_I(w->id)), err)
                           : rv;
    return wh_dbc_then_moved(dbc, rv, err);
}

/* ---- what is left, and the sums ---- */

static void left_read(wh_row_t *r, wh_db_left_t *left)
{
    left->app = wh_dbc_text(r);
    left->environment = wh_dbc_text(r);
    left->superseded = strcmp(wh_dbc_text(r), "running") != 0;
    left->deployment_id = wh_dbc_text(r);
    (void)wh_model_deployment_status_of(wh_dbc_text(r), &left->status);
    left->cause_code = wh_dbc_text(r);
    left->cause_detail = wh_dbc_text(r);
}

/* Several deployments of one app and environment come one after the other; the newest stays. */
apr_status_t wh_db_fleet_left(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t id, apr_time_t since,
                              apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_array_header_t *list;
    wh_db_left_t *last = NULL;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_worker_left, WH_ARGS(WH_I(id), WH_I(since)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    list = apr_array_make(p, rows.n, sizeof(wh_db_left_t *));
    for (int i = 0; i < rows.n; i++) {
        wh_db_left_t *left = apr_pcalloc(p, sizeof(*left));
        wh_row_t r = wh_dbc_row(&rows, i);

        left_read(&r, left);
        if (last != NULL && strcmp(last->app, left->app) == 0 &&
            strcmp(last->environment, left->environment) == 0) {
            *last = *left;
            continue;
        }
        APR_ARRAY_PUSH(list, wh_db_left_t *) = last = left;
    }
    *out = list;
    return APR_SUCCESS;
}

apr_status_t wh_db_fleet_stats(wh_dbc_t *dbc, apr_pool_t *p, wh_db_stats_t *out, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_worker_stats, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    out->workers = wh_dbc_int(&r);
    out->online = wh_dbc_int(&r);
    out->draining = wh_dbc_int(&r);
    out->cpu_millis = wh_dbc_int(&r);
    out->cpu_used = wh_dbc_int(&r);
    out->memory_bytes = wh_dbc_int(&r);
    out->memory_used = wh_dbc_int(&r);
    out->jobs_pending = wh_dbc_int(&r);
    out->jobs_assigned = wh_dbc_int(&r);
    out->jobs_processing = wh_dbc_int(&r);
    out->apps_running = wh_dbc_int(&r);
    out->oldest_pending = wh_dbc_int(&r);
    return APR_SUCCESS;
}
