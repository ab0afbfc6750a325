#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_logdrain.h"
#include "whdb/wh_db_notify.h"
#include "whdb/wh_db_switch.h"
#include "whdb/wh_db_worker.h"

/* An id or slug that can name nothing is not even asked for. */
static apr_status_t app_by_slug(wh_call_t *c, const char *slug)
{
    if (!slug || wh_host_slug_check(slug, NULL)) {
        return APR_NOTFOUND;
    }
    return wh_db_app_by_slug(c->dbc, c->p, slug, &c->app, &c->err);
}

/* The deployments of a deleted app went with it. */
static apr_status_t deployment_by_id(wh_call_t *c)
{
    apr_status_t rv;

    if (!wh_id_ok(c->param[0])) {
        return APR_NOTFOUND;
    }
    rv = wh_db_deployment_get(c->dbc, c->p, c->param[0], &c->deployment, &c->err);
    rv = rv ? rv : wh_db_app_by_id(c->dbc, c->p, c->deployment->app_id, &c->app, &c->err);
    return rv ? rv : (c->app->deleted_at ? APR_NOTFOUND : APR_SUCCESS);
}

static apr_status_t switch_by_id(wh_call_t *c)
{
    apr_status_t rv;

    if (!wh_id_ok(c->param[0])) {
        return APR_NOTFOUND;
    }
    rv = wh_db_switch_get(c->dbc, c->p, c->param[0], &c->wish, &c->err);
    rv = rv ? rv : wh_db_app_by_id(c->dbc, c->p, c->wish->app_id, &c->app, &c->err);
    return rv ? rv : (c->app->deleted_at ? APR_NOTFOUND : APR_SUCCESS);
}

static apr_status_t app_of_hook(wh_call_t *c)
{
    return wh_db_app_by_id(c->dbc, c->p, c->hook->row.app_id, &c->app, &c->err);
}

static apr_status_t hook_by_id(wh_call_t *c)
{
    apr_status_t rv;

    if (!wh_id_ok(c->param[0])) {
        return APR_NOTFOUND;
    }
    rv = wh_db_hook_get(c->dbc, c->p, c->param[0], &c->hook, &c->err);
    return rv ? rv : app_of_hook(c);
}

/* By public id or name; the two have different forms. */
static apr_status_t worker_by_id(wh_call_t *c)
{
    if (!wh_id_ok(c->param[0]) && !wh_model_worker_name_ok(c->param[0])) {
        return APR_NOTFOUND;
    }
    return wh_db_worker_find(c->dbc, c->p, c->param[0], &c->worker, &c->err);
}

static apr_status_t channel_by_id(wh_call_t *c)
{
    if (wh_channel_name_check(c->param[0], NULL)) { /* an id has the form of a name */
        return APR_NOTFOUND;
    }
    return wh_db_channel_get(c->dbc, c->p, c->param[0], &c->channel, &c->err);
}

static apr_status_t logdrain_by_id(wh_call_t *c)
{
    if (wh_channel_name_check(c->param[0], NULL)) {
        return APR_NOTFOUND;
    }
    return wh_db_logdrain_get(c->dbc, c->p, c->param[0], &c->logdrain, &c->err);
}

/* The worker is the caller, never what a body says; the statement itself asks for its own job. */
static apr_status_t job_of_worker(wh_call_t *c, const char *job, apr_int64_t epoch)
{
    if (!wh_id_ok(job) || c->actor.kind != WH_ACTOR_WORKER) {
        return APR_NOTFOUND;
    }
    c->claim = (wh_db_claim_t){.worker_id = c->actor.worker_id, .job_id = job, .epoch = epoch};
    return wh_db_job_check_processing(c->dbc, c->p, &c->claim, &c->job, &c->err);
}

static apr_status_t alert_by_id(wh_call_t *c)
{
    return wh_id_ok(c->param[0])
               ? wh_db_alert_get(c->dbc, c->p, c->param[0], &c->alert, &c->err)
               : APR_NOTFOUND;
}

static apr_status_t alert_rule_by_id(wh_call_t *c)
{
    return wh_id_ok(c->param[0])
               ? wh_db_alert_rule_get(c->dbc, c->p, c->param[0], &c->alert_rule, &c->err)
               : APR_NOTFOUND;
}

/* Whose it is, where that is no app that was looked up. */
static const char *app_of(const wh_call_t *c)
{
    if (c->alert_rule) {
        return *c->alert_rule->rule.app_id ? c->alert_rule->rule.app_id : WH_OBJECT_EVERY_APP;
    }
    return c->alert ? c->alert->app_id : NULL;
}

static apr_status_t find(wh_call_t *c)
{
    apr_int64_t epoch;

    switch (c->route->object) {
    case WH_OBJ_APP:
        return app_by_slug(c, c->param[0]);
    case WH_OBJ_BODY_APP:
        return app_by_slug(c, json_string_value(json_object_get(c->body, "app")));
    case WH_OBJ_DEPLOYMENT:
        return deployment_by_id(c);
    case WH_OBJ_SWITCH:
        return switch_by_id(c);
    case WH_OBJ_HOOK:
        return hook_by_id(c);
    case WH_OBJ_DELIVERY:
        return app_of_hook(c); /* it was found with the signature */
    case WH_OBJ_BODY_JOB:
        return job_of_worker(c, json_string_value(json_object_get(c->body, "job")),
                             json_integer_value(json_object_get(c->body, "epoch")));
    case WH_OBJ_QUERY_JOB:
        return job_of_worker(c, apr_table_get(c->query, "job"), wh_mod_call_number(c, "epoch", 0));
    case WH_OBJ_PATH_JOB:
        return wh_text_number(c->param[1], 1, APR_INT64_MAX, &epoch)
                   ? job_of_worker(c, c->param[0], epoch)
                   : APR_NOTFOUND;
    case WH_OBJ_REPOSITORY:
        return app_by_slug(c, c->param[0]);
    case WH_OBJ_ALERT:
        return alert_by_id(c);
    case WH_OBJ_ALERT_RULE:
        return alert_rule_by_id(c);
    case WH_OBJ_WORKER:
        return worker_by_id(c);
    case WH_OBJ_CHANNEL:
        return channel_by_id(c);
    case WH_OBJ_LOGDRAIN:
        return logdrain_by_id(c);
    case WH_OBJ_NONE:
        break;
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_object(wh_call_t *c, wh_object_t *object)
{
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : find(c);
    if (wh_mod_call_lost(c, rv)) {
        rv = wh_mod_call_db(c);
        rv = rv ? rv : find(c);
    }
    if (rv && rv != APR_NOTFOUND) {
        return rv;
    }
    object->exists = rv == APR_SUCCESS;
    wh_err_clear(&c->err);
    if (object->exists) {
        object->app_id = c->app ? c->app->id : app_of(c);
        object->hook_id = c->hook ? c->hook->row.id : NULL;
        object->worker_id = c->job ? c->claim.worker_id : 0;
    }
    return APR_SUCCESS;
}
