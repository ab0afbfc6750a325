#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sign.h"
#include "mod_wisehost/wh_mod_rate.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_hook.h"
#include "whdb/wh_db_name.h"

#define PROVIDER "github"
#define REPEAT_WINDOW apr_time_from_sec(600)

/*
 * A delivery: length, raw body, signature, and only then its content (D6). The secret follows from
 * the id in the path, so a signature is checked without asking the database: an unknown hook, a
 * deleted one and a wrong signature take the same way and the same time to the same 401.
 */

static const char *header(wh_call_t *c, const char *name)
{
    return name ? apr_table_get(c->r->headers_in, name) : NULL;
}

/* Counted for hook and address; an id that is none has one bucket for all of them. */
static apr_status_t refuse(wh_call_t *c)
{
    wh_err_t limit = WH_ERR_INIT;

    if (wh_mod_rate_failed(c->r, WH_RATE_DELIVERY, wh_id_ok(c->param[0]) ? c->param[0] : "",
                           &limit)) {
        c->err = limit;
    }
    return APR_EGENERAL;
}

apr_status_t wh_h_webhook_signature(wh_call_t *c)
{
    const wh_hook_provider_t *provider = wh_hook_provider(PROVIDER);
    apr_status_t rv = wh_mod_req_body(c->r, WH_HOOK_BODY_MAX, 1, &c->raw, &c->err);
    const char *secret;

    if (rv) {
        return rv;
    }
    secret = wh_keys_hook_secret(c->p, wh_mod_keys(), c->param[0]);
    rv = wh_hook_verify(secret, c->raw.data, c->raw.len, header(c, provider->signature_header),
                        &c->err);
    if (rv || !wh_id_ok(c->param[0])) {
        (void)!wh_err_set(&c->err, 401, "bad_signature", "The signature is missing or wrong.");
        return refuse(c);
    }
    c->actor.kind = WH_ACTOR_HOOK;
    c->actor.id = c->param[0];
    return APR_SUCCESS;
}

static apr_status_t ignored(wh_call_t *c, const char *reason)
{
    return wh_mod_call_reply(c, 200, json_pack("{s:s}", "ignored", reason));
}

/* What the content is good for: 422 when it is signed but says nothing usable. */
static apr_status_t read_push(wh_call_t *c, const wh_hook_provider_t *provider,
                              wh_hook_push_t *push)
{
    apr_status_t rv = wh_mod_req_is_json(c->r, &c->err);

    return rv ? rv : provider->push(c->p, c->raw.data, c->raw.len, push, &c->err);
}

/* The deployment that an earlier delivery of the same content made, "" when there is none. */
static apr_status_t find_earlier(wh_call_t *c, const wh_delivery_t *d, const char **deployment)
{
    wh_delivery_t *earlier;
    apr_status_t rv =
        wh_db_delivery_find(c->dbc, c->p, d->hook_id, d->delivery_id, &earlier, &c->err);

    if (rv == APR_NOTFOUND) {
        rv = wh_db_delivery_find_by_body(c->dbc, c->p, d->hook_id, d->body_sha256,
                                         c->now - REPEAT_WINDOW, &earlier, &c->err);
    }
    *deployment = rv ? "" : earlier->deployment_id;
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

/* Look and make in one transaction, so that two deliveries at once make one deployment. */
static apr_status_t take_in(wh_call_t *c, wh_delivery_t *d, const wh_h_deploy_t *what,
                            int *duplicate)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : find_earlier(c, d, &d->deployment_id);
    *duplicate = !rv && *d->deployment_id;
    if (!rv && !*duplicate) {
        rv = wh_h_deployment_insert(c, c->app->id, what, &d->deployment_id);
        rv = rv ? rv : wh_db_delivery_insert(c->dbc, c->p, d, &c->err);
    }
    return rv ? rv : wh_dbc_commit(c->dbc, &c->err);
}

/* PostgreSQL lets two look at the same time; the slower one is stopped by the key, and answers as a
 * duplicate does. */
static apr_status_t take_once(wh_call_t *c, wh_delivery_t *d, const wh_h_deploy_t *what,
                              int *duplicate)
{
    apr_status_t rv = take_in(c, d, what, duplicate);

    if (rv && wh_err_is(&c->err, "conflict")) {
        wh_dbc_rollback(c->dbc);
        wh_err_clear(&c->err);
        rv = take_in(c, d, what, duplicate);
    }
    return rv;
}

static apr_status_t take_push(wh_call_t *c, const wh_hook_push_t *push, const char *environment,
                              const char *delivery_id)
{
    wh_h_deploy_t what = {.environment = environment,
                          .trigger = WH_TRIGGER_PUSH,
                          .sha = push->after,
                          .ref = push->branch,
                          .message = push->message,
                          .author = push->author,
                          .at = push->timestamp};
    wh_delivery_t d = {
        .hook_id = c->hook->row.id, .delivery_id = delivery_id, .received_at = c->now};
    int duplicate;
    apr_status_t rv;

    d.body_sha256 = wh_sign_sha256_hex(c->p, c->raw.data, c->raw.len);
    rv = take_once(c, &d, &what, &duplicate);
    if (rv) {
        return rv;
    }
    if (!duplicate) {
        wh_mod_poke(c->r);
    }
    return wh_h_deployment_reply(c, duplicate ? 200 : 202, d.deployment_id);
}

/* R22: no deployment; but what only this branch showed goes now, not in a week. */
static apr_status_t close_preview(wh_call_t *c, const char *branch)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv
            : wh_db_name_expire(c->dbc, c->p, c->app->id, wh_branch_preview(c->p, branch), c->now,
                                &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return APR_SUCCESS;
}

/* Where the push goes, NULL = nowhere; deletions and tags go nowhere. */
static apr_status_t environment_of(wh_call_t *c, const wh_hook_push_t *push,
                                   const char **environment)
{
    *environment = NULL;
    if (!push->branch || push->deleted || push->tag) {
        return APR_SUCCESS;
    }
    return wh_h_environment_of(c, c->app, push->branch, environment);
}

/* F15, F213, F253, R22. */
apr_status_t wh_h_webhook_deliver(wh_call_t *c)
{
    const wh_hook_provider_t *provider = wh_hook_provider(PROVIDER);
    const char *delivery_id = header(c, provider->delivery_header);
    wh_hook_event_e event = wh_hook_event(header(c, provider->event_header));
    wh_hook_push_t push;
    const char *reason, *environment;
    apr_status_t rv;

    if (event != WH_HOOK_PUSH) {
        return ignored(c, wh_hook_decide(event, NULL, c->app->repo_branch));
    }
    if (!delivery_id || !wh_hook_delivery_ok(delivery_id)) {
        return wh_err_set(&c->err, 422, "payload_invalid", "The delivery has no usable id.");
    }
    rv = read_push(c, provider, &push);
    if (rv) {
        return rv;
    }
    rv = environment_of(c, &push, &environment);
    if (rv) {
        return rv;
    }
    reason = wh_hook_decide(event, &push, environment ? push.branch : c->app->repo_branch);
    if (push.deleted && push.branch && !push.tag && c->app->preview_max > 0) {
        rv = close_preview(c, push.branch);
    }
    if (rv) {
        return rv;
    }
    return reason ? ignored(c, reason) : take_push(c, &push, environment, delivery_id);
}
