#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_time.h"
#include "whdb/wh_db_fleet.h"
#include "whdb/wh_db_token.h"
#include "whdb/wh_db_worker.h"

/*
 * What administrators do with a worker. The module writes what is wanted; the scheduler, poked
 * after the commit, carries it out: it moves apps away, closes connections, tells of rotation.
 */

#define ENROL_SECONDS 3600
#define NAMED_MAX 10

/* ---- one worker ----------------------------------------------------------------------------- */

static json_t *left_json(const wh_db_left_t *left)
{
    json_t *cause = json_null();

    if (left->superseded) {
        cause = json_pack("{s:s, s:s}", "code", "stopping", "detail",
                          "Its former containers are about to be stopped.");
    } else if (*left->cause_code) {
        cause = json_pack("{s:s, s:s}", "code", left->cause_code, "detail", left->cause_detail);
    }
    return json_pack("{s:s, s:s, s:s?, s:s?, s:o}", "app", left->app, "environment",
                     left->environment, "deployment",
                     *left->deployment_id ? left->deployment_id : NULL, "status",
                     *left->deployment_id ? wh_model_deployment_status_text(left->status) : NULL,
                     "cause", cause);
}

/* What a draining worker still has; null while it does not drain. */
static apr_status_t drain_json(wh_call_t *c, const wh_worker_t *w, json_t **out)
{
    json_t *items = wh_json_own(c->p, json_array());
    apr_array_header_t *left;
    apr_status_t rv;

    *out = json_null();
    if (w->admin_state != WH_WORKER_DRAINING) {
        return APR_SUCCESS;
    }
    rv = wh_db_fleet_left(c->dbc, c->p, w->id, w->drain_at, &left, &c->err);
    for (int i = 0; !rv && i < left->nelts; i++) {
        json_array_append_new(items, left_json(APR_ARRAY_IDX(left, i, wh_db_left_t *)));
    }
    if (!rv) {
        *out = json_pack("{s:O, s:I}", "left", items, "jobs", (json_int_t)w->jobs);
    }
    return rv;
}

/* The worker as it stands now. */
static apr_status_t reply_worker(wh_call_t *c, int status)
{
    json_t *body, *drain;
    wh_worker_t *w;
    apr_status_t rv = wh_db_worker_find(c->dbc, c->p, c->worker->public_id, &w, &c->err);

    rv = rv ? rv : drain_json(c, w, &drain);
    if (rv) {
        return rv;
    }
    body = wh_model_worker_json(c->p, w);
    json_object_set_new(body, "drain", drain);
    if (status == 202) {
        wh_mod_req_location(c->r, "/v1/workers/%s", w->public_id);
    }
    return wh_mod_call_reply(c, status, body);
}

apr_status_t wh_h_worker_get(wh_call_t *c)
{
    return reply_worker(c, 200);
}

/* ---- changes of state ----------------------------------------------------------------------- */

/* One write, its commit, the poke, the worker. What was so already is no error: saying it twice
 * does no harm. */
typedef apr_status_t (*write_fn)(wh_call_t *c);

static apr_status_t write_worker(wh_call_t *c, write_fn write, int status)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : write(c);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return status == 204 ? wh_mod_call_empty(c, 204) : reply_worker(c, status);
}

static apr_status_t so_already(wh_call_t *c, apr_status_t rv)
{
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        return APR_SUCCESS;
    }
    return rv;
}

static apr_status_t write_drain(wh_call_t *c)
{
    return so_already(c, wh_db_fleet_set_admin(c->dbc, c->p, c->worker->id, WH_WORKER_ACTIVE,
                                               WH_WORKER_DRAINING, c->now, &c->err));
}

static apr_status_t write_undrain(wh_call_t *c)
{
    return so_already(c, wh_db_fleet_set_admin(c->dbc, c->p, c->worker->id, WH_WORKER_DRAINING,
                                               WH_WORKER_ACTIVE, c->now, &c->err));
}

static apr_status_t write_revoke(wh_call_t *c)
{
    return so_already(c, wh_db_fleet_revoke(c->dbc, c->p, c->worker->id, c->now, &c->err));
}

static apr_status_t write_ask_rotate(wh_call_t *c)
{
    apr_status_t rv = wh_db_fleet_ask_rotate(c->dbc, c->p, c->worker->id, c->now, &c->err);

    return rv == APR_NOTFOUND
               ? wh_err_set(&c->err, 409, "worker_revoked",
                            "This worker's key was revoked: enrol it again with a token that "
                            "replaces its key.")
               : rv;
}

apr_status_t wh_h_worker_drain(wh_call_t *c)
{
    return write_worker(c, write_drain, 202);
}

apr_status_t wh_h_worker_undrain(wh_call_t *c)
{
    return write_worker(c, write_undrain, 200);
}

