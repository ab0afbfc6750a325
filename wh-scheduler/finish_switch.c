#include "wh-scheduler/finish_switch.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_fault.h"
#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_switch.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/finish.h"
#include "wh-scheduler/previews.h"
#include "wh-scheduler/routes.h"
#include "wh-scheduler/unshown.h"

#define ID_DIGITS_MAX 12

/* What a switch works on. */
typedef struct switch_t {
    wh_core_t *core;
    apr_pool_t *p;
    const wh_db_claim_t *claim;
    const wh_msg_job_result_t *result;
    const wh_deployment_t *deployment;
    const wh_app_t *app;
    apr_time_t now;
    int digits; /* of the deployment's own name */
} switch_t;

static apr_status_t add_instances(const switch_t *s, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < s->result->instances->nelts; i++) {
        const wh_msg_instance_t *from = &APR_ARRAY_IDX(s->result->instances, i, wh_msg_instance_t);
        wh_instance_t instance = {.id = wh_id_make(s->p, s->now, s->core->rand),
                                  .deployment_id = s->deployment->id,
                                  .container = from->container,
                                  .address = from->address,
                                  .port = from->port,
                                  .reason = "",
                                  .created_at = s->now};

        if (instance.id == NULL) {
            return wh_err_set(err, 503, "db_error", "no random numbers for an id");
        }
        rv = wh_db_instance_insert(s->core->dbc, s->p, s->claim, &instance, err);
    }
    return rv;
}

static apr_status_t claim_name(const switch_t *s, const char *label, wh_name_kind_e kind,
                               wh_err_t *err)
{
    wh_name_t name = {.label = label,
                      .app_id = s->app->id,
                      .environment = s->deployment->environment,
                      .kind = kind,
                      .deployment_id = s->deployment->id,
                      .previous_id = "",
                      .expires_at =
                          wh_previews_until(s->app, s->deployment->environment, s->now)};

    return wh_db_name_claim(s->core->dbc, s->p, &name, s->now, err);
}

/* production: {slug}; environment: {slug}-env-{env}; the branch's, which is all that a preview has;
 * the deployment's own (F221). */
