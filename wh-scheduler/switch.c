#include "wh-scheduler/switch.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_fault.h"
#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_switch.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/finish.h"
#include "wh-scheduler/previews.h"
#include "wh-scheduler/unshown.h"
#include "wh-scheduler/routes.h"

#define LIST_LIMIT 100

/* One switch with what it is about. */
typedef struct carry_t {
    wh_core_t *core;
    apr_pool_t *p;
    wh_switch_t wish; /* settled by writing it back */
    wh_app_t *app;
    wh_deployment_t *target;
    apr_time_t now;
} carry_t;

/* ---- Its end ---- */

static apr_status_t settle(carry_t *c, wh_switch_outcome_e outcome, const char *code,
                           const char *detail, wh_err_t *err)
{
    c->wish.outcome = outcome;
    c->wish.cause_code = code;
    c->wish.cause_detail = detail;
    return wh_db_switch_settle(c->core->dbc, c->p, &c->wish, c->now, err);
}

static apr_status_t refuse(carry_t *c, const char *code, const char *detail, wh_err_t *err)
{
    wh_log(WH_LOG_INFO, NULL, "app %s, %s: %s to deployment %s is refused: %s", c->app->slug,
           c->wish.environment, wh_model_switch_kind_text(c->wish.kind), c->wish.deployment_id,
           detail);
    return settle(c, WH_SWITCH_FAILED, code, detail, err);
}

/* ---- What it overtakes ---- */

