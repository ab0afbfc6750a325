#include "mod_wisehost/wh_h_delivery.h"

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sync.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_forge.h"
#include "whdb/wh_db_name.h"

#define REPEAT_WINDOW apr_time_from_sec(600)
#define KEEP_FOR apr_time_from_sec(30 * 86400)
#define PRUNE_EVERY apr_time_from_sec(3600)
#define CHAIN_MAX 100 /* pushes that overtook one another */

/* What came of a whole delivery. */
typedef struct outcome_t {
    const char *deployment; /* the first that was made, or the earlier one */
    const char *reason;     /* of the first that made none */
    int duplicate;
    int closed;
} outcome_t;

/* ---- which push is the newest --------------------------------------------------------------- */

/* Deliveries overtake one another. A push says what it came on top of, so the ones that were told
 * of already and came after this one are found by that, and the newest of them wins (O9). A way
 * that leads back to where this one came from is a branch that was set back: then this one is
 * newer. */
static apr_status_t newer_push(wh_call_t *c, const wh_delivery_t *d, wh_delivery_t **newer)
{
    const wh_delivery_t *at = d;

    *newer = NULL;
    for (int i = 0; i < CHAIN_MAX; i++) {
        wh_delivery_t *next;
        apr_status_t rv =
            wh_db_delivery_after(c->dbc, c->p, at, c->now - REPEAT_WINDOW, &next, &c->err);

        if (rv == APR_NOTFOUND) {
            wh_err_clear(&c->err);
            return APR_SUCCESS;
        }
        if (rv || strspn(next->sha, "0") == strlen(next->sha)) {
            return rv;
        }
        if (!strcmp(next->sha, d->sha) || !strcmp(next->sha, d->before)) {
            *newer = NULL;
            return APR_SUCCESS;
        }
        if (!strcmp(next->verdict, "accepted") || !strcmp(next->reason, "superseded")) {
            *newer = next;
        }
        at = next;
    }
    return APR_SUCCESS;
}

/* The newest deployment of an environment, NULL when there is none. */
static apr_status_t newest(wh_call_t *c, const char *environment, wh_deployment_t **out)
{
    apr_status_t rv = wh_db_deployment_newest(c->dbc, c->p, c->app->id, environment, out, &c->err);

    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        *out = NULL;
        rv = APR_SUCCESS;
    }
    return rv;
}

static apr_status_t overtaken(wh_call_t *c, wh_delivery_t *d, wh_hook_event_t *event,
                              wh_hook_plan_t *plan)
{
    wh_delivery_t *newer;
    wh_deployment_t *last;
    apr_status_t rv = newer_push(c, d, &newer);

    if (rv || !newer) {
        return rv;
    }
    rv = newest(c, plan->environment, &last);
    if (rv || (last && !strcmp(last->commit_sha, newer->sha))) {
        plan->reason = "superseded";
        return rv;
    }
    /* Something between the two came last: the newer one again, so that the app ends there. */
    rv = wh_hook_event_load(c->p, newer->payload, event, &c->err);
    d->reason = "newer_known";
    return rv;
}

/* ---- previews ------------------------------------------------------------------------------- */

static apr_status_t shown(wh_call_t *c, const char *environment, int *yes)
{
    apr_array_header_t *names;
    apr_status_t rv = wh_db_name_list_by_app(c->dbc, c->p, c->app->id, &names, &c->err);

    *yes = 0;
    for (int i = 0; !rv && i < names->nelts; i++) {
        const wh_name_t *name = APR_ARRAY_IDX(names, i, wh_name_t *);

        *yes |= !strcmp(name->environment, environment) &&
                (!name->expires_at || name->expires_at > c->now);
    }
    return rv;
}

