#include "wh-scheduler/syncs.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sync.h"
#include "wh-scheduler/sources.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_sync.h"
#include "whdb/wh_db_trigger.h"

/* ---- Answers ---- */

static apr_status_t newest(wh_core_t *core, apr_pool_t *p, const char *app_id,
                           const char *environment, wh_deployment_t **out, wh_err_t *err)
{
    apr_status_t rv = wh_db_deployment_newest(core->dbc, p, app_id, environment, out, err);

    if (rv == APR_NOTFOUND) {
        wh_err_clear(err);
        *out = NULL;
        rv = APR_SUCCESS;
    }
    return rv;
}

/* *id = the new deployment, "" = this commit makes none. */
static apr_status_t dispatch(wh_core_t *core, apr_pool_t *p, const wh_sync_t *s,
                             const wh_app_t *app, const wh_poll_t *answer, apr_time_t now,
                             const char **id, wh_err_t *err)
{
    wh_db_trigger_t what = {.app_id = app->id,
                            .trigger = s->asked_at ? WH_TRIGGER_MANUAL : WH_TRIGGER_POLL,
                            .sha = answer->sha,
                            .ref = answer->branch,
                            .message = "",
                            .author = "",
                            .now = now};
    apr_array_header_t *rules;
    wh_deployment_t *last = NULL;
    apr_status_t rv = wh_db_environment_list(core->dbc, p, app->id, &rules, err);

    *id = "";
    if (rv != APR_SUCCESS) {
        return rv;
    }
    what.environment = wh_branch_environment(p, answer->branch, app->repo_branch, rules, 0);
    what.environment = what.environment != NULL ? what.environment : "production";
    rv = newest(core, p, app->id, what.environment, &last, err);
    if (rv != APR_SUCCESS || !wh_sync_deploys(s, answer->sha, last)) {
        return rv;
    }
    what.id = wh_id_make(p, now, core->rand);
    what.job_id = wh_id_make(p, now, core->rand);
    rv = wh_db_trigger(core->dbc, p, &what, err);
    *id = rv == APR_SUCCESS ? what.id : "";
    core->plan_again |= rv == APR_SUCCESS;
    return rv;
}

static apr_int64_t interval(const wh_app_t *app)
{
    return app->sync_kind == WH_SYNC_POLLING ? app->sync_every_s : 0;
}

static void not_found_out(wh_core_t *core, apr_pool_t *p, wh_sync_t *s, const wh_app_t *app,
                          const wh_err_t *why, apr_time_t now)
{
    wh_sync_failed(s, apr_pstrdup(p, why->code), apr_pstrdup(p, why->text), interval(app), now,
                   wh_rand_jitter(core->rand));
    if (s->failures == 1) {
        wh_log(WH_LOG_INFO, NULL, "app %s: its repository cannot be looked up: %s", app->slug,
               s->cause_detail);
    }
}

/* Faults that are the app's own end in its status, never in ours. */
static int app_own(const wh_err_t *err)
{
    return err->http >= 400 && err->http < 500;
}

static apr_status_t write_found(wh_core_t *core, apr_pool_t *p, wh_sync_t *s, const wh_app_t *app,
                                const wh_poll_t *answer, apr_time_t now, wh_err_t *err)
{
    const char *id = "";
    apr_status_t rv = APR_SUCCESS;

    if (answer->sha[0] == '\0') {
        not_found_out(core, p, s, app, &answer->err, now);
    } else {
        rv = dispatch(core, p, s, app, answer, now, &id, err);
        if (rv == APR_SUCCESS) {
            wh_sync_done(s, answer->sha, answer->branch, interval(app), now);
        }
    }
    return rv == APR_SUCCESS ? wh_db_sync_write(core->dbc, p, s, id, err) : rv;
}

