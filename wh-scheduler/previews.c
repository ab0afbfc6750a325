#include "wh-scheduler/previews.h"

#include <string.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/routes.h"

#define LIMIT 50

apr_time_t wh_previews_until(const wh_app_t *app, const char *environment, apr_time_t now)
{
    return wh_branch_is_preview(environment) ? now + apr_time_from_sec(app->preview_ttl_s) : 0;
}

/* An app that turned its previews off keeps those it has until their time comes. */
apr_status_t wh_previews_claimed(wh_core_t *core, apr_pool_t *p, const wh_app_t *app,
                                 const char *environment, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *list;
    apr_status_t rv;

    if (!wh_branch_is_preview(environment)) {
        return APR_SUCCESS;
    }
    rv = wh_db_name_expire(core->dbc, p, app->id, environment,
                           wh_previews_until(app, environment, now), err);
    rv = rv == APR_SUCCESS ? wh_db_name_list_previews(core->dbc, p, app->id, now, &list, err) : rv;
    for (int i = (int)app->preview_max;
         rv == APR_SUCCESS && app->preview_max > 0 && i < list->nelts; i++) {
        const wh_db_preview_t *old = &APR_ARRAY_IDX(list, i, wh_db_preview_t);

        wh_log(WH_LOG_INFO, NULL, "app %s: preview %s goes, %" APR_INT64_T_FMT " are newer",
               app->slug, old->environment, app->preview_max);
        rv = wh_db_name_expire(core->dbc, p, app->id, old->environment, now, err);
        core->previews_at.us = 0;
    }
    return rv;
}

/* ---- Closing ---- */

/* One of this environment that is due: a name that came to another one meanwhile stays. */
static int goes(const wh_name_t *name, const wh_db_preview_t *one, apr_time_t now)
{
    return strcmp(name->environment, one->environment) == 0 && name->expires_at > 0 &&
           name->expires_at <= now;
}

/* By a name that stays: a promotion lets other environments show what was made for this one. */
static int shown_elsewhere(const apr_array_header_t *names, const wh_db_preview_t *one,
                           const char *deployment_id, apr_time_t now)
{
    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *name = APR_ARRAY_IDX(names, i, wh_name_t *);

        if (strcmp(name->deployment_id, deployment_id) == 0 && !goes(name, one, now)) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t stop_containers(wh_core_t *core, apr_pool_t *p, const wh_db_preview_t *one,
                                    const apr_array_header_t *names, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *live;
    apr_status_t rv = wh_db_instance_list_by_app(core->dbc, p, one->app_id, &live, err);

    for (int i = 0; rv == APR_SUCCESS && i < live->nelts; i++) {
        const wh_instance_t *it = APR_ARRAY_IDX(live, i, wh_instance_t *);
        const char *id = wh_id_make(p, now, core->rand);
        wh_deployment_t *its;

        rv = wh_db_deployment_get(core->dbc, p, it->deployment_id, &its, err);
        if (rv != APR_SUCCESS || strcmp(its->environment, one->environment) != 0 ||
            it->state != WH_INSTANCE_RUNNING || shown_elsewhere(names, one, its->id, now)) {
            continue;
        }
        rv = wh_db_instance_set_state(core->dbc, p, it->id, WH_INSTANCE_RUNNING,
                                      WH_INSTANCE_DRAINING, now, err);
        if (rv == APR_SUCCESS || rv == APR_NOTFOUND) {
            rv = wh_db_job_insert_stop(core->dbc, p, id != NULL ? id : "", it->deployment_id,
                                       it->worker_id, now, now, err);
            wh_desired_changed(core, it->worker_id);
        }
    }
    return rv;
}

static apr_array_header_t *names_of(apr_pool_t *p, const wh_db_preview_t *one, apr_time_t now,
                                    const apr_array_header_t *all)
{
    apr_array_header_t *out = apr_array_make(p, 8, sizeof(wh_name_t *));

    for (int i = 0; i < all->nelts; i++) {
        wh_name_t *name = APR_ARRAY_IDX(all, i, wh_name_t *);

        if (goes(name, one, now)) {
            APR_ARRAY_PUSH(out, wh_name_t *) = name;
        }
    }
    return out;
}

/* The routes go first: as long as the rows are there, a crash makes us come again. */
static apr_status_t close_one(wh_core_t *core, apr_pool_t *p, const wh_db_preview_t *one,
                              apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *names;
    int n = 0;
    apr_status_t rv = wh_db_name_list_by_app(core->dbc, p, one->app_id, &names, err);

    rv = rv == APR_SUCCESS
             ? wh_routes_remove(core, p, names_of(p, one, now, names), NULL, err)
             : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_begin(core->dbc, p, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = stop_containers(core, p, one, names, now, err);
    rv = rv == APR_SUCCESS ? wh_db_name_delete_expired(core->dbc, p, one->app_id,
                                                       one->environment, now, &n, err)
                           : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    wh_log(WH_LOG_INFO, NULL, "app %s: %s is closed, %d names taken down", one->slug,
           one->environment, n);
    core->plan_again = 1;
    return APR_SUCCESS;
}

apr_status_t wh_previews_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *list;
    apr_pool_t *scratch;
    apr_status_t rv = wh_db_name_list_expired(core->dbc, p, now, LIMIT, &list, err);

    if (rv != APR_SUCCESS || list->nelts == 0) {
        return rv;
    }
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        const wh_db_preview_t *one = &APR_ARRAY_IDX(list, i, wh_db_preview_t);

        apr_pool_clear(scratch);
        rv = wh_core_only(core, close_one(core, scratch, one, now, err), one->environment, err);
    }
    apr_pool_destroy(scratch);
    return rv;
}
