/*
 * Who calls on /git/: the provider "wisehost" for AuthBasicProvider, and the way from whom httpd
 * let in to what he may do. A user name of Basic authentication says nothing: the token alone does,
 * and REMOTE_USER is made of its id, so that nobody can call himself something.
 */
#include <apr_base64.h>
#include <apr_strings.h>

#include <ap_provider.h>
#include <mod_auth.h>

#include "mod_wisehost/wh_mod_data.h"
#include "mod_wisehost/wh_mod_git.h"
#include "mod_wisehost/wh_mod_rate.h"

#define PASSWORD_MAX 4096

/* The provider's word about who calls goes with the request to the handler. */
static void keep_actor(wh_mod_req_t *req, request_rec *r, const wh_actor_t *actor)
{
    wh_actor_t *kept = apr_pmemdup(r->pool, actor, sizeof(*actor));

    req->actor = kept;
    r->user = apr_pstrcat(r->pool, "token:", actor->id, NULL);
}

static authn_status check_password(request_rec *r, const char *user, const char *password)
{
    wh_mod_req_t *req = wh_mod_data_get(r);
    wh_call_t c = {.r = r, .p = r->pool, .now = wh_mod_req_now(r)};
    wh_err_t limit = WH_ERR_INIT;
    apr_status_t rv;

    (void)user;
    if (req == NULL || req->place != WH_PLACE_GIT) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "WH0243: AuthBasicProvider wisehost knows callers of /git/ alone");
        return AUTH_USER_NOT_FOUND;
    }
    if (!wh_mod_auth_is_token(password)) {
        return AUTH_USER_NOT_FOUND; /* the next provider may know it */
    }
    if (wh_mod_rate_room(r, WH_RATE_CREDENTIAL, "", &limit)) {
        return AUTH_DENIED;
    }
    rv = wh_mod_auth_token(&c, password);
    wh_mod_db_release(r);
    if (!rv) {
        keep_actor(req, r, &c.actor);
        return AUTH_GRANTED;
    }
    if (rv == APR_NOTFOUND) {
        (void)!wh_mod_rate_failed(r, WH_RATE_CREDENTIAL, "", &limit);
        return AUTH_DENIED;
    }
    /* Never an answer about the caller: 500 by mod_auth_basic. */
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0244: a token cannot be looked up: %s",
                  c.err.text);
    return AUTH_GENERAL_ERROR;
}

static const authn_provider provider = {.check_password = check_password};

void wh_mod_git_auth_register(apr_pool_t *p)
{
    ap_register_auth_provider(p, AUTHN_PROVIDER_GROUP, "wisehost", AUTHN_PROVIDER_VERSION,
                              &provider, AP_AUTH_INTERNAL_PER_CONF);
}

/* The directive names apps by slug; wh_authz wants ids: the dispatcher adds that of the app which
 * the request is about, if it is among them. */
static apr_status_t by_directive(wh_call_t *c, const char *name)
{
    const apr_array_header_t *users = wh_mod_conf_srv(c->r->server)->git_users;
    const wh_mod_git_user_t *user = NULL;

    for (int i = 0; users != NULL && i < users->nelts && user == NULL; i++) {
        const wh_mod_git_user_t *u = &APR_ARRAY_IDX(users, i, wh_mod_git_user_t);

        if (strcmp(u->name, name) == 0 || strcmp(u->name, "*") == 0) {
            user = u;
        }
    }
    if (user == NULL) {
        return wh_err_set(&c->err, 403, "git_user_unknown",
                          "This server let you in, and no WiseHostGitUser says what you may do.");
    }
    c->actor = (wh_actor_t){.kind = WH_ACTOR_TOKEN, .id = name, .scopes = user->scopes};
    if (user->apps != NULL) {
        c->actor.apps = apr_array_make(c->p, 1, sizeof(const char *));
        c->actor_slugs = user->apps;
    }
    return APR_SUCCESS;
}

/* "Basic " and base64 of user:password. NULL when there is none or it is of another form. */
static const char *basic_password(request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Authorization");
    char *plain;
    const char *colon;
    int n;

    if (text == NULL || ap_cstr_casecmpn(text, "Basic ", 6) != 0) {
        return NULL;
    }
    for (text += 6; *text == ' '; text++) {
    }
    if (strlen(text) > PASSWORD_MAX) {
        return NULL;
    }
    plain = apr_palloc(r->pool, (apr_size_t)apr_base64_decode_len(text) + 1);
    n = apr_base64_decode(plain, text);
    plain[n < 0 ? 0 : n] = '\0';
    colon = strchr(plain, ':');
    return colon != NULL ? colon + 1 : NULL;
}

apr_status_t wh_mod_git_auth(wh_call_t *c)
{
    const wh_mod_req_t *req = wh_mod_data_get(c->r);
    const char *password;
    apr_status_t rv = APR_NOTFOUND;

    if (req != NULL && req->actor != NULL) {
        c->actor = *req->actor;
        return APR_SUCCESS;
    }
    if (c->r->user != NULL) {
        return by_directive(c, c->r->user);
    }
    password = basic_password(c->r);
    if (password == NULL) { /* git asks without at first */
        return wh_err_set(&c->err, 401, "unauthorized",
                          "Give any user name, and an API token as the password.");
    }
    if (wh_mod_auth_is_token(password)) {
        rv = wh_mod_auth_token(c, password);
    }
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = wh_mod_auth_refuse(c);
        if (c->err.http == 401) {
            rv = wh_err_set(&c->err, 401, "invalid_credentials",
                            "The token is not valid: the password has to be an API token.");
        }
    }
    return rv;
}
