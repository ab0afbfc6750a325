#include "whdb/wh_db_deployment.h"
#include "libwh/wh_fsm.h"
#include "whdb/wh_db_alert.h"
#include "whdb/wh_db_env.h"
#include "whdb/wh_db_forge.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_notify.h"
#include "whdb/wh_dbc_priv.h"

#include <string.h>
#include <apr_strings.h>

#define HELD_DETAIL                                                                                \
    "It is of another repository: somebody who may deploy this app has to approve it."
/* Till then the job of an untrusted deployment waits: for ever. */
#define WH_DB_HELD APR_INT64_C(9000000000000000)

static wh_deployment_t *deployment_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_deployment_t *d = apr_pcalloc(p, sizeof(*d));
    wh_row_t r = wh_dbc_row(rows, i);

    d->id = wh_dbc_text(&r);
    d->app_id = wh_dbc_text(&r);
    d->environment = wh_dbc_text(&r);
    d->number = wh_dbc_int(&r);
    (void)wh_model_deployment_status_of(wh_dbc_text(&r), &d->status);
    (void)wh_model_conclusion_of(wh_dbc_text(&r), &d->conclusion);
    (void)wh_model_phase_of(wh_dbc_text(&r), &d->phase);
    d->cause_code = wh_dbc_text(&r);
    d->cause_detail = wh_dbc_text(&r);
    (void)wh_model_trigger_of(wh_dbc_text(&r), &d->trigger);
    d->commit_sha = wh_dbc_text(&r);
    d->commit_ref = wh_dbc_text(&r);
    d->commit_message = wh_dbc_text(&r);
    d->commit_author = wh_dbc_text(&r);
    d->commit_at = wh_dbc_int(&r);
    d->worker_id = wh_dbc_int(&r);
    d->snapshot = wh_dbc_text(&r);
    d->release_id = wh_dbc_text(&r);
    d->timings = wh_dbc_text(&r);
    d->source_id = wh_dbc_text(&r);
    d->env_public = (int)wh_dbc_int(&r);
    d->site = wh_dbc_text(&r);
    d->created_at = wh_dbc_int(&r);
    d->started_at = wh_dbc_int(&r);
    d->finished_at = wh_dbc_int(&r);
    d->untrusted = (int)wh_dbc_int(&r);
    d->approved_at = wh_dbc_int(&r);
    d->image_digest = wh_dbc_text(&r);
    return d;
}

static apr_array_header_t *deployment_array(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n, sizeof(wh_deployment_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_deployment_t *) = deployment_at(p, rows, i);
    }
    return list;
}

/* The job of a new deployment: what it reserves follows from the snapshot. Static sites reserve
 * nothing, containers what all their replicas may use. */
static apr_status_t job_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_deployment_new_t *d,
                               wh_err_t *err)
{
    wh_snapshot_t snap;
    const char *labels;
    apr_int64_t replicas;
    int needs_engine;
    apr_status_t rv = wh_model_snapshot_parse(p, d->snapshot, &snap, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    replicas = snap.kind == WH_KIND_CONTAINER ? snap.replicas : 0;
    needs_engine = wh_model_snapshot_engine(&snap);
    labels = d->place_labels == NULL || d->place_labels[0] == '\0' ? "{}" : d->place_labels;
    return wh_dbc_query(dbc, p, WH_SQL_job_insert,
                        WH_ARGS(WH_S(d->job_id), WH_S(d->app_id), WH_S(d->id), WH_IN(d->worker_id),
                                WH_I(d->priority), WH_I(snap.cpu_millis * replicas),
                                WH_I(snap.memory_bytes * replicas), WH_I(needs_engine),
                                WH_S(d->place_zone), WH_S(labels),
                                WH_I(d->untrusted ? WH_DB_HELD : 0), WH_I(d->now)),
                        NULL, err);
}

/* The counter in the app's row is also the lock that puts two callers one after the other. */
static apr_status_t next_number(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_int64_t *n,
                                wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "A deployment is made in a transaction only.");
    }
    rv = wh_dbc_select_one(dbc, p, WH_SQL_deployment_number, WH_ARGS(WH_S(app_id)), &rows, err);
    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *n = wh_dbc_int(&r);
    }
    return rv;
}