/* A branch with a request tells of each commit twice. */
static apr_status_t told_before(wh_call_t *c, const wh_hook_event_t *event, wh_hook_plan_t *plan)
{
    const char *sha = *event->sha ? event->sha : event->short_sha;
    wh_deployment_t *last;
    int yes = 0;
    apr_status_t rv = newest(c, plan->environment, &last);

    if (rv || !last || !*sha || strncmp(last->commit_sha, sha, strlen(sha))) {
        return rv;
    }
    yes = last->conclusion == WH_CONCLUSION_NONE;
    if (last->conclusion == WH_CONCLUSION_SUCCEEDED) {
        rv = shown(c, plan->environment, &yes);
    }
    plan->reason = yes ? "already_deployed" : NULL;
    return rv;
}

/* R22: no deployment; but what only this branch showed goes now, not in a week. */
static apr_status_t close_preview(wh_call_t *c, const char *environment)
{
    apr_status_t rv = wh_db_name_expire(c->dbc, c->p, c->app->id, environment, c->now, &c->err);

    return rv ? rv
              : wh_db_deployment_drop_held(c->dbc, c->p, c->app->id, environment, c->now, &c->err);
}

/* ---- one event ------------------------------------------------------------------------------ */

static apr_status_t deploy(wh_call_t *c, wh_delivery_t *d, const wh_hook_event_t *event,
                           const wh_hook_plan_t *plan)
{
    wh_h_deploy_t what = {.environment = plan->environment,
                          .trigger = *c->hook->row.token_issuer ? WH_TRIGGER_ACTIONS
                                                                : WH_TRIGGER_PUSH,
                          .sha = event->sha,
                          .ref = plan->ref,
                          .message = event->message,
                          .author = event->author,
                          .at = event->at,
                          .untrusted = plan->hold};
    apr_status_t rv = APR_SUCCESS;

    if (plan->hold) {
        rv = wh_db_deployment_drop_held(c->dbc, c->p, c->app->id, plan->environment, 0, &c->err);
    }
    return rv ? rv : wh_h_deployment_insert(c, c->app->id, &what, &d->deployment_id);
}

/* Whose preview is whose: its forge gets a comment on it. */
static apr_status_t note_request(wh_call_t *c, const wh_hook_event_t *event,
                                 const wh_hook_plan_t *plan)
{
    int closed = event->kind == WH_HOOK_REQUEST_CLOSE;
    const wh_db_forge_request_t request = {.hook_id = c->hook->row.id,
                                           .environment = closed ? plan->close : plan->environment,
                                           .number = event->number,
                                           .closed = closed};
    int known = !plan->reason || closed || !strcmp(plan->reason, "already_deployed");

    if (!*event->number || !request.environment || !known ||
        !wh_branch_is_preview(request.environment)) {
        return APR_SUCCESS;
    }
    return wh_db_forge_request(c->dbc, c->p, &request, &c->err);
}

static apr_status_t plan_event(wh_call_t *c, const wh_h_delivery_t *in, const wh_hook_want_t *want,
                               wh_delivery_t *d, wh_hook_event_t *event, wh_hook_plan_t *plan)
{
    apr_status_t rv = APR_SUCCESS;

    wh_hook_plan(c->p, event, want, plan);
    if (plan->reason || in->replay_of) {
        return APR_SUCCESS;
    }
    if (wh_branch_is_preview(plan->environment)) {
        rv = told_before(c, event, plan);
    }
    if (!rv && !plan->reason && event->kind == WH_HOOK_PUSH && !event->head) {
        rv = overtaken(c, d, event, plan);
    }
    return rv;
}

