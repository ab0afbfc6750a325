#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_jwt.h"
#include "libwh/wh_sign.h"
#include "mod_wisehost/wh_mod_git.h"
#include "mod_wisehost/wh_mod_rate.h"
#include "whdb/wh_db_token.h"
#include "whdb/wh_db_worker.h"

#define TOKEN_PREFIX "wh_"

/*
 * Who calls. Every credential is tried by its form, on every route, so that a good one in the wrong
 * place is 403 and a bad one 401 wherever it is shown. Secrets that are ours to compare are
 * compared in constant time; those in the database are looked up by their SHA-256, so no comparison
 * of a secret takes place at all. A database fault is handed on as it is: it is never an answer
 * about a caller.
 */

static apr_status_t set_worker(wh_call_t *c, wh_actor_kind_e kind, const wh_worker_t *w)
{
    if (w->admin_state == WH_WORKER_REMOVED || w->revoked_at != 0) {
        return APR_NOTFOUND;
    }
    c->actor.kind = kind;
    c->actor.id = w->public_id;
    c->actor.worker_id = w->id;
    return APR_SUCCESS;
}

/* F74, F75: the token binds to the present key by key_hash, so a rotated key ends it. */
static apr_status_t by_jwt(wh_call_t *c, const char *bearer)
{
    unsigned char key_sha256[WH_SHA256_LEN];
    wh_jwt_claims_t claims;
    char present[65];
    wh_worker_t *w;
    apr_status_t rv;

    rv = wh_jwt_verify(c->p, wh_mod_keys()->worker_jwt, bearer, c->now, &claims, &c->err);
    if (rv) {
        return rv; /* says token_expired or clock_skew too: an agent has to know when to refresh */
    }
    rv = wh_mod_call_db(c);
    rv = rv ? rv : wh_db_worker_get(c->dbc, c->p, claims.sub, &w, &c->err);
    if (rv) {
        return rv;
    }
    if (wh_sign_unhex(w->key_hash, WH_SHA256_HEX, key_sha256)) {
        return wh_err_set(&c->err, 500, "db_check", "A worker's key hash is not well-formed.");
    }
    wh_jwt_key_hash(key_sha256, present);
    if (!wh_sign_equal(present, claims.key_hash, WH_SHA256_HEX)) {
        return APR_NOTFOUND;
    }
    return set_worker(c, WH_ACTOR_WORKER, w);
}

static apr_status_t by_token(wh_call_t *c, const char *hash)
{
    apr_array_header_t *apps = NULL;
    wh_token_t *t;
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_token_find_by_hash(c->dbc, c->p, hash, c->now, &t, &c->err);
    if (rv) {
        return rv;
    }
    if (wh_authz_scopes_parse(t->scopes, &c->actor.scopes, NULL) ||
        wh_authz_apps_parse(c->p, t->apps, &apps, NULL)) {
        return wh_err_set(&c->err, 500, "db_check", "A token's scopes are not well-formed.");
    }
    c->actor.kind = WH_ACTOR_TOKEN;
    c->actor.id = t->id;
    c->actor.apps = apps;
    /* A note, not part of the answer: a busy database must not turn a read into a 503. */
    (void)!wh_db_token_touch(c->dbc, c->p, t, c->now, NULL);
    return APR_SUCCESS;
}

/* The digests are compared, so that neither content nor length shows in the time (F53). */
static int same_secret(const char *bearer, const char *secret)
{
    unsigned char a[WH_SHA256_LEN], b[WH_SHA256_LEN];

    if (!secret) {
        return 0;
    }
    wh_sign_sha256(bearer, strlen(bearer), a);
    wh_sign_sha256(secret, strlen(secret), b);
    return wh_sign_equal(a, b, WH_SHA256_LEN);
}

/* Looks whether an enrolment token would do, by a read: a wrong one never waits for the write lock,
 * and a good one is used up in the transaction that registers the worker alone, so that a failed
 * registration costs no token. */
static apr_status_t by_enrolment(wh_call_t *c, const char *hash)
{
    apr_status_t rv;

    if (!wh_authz_action_takes(c->route->action, WH_ACTOR_ENROLMENT)) {
        return APR_NOTFOUND;
    }
    rv = wh_mod_rate_room(c->r, WH_RATE_CREDENTIAL, "", &c->err);
    rv = rv ? rv : wh_mod_call_db(c);
    rv = rv ? rv : wh_db_token_onetime_get(c->dbc, c->p, hash, "enrolment", c->now, &c->err);
    if (!rv) {
        c->actor.kind = WH_ACTOR_ENROLMENT;
        c->credential_hash = hash;
    }
    return rv;
}