apr_status_t wh_db_deployment_create(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_deployment_new_t *d,
                                     apr_int64_t *number, wh_err_t *err)
{
    apr_int64_t n;
    apr_status_t rv = next_number(dbc, p, d->app_id, &n, err);

    rv = rv == APR_SUCCESS ? wh_db_environment_room(dbc, p, d->app_id, d->environment, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_dbc_query(dbc, p, WH_SQL_deployment_insert,
                      WH_ARGS(WH_S(d->id), WH_S(d->app_id), WH_S(d->environment), WH_I(n),
                              WH_S(wh_model_deployment_status_text(WH_DEPLOYMENT_PREPARE)),
                              WH_S(wh_model_trigger_text(d->trigger)), WH_S(d->commit_sha),
                              WH_S(d->commit_ref), WH_S(d->commit_message), WH_S(d->commit_author),
                              WH_I(d->commit_at), WH_S(d->snapshot), WH_S(d->source_id),
                              WH_I(d->env_public), WH_S(d->site), WH_I(d->untrusted),
                              WH_S(d->untrusted ? "awaiting_approval" : ""),
                              WH_S(d->untrusted ? HELD_DETAIL : ""), WH_S(d->image_digest),
                              WH_I(d->now)),
                      NULL, err);
    if (rv == APR_SUCCESS) {
        rv = job_insert(dbc, p, d, err);
    }
    if (rv == APR_SUCCESS) {
        rv = wh_db_env_take(dbc, p,
                            &(wh_db_env_take_t){.deployment_id = d->id,
                                                .app_id = d->app_id,
                                                .environment = d->environment,
                                                .from = d->env_of,
                                                .public_only = d->env_public},
                            err);
    }
    rv = rv == APR_SUCCESS ? wh_db_forge_note_deployment(dbc, p, d->id, err) : rv;
    if (rv == APR_SUCCESS) {
        *number = n;
    }
    return rv;
}

apr_status_t wh_db_deployment_newest(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                     const char *environment, wh_deployment_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_deployment_newest,
                                        WH_ARGS(WH_S(app_id), WH_S(environment)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_deployment_approve(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                      wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_cas(dbc, p, WH_SQL_deployment_approve, WH_ARGS(WH_I(now), WH_S(id)), err);

    return rv != APR_SUCCESS
               ? rv
               : wh_dbc_query(dbc, p, WH_SQL_job_release, WH_ARGS(WH_S(id)), NULL, err);
}

apr_status_t wh_db_deployment_drop_held(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        const char *environment, apr_time_t cancel_at,
                                        wh_err_t *err)
{
    if (cancel_at == 0) {
        return wh_dbc_query(dbc, p, WH_SQL_job_release_held,
                            WH_ARGS(WH_S(app_id), WH_S(environment)), NULL, err);
    }
    return wh_dbc_query(dbc, p, WH_SQL_job_cancel_held,
                        WH_ARGS(WH_I(cancel_at), WH_S(app_id), WH_S(environment)), NULL, err);
}

apr_status_t wh_db_deployment_take_over(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_over_t *over,
                                        wh_err_t *err)
{
    const wh_deployment_t *from = over->source;
    apr_int64_t number;
    apr_status_t rv = next_number(dbc, p, from->app_id, &number, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_dbc_cas(dbc, p, WH_SQL_deployment_insert_over,
                      WH_ARGS(WH_S(over->id), WH_S(over->environment), WH_I(number),
                              WH_S(wh_model_deployment_status_text(WH_DEPLOYMENT_COMPLETED)),
                              WH_S(wh_model_trigger_text(over->trigger)), WH_S(over->snapshot),
                              WH_S(wh_db_deployment_source(from)), WH_I(over->now), WH_I(over->now),
                              WH_I(over->now), WH_S(from->id)),
                    err);
    return rv == APR_SUCCESS
               ? wh_db_env_take(dbc, p,
                                &(wh_db_env_take_t){.deployment_id = over->id,
                                                    .app_id = from->app_id,
                                                    .environment = over->environment,
                                                    .from = over->env_of,
                                                    .public_only = from->env_public},
                                err)
               : rv;
}

const char *wh_db_deployment_source(const wh_deployment_t *d)
{
    return d->source_id[0] != '\0' ? d->source_id : d->id;
}

apr_status_t wh_db_deployment_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                  wh_deployment_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_deployment_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_deployment_pinned(wh_dbc_t *dbc, apr_pool_t *p, const wh_deployment_t *d,
                                     apr_int64_t worker_id, int *pinned, wh_err_t *err)
{
    wh_snapshot_t snapshot;
    wh_worker_t *w;
    apr_status_t rv;

    *pinned = 0;
    if (d->source_id[0] != '\0') {
        *pinned = worker_id != 0;
        return APR_SUCCESS;
    }
    if (wh_model_snapshot_parse(p, d->snapshot, &snapshot, NULL) != APR_SUCCESS ||
        *snapshot.place_worker == '\0' || worker_id == 0) {
        return APR_SUCCESS;
    }
    rv = wh_db_worker_get(dbc, p, worker_id, &w, err);
    *pinned = rv == APR_SUCCESS && strcmp(w->name, snapshot.place_worker) == 0;
    return rv;
}

apr_status_t wh_db_deployment_list_by_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                          apr_int64_t before, int limit, apr_array_header_t **out,
                                          wh_err_t *err)
{
    wh_rows_t rows;
    apr_int64_t top = before == 0 ? INT64_MAX : before;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_deployment_by_app,
                                    WH_ARGS(WH_S(app_id), WH_I(top), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_deployment_environments(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                           int limit, apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_deployment_environments,
                                    WH_ARGS(WH_S(app_id), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_db_deployment_env_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_deployment_env_t *d = apr_array_push(*out);

        d->id = wh_dbc_text(&r);
        d->environment = wh_dbc_text(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_deployment_list_open(wh_dbc_t *dbc, apr_pool_t *p, int limit,
                                        apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_deployment_open, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_deployment_by_number(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                        apr_int64_t number, wh_deployment_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_deployment_by_number,
                                        WH_ARGS(WH_S(app_id), WH_I(number)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_deployment_list_open_until(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                              const char *environment, apr_int64_t number,
                                              apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_deployment_open_until,
                      WH_ARGS(WH_S(app_id), WH_S(environment), WH_I(number)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_array(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_deployment_latest_serving(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                             const char *environment, wh_deployment_t **out,
                                             wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_deployment_serving,
                                        WH_ARGS(WH_S(app_id), WH_S(environment)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = deployment_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_deployment_set_wait(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                       const char *code, const char *detail, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_deployment_waits,
                        WH_ARGS(WH_S(code), WH_S(detail), WH_S(id), WH_S(code), WH_S(detail)), NULL,
                        err);
}

/* What an event makes of a deployment in this state, for the compare-and-set. */
typedef struct step_t {
    wh_arg_t from, to;
} step_t;

/* Non-zero: the event does not move a deployment in this state. */
static int no_step(wh_deployment_status_e from, wh_deployment_event_e event, step_t *step)
{
    wh_deployment_status_e to;

    if (wh_fsm_deployment_next(from, event, &to) != WH_FSM_MOVE) {
        return 1;
    }
    step->from = WH_S(wh_model_deployment_status_text(from));
    step->to = WH_S(wh_model_deployment_status_text(to));
    return 0;
}

/* The same for the state that it is in now; APR_NOTFOUND when there is no step. */
static apr_status_t step_of(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                            wh_deployment_event_e event, step_t *step, wh_err_t *err)
{
    wh_deployment_t *d;
    apr_status_t rv = wh_db_deployment_get(dbc, p, id, &d, err);

    return rv == APR_SUCCESS && no_step(d->status, event, step) ? wh_dbc_not_found(err) : rv;
}

apr_status_t wh_db_deployment_start(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                    const wh_db_claim_t *c, apr_time_t now, wh_err_t *err)
{
    step_t step;
    apr_status_t rv = step_of(dbc, p, id, WH_DEPLOYMENT_EV_START, &step, err);

    return rv == APR_SUCCESS
               ? wh_dbc_cas(dbc, p, WH_SQL_deployment_start,
                            WH_ARGS(step.to, WH_I(c->worker_id), WH_I(now), WH_S(id), step.from,
                                    WH_S(c->job_id), WH_I(c->worker_id), WH_I(c->epoch)),
                            err)
               : rv;
}

apr_status_t wh_db_deployment_set_phase(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                        const wh_db_claim_t *c, wh_phase_e phase, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_deployment_phase,
                      WH_ARGS(WH_S(wh_model_phase_text(phase)), WH_S(id), WH_S(c->job_id),
                              WH_I(c->worker_id), WH_I(c->epoch)),
                      err);
}

apr_status_t wh_db_deployment_set_commit(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                         const wh_db_claim_t *c, const wh_db_commit_t *commit,
                                         wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_deployment_commit,
                      WH_ARGS(WH_S(commit->sha), WH_S(commit->message), WH_S(commit->author),
                              WH_I(commit->at), WH_S(id), WH_S(c->job_id), WH_I(c->worker_id),
                              WH_I(c->epoch)),
                      err);
}

apr_status_t wh_db_deployment_set_image(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                        const wh_db_claim_t *c, const char *digest, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_deployment_image,
                      WH_ARGS(WH_S(digest), WH_S(id), WH_S(c->job_id), WH_I(c->worker_id),
                              WH_I(c->epoch)),
                      err);
}

apr_status_t wh_db_deployment_set_snapshot(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                           const wh_db_claim_t *c, const char *text, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_deployment_snapshot,
                      WH_ARGS(WH_S(text), WH_S(id), WH_S(c->job_id), WH_I(c->worker_id),
                              WH_I(c->epoch)),
                      err);
}

apr_status_t wh_db_deployment_finalize(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                       const wh_db_claim_t *c, const char *release_id,
                                       const char *timings, wh_err_t *err)
{
    step_t step;
    apr_status_t rv = step_of(dbc, p, id, WH_DEPLOYMENT_EV_FINALIZE, &step, err);

    return rv == APR_SUCCESS
               ? wh_dbc_cas(dbc, p, WH_SQL_deployment_finalize,
                            WH_ARGS(step.to, WH_SN(release_id),
                                    WH_S(timings == NULL || *timings == '\0' ? "{}" : timings),
                                    WH_S(id), step.from, WH_S(c->job_id), WH_I(c->worker_id),
                                    WH_I(c->epoch)),
                            err)
               : rv;
}

/* F165, F100: told with the end itself; the next one of the environment that succeeds ends it. */
static apr_status_t alerts(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const wh_db_outcome_t *how,
                           apr_time_t now, wh_err_t *err)
{
    int failed = how->conclusion == WH_CONCLUSION_FAILED;
    wh_db_alert_event_t event = {.kind = WH_ALERT_DEPLOYMENT_FAILED, .now = now};
    wh_deployment_t *d;
    apr_status_t rv;

    if (!failed && how->conclusion != WH_CONCLUSION_SUCCEEDED) {
        return APR_SUCCESS;
    }
    rv = wh_db_deployment_get(dbc, p, id, &d, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    event.app_id = d->app_id;
    event.what = d->environment;
    event.title = apr_psprintf(p, "Deployment %" APR_INT64_T_FMT " of %s failed",
                               (apr_int64_t)d->number, d->environment);
    event.message = how->cause_detail;
    return failed ? wh_db_alert_happened(dbc, p, &event, err)
                  : wh_db_alert_over(dbc, p, &event, err);
}

apr_status_t wh_db_deployment_complete(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                       wh_deployment_status_e from, const wh_db_outcome_t *how,
                                       apr_time_t now, wh_err_t *err)
{
    wh_deployment_event_e event = wh_fsm_deployment_event(how->conclusion);
    wh_deployment_status_e last = from;
    step_t step;
    apr_status_t rv;
    int own;

    /* What failed with nothing to clean up passes through `fail` in this one write. */
    if (event == WH_DEPLOYMENT_EV_FAILED) {
        (void)wh_fsm_deployment_next(from, WH_DEPLOYMENT_EV_FAIL, &last);
    }
    if (no_step(last, event, &step)) {
        return wh_err_set(err, 500, "db_check", "A deployment cannot go from %s to %s.",
                          wh_model_deployment_status_text(from),
                          wh_model_conclusion_text(how->conclusion));
    }
    rv = wh_dbc_join(dbc, p, &own, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_dbc_cas(dbc, p, WH_SQL_deployment_complete,
                    WH_ARGS(step.to, WH_S(wh_model_conclusion_text(how->conclusion)),
                            WH_SN(how->cause_code), WH_SN(how->cause_detail), WH_I(now), WH_S(id),
                            WH_S(wh_model_deployment_status_text(from))),
                    err);
    rv = rv == APR_SUCCESS ? alerts(dbc, p, id, how, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_deployment_tell(dbc, p, id, how->conclusion, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_forge_note_deployment(dbc, p, id, err) : rv;
    return wh_dbc_leave(dbc, own, rv, err);
}

apr_status_t wh_db_deployment_fail(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   wh_deployment_status_e from, const char *cause_code,
                                   const char *cause_detail, wh_err_t *err)
{
    step_t step;

    if (no_step(from, WH_DEPLOYMENT_EV_FAIL, &step)) {
        return wh_err_set(err, 500, "db_check", "A deployment cannot go from %s to fail.",
                          wh_model_deployment_status_text(from));
    }
    return wh_dbc_cas(dbc, p, WH_SQL_deployment_fail,
                      WH_ARGS(step.to, WH_S(cause_code), WH_S(cause_detail), WH_S(id), step.from),
                      err);
}