/* What came of it is written whole, or not at all; then the lease brings it again. */
static apr_status_t judge_in(wh_core_t *core, apr_pool_t *p, const wh_poll_t *answer,
                             apr_time_t now, wh_err_t *err)
{
    wh_app_t *app;
    wh_sync_t s;
    apr_status_t rv = wh_db_sync_hold(core->dbc, p, answer->app_id, &s, err);

    rv = rv == APR_SUCCESS ? wh_db_app_by_id(core->dbc, p, answer->app_id, &app, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (wh_sync_overtaken(&s, answer->version) || strcmp(app->repo_url, answer->url) != 0 ||
        strcmp(app->repo_branch, answer->branch) != 0) {
        return wh_db_sync_again(core->dbc, p, app->id, err);
    }
    return write_found(core, p, &s, app, answer, now, err);
}

/* The deployment cannot be made: its own transaction is gone, this one says so. */
static apr_status_t refused(wh_core_t *core, apr_pool_t *p, const wh_poll_t *answer,
                            const wh_err_t *why, apr_time_t now, wh_err_t *err)
{
    wh_poll_t told = *answer;
    apr_status_t rv;

    told.sha[0] = '\0';
    told.err = *why;
    wh_err_clear(err);
    rv = wh_dbc_begin(core->dbc, p, err);
    rv = rv == APR_SUCCESS ? judge_in(core, p, &told, now, err) : rv;
    return rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
}

apr_status_t wh_syncs_judge(wh_core_t *core, apr_pool_t *p, const wh_poll_t *answer, apr_time_t now,
                            wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? judge_in(core, p, answer, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv == APR_SUCCESS) {
        return rv;
    }
    wh_dbc_rollback(core->dbc);
    if (rv == APR_NOTFOUND) { /* the app was deleted meanwhile */
        wh_err_clear(err);
        return APR_SUCCESS;
    }
    if (app_own(err)) {
        wh_err_t why = *err;

        rv = refused(core, p, answer, &why, now, err);
        if (rv != APR_SUCCESS) {
            wh_dbc_rollback(core->dbc);
        }
    }
    return rv;
}

static apr_status_t answers(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *scratch;
    wh_poll_t *answer;

    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && (answer = wh_poller_answer(core->poller)) != NULL) {
        apr_pool_clear(scratch);
        rv = wh_core_only(core, wh_syncs_judge(core, scratch, answer, now, err), answer->app_id,
                          err);
        apr_pool_destroy(answer->head.pool);
    }
    apr_pool_destroy(scratch);
    return rv;
}

/* ---- Questions ---- */

static apr_status_t begin(wh_core_t *core, apr_pool_t *p, const wh_db_sync_due_t *due, wh_poll_t *q,
                          apr_time_t now, wh_err_t *err)
{
    wh_sync_t s;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? wh_db_sync_hold(core->dbc, p, due->app_id, &s, err) : rv;
    if (rv == APR_SUCCESS) {
        wh_sync_begin(&s, s.asked_at ? WH_TRIGGER_MANUAL : WH_TRIGGER_POLL, now);
        rv = wh_db_sync_write(core->dbc, p, &s, "", err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
        return rv;
    }
    q->app_id = apr_pstrdup(q->head.pool, due->app_id);
    q->url = apr_pstrdup(q->head.pool, due->url);
    q->branch = apr_pstrdup(q->head.pool, due->branch);
    q->version = s.version;
    return APR_SUCCESS;
}

/* What does not open is as good as none: git then says what the repository asks for. */
static apr_status_t add_source(wh_core_t *core, wh_poll_t *q, wh_err_t *err)
{
    const wh_sources_of_t of = {.app_id = q->app_id, .url = q->url};
    apr_status_t rv = wh_sources_of(core, q->head.pool, &of, &q->auth, err);

    if (rv == APR_SUCCESS || wh_core_may_retry(err)) {
        return rv;
    }
    wh_log(WH_LOG_ERROR, "WH0571", "app %s: what its repository asks for: %s", q->app_id, err->text);
    wh_err_clear(err);
    q->auth = WH_GITAUTH_NONE;
    return APR_SUCCESS;
}

static apr_status_t ask(wh_core_t *core, apr_pool_t *p, const wh_db_sync_due_t *due, apr_time_t now,
                        wh_err_t *err)
{
    wh_poll_t *q = wh_poller_question();
    apr_status_t rv = q != NULL ? begin(core, p, due, q, now, err) : APR_SUCCESS;

    rv = rv == APR_SUCCESS && q != NULL ? add_source(core, q, err) : rv;
    if (rv == APR_SUCCESS && q != NULL) {
        wh_poller_ask(core->poller, q);
    } else if (q != NULL) {
        apr_pool_destroy(q->head.pool);
    }
    if (rv == APR_NOTFOUND) { /* deleted, or somebody else was faster */
        wh_err_clear(err);
        rv = APR_SUCCESS;
    }
    return rv;
}

apr_status_t wh_syncs_look(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *due;
    apr_status_t rv = answers(core, p, now, err);
    int room = wh_poller_room(core->poller);

    if (rv != APR_SUCCESS || room == 0) {
        return rv;
    }
    rv = wh_db_sync_list_due(core->dbc, p, now, room, &due, err);
    for (int i = 0; rv == APR_SUCCESS && i < due->nelts; i++) {
        const wh_db_sync_due_t *one = &APR_ARRAY_IDX(due, i, wh_db_sync_due_t);

        rv = wh_core_only(core, ask(core, p, one, now, err), one->app_id, err);
    }
    return rv;
}