static apr_status_t take_event(wh_call_t *c, const wh_h_delivery_t *in, const wh_hook_want_t *want,
                               int part, outcome_t *out)
{
    wh_hook_event_t event = APR_ARRAY_IDX(in->events, part, wh_hook_event_t);
    json_t *payload = wh_json_own(c->p, wh_hook_event_json(&event));
    wh_delivery_t d = {.id = wh_id_make(c->p, c->now, wh_sys_rand()),
                       .hook_id = c->hook->row.id,
                       .part = part,
                       .event = in->event,
                       .ref = event.ref,
                       .before = event.before,
                       .sha = event.sha,
                       .body_sha256 = in->body_sha256,
                       .headers = in->headers,
                       .payload = payload ? wh_json_text(c->p, payload, NULL) : NULL,
                       .replay_of = in->replay_of,
                       .received_at = c->now};
    wh_hook_plan_t plan;
    apr_status_t rv;

    if (!d.id || !d.payload) {
        return wh_err_set(&c->err, 503, "no_random",
                          "This server has no random numbers or no memory.");
    }
    d.delivery_id = *in->delivery_id ? in->delivery_id : d.id;
    rv = plan_event(c, in, want, &d, &event, &plan);
    if (!rv && plan.close) {
        rv = close_preview(c, plan.close);
        out->closed = 1;
    }
    rv = rv ? rv : note_request(c, &event, &plan);
    rv = rv || plan.reason ? rv : deploy(c, &d, &event, &plan);
    if (rv) {
        return rv;
    }
    d.verdict = plan.reason ? "ignored" : "accepted";
    d.reason = plan.reason ? plan.reason : d.reason;
    out->reason = out->reason ? out->reason : plan.reason;
    out->deployment = out->deployment ? out->deployment : d.deployment_id;
    return wh_db_delivery_insert(c->dbc, c->p, &d, &c->err);
}

/* ---- a delivery ----------------------------------------------------------------------------- */

/* The deployment that an earlier delivery of the same content made. */
static apr_status_t find_earlier(wh_call_t *c, const wh_h_delivery_t *in, outcome_t *out)
{
    const wh_delivery_t like = {.hook_id = c->hook->row.id,
                                .delivery_id = in->delivery_id,
                                .body_sha256 = in->same_body_counts ? in->body_sha256 : "",
                                .received_at = c->now - REPEAT_WINDOW};
    wh_delivery_t *earlier;
    apr_status_t rv;

    *out = (outcome_t){.duplicate = 0};
    if (!*in->delivery_id || in->replay_of) {
        return APR_SUCCESS;
    }
    rv = wh_db_delivery_earlier(c->dbc, c->p, &like, &earlier, &c->err);
    if (!rv) {
        *out = (outcome_t){.duplicate = 1, .deployment = earlier->deployment_id};
    }
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv;
}

static apr_status_t want_of(wh_call_t *c, const wh_h_delivery_t *in, wh_hook_want_t *want)
{
    apr_array_header_t *rules, *watch;
    apr_status_t rv = wh_db_environment_list(c->dbc, c->p, c->app->id, &rules, &c->err);

    rv = rv ? rv : wh_hook_watch_parse(c->p, c->hook->row.watch, &watch, &c->err);
    if (rv) {
        return rv;
    }
    *want = (wh_hook_want_t){.branch = c->app->repo_branch,
                             .rules = rules,
                             .previews = c->app->preview_max > 0,
                             .watch = watch,
                             .off = in->replay_of ? NULL
                                                  : wh_sync_refuses(c->app->sync_kind,
                                                                    *c->hook->row.token_issuer)};
    return APR_SUCCESS;
}

/* Whoever holds the hook's row is alone with its deliveries. */
static apr_status_t hold_hook(wh_call_t *c)
{
    apr_time_t last = c->hook->row.last_delivery_at;
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_hook_touch(c->dbc, c->p, c->hook->row.id, c->now, &c->err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 401, "bad_signature", "The signature is missing or wrong.");
    }
    if (!rv && last && last < c->now - PRUNE_EVERY) {
        rv = wh_db_delivery_prune(c->dbc, c->p, c->hook->row.id, c->now - KEEP_FOR, &c->err);
    }
    return rv;
}

static apr_status_t let_hook_go(wh_call_t *c)
{
    return wh_dbc_commit(c->dbc, &c->err);
}

/* Look and make in one transaction, so that two deliveries at once make one deployment. */
static apr_status_t take_in(wh_call_t *c, const wh_h_delivery_t *in, outcome_t *out)
{
    wh_hook_want_t want;
    apr_status_t rv = hold_hook(c);

    rv = rv ? rv : find_earlier(c, in, out);
    if (!rv && out->duplicate) {
        wh_dbc_rollback(c->dbc);
        return APR_SUCCESS;
    }
    rv = rv ? rv : want_of(c, in, &want);
    for (int i = 0; !rv && i < in->events->nelts; i++) {
        rv = take_event(c, in, &want, i, out);
    }
    return rv ? rv : let_hook_go(c);
}

