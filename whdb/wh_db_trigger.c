#include "whdb/wh_db_trigger.h"

#include <string.h>

#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_sync.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"

/* Where it may run, and the row of the worker that is named. A worker may have been removed since
 * the app was placed on it. */
static apr_status_t place(wh_dbc_t *dbc, apr_pool_t *p, wh_app_t *app, const wh_db_trigger_t *what,
                          wh_db_deployment_new_t *d, wh_err_t *err)
{
    wh_worker_t *w;
    apr_status_t rv;

    if (what->place) {
        app->place_worker = what->place->place_worker;
        app->place_zone = what->place->place_zone;
        app->place_labels = what->place->place_labels;
    }
    d->place_zone = app->place_zone;
    d->place_labels = app->place_labels;
    if (!*app->place_worker) {
        return APR_SUCCESS;
    }
    rv = wh_db_worker_find(dbc, p, app->place_worker, &w, err);
    if (rv == APR_NOTFOUND) {
        (void)!wh_err_field(err, "/placement/worker", "no_such_worker",
                            "There is no worker named %s.", app->place_worker);
        err->http = 422;
        return APR_EGENERAL;
    }
    d->worker_id = rv ? 0 : w->id;
    return rv;
}

/* Its commit came with it, so there is nothing to be looked up: both writes at once (F260). Whoever
 * made the deployment holds the app's row already. */
static apr_status_t told(wh_dbc_t *dbc, apr_pool_t *p, const wh_app_t *app,
                         const wh_db_trigger_t *what, wh_err_t *err)
{
    apr_int64_t every_s = app->sync_kind == WH_SYNC_POLLING ? app->sync_every_s : 0;
    int carries = what->trigger == WH_TRIGGER_PUSH || what->trigger == WH_TRIGGER_GIT ||
                  what->trigger == WH_TRIGGER_ACTIONS;
    wh_sync_t s;
    apr_status_t rv;

    if (!carries || what->untrusted || !*what->sha ||
        strcmp(what->ref, app->repo_branch)) {
        return APR_SUCCESS;
    }
    rv = wh_db_sync_get(dbc, p, app->id, &s, err);
    if (!rv) {
        wh_sync_begin(&s, what->trigger, what->now);
        rv = wh_db_sync_write(dbc, p, &s, "", err);
    }
    if (!rv) {
        wh_sync_done(&s, what->sha, what->ref, every_s, what->now);
        rv = wh_db_sync_write(dbc, p, &s, what->id, err);
    }
    return rv;
}

/* Only httpd knows its scheme and port. */
static apr_status_t site_of(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_trigger_t *what,
                            const char **site, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = APR_SUCCESS;

    *site = what->site;
    if (*site) {
        return APR_SUCCESS;
    }
    *site = "";
    rv = wh_dbc_select(dbc, p, WH_SQL_site_of_app, WH_ARGS(WH_S(what->app_id)), &rows, err);
    if (!rv && rows.n == 0) {
        rv = wh_dbc_select(dbc, p, WH_SQL_site_of_any, WH_NOARGS, &rows, err);
    }
    if (!rv && rows.n > 0) {
        r = wh_dbc_row(&rows, 0);
        *site = wh_dbc_text(&r);
    }
    return rv;
}

/* What pushed may have a commit; the image has none that we know of. */
static void of_image(wh_db_deployment_new_t *d)
{
    d->commit_sha = d->commit_ref = d->commit_message = d->commit_author = "";
    d->commit_at = 0;
}

apr_status_t wh_db_trigger(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_trigger_t *what, wh_err_t *err)
{
    wh_db_deployment_new_t d = {.id = what->id,
                                .job_id = what->job_id,
                                .app_id = what->app_id,
                                .environment = what->environment,
                                .trigger = what->trigger,
                                .commit_sha = what->sha,
                                .commit_ref = what->ref,
                                .commit_message = what->message,
                                .commit_author = what->author,
                                .commit_at = what->at,
                                .untrusted = what->untrusted,
                                .env_public = what->untrusted,
                                .now = what->now};
    apr_int64_t number;
    int own = 1; /* of the repository that the app follows */
    wh_app_t *app;
    /* Read again inside the transaction: the snapshot is of what the app is now, not of what it was
     * when the request was looked at (F227). */
    apr_status_t rv = wh_db_app_by_id(dbc, p, what->app_id, &app, err);

    if (!rv && app->deleted_at) {
        rv = wh_err_set(err, 404, "not_found", "The app was deleted.");
    }
    rv = rv ? rv : place(dbc, p, app, what, &d, err);
    rv = rv ? rv : site_of(dbc, p, what, &d.site, err);
    if (rv) {
        return rv;
    }
    if (what->repo_url) {
        own = !strcmp(app->repo_url, what->repo_url);
        app->repo_url = what->repo_url;
        app->image = "";
    }
    if (*app->image) {
        of_image(&d);
        own = 0;
    }
    d.snapshot = wh_model_snapshot_text(p, app);
    if (!d.id || !d.job_id || !d.snapshot) {
        return wh_err_set(err, 503, "no_random", "This server has no random numbers or no memory.");
    }
    if (!*d.commit_ref && !*d.commit_sha && !*app->image) {
        d.commit_ref = app->repo_branch;
    }
    rv = wh_db_deployment_create(dbc, p, &d, &number, err);
    return rv || !own ? rv : told(dbc, p, app, what, err);
}
