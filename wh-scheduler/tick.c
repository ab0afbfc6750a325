#include "wh-scheduler/tick.h"

#include <string.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_domain.h"
#include "whdb/wh_db_env.h"
#include "whdb/wh_db_forge.h"
#include "whdb/wh_db_source.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"
#include "wh-scheduler/alerts.h"
#include "wh-scheduler/assign.h"
#include "wh-scheduler/audit.h"
#include "wh-scheduler/beats.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/domains.h"
#include "wh-scheduler/drain.h"
#include "wh-scheduler/envs.h"
#include "wh-scheduler/events.h"
#include "wh-scheduler/finish.h"
#include "wh-scheduler/forges.h"
#include "wh-scheduler/gone.h"
#include "wh-scheduler/health.h"
#include "wh-scheduler/hub_msg.h"
#include "wh-scheduler/issuers.h"
#include "wh-scheduler/metrics.h"
#include "wh-scheduler/notices.h"
#include "wh-scheduler/previews.h"
#include "wh-scheduler/recover.h"
#include "wh-scheduler/retire.h"
#include "wh-scheduler/routes.h"
#include "wh-scheduler/switch.h"
#include "wh-scheduler/syncs.h"
#include "wh-scheduler/times.h"
#include "wh-scheduler/usage.h"

#define CANCELS_US APR_INT64_C(5000000) /* a cancel that was not answered is said again */
#define ROSTER_US APR_INT64_C(5000000)  /* XD8 */
#define DELETED_US APR_INT64_C(5000000)
#define DESIRED_US APR_INT64_C(5000000)
#define DRAIN_US APR_INT64_C(5000000)
#define REPUBLISH_US APR_INT64_C(5000000)
#define PREVIEWS_US APR_INT64_C(5000000)
#define DOMAINS_US APR_INT64_C(5000000)
#define FORGES_US APR_INT64_C(1000000)
#define ISSUERS_US APR_INT64_C(5000000)
#define SYNCS_US APR_INT64_C(1000000)
#define TEND_US APR_INT64_C(60000000)
#define CHECK_US APR_INT64_C(3600000000)
#define LIST_LIMIT 100
#define PLANS_MAX 2 /* looks at a full queue in a row before the mailbox has its turn */

/* True when it is time, and then the next time is set. */
static int due(wh_mono_t *at, wh_mono_t now, apr_interval_time_t every)
{
    if (!wh_mono_reached(now, *at)) {
        return 0;
    }
    *at = wh_mono_add(now, every);
    return 1;
}

/* ---- Cancellations ---- */