apr_status_t wh_h_delivery_take(wh_call_t *c, const wh_h_delivery_t *in)
{
    outcome_t out;
    apr_status_t rv = wh_mod_call_db(c);

    /* A repetition needs no lock. */
    rv = rv ? rv : find_earlier(c, in, &out);
    if (!rv && !out.duplicate) {
        rv = take_in(c, in, &out);
    }
    if (rv && wh_err_is(&c->err, "conflict")) {
        wh_dbc_rollback(c->dbc);
        wh_err_clear(&c->err);
        rv = take_in(c, in, &out);
    }
    if (rv) {
        return rv;
    }
    if (!out.duplicate && (out.deployment || out.closed)) {
        wh_mod_poke(c->r);
    }
    if (!out.deployment || !*out.deployment) {
        return wh_mod_call_reply(c, 200, json_pack("{s:s}", "ignored", out.reason));
    }
    return wh_h_deployment_reply(c, out.duplicate ? 200 : 202, out.deployment);
}

apr_status_t wh_h_delivery_reject(wh_call_t *c, const wh_h_delivery_t *in)
{
    wh_err_t why = c->err;
    wh_delivery_t d = {.id = wh_id_make(c->p, c->now, wh_sys_rand()),
                       .hook_id = c->hook->row.id,
                       .event = in->event,
                       .verdict = "rejected",
                       .reason = why.text,
                       .body_sha256 = in->body_sha256,
                       .headers = in->headers,
                       .payload = "{}",
                       .received_at = c->now};
    apr_status_t rv;

    wh_err_clear(&c->err);
    rv = d.id ? hold_hook(c) : APR_EGENERAL;
    d.delivery_id = *in->delivery_id ? in->delivery_id : d.id;
    rv = rv ? rv : wh_db_delivery_insert(c->dbc, c->p, &d, &c->err);
    rv = rv ? rv : let_hook_go(c);
    if (!rv || c->err.http != 503) {
        c->err = why;
    }
    return APR_EGENERAL;
}

/* ---- the log -------------------------------------------------------------------------------- */

static apr_status_t find(wh_call_t *c, wh_delivery_t **d)
{
    if (!wh_id_ok(c->param[1])) {
        return wh_err_set(&c->err, 404, "not_found", "There is no such delivery.");
    }
    return wh_db_delivery_get(c->dbc, c->p, c->hook->row.id, c->param[1], d, &c->err);
}

apr_status_t wh_h_delivery_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    rv = rv ? rv
            : wh_db_delivery_list(c->dbc, c->p, c->hook->row.id, *page.after ? page.after : "~",
                                  page.limit + 1, &rows, &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_delivery_t *d = APR_ARRAY_IDX(rows, i, wh_delivery_t *);

        if (wh_mod_call_page_row(&page, d->id, 1)) {
            json_array_append_new(page.items, wh_model_delivery_json(d, 0));
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

apr_status_t wh_h_delivery_get(wh_call_t *c)
{
    wh_delivery_t *d;
    apr_status_t rv = find(c, &d);

    return rv ? rv : wh_mod_call_reply(c, 200, wh_model_delivery_json(d, 1));
}

/* The same once more, by what is wanted of the hook now; which push came later is not asked. */
apr_status_t wh_h_delivery_replay(wh_call_t *c)
{
    apr_array_header_t *events = apr_array_make(c->p, 1, sizeof(wh_hook_event_t));
    wh_h_delivery_t in = {.delivery_id = "", .headers = "{}", .events = events};
    wh_delivery_t *d;
    apr_status_t rv = find(c, &d);

    if (rv) {
        return rv;
    }
    rv = wh_hook_event_load(c->p, d->payload, &APR_ARRAY_PUSH(events, wh_hook_event_t), &c->err);
    if (rv) {
        return rv;
    }
    in.event = d->event;
    in.replay_of = d->id;
    in.body_sha256 = d->body_sha256;
    return wh_h_delivery_take(c, &in);
}