apr_status_t wh_h_worker_revoke(wh_call_t *c)
{
    return write_worker(c, write_revoke, 200);
}

apr_status_t wh_h_worker_ask_rotate(wh_call_t *c)
{
    return write_worker(c, write_ask_rotate, 202);
}

/* ---- removal -------------------------------------------------------------------------------- */

/* 409 with the apps that would lose their containers. */
static apr_status_t nothing_left(wh_call_t *c)
{
    const char *names = "";
    apr_array_header_t *left;
    apr_status_t rv = wh_db_fleet_left(c->dbc, c->p, c->worker->id, c->now, &left, &c->err);

    if (rv || !left->nelts) {
        return rv;
    }
    for (int i = 0; i < left->nelts && i < NAMED_MAX; i++) {
        const wh_db_left_t *one = APR_ARRAY_IDX(left, i, wh_db_left_t *);

        names = apr_psprintf(c->p, "%s%s%s (%s)", names, i ? ", " : "", one->app, one->environment);
    }
    if (left->nelts > NAMED_MAX) {
        names = apr_psprintf(c->p, "%s and %d more", names, left->nelts - NAMED_MAX);
    }
    return wh_err_set(&c->err, 409, "worker_in_use",
                      "These still have containers there: %s. Drain it first; ?force=true gives "
                      "the containers up.",
                      names);
}

static apr_status_t write_remove(wh_call_t *c)
{
    const char *force = apr_table_get(c->query, "force");
    apr_status_t rv = force && !strcmp(force, "true") ? APR_SUCCESS : nothing_left(c);

    rv = rv ? rv : wh_db_fleet_remove(c->dbc, c->p, c->worker, c->now, &c->err);
    return rv == APR_NOTFOUND
               ? wh_err_set(&c->err, 409, "conflict", "Its jobs moved at this moment: ask again.")
               : rv;
}

apr_status_t wh_h_worker_remove(wh_call_t *c)
{
    return write_worker(c, write_remove, 204);
}

/* ---- enrolment tokens ----------------------------------------------------------------------- */

static apr_status_t decode_enrol(wh_call_t *c, wh_db_onetime_t *t)
{
    const char *name = json_string_value(json_object_get(c->body, "worker"));
    const json_t *seconds = json_object_get(c->body, "expires_in");
    apr_int64_t life = json_is_integer(seconds) ? json_integer_value(seconds) : ENROL_SECONDS;

    t->worker_name = name ? name : "";
    t->replaces = json_is_true(json_object_get(c->body, "replaces"));
    t->expires_at = c->now + life * APR_USEC_PER_SEC;
    if (name && !wh_model_worker_name_ok(name)) {
        return wh_err_field(&c->err, "/worker", "invalid_value", WH_WORKER_NAME_RULE);
    }
    if (t->replaces && !name) {
        return wh_err_field(&c->err, "/worker", "missing_field",
                            "which worker's key is to be replaced?");
    }
    return APR_SUCCESS;
}

/* Said now, and not only when the agent stands there with a token that does not help. */
static apr_status_t name_fits(wh_call_t *c, const wh_db_onetime_t *t)
{
    wh_worker_t *w;
    apr_status_t rv;

    if (!*t->worker_name) {
        return APR_SUCCESS;
    }
    rv = wh_db_worker_find(c->dbc, c->p, t->worker_name, &w, &c->err);
    if (rv == APR_NOTFOUND && t->replaces) {
        return wh_mod_call_no_worker(c, "/worker", t->worker_name);
    }
    if (!rv && !t->replaces) {
        return wh_err_set(&c->err, 409, "conflict",
                          "There is a worker of this name: only a token that replaces its key "
                          "registers it again.");
    }
    return so_already(c, rv);
}

/* R8: shown once, stored as a hash, good for one use. */
apr_status_t wh_h_worker_enrol(wh_call_t *c)
{
    const char *token = wh_rand_hex(c->p, wh_sys_rand(), 32);
    wh_db_onetime_t t = {.purpose = "enrolment", .created_at = c->now};
    apr_status_t rv = decode_enrol(c, &t);

    if (rv) {
        return rv;
    }
    if (!token) {
        return wh_mod_call_no_random(c);
    }
    t.hash = wh_sign_sha256_hex(c->p, token, strlen(token));
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : name_fits(c, &t);
    rv = rv ? rv : wh_db_token_onetime_insert(c->dbc, c->p, &t, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    return wh_mod_call_reply(c, 201,
                             json_pack("{s:s, s:s, s:s?, s:b}", "token", token, "expires_at",
                                       wh_time_rfc3339(c->p, t.expires_at), "worker",
                                       *t.worker_name ? t.worker_name : NULL, "replaces",
                                       t.replaces));
}
