#include "wh-scheduler/drain.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_drain.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/finish.h"

/* The worker that the app is placed on by name, 0 = any. An app that is placed on the very worker
 * that is being emptied waits for it: its owner has to place it elsewhere. */
static apr_status_t place_of(wh_core_t *core, apr_pool_t *p, const wh_app_t *app, apr_int64_t *id,
                             wh_err_t *err)
{
    wh_worker_t *w;
    apr_status_t rv;

    *id = 0;
    if (app->place_worker[0] == '\0') {
        return APR_SUCCESS;
    }
    rv = wh_db_worker_find(core->dbc, p, app->place_worker, &w, err);
    if (rv == APR_SUCCESS) {
        *id = w->id;
    }
    return rv;
}

static apr_status_t create(wh_core_t *core, apr_pool_t *p, const wh_app_t *app,
                           const wh_deployment_t *from, apr_int64_t worker_id, apr_time_t now,
                           const char **id, wh_err_t *err)
{
    wh_db_deployment_new_t d = {.id = wh_id_make(p, now, core->rand),
                                .job_id = wh_id_make(p, now, core->rand),
                                .app_id = from->app_id,
                                .environment = from->environment,
                                .trigger = WH_TRIGGER_DRAIN,
                                .commit_sha = from->commit_sha,
                                .commit_ref = from->commit_ref,
                                .commit_message = from->commit_message,
                                .commit_author = from->commit_author,
                                .commit_at = from->commit_at,
                                .snapshot = from->snapshot,
                                .image_digest = from->image_digest,
                                .env_of = from->id,
                                .env_public = from->env_public,
                                .site = from->site,
                                .worker_id = worker_id,
                                .place_zone = app->place_zone,
                                .place_labels = app->place_labels,
                                .now = now};
    apr_int64_t number = 0;

    if (d.id == NULL || d.job_id == NULL) {
        return wh_err_set(err, 503, "db_error", "no random numbers for an id");
    }
    *id = d.id;
    return wh_db_deployment_create(core->dbc, p, &d, &number, err);
}

/* The worker that it is placed on by name is the removed one: nobody but its owner can tell where
 * it may go, so the app itself says so. It is looked at again with every look. */
static apr_status_t nowhere(wh_core_t *core, apr_pool_t *p, const wh_app_t *app, apr_time_t now,
                            wh_err_t *err)
{
    const char *why = apr_psprintf(p,
                                   "worker_removed: the app is placed on \"%s\", which is no more; "
                                   "place it elsewhere or enrol a worker of that name",
                                   app->place_worker);

    return wh_db_app_set_observed(core->dbc, p, app->id, WH_OBSERVED_STOPPED, why, now, err);
}

static apr_status_t move(wh_core_t *core, apr_pool_t *p, const wh_drain_app_t *a, apr_time_t now,
                         wh_err_t *err)
{
    const char *id = NULL;
    wh_deployment_t *from;
    wh_app_t *app = NULL;
    apr_int64_t worker_id = 0;
    int lost;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? wh_db_deployment_get(core->dbc, p, a->deployment_id, &from, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_app_by_id(core->dbc, p, a->app_id, &app, err) : rv;
    rv = rv == APR_SUCCESS ? place_of(core, p, app, &worker_id, err) : rv;
    lost = rv == APR_NOTFOUND && a->removed && app != NULL;
    if (lost) {
        rv = nowhere(core, p, app, now, err);
    } else if (rv == APR_SUCCESS) {
        rv = create(core, p, app, from, worker_id, now, &id, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    if (lost) {
        return APR_SUCCESS;
    }
    core->plan_again = 1;
    wh_log(WH_LOG_INFO, NULL, "app %s, %s: its worker %s, it moves by deployment %s", app->slug,
           a->environment, a->removed ? "was removed" : "is draining", id);
    return APR_SUCCESS;
}

static apr_status_t take_back(wh_core_t *core, apr_pool_t *p, const wh_job_t *job, apr_time_t now,
                              wh_err_t *err)
{
    static const wh_db_outcome_t how = {
        .conclusion = WH_CONCLUSION_SKIPPED,
        .cause_code = "undrained",
        .cause_detail = "Its worker is no longer emptied, so it stays where it is."};
    wh_finish_ref_t ref = {.job = job->id,
                           .deployment = job->deployment_id,
                           .epoch = job->epoch,
                           .kind = job->kind,
                           .worker = job->worker_id};
    apr_status_t rv = wh_finish_unstarted(core, p, &ref, &how, now, err);

    if (rv == APR_SUCCESS && job->status == WH_JOB_ASSIGNED) {
        wh_core_send_ref(core, wh_core_peer(core, job->worker_id), WH_MSG_JOB_CANCEL, job->id,
                         job->epoch);
    }
    return rv;
}

static apr_status_t moves(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *apps, *jobs;
    apr_status_t rv = wh_db_drain_apps(core->dbc, p, &apps, err);

    for (int i = 0; rv == APR_SUCCESS && i < apps->nelts; i++) {
        const wh_drain_app_t *a = &APR_ARRAY_IDX(apps, i, wh_drain_app_t);

        if (wh_drain_judge(a, i > 0 ? a - 1 : NULL) == WH_DRAIN_MOVE) {
            rv = wh_core_only(core, move(core, p, a, now, err), a->deployment_id, err);
        }
    }
    rv = rv == APR_SUCCESS ? wh_db_drain_needless(core->dbc, p, &jobs, err) : rv;
    for (int i = 0; rv == APR_SUCCESS && i < jobs->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);

        rv = wh_core_only(core, take_back(core, p, job, now, err), job->id, err);
    }
    return rv;
}

apr_status_t wh_drain_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_int64_t removed = 0;
    int any = 0;
    apr_status_t rv = wh_db_drain_any(core->dbc, p, &any, &removed, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (core->removed != removed) {
        /* Its containers count as stopped since: no name may lead there any more. */
        core->republish = 1;
        core->removed = removed;
    }
    return any ? moves(core, p, now, err) : APR_SUCCESS;
}