static apr_status_t cancel_one(wh_core_t *core, apr_pool_t *p, const wh_job_t *job, apr_time_t now,
                               wh_err_t *err)
{
    static const wh_db_outcome_t how = {.conclusion = WH_CONCLUSION_CANCELED,
                                        .cause_code = "canceled",
                                        .cause_detail = "It was canceled before it began."};
    wh_finish_ref_t ref = {.job = job->id,
                           .deployment = job->deployment_id,
                           .epoch = job->epoch,
                           .worker = job->worker_id,
                           .kind = job->kind};
    wh_peer_t *peer = job->worker_id != 0 ? wh_core_peer(core, job->worker_id) : NULL;
    apr_status_t rv = APR_SUCCESS;

    if (job->status == WH_JOB_PENDING || job->status == WH_JOB_ASSIGNED) {
        rv = wh_finish_unstarted(core, p, &ref, &how, now, err);
    }
    if (rv == APR_SUCCESS && job->status != WH_JOB_PENDING) {
        wh_core_send_ref(core, peer, WH_MSG_JOB_CANCEL, job->id, job->epoch);
    }
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

static apr_status_t cancels(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *jobs;
    apr_status_t rv = wh_db_job_list_cancel_requested(core->dbc, p, LIST_LIMIT, &jobs, err);

    for (int i = 0; rv == APR_SUCCESS && i < jobs->nelts; i++) {
        const wh_job_t *job = APR_ARRAY_IDX(jobs, i, wh_job_t *);

        rv = wh_core_only(core, cancel_one(core, p, job, now, err), job->id, err);
    }
    return rv;
}

/* ---- Deleted apps ---- */

static apr_status_t cancel_open(wh_core_t *core, apr_pool_t *p, const wh_app_t *app, apr_time_t now,
                                wh_err_t *err)
{
    apr_array_header_t *open;
    apr_status_t rv = wh_db_deployment_list_open(core->dbc, p, 1000, &open, err);

    for (int i = 0; rv == APR_SUCCESS && i < open->nelts; i++) {
        const wh_deployment_t *d = APR_ARRAY_IDX(open, i, wh_deployment_t *);
        wh_err_t why = WH_ERR_INIT;

        if (strcmp(d->app_id, app->id) != 0) {
            continue;
        }
        rv = wh_db_job_cancel_request(core->dbc, p, d->id, now, &why);
        if (rv == APR_NOTFOUND || wh_err_is(&why, "already_completed")) {
            rv = APR_SUCCESS;
        } else if (rv != APR_SUCCESS && err != NULL) {
            *err = why;
        }
    }
    return rv;
}

static apr_status_t stop_live(wh_core_t *core, apr_pool_t *p, const wh_app_t *app, apr_time_t now,
                              wh_err_t *err)
{
    apr_array_header_t *live;
    apr_status_t rv = wh_db_instance_list_by_app(core->dbc, p, app->id, &live, err);

    for (int i = 0; rv == APR_SUCCESS && i < live->nelts; i++) {
        const wh_instance_t *instance = APR_ARRAY_IDX(live, i, wh_instance_t *);
        const char *id = wh_id_make(p, now, core->rand);

        if (instance->state == WH_INSTANCE_RUNNING) {
            rv = wh_db_instance_set_state(core->dbc, p, instance->id, WH_INSTANCE_RUNNING,
                                          WH_INSTANCE_DRAINING, now, err);
        }
        if (rv == APR_SUCCESS || rv == APR_NOTFOUND) {
            rv = wh_db_job_insert_stop(core->dbc, p, id != NULL ? id : "", instance->deployment_id,
                                       instance->worker_id, now, now, err);
        }
    }
    return rv;
}

/* The routes go first: as long as the rows of the names are there, a crash makes us come again. */
static apr_status_t clean_up(wh_core_t *core, apr_pool_t *p, const wh_app_t *app, apr_time_t now,
                             wh_err_t *err)
{
    apr_array_header_t *names;
    int n = 0;
    apr_status_t rv = wh_db_name_list_by_app(core->dbc, p, app->id, &names, err);

    rv = rv == APR_SUCCESS ? wh_routes_remove(core, p, names, app->id, err) : rv;
    rv = rv == APR_SUCCESS ? cancel_open(core, p, app, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_begin(core->dbc, p, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = stop_live(core, p, app, now, err);
    rv = rv == APR_SUCCESS ? wh_db_name_delete_by_app(core->dbc, p, app->id, &n, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_environment_delete_by_app(core->dbc, p, app->id, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_domain_delete_by_app(core->dbc, p, app->id, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_env_delete_by_app(core->dbc, p, app->id, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_source_delete_by_app(core->dbc, p, app->id, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_forge_note_app(core->dbc, p, app->id, err) : rv;
    if (rv == APR_SUCCESS && app->observed != WH_OBSERVED_STOPPED) {
        rv =
            wh_db_app_set_observed(core->dbc, p, app->id, WH_OBSERVED_STOPPED, "deleted", now, err);
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    rv = wh_dbc_commit(core->dbc, err);
    if (rv == APR_SUCCESS && n > 0) {
        wh_log(WH_LOG_INFO, NULL, "app %s was deleted: %d names taken down", app->slug, n);
        core->plan_again = 1;
    }
    return rv;
}

static apr_status_t deleted(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *apps;
    apr_pool_t *scratch;
    apr_status_t rv = wh_db_app_list_deleted(core->dbc, p, LIST_LIMIT, &apps, err);

    rv = rv == APR_SUCCESS ? wh_gone_look(core, p, apps, err) : rv;
    if (rv != APR_SUCCESS || apps->nelts == 0) {
        return rv;
    }
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && i < apps->nelts; i++) {
        const wh_app_t *app = APR_ARRAY_IDX(apps, i, wh_app_t *);

        apr_pool_clear(scratch);
        rv = wh_core_only(core, clean_up(core, scratch, app, now, err), app->slug, err);
    }
    apr_pool_destroy(scratch);
    return rv == APR_SUCCESS ? cancels(core, p, now, err) : rv;
}

/* ---- Upkeep ---- */

static apr_status_t tend(wh_core_t *core, apr_pool_t *p, wh_mono_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int fresh = 0;

    if (due(&core->tend_at, now, TEND_US)) {
        wh_publish_tend(core->publish);
    }
    wh_retire_collect(core, now);
    if (core->check_at.us == 0) {
        core->check_at = wh_mono_add(now, CHECK_US); /* it was looked through at start */
    } else if (due(&core->check_at, now, CHECK_US)) {
        rv = wh_publish_check(core->publish, p, &fresh, err);
        core->republish |= fresh;
    }
    if (rv == APR_SUCCESS && core->republish) {
        rv = wh_routes_publish_all(core, p, err);
        core->republish = rv != APR_SUCCESS;
    }
    return rv;
}

/* What others answered; each in its own callback. */
apr_status_t wh_tick_answers(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    wh_httpout_req_t *answer;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && core->http != NULL &&
           (answer = wh_httpout_answer(core->http)) != NULL) {
        apr_pool_clear(scratch);
        rv = wh_core_only(core, answer->done(core, scratch, answer, now, err), answer->what, err);
        if (rv == APR_SUCCESS) {
            apr_pool_destroy(answer->pool);
        } else {
            wh_httpout_again(core->http, answer);
        }
    }
    apr_pool_destroy(scratch);
    return rv;
}

/* ---- All of it ---- */

static apr_status_t plan(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_status_t rv;
    apr_pool_t *scratch;
    int more = 0, rounds = 0;

    apr_pool_create(&scratch, p);
    do {
        core->plan_again = 0;
        apr_pool_clear(scratch);
        rv = wh_assign_run(core, scratch, wh_clock_now(core->clock), &more, err);
    } while (rv == APR_SUCCESS && (more || core->plan_again) && ++rounds < PLANS_MAX);
    core->plan_again = rv == APR_SUCCESS && (more || core->plan_again);
    apr_pool_destroy(scratch);
    return rv;
}

/* What a plan must know of before it gives anything out. */
static apr_status_t withdrawn(wh_core_t *core, apr_pool_t *p, int poked, wh_mono_t mono,
                              apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (due(&core->cancels_at, mono, CANCELS_US) || poked) {
        rv = cancels(core, p, now, err);
    }
    if (rv == APR_SUCCESS && (due(&core->deleted_at, mono, DELETED_US) || poked)) {
        rv = deleted(core, p, now, err);
    }
    /* Undrained: what has not begun is taken back, and not given to the very worker it left. */
    if (rv == APR_SUCCESS && (due(&core->drain_at, mono, DRAIN_US) || poked)) {
        rv = wh_drain_look(core, p, now, err);
    }
    return rv;
}

/* What owners changed about how their apps are served. *more is set when this was not all. */
static apr_status_t republish(wh_core_t *core, apr_pool_t *p, int poked, wh_mono_t mono, int *more,
                              wh_err_t *err)
{
    apr_array_header_t *list;
    apr_status_t rv;

    if (!due(&core->republish_at, mono, REPUBLISH_US) && !poked) {
        return APR_SUCCESS;
    }
    rv = wh_db_app_list_republish(core->dbc, p, LIST_LIMIT, &list, err);
    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        const wh_db_republish_t *one = &APR_ARRAY_IDX(list, i, wh_db_republish_t);

        rv = wh_routes_publish_app(core, p, one->app_id, err);
        rv = rv == APR_SUCCESS ? wh_db_app_republished(core->dbc, p, one, err) : rv;
        rv = wh_core_only(core, rv, one->app_id, err);
    }
    *more |= rv == APR_SUCCESS && list->nelts == LIST_LIMIT;
    core->republish_at = rv == APR_SUCCESS ? core->republish_at : mono;
    return rv;
}

/* Somebody waits for these. */
static apr_status_t awaited(wh_core_t *core, apr_pool_t *p, int poked, wh_mono_t mono,
                            apr_time_t now, int *more, wh_err_t *err)
{
    apr_status_t rv = wh_switch_look(core, p, now, err);

    return rv == APR_SUCCESS ? republish(core, p, poked, mono, more, err) : rv;
}

/* And for these, who asked while a tick was under way: on PostgreSQL the rest of it are twenty and
 * more statements. The next tick comes all the same. */
static apr_status_t asked(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now, int *more,
                          wh_err_t *err)
{
    return wh_mailbox_poked(core->box) ? awaited(core, p, 1, mono, now, more, err) : APR_SUCCESS;
}

/* What may wait for the plan. Where it made work, or the plan was cut short, plan_again stands: the
 * messages that wait are taken, and the next tick follows at once. */
static apr_status_t changed(wh_core_t *core, apr_pool_t *p, int poked, wh_mono_t mono,
                            apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    int roster = due(&core->roster_at, mono, ROSTER_US);

    if (roster || poked) {
        rv = wh_core_roster(core, p, roster, err);
        core->roster_at = rv == APR_SUCCESS ? core->roster_at : mono;
    }
    if (rv == APR_SUCCESS && (due(&core->desired_at, mono, DESIRED_US) || poked)) {
        rv = wh_desired_look(core, p, 1, now, err);
    }
    if (rv == APR_SUCCESS && (due(&core->previews_at, mono, PREVIEWS_US) || poked)) {
        rv = wh_previews_look(core, p, now, err);
    }
    if (rv == APR_SUCCESS && core->prover != NULL &&
        (due(&core->domains_at, mono, DOMAINS_US) || poked)) {
        rv = wh_domains_look(core, p, now, err);
    }
    if (rv == APR_SUCCESS && core->poller != NULL &&
        (due(&core->syncs_at, mono, SYNCS_US) || poked)) {
        rv = wh_syncs_look(core, p, now, err);
    }
    rv = rv == APR_SUCCESS ? wh_tick_answers(core, p, now, err) : rv;
    if (rv == APR_SUCCESS && core->http != NULL &&
        (due(&core->issuers_at, mono, ISSUERS_US) || poked)) {
        rv = wh_issuers_look(core, p, now, err);
    }
    rv = rv == APR_SUCCESS ? wh_logdrains_look(core, p, poked, mono, err) : rv;
    if (rv == APR_SUCCESS && (poked || wh_mono_reached(mono, core->notices.at))) {
        rv = wh_notices_look(core, p, mono, now, err);
    }
    if (rv == APR_SUCCESS && core->http != NULL &&
        (due(&core->forges_at, mono, FORGES_US) || poked)) {
        rv = wh_forges_look(core, p, now, err);
    }
    if (rv == APR_SUCCESS && due(&core->health_at, mono, WH_HEALTH_EVERY_US)) {
        rv = wh_health_check(core, p, now, err);
    }
    return rv;
}

apr_status_t wh_tick_run(wh_core_t *core, apr_pool_t *p, int poked, wh_err_t *err)
{
    wh_mono_t mono = wh_clock_mono(core->clock);
    apr_time_t now;
    apr_status_t rv = wh_times_look(core, p, &now, err);
    int more = 0;

    wh_hub_msg_notes(core, p, wh_clock_now(core->clock));
    rv = rv == APR_SUCCESS ? awaited(core, p, poked, mono, now, &more, err) : rv;
    rv = rv == APR_SUCCESS ? withdrawn(core, p, poked, mono, now, err) : rv;
    rv = rv == APR_SUCCESS ? asked(core, p, mono, now, &more, err) : rv;
    rv = rv == APR_SUCCESS ? plan(core, p, err) : rv;
    core->plan_again |= more;
    rv = rv == APR_SUCCESS ? wh_beats_write(core, p, err) : rv;
    rv = rv == APR_SUCCESS ? asked(core, p, mono, now, &more, err) : rv;
    rv = rv == APR_SUCCESS ? changed(core, p, poked, mono, now, err) : rv;
    rv = rv == APR_SUCCESS ? asked(core, p, mono, now, &more, err) : rv;
    if (rv == APR_SUCCESS && core->unfinished) {
        rv = wh_recover_unfinished(core, p, now, err);
    }
    rv = rv == APR_SUCCESS ? wh_desired_send(core, p, err) : rv;
    rv = rv == APR_SUCCESS ? wh_envs_look(core, p, mono, err) : rv;
    rv = rv == APR_SUCCESS ? wh_alerts_look(core, p, mono, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_usage_look(core, p, mono, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_audit_look(core, p, mono, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_retire_look(core, p, mono, now, err) : rv;
    if (rv == APR_SUCCESS) {
        wh_metrics_look(core, p, mono, now);
    }
    rv = rv == APR_SUCCESS ? tend(core, p, mono, err) : rv;
    return rv == APR_SUCCESS ? wh_events_look(core, p, err) : rv;
}