static apr_status_t claim_names(const switch_t *s, wh_err_t *err)
{
    const wh_deployment_t *d = s->deployment;
    const char *slug = s->app->slug;
    int production = strcmp(d->environment, "production") == 0;
    apr_status_t rv = APR_SUCCESS;

    if (production) {
        rv = claim_name(s, wh_host_label_app(s->p, slug), WH_NAME_PRODUCTION, err);
    } else if (!wh_branch_is_preview(d->environment)) {
        rv = claim_name(s, wh_host_label_env(s->p, slug, d->environment), WH_NAME_ENVIRONMENT, err);
    }
    if (rv == APR_SUCCESS && d->commit_ref[0] != '\0') {
        rv = claim_name(s, wh_host_label_branch(s->p, slug, d->commit_ref), WH_NAME_BRANCH, err);
    }
    if (rv == APR_SUCCESS) {
        rv = claim_name(s, wh_host_label_deployment(s->p, slug, d->id, s->digits),
                        WH_NAME_DEPLOYMENT, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_previews_claimed(s->core, s->p, s->app, d->environment, s->now, err);
    }
    return rv;
}

static const char *timings_text(apr_pool_t *p, const wh_msg_timings_t *t)
{
    return apr_psprintf(p,
                        "{\"clone_ms\":%" APR_INT64_T_FMT ",\"build_ms\":%" APR_INT64_T_FMT
                        ",\"start_ms\":%" APR_INT64_T_FMT ",\"check_ms\":%" APR_INT64_T_FMT
                        ",\"upload_ms\":%" APR_INT64_T_FMT "}",
                        t->clone_ms, t->build_ms, t->start_ms, t->check_ms, t->upload_ms);
}

/* The app went away while it was being deployed: nothing may serve it. */
static const wh_db_outcome_t app_deleted = {.conclusion = WH_CONCLUSION_CANCELED,
                                            .cause_code = "canceled",
                                            .cause_detail = "The app was deleted."};

static apr_status_t end_unused(const switch_t *s, const wh_db_outcome_t *how, wh_err_t *err)
{
    const char *id = wh_id_make(s->p, s->now, s->core->rand);
    wh_dbc_t *dbc = s->core->dbc;
    apr_status_t rv = wh_db_job_finish(dbc, s->p, s->claim, WH_JOB_EV_CANCELED, s->now, err);

    if (rv == APR_SUCCESS) {
        rv = wh_db_deployment_complete(dbc, s->p, s->deployment->id, WH_DEPLOYMENT_DEPLOY, how,
                                       s->now, err);
    }
    if (rv == APR_SUCCESS && s->result->instances->nelts > 0) {
        rv = wh_db_job_insert_stop(dbc, s->p, id != NULL ? id : "", s->deployment->id,
                                   s->claim->worker_id, s->now, s->now, err);
    }
    return rv;
}

/* The repository may say what kind of site it is: that is kept with the deployment, too. */
static apr_status_t take_site(const switch_t *s, wh_err_t *err)
{
    const wh_msg_job_result_t *r = s->result;
    wh_snapshot_t snapshot;
    const char *text;
    apr_status_t rv = wh_model_snapshot_parse(s->p, s->deployment->snapshot, &snapshot, err);

    if (rv != APR_SUCCESS || !r->site || snapshot.kind != WH_KIND_STATIC ||
        (!snapshot.spa == !r->spa && !snapshot.clean_urls == !r->clean_urls)) {
        return rv;
    }
    snapshot.spa = r->spa;
    snapshot.clean_urls = r->clean_urls;
    text = wh_json_text(s->p, wh_json_own(s->p, wh_model_snapshot_json(&snapshot)), NULL);
    return text != NULL ? wh_db_deployment_set_snapshot(s->core->dbc, s->p, s->deployment->id,
                                                        s->claim, text, err)
                        : wh_err_set(err, 503, "db_error", "out of memory");
}

static apr_status_t end_succeeded(const switch_t *s, wh_err_t *err)
{
    const wh_msg_job_result_t *r = s->result;
    wh_db_commit_t commit = {r->commit.sha, r->commit.message, r->commit.author, r->commit.at};
    wh_dbc_t *dbc = s->core->dbc;
    const char *id = s->deployment->id;
    apr_status_t rv = APR_SUCCESS;

    if (r->commit.present) {
        rv = wh_db_deployment_set_commit(dbc, s->p, id, s->claim, &commit, err);
    }
    rv = rv == APR_SUCCESS ? take_site(s, err) : rv;
    if (rv == APR_SUCCESS && r->image_digest[0] != '\0') {
        rv = wh_db_deployment_set_image(dbc, s->p, id, s->claim, r->image_digest, err);
    }
    rv = rv == APR_SUCCESS ? add_instances(s, err) : rv;
    if (rv == APR_SUCCESS) {
        rv = wh_db_deployment_finalize(dbc, s->p, id, s->claim,
                                       r->release[0] != '\0' ? r->release : NULL,
                                       timings_text(s->p, &r->timings), err);
    }
    rv = rv == APR_SUCCESS ? wh_db_job_finish(dbc, s->p, s->claim, WH_JOB_EV_SUCCEED, s->now, err)
                           : rv;
    return rv == APR_SUCCESS ? claim_names(s, err) : rv;
}

static apr_status_t once(switch_t *s, const char *deployment, wh_err_t *err)
{
    wh_dbc_t *dbc = s->core->dbc;
    wh_deployment_t *d;
    wh_app_t *app;
    int overtaken = 0;
    apr_status_t rv = wh_dbc_begin(dbc, s->p, err);

    rv = rv == APR_SUCCESS ? wh_db_deployment_get(dbc, s->p, deployment, &d, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_app_by_id(dbc, s->p, d->app_id, &app, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_switch_overtook(dbc, s->p, d, &overtaken, err) : rv;
    if (rv == APR_SUCCESS) {
        s->deployment = d;
        s->app = app;
        rv = app->deleted_at > 0 ? end_unused(s, &app_deleted, err)
             : overtaken         ? end_unused(s, &wh_finish_overtaken, err)
                                 : end_succeeded(s, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_commit(dbc, err);
        wh_fault("switch.committed");
        if (rv == APR_SUCCESS && (app->deleted_at > 0 || overtaken)) {
            wh_metrics_ended(&s->core->metrics,
                             app->deleted_at > 0 ? app_deleted.conclusion
                                                 : wh_finish_overtaken.conclusion,
                             0, s->now);
        }
        return rv;
    }
    wh_dbc_rollback(dbc);
    return rv;
}

/* httpd connects to what a result names: only the address that the worker was registered with,
 * else a worker could lead visitors, and its own requests through httpd, to any other machine. */
static apr_status_t check_instances(const switch_t *s, wh_err_t *err)
{
    const apr_array_header_t *instances = s->result->instances;
    wh_worker_t *worker;
    apr_status_t rv = wh_db_worker_get(s->core->dbc, s->p, s->claim->worker_id, &worker, err);

    for (int i = 0; rv == APR_SUCCESS && i < instances->nelts; i++) {
        const wh_msg_instance_t *in = &APR_ARRAY_IDX(instances, i, wh_msg_instance_t);

        if (strcmp(in->address, worker->address) != 0) {
            return wh_err_set(err, 422, "bad_result",
                              "a container is at %s, but its worker was registered with %s",
                              in->address, worker->address);
        }
        if (in->port < WH_FINISH_PORT_MIN) {
            return wh_err_set(err, 422, "bad_result",
                              "a container is at port %" APR_INT64_T_FMT ", below %d", in->port,
                              WH_FINISH_PORT_MIN);
        }
    }
    return rv;
}

/* A result that has neither files nor containers serves nothing. */
static apr_status_t check_result(const switch_t *s, const char *deployment, wh_err_t *err)
{
    wh_deployment_t *d;
    wh_snapshot_t snapshot;
    apr_status_t rv = wh_db_deployment_get(s->core->dbc, s->p, deployment, &d, err);

    rv = rv == APR_SUCCESS ? wh_model_snapshot_parse(s->p, d->snapshot, &snapshot, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (snapshot.kind == WH_KIND_STATIC && s->result->release[0] == '\0') {
        return wh_err_set(err, 422, "bad_result", "a static deployment came without its release");
    }
    if (snapshot.kind == WH_KIND_CONTAINER && s->result->instances->nelts == 0) {
        return wh_err_set(err, 422, "bad_result",
                          "a container deployment came without a container");
    }
    return check_instances(s, err);
}

apr_status_t wh_finish_switch(wh_core_t *core, apr_pool_t *p, const wh_db_claim_t *claim,
                              const char *deployment, const wh_msg_job_result_t *r, apr_time_t now,
                              wh_err_t *err)
{
    switch_t s = {
        .core = core, .p = p, .claim = claim, .result = r, .now = now, .digits = WH_HOST_ID_DIGITS};
    apr_status_t rv = check_result(&s, deployment, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* The deployment's own name may be another's by chance: one more digit then (architecture 7).
     */
    do {
        wh_err_clear(err);
        rv = once(&s, deployment, err);
    } while (rv == APR_EGENERAL && wh_err_is(err, "name_taken") && ++s.digits <= ID_DIGITS_MAX);
    return rv;
}

/* ---- After the transaction ---- */

static apr_status_t complete(wh_core_t *core, apr_pool_t *p, const wh_deployment_t *d,
                             apr_time_t now, wh_err_t *err)
{
    wh_db_outcome_t how = {
        .conclusion = WH_CONCLUSION_SUCCEEDED, .cause_code = "", .cause_detail = ""};
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_deployment_complete(core->dbc, p, d->id, WH_DEPLOYMENT_FINALIZE, &how, now, err);
    rv = rv == APR_SUCCESS ? wh_unshown_drain(core, p, d->app_id, now, err) : rv;
    if (rv == APR_SUCCESS) {
        rv = wh_desired_shown(core, p, d->app_id, d->worker_id, now, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_dbc_commit(core->dbc, err);
        wh_fault("switch.completed");
        if (rv == APR_SUCCESS) {
            wh_metrics_ended(&core->metrics, how.conclusion, d->created_at, now);
        }
        return rv;
    }
    wh_dbc_rollback(core->dbc);
    return rv;
}

apr_status_t wh_finish_publish(wh_core_t *core, apr_pool_t *p, const wh_deployment_t *d,
                               apr_time_t now, wh_err_t *err)
{
    apr_status_t rv;

    if (d->status != WH_DEPLOYMENT_FINALIZE) {
        return APR_SUCCESS;
    }
    rv = wh_routes_publish_app(core, p, d->app_id, err);
    if (rv == APR_SUCCESS) {
        /* Before the commit: who reads that it is over reads the last line too. */
        wh_logseg_finish(core->logs, p, d->id, now, "deployment succeeded");
        rv = complete(core, p, d, now, err);
    }
    if (rv == APR_NOTFOUND) {
        return APR_SUCCESS; /* completed by an earlier look */
    }
    if (rv == APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "deployment %s: succeeded, its names answer with it", d->id);
        core->plan_again = 1;
    }
    return rv;
}
