#include "wh-scheduler/desired.h"

#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "wh-scheduler/routes.h"

/* ---- The list ---- */

static void want(apr_array_header_t *out, const char *deployment, const char *app,
                 wh_desired_e desired)
{
    for (int i = 0; i < out->nelts; i++) {
        wh_msg_desired_t *have = &APR_ARRAY_IDX(out, i, wh_msg_desired_t);

        if (strcmp(have->deployment, deployment) == 0) {
            if (desired == WH_DESIRED_RUNNING) {
                have->desired = desired;
            }
            return;
        }
    }
    if (out->nelts < WH_MSG_DESIRED_MAX) {
        APR_ARRAY_PUSH(out, wh_msg_desired_t) =
            (wh_msg_desired_t){.deployment = deployment, .app = app, .desired = desired};
    }
}

static int under_way(const apr_array_header_t *jobs, const char *deployment)
{
    for (int i = 0; i < jobs->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);

        if (job->kind == WH_JOB_KIND_DEPLOY && strcmp(job->deployment_id, deployment) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Containers that the agent reports and no live instance stands for: of a deployment that ended
 * otherwise than we wanted, or was stopped while the agent was away. */
static apr_status_t unwanted(wh_core_t *core, apr_pool_t *p, const wh_msg_hello_t *hello,
                             const apr_array_header_t *jobs, apr_array_header_t *out, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < hello->instances->nelts; i++) {
        const wh_msg_container_t *c = &APR_ARRAY_IDX(hello->instances, i, wh_msg_container_t);
        wh_deployment_t *d;

        if (under_way(jobs, c->deployment)) {
            continue;
        }
        rv = wh_db_deployment_get(core->dbc, p, c->deployment, &d, err);
        if (rv == APR_SUCCESS) {
            want(out, d->id, d->app_id, WH_DESIRED_STOPPED);
        }
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return rv;
}

apr_status_t wh_desired_list(wh_core_t *core, apr_pool_t *p, apr_int64_t worker,
                             const wh_msg_hello_t *hello, apr_array_header_t **out, wh_err_t *err)
{
    apr_array_header_t *live, *jobs, *list = apr_array_make(p, 16, sizeof(wh_msg_desired_t));
    apr_status_t rv = wh_db_job_list_by_worker_processing(core->dbc, p, worker, &jobs, err);

    rv = rv == APR_SUCCESS ? wh_db_instance_list_wanted(core->dbc, p, worker, &live, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < live->nelts; i++) {
        const wh_db_wanted_t *w = &APR_ARRAY_IDX(live, i, wh_db_wanted_t);
        int runs =
            w->state == WH_INSTANCE_RUNNING || (w->state == WH_INSTANCE_DRAINING && hello == NULL);

        if (!under_way(jobs, w->deployment_id)) {
            want(list, w->deployment_id, w->app_id,
                 runs && w->desired == WH_DESIRED_RUNNING ? WH_DESIRED_RUNNING
                                                          : WH_DESIRED_STOPPED);
        }
    }
    *out = list;
    return hello != NULL ? unwanted(core, p, hello, jobs, list, err) : APR_SUCCESS;
}

/* ---- Telling ---- */

void wh_desired_changed(wh_core_t *core, apr_int64_t worker)
{
    wh_peer_t *peer = wh_core_peer(core, worker);

    if (peer != NULL) {
        peer->tell = 1;
        core->plan_again = 1;
    }
}

apr_status_t wh_desired_send(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&scratch, p);
    for (wh_peer_t *peer = core->peers; rv == APR_SUCCESS && peer != NULL; peer = peer->next) {
        wh_msg_settings_t m = {.heartbeat_s = WH_CORE_HEARTBEAT_S};

        if (!peer->tell || !peer->ready) {
            continue;
        }
        apr_pool_clear(scratch);
        rv = wh_desired_list(core, scratch, peer->worker, NULL, &m.desired, err);
        if (rv == APR_SUCCESS) {
            peer->tell = 0;
            wh_core_send(core, peer, WH_MSG_SETTINGS, wh_proto_msg_settings_encode(&m));
        }
    }
    apr_pool_destroy(scratch);
    return rv;
}

/* ---- What owners stop and start ---- */

apr_status_t wh_desired_shown(wh_core_t *core, apr_pool_t *p, const char *app_id,
                              apr_int64_t worker, apr_time_t now, wh_err_t *err)
{
    wh_app_t *app;
    apr_status_t rv = wh_db_app_by_id(core->dbc, p, app_id, &app, err);
    int stopped = rv == APR_SUCCESS && app->desired == WH_DESIRED_STOPPED;

    if (rv == APR_SUCCESS) {
        rv = wh_db_app_set_observed(core->dbc, p, app_id,
                                    stopped ? WH_OBSERVED_STOPPED : WH_OBSERVED_RUNNING, "", now,
                                    err);
    }
    if (rv == APR_SUCCESS && stopped && worker > 0) {
        wh_desired_changed(core, worker); /* its containers had to run to be checked */
    }
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

static apr_status_t tell_workers(wh_core_t *core, apr_pool_t *p, const char *app_id, wh_err_t *err)
{
    apr_array_header_t *live;
    apr_status_t rv = wh_db_instance_list_by_app(core->dbc, p, app_id, &live, err);

    for (int i = 0; rv == APR_SUCCESS && i < live->nelts; i++) {
        wh_desired_changed(core, APR_ARRAY_IDX(live, i, wh_instance_t *)->worker_id);
    }
    return rv;
}

/* A site has no container that could report: what its owner wants is what is. */
static apr_status_t show_site(wh_core_t *core, apr_pool_t *p, const char *app_id, int stopped,
                              apr_time_t now, wh_err_t *err)
{
    wh_app_t *app;
    apr_status_t rv = wh_db_app_by_id(core->dbc, p, app_id, &app, err);

    if (rv != APR_SUCCESS || app->kind != WH_KIND_STATIC || app->deleted_at > 0 ||
        app->observed == WH_OBSERVED_UNKNOWN) {
        return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return wh_db_app_set_observed(
        core->dbc, p, app_id, stopped ? WH_OBSERVED_STOPPED : WH_OBSERVED_RUNNING, "", now, err);
}

/* R34: a violation stays until its owner had a hand in it. */
static apr_status_t forgive(wh_core_t *core, apr_pool_t *p, const char *app_id, int stopped,
                            apr_time_t now, wh_err_t *err)
{
    wh_observed_e observed = stopped ? WH_OBSERVED_STOPPED : WH_OBSERVED_STARTING;
    int n = 0;
    apr_status_t rv = wh_db_instance_forgive(core->dbc, p, app_id, observed, &n, err);

    if (rv == APR_SUCCESS && n > 0) {
        rv = wh_db_app_set_observed(core->dbc, p, app_id, observed, "", now, err);
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return rv;
}

/* The names first: nobody is sent to a container that is being stopped. */
static apr_status_t changed(wh_core_t *core, apr_pool_t *p, const char *app_id, int stopped,
                            apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = wh_routes_publish_app(core, p, app_id, err);

    rv = rv == APR_SUCCESS ? tell_workers(core, p, app_id, err) : rv;
    rv = rv == APR_SUCCESS ? show_site(core, p, app_id, stopped, now, err) : rv;
    rv = rv == APR_SUCCESS ? forgive(core, p, app_id, stopped, now, err) : rv;
    if (rv == APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "app %s was %s", app_id, stopped ? "stopped" : "started");
    }
    return rv;
}

/* All of a that are not in b. */
static apr_status_t difference(wh_core_t *core, apr_pool_t *p, apr_hash_t *a, apr_hash_t *b,
                               int stopped, apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (apr_hash_index_t *i = a != NULL ? apr_hash_first(p, a) : NULL;
         rv == APR_SUCCESS && i != NULL; i = apr_hash_next(i)) {
        const char *id = apr_hash_this_key(i);

        if (b == NULL || apr_hash_get(b, id, APR_HASH_KEY_STRING) == NULL) {
            rv = wh_core_only(core, changed(core, p, id, stopped, now, err), id, err);
        }
    }
    return rv;
}

apr_status_t wh_desired_look(wh_core_t *core, apr_pool_t *p, int tell, apr_time_t now,
                             wh_err_t *err)
{
    apr_array_header_t *ids;
    apr_hash_t *fresh;
    apr_pool_t *life;
    apr_status_t rv = wh_db_app_list_stopped(core->dbc, p, &ids, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&life, core->pool);
    apr_pool_tag(life, "stopped apps");
    fresh = apr_hash_make(life);
    for (int i = 0; i < ids->nelts; i++) {
        apr_hash_set(fresh, apr_pstrdup(life, APR_ARRAY_IDX(ids, i, const char *)),
                     APR_HASH_KEY_STRING, "");
    }
    if (tell) {
        rv = difference(core, p, fresh, core->stopped, 1, now, err);
        rv = rv == APR_SUCCESS ? difference(core, p, core->stopped, fresh, 0, now, err) : rv;
    }
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(life); /* the next look begins where this one did */
        return rv;
    }
    if (core->stopped_p != NULL) {
        apr_pool_destroy(core->stopped_p);
    }
    core->stopped_p = life;
    core->stopped = fresh;
    return APR_SUCCESS;
}