/* Out of the queue at once; what has begun is told to end, and ends as canceled. */
static apr_status_t overtake(carry_t *c, const wh_deployment_t *d, wh_err_t *err)
{
    static const wh_db_outcome_t how = {
        .conclusion = WH_CONCLUSION_SKIPPED,
        .cause_code = "superseded",
        .cause_detail = "The environment was rolled back or promoted before it began."};
    wh_core_t *core = c->core;
    wh_job_t *job;
    apr_status_t rv = wh_db_job_by_deployment(core->dbc, c->p, d->id, &job, err);
    wh_finish_ref_t ref;

    if (rv != APR_SUCCESS || wh_model_job_terminal(job->status)) {
        return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    ref = (wh_finish_ref_t){.job = job->id,
                            .deployment = d->id,
                            .epoch = job->epoch,
                            .worker = job->worker_id,
                            .kind = job->kind};
    rv = job->status == WH_JOB_PROCESSING
             ? wh_db_job_cancel_request(core->dbc, c->p, d->id, c->now, err)
             : wh_finish_unstarted(core, c->p, &ref, &how, c->now, err);
    if (rv == APR_SUCCESS && job->status != WH_JOB_PENDING) {
        wh_core_send_ref(core, wh_core_peer(core, job->worker_id), WH_MSG_JOB_CANCEL, job->id,
                         job->epoch);
    }
    return rv;
}

/* After the commit, one by one: what is missed here does not switch all the same
 * (wh_db_switch_overtook). */
static apr_status_t overtake_all(carry_t *c, wh_err_t *err)
{
    apr_array_header_t *open;
    apr_status_t rv = wh_db_deployment_list_open_until(
        c->core->dbc, c->p, c->wish.app_id, c->wish.environment, c->wish.up_to, &open, err);

    for (int i = 0; rv == APR_SUCCESS && i < open->nelts; i++) {
        const wh_deployment_t *d = APR_ARRAY_IDX(open, i, wh_deployment_t *);

        rv = wh_core_only(c->core, overtake(c, d, err), d->id, err);
    }
    return rv;
}

/* ---- At once ---- */

static apr_status_t claim(carry_t *c, const char *label, wh_name_kind_e kind, const char *id,
                          wh_err_t *err)
{
    wh_name_t name = {.label = label,
                      .app_id = c->app->id,
                      .environment = c->wish.environment,
                      .kind = kind,
                      .deployment_id = id,
                      .expires_at = wh_previews_until(c->app, c->wish.environment, c->now)};

    return wh_db_name_claim(c->core->dbc, c->p, &name, c->now, err);
}

/* All names that the environment has, and its own if this is the first thing that it shows; all
 * that a preview has is its branch's. */
static apr_status_t move_names(carry_t *c, const char *id, wh_err_t *err)
{
    const char *env = c->wish.environment, *slug = c->app->slug;
    wh_name_t to = {.app_id = c->app->id, .environment = env, .deployment_id = id};
    apr_status_t rv = wh_db_name_move(c->core->dbc, c->p, &to, c->now, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (wh_branch_is_preview(env)) {
        rv = claim(c, wh_host_label_branch(c->p, slug, c->target->commit_ref), WH_NAME_BRANCH, id,
                   err);
        /* It may have been closed: it counts as any that is opened. */
        return rv == APR_SUCCESS
                   ? wh_previews_claimed(c->core, c->p, c->app, env, c->now, err)
                   : rv;
    }
    return strcmp(env, "production") == 0
               ? claim(c, wh_host_label_app(c->p, slug), WH_NAME_PRODUCTION, id, err)
               : claim(c, wh_host_label_env(c->p, slug, env), WH_NAME_ENVIRONMENT, id, err);
}

/* Whose env vars it gets: those that the target had, or (NULL) the app's of today. */
static const char *env_of(const carry_t *c)
{
    return c->wish.settings == WH_SWITCH_SETTINGS_CURRENT ? NULL : c->target->id;
}

/* The new record of TAKE_OVER, and its own name. */
static apr_status_t take_over(carry_t *c, const char **id, wh_err_t *err)
{
    wh_db_over_t over = {.id = wh_id_make(c->p, c->now, c->core->rand),
                         .environment = c->wish.environment,
                         .trigger = c->wish.kind == WH_SWITCH_PROMOTE ? WH_TRIGGER_PROMOTE
                                                                      : WH_TRIGGER_ROLLBACK,
                         .source = c->target,
                         .env_of = env_of(c),
                         .now = c->now};
    apr_status_t rv = wh_switch_snapshot(c->p, c->target->snapshot, c->app, &over.snapshot, err);

    if (rv == APR_SUCCESS && over.id == NULL) {
        return wh_err_set(err, 503, "db_error", "no random numbers for an id");
    }
    rv = rv == APR_SUCCESS ? wh_db_deployment_take_over(c->core->dbc, c->p, &over, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *id = over.id;
    return claim(c, wh_host_label_deployment(c->p, c->app->slug, over.id, WH_HOST_ID_DIGITS),
                 WH_NAME_DEPLOYMENT, over.id, err);
}

static apr_status_t at_once(carry_t *c, wh_switch_how_e how, wh_err_t *err)
{
    wh_core_t *core = c->core;
    const char *id = c->target->id;
    apr_status_t rv = APR_SUCCESS;

    if (how == WH_SWITCH_TAKE_OVER) {
        rv = take_over(c, &id, err);
    } else {
        rv = wh_db_switch_resume(core->dbc, c->p, id, c->now, err);
        wh_desired_changed(core, c->target->worker_id);
    }
    rv = rv == APR_SUCCESS ? move_names(c, id, err) : rv;
    rv = rv == APR_SUCCESS ? wh_unshown_drain(core, c->p, c->app->id, c->now, err) : rv;
    if (rv == APR_SUCCESS) {
        rv = wh_desired_shown(core, c->p, c->app->id, c->target->worker_id, c->now, err);
    }
    c->wish.result_id = id;
    return rv == APR_SUCCESS ? settle(c, WH_SWITCH_SWITCHED, "", "", err) : rv;
}

/* ---- From the image ---- */

static apr_status_t start(carry_t *c, int anywhere, wh_err_t *err)
{
    const wh_deployment_t *from = c->target;
    wh_db_deployment_new_t d = {
        .id = wh_id_make(c->p, c->now, c->core->rand),
        .job_id = wh_id_make(c->p, c->now, c->core->rand),
        .app_id = c->app->id,
        .environment = c->wish.environment,
        .trigger = c->wish.kind == WH_SWITCH_PROMOTE ? WH_TRIGGER_PROMOTE : WH_TRIGGER_ROLLBACK,
        .commit_sha = from->commit_sha,
        .commit_ref = from->commit_ref,
        .commit_message = from->commit_message,
        .commit_author = from->commit_author,
        .commit_at = from->commit_at,
        .snapshot = from->snapshot,
        .env_of = env_of(c),
        .env_public = from->env_public,
        .site = from->site,
        .worker_id = anywhere ? 0 : from->worker_id,
        .place_zone = anywhere ? c->app->place_zone : NULL,
        .place_labels = anywhere ? c->app->place_labels : NULL,
        .source_id = anywhere ? NULL : wh_db_deployment_source(from),
        .image_digest = from->image_digest,
        .now = c->now};
    apr_int64_t number;
    int newer = 0;
    apr_status_t rv = wh_db_switch_newer(c->core->dbc, c->p, &c->wish, &newer, err);

    if (rv == APR_SUCCESS && newer > 0) {
        return settle(c, WH_SWITCH_SUPERSEDED, "superseded",
                      "A deployment was asked for since then.", err);
    }
    if (rv == APR_SUCCESS && c->wish.settings == WH_SWITCH_SETTINGS_CURRENT) {
        rv = wh_switch_snapshot(c->p, from->snapshot, c->app, &d.snapshot, err);
    }
    if (rv == APR_SUCCESS && (d.id == NULL || d.job_id == NULL)) {
        return wh_err_set(err, 503, "db_error", "no random numbers for an id");
    }
    rv = rv == APR_SUCCESS ? wh_db_deployment_create(c->core->dbc, c->p, &d, &number, err) : rv;
    c->wish.result_id = d.id;
    return rv == APR_SUCCESS ? settle(c, WH_SWITCH_STARTING, "", "", err) : rv;
}

/* ---- One switch ---- */

/* What the environment shows now, "" = nothing. */
static apr_status_t current(carry_t *c, const char **id, wh_err_t *err)
{
    apr_array_header_t *names;
    const wh_name_t *name;
    apr_status_t rv = wh_db_name_list_by_app(c->core->dbc, c->p, c->app->id, &names, err);

    if (rv == APR_SUCCESS) {
        name = wh_model_name_main(names, c->wish.environment);
        *id = name != NULL ? name->deployment_id : "";
    }
    return rv;
}

static apr_status_t decide(carry_t *c, wh_switch_verdict_t *verdict, wh_err_t *err)
{
    wh_switch_facts_t facts = {.settings = c->wish.settings};
    const char *now_shown = "";
    apr_status_t rv = current(c, &now_shown, err);

    rv = rv == APR_SUCCESS ? wh_db_switch_facts(c->core->dbc, c->p, c->app, c->target, now_shown,
                                                &facts, err)
                           : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* Nobody hears of the containers of a worker that is not connected to us. */
    if (facts.worker == WH_SWITCH_WORKER_READY &&
        wh_core_peer(c->core, c->target->worker_id) == NULL) {
        facts.worker = WH_SWITCH_WORKER_OFFLINE;
    }
    c->wish.from_id = now_shown;
    wh_switch_judge(&facts, verdict);
    return APR_SUCCESS;
}

/* Everything that one transaction changes. */
static apr_status_t carry(carry_t *c, wh_switch_verdict_t *verdict, wh_err_t *err)
{
    wh_core_t *core = c->core;
    apr_status_t rv = wh_db_app_by_id(core->dbc, c->p, c->wish.app_id, &c->app, err);

    rv = rv == APR_SUCCESS ? wh_db_deployment_get(core->dbc, c->p, c->wish.deployment_id,
                                                  &c->target, err)
                           : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (c->app->deleted_at > 0) {
        return refuse(c, "app_deleted", "The app was deleted.", err);
    }
    rv = decide(c, verdict, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    switch (verdict->how) {
    case WH_SWITCH_AT_ONCE:
    case WH_SWITCH_TAKE_OVER:
        return at_once(c, verdict->how, err);
    case WH_SWITCH_START:
        return start(c, verdict->anywhere, err);
    case WH_SWITCH_REFUSED:
        break;
    }
    return refuse(c, verdict->code, wh_switch_detail(c->p, verdict, c->target->commit_sha), err);
}

/* Names answer with it from here on. Within the transaction, which sees its own names: whoever
 * reads that it is done may ask for them at once. What fails now is made good by the tick. */
static void publish(carry_t *c)
{
    wh_err_t why = WH_ERR_INIT;

    if (wh_routes_publish_app(c->core, c->p, c->app->id, &why) != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0504", "switch %s cannot be published yet: %s", c->wish.id,
               why.text);
        c->core->republish = 1;
    }
    wh_log(WH_LOG_INFO, NULL, "app %s, %s: %s to deployment %s, its names answer with it",
           c->app->slug, c->wish.environment, wh_model_switch_kind_text(c->wish.kind),
           c->wish.result_id);
}

/* A wish that can never be carried out (a snapshot of a newer version, a name that is another's)
 * says so instead of standing there for ever. */
static apr_status_t give_up(carry_t *c, apr_status_t rv, wh_err_t *err)
{
    const char *code, *detail;

    if (rv == APR_NOTFOUND || wh_core_may_retry(err)) {
        return rv;
    }
    code = apr_pstrdup(c->p, err->code);
    detail = apr_pstrdup(c->p, err->text);
    wh_err_clear(err);
    wh_log(WH_LOG_WARN, "WH0505", "switch %s: %s", c->wish.id, detail);
    c->wish.result_id = "";
    return settle(c, WH_SWITCH_FAILED, code, detail, err);
}

static apr_status_t carry_out(carry_t *c, wh_err_t *err)
{
    wh_switch_verdict_t verdict = {.how = WH_SWITCH_REFUSED};
    int switched;
    apr_status_t rv = wh_dbc_begin(c->core->dbc, c->p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = carry(c, &verdict, err);
    switched = rv == APR_SUCCESS && c->wish.outcome == WH_SWITCH_SWITCHED;
    if (switched) {
        publish(c);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(c->core->dbc, err) : rv;
    if (switched) {
        wh_fault("rollback.committed");
    }
    if (rv != APR_SUCCESS) {
        c->core->republish |= switched;
        wh_dbc_rollback(c->core->dbc);
        return give_up(c, rv, err);
    }
    c->core->plan_again = 1;
    return switched || c->wish.outcome == WH_SWITCH_STARTING ? overtake_all(c, err) : APR_SUCCESS;
}

/* The deployment that was made for it has ended, or goes on. */
static apr_status_t follow(carry_t *c, wh_err_t *err)
{
    wh_deployment_t *d;
    apr_status_t rv = wh_db_deployment_get(c->core->dbc, c->p, c->wish.result_id, &d, err);

    if (rv != APR_SUCCESS || d->status != WH_DEPLOYMENT_COMPLETED) {
        return rv;
    }
    c->wish.from_id = "";
    switch (d->conclusion) {
    case WH_CONCLUSION_SUCCEEDED:
        return settle(c, WH_SWITCH_SWITCHED, "", "", err);
    case WH_CONCLUSION_FAILED:
        return settle(c, WH_SWITCH_FAILED, d->cause_code, d->cause_detail, err);
    default:
        return settle(c, WH_SWITCH_SUPERSEDED, d->cause_code, d->cause_detail, err);
    }
}

apr_status_t wh_switch_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *open;
    apr_pool_t *scratch;
    apr_status_t rv = wh_db_switch_list_open(core->dbc, p, LIST_LIMIT, &open, err);

    if (rv != APR_SUCCESS || open->nelts == 0) {
        return rv;
    }
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && i < open->nelts; i++) {
        carry_t c = {.core = core,
                     .p = scratch,
                     .wish = *APR_ARRAY_IDX(open, i, wh_switch_t *),
                     .now = now};

        apr_pool_clear(scratch);
        rv = c.wish.outcome == WH_SWITCH_STARTING ? follow(&c, err) : carry_out(&c, err);
        rv = wh_core_only(core, rv, c.wish.id, err);
    }
    apr_pool_destroy(scratch);
    return rv;
}