/* With WiseHostAllowRawKey Off the key is shown where no token would do alone: to get one (R31). */
static apr_status_t by_worker_key(wh_call_t *c, const char *hash)
{
    wh_worker_t *w;
    apr_status_t rv;

    if (!wh_mod_conf_allow_raw_key(c->r->server) &&
        wh_authz_action_takes(c->route->action, WH_ACTOR_WORKER)) {
        return APR_NOTFOUND;
    }
    rv = wh_mod_call_db(c);
    rv = rv ? rv : wh_db_worker_by_key_hash(c->dbc, c->p, hash, &w, &c->err);
    return rv ? rv : set_worker(c, WH_ACTOR_WORKER_KEY, w);
}

int wh_mod_auth_is_token(const char *text)
{
    return !strncmp(text, TOKEN_PREFIX, strlen(TOKEN_PREFIX));
}

/* Two dots with something between and around them. */
static int looks_like_jwt(const char *s)
{
    const char *first = strchr(s, '.');

    return first && strchr(first + 1, '.');
}

static apr_status_t identify(wh_call_t *c, const char *bearer)
{
    const char *hash;
    apr_status_t rv;

    if (looks_like_jwt(bearer)) {
        return by_jwt(c, bearer);
    }
    if (same_secret(bearer, wh_mod_control_secret())) {
        c->actor.kind = WH_ACTOR_CONTROL;
        return APR_SUCCESS;
    }
    if (same_secret(bearer, wh_mod_proxy_token())) {
        c->actor.kind = WH_ACTOR_PROXY;
        return APR_SUCCESS;
    }
    if (same_secret(bearer, wh_mod_metrics_token())) {
        c->actor.kind = WH_ACTOR_METRICS;
        return APR_SUCCESS;
    }
    hash = wh_sign_sha256_hex(c->p, bearer, strlen(bearer));
    if (wh_mod_auth_is_token(bearer)) {
        return by_token(c, hash);
    }
    rv = by_enrolment(c, hash);
    return rv == APR_NOTFOUND ? by_worker_key(c, hash) : rv;
}

apr_status_t wh_mod_auth_token(wh_call_t *c, const char *token)
{
    const char *hash = wh_sign_sha256_hex(c->p, token, strlen(token));
    apr_status_t rv = by_token(c, hash);

    return wh_mod_call_lost(c, rv) ? by_token(c, hash) : rv;
}

apr_status_t wh_mod_auth_refuse(wh_call_t *c)
{
    wh_err_t limit = WH_ERR_INIT;

    if (wh_mod_rate_failed(c->r, WH_RATE_CREDENTIAL, "", &limit)) {
        c->err = limit;
    } else if (c->err.http != 401) {
        (void)!wh_err_set(&c->err, 401, "invalid_credentials", "The credential is not valid.");
    }
    return APR_EGENERAL;
}

apr_status_t wh_mod_auth(wh_call_t *c)
{
    const char *bearer;
    apr_status_t rv;

    c->actor = (wh_actor_t){.kind = WH_ACTOR_ANON, .id = ""};
    if (c->route->flags & WH_API_GIT) {
        return wh_mod_git_auth(c);
    }
    if (wh_authz_action_takes(c->route->action, WH_ACTOR_ANON)) {
        return APR_SUCCESS;
    }
    if (c->route->flags & WH_API_SIGNED) {
        return wh_h_webhook_signature(c);
    }
    bearer = wh_mod_req_bearer(c->r);
    if (!bearer && wh_authz_action_takes(c->route->action, WH_ACTOR_METRICS) &&
        wh_mod_address_metrics(c->r)) {
        c->actor.kind = WH_ACTOR_METRICS;
        return APR_SUCCESS;
    }
    if (!bearer) {
        (void)!wh_authz_err(WH_DENY_401, &c->err);
        return wh_mod_auth_refuse(c);
    }
    rv = identify(c, bearer);
    if (wh_mod_call_lost(c, rv)) { /* a pooled connection that died since its last use */
        rv = identify(c, bearer);
    }
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        return wh_mod_auth_refuse(c);
    }
    return rv && c->err.http == 401 ? wh_mod_auth_refuse(c) : rv;
}
