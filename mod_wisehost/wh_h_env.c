/* Env vars of an app: sealed before they are stored, and what is secret never answered again. */
#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_env.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_env.h"

/* ---- what is there -------------------------------------------------------------------------- */

static const wh_env_var_t *find(const apr_array_header_t *vars, const char *scope,
                                const char *name)
{
    for (int i = 0; i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);

        if (!strcmp(v->scope, scope) && !strcmp(v->name, name)) {
            return v;
        }
    }
    return NULL;
}

/* Whoever may only look sees names. A value whose key this server has not got yet (a rotation
 * before its restart) is no reason to hide the rest. */
static apr_status_t entry(wh_call_t *c, const wh_env_var_t *v, json_t *items)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());
    int shown = !v->secret && (c->actor.scopes & (WH_SCOPE_WRITE | WH_SCOPE_ADMIN));
    const char *value = NULL;
    apr_status_t rv = shown ? wh_env_open(c->p, &ring, v, &value, &c->err) : APR_SUCCESS;

    if (rv && wh_err_is(&c->err, "secret_key")) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    if (!rv) {
        json_array_append_new(items, wh_model_env_json(v, value));
    }
    return rv;
}

/* scope NULL: all. */
static apr_status_t reply(wh_call_t *c, const apr_array_header_t *vars, const char *scope)
{
    json_t *items = wh_json_own(c->p, json_array());
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; !rv && i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);

        rv = !scope || !strcmp(v->scope, scope) ? entry(c, v, items) : APR_SUCCESS;
    }
    return rv ? rv : wh_mod_call_reply(c, 200, wh_mod_call_list(json_incref(items), NULL));
}

apr_status_t wh_h_env_list(wh_call_t *c)
{
    const char *environment = apr_table_get(c->query, "environment");
    apr_array_header_t *vars;
    apr_status_t rv = environment ? wh_env_scope_check(environment, &c->err) : APR_SUCCESS;

    rv = rv ? rv : wh_db_env_list(c->dbc, c->p, c->app->id, &vars, &c->err);
    if (rv) {
        return rv;
    }
    return reply(c, environment ? wh_env_effective(c->p, vars, environment) : vars, NULL);
}

/* ---- changes -------------------------------------------------------------------------------- */

static apr_status_t no_value(wh_call_t *c, const char *name, const char *why)
{
    (void)wh_err_field(&c->err, "/variables", "env_value_missing", "%s: %s", name, why);
    c->err.http = 422;
    return APR_EGENERAL;
}

/* The value that it keeps where none is named; what was secret does not become readable. */
static apr_status_t kept_value(wh_call_t *c, const wh_env_var_t *old, const wh_env_var_t *v,
                               const wh_secret_ring_t *ring, const char **value)
{
    if (!old) {
        return no_value(c, v->name, "a new variable has a value");
    }
    if (old->secret && !v->secret) {
        return no_value(c, v->name, "what was secret becomes readable with a new value only");
    }
    return wh_env_open(c->p, ring, old, value, &c->err);
}

static apr_status_t set(wh_call_t *c, const apr_array_header_t *vars, const char *scope,
                        const wh_model_env_change_t *change)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());
    const wh_env_var_t *old = find(vars, scope, change->name);
    wh_env_var_t v = {.app_id = c->app->id,
                      .scope = scope,
                      .name = change->name,
                      .secret = change->secret >= 0 ? change->secret : !old || old->secret,
                      .build = change->build >= 0 ? change->build : old && old->build,
                      .created_at = old ? old->created_at : c->now,
                      .updated_at = c->now};
    const char *value = change->value;
    apr_status_t rv = APR_SUCCESS;

    if (old && !value && old->secret == v.secret && old->build == v.build) {
        return APR_SUCCESS;
    }
    rv = value ? rv : kept_value(c, old, &v, &ring, &value);
    rv = rv ? rv : wh_env_seal(c->p, &ring, wh_sys_rand(), &v, value, &c->err);
    return rv ? rv : wh_db_env_put(c->dbc, c->p, &v, &c->err);
}

/* Fine when there is none. */
static apr_status_t drop(wh_call_t *c, const char *scope, const char *name)
{
    apr_status_t rv = wh_db_env_delete(c->dbc, c->p, c->app->id, scope, name, &c->err);

    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv;
}

/* PUT: what is not named goes. */
static apr_status_t drop_others(wh_call_t *c, const apr_array_header_t *vars, const char *scope,
                                const apr_array_header_t *changes)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; !rv && i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);
        int named = 0;

        for (int j = 0; j < changes->nelts; j++) {
            named |= !strcmp(APR_ARRAY_IDX(changes, j, wh_model_env_change_t).name, v->name);
        }
        if (!named && !strcmp(v->scope, scope)) {
            rv = drop(c, scope, v->name);
        }
    }
    return rv;
}

static apr_status_t in_bounds(wh_call_t *c, const apr_array_header_t *vars, const char *scope)
{
    int n = 0;

    for (int i = 0; i < vars->nelts; i++) {
        n += !strcmp(APR_ARRAY_IDX(vars, i, wh_env_var_t).scope, scope);
    }
    if (n > WH_ENV_VARS_MAX) {
        return wh_err_set(&c->err, 422, "env_too_large", "A scope has at most %d variables.",
                          WH_ENV_VARS_MAX);
    }
    if (wh_env_largest(vars) > WH_ENV_TOTAL_MAX) {
        return wh_err_set(&c->err, 422, "env_too_large",
                          "Names and values that one deployment gets have at most %d bytes.",
                          WH_ENV_TOTAL_MAX);
    }
    return APR_SUCCESS;
}

static apr_status_t apply(wh_call_t *c, int all, const char *scope,
                          const apr_array_header_t *changes, apr_array_header_t **after)
{
    apr_array_header_t *vars;
    apr_status_t rv = wh_db_env_list(c->dbc, c->p, c->app->id, &vars, &c->err);

    rv = rv || !all ? rv : drop_others(c, vars, scope, changes);
    for (int i = 0; !rv && i < changes->nelts; i++) {
        const wh_model_env_change_t *change = &APR_ARRAY_IDX(changes, i, wh_model_env_change_t);

        rv = change->remove ? drop(c, scope, change->name) : set(c, vars, scope, change);
    }
    rv = rv ? rv : wh_db_env_list(c->dbc, c->p, c->app->id, after, &c->err);
    return rv ? rv : in_bounds(c, *after, scope);
}

static apr_status_t change(wh_call_t *c, int all)
{
    apr_array_header_t *changes, *after;
    const char *scope;
    apr_status_t rv = wh_model_env_decode(c->p, c->body, &scope, &changes, &c->err);

    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : apply(c, all, scope, changes, &after);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, after, scope);
}

apr_status_t wh_h_env_put(wh_call_t *c)
{
    return change(c, 1);
}

apr_status_t wh_h_env_patch(wh_call_t *c)
{
    return change(c, 0);
}

/* One by its name, or all of the scope. */
apr_status_t wh_h_env_delete(wh_call_t *c)
{
    const char *scope = apr_table_get(c->query, "environment");
    const char *name = apr_table_get(c->query, "name");
    apr_array_header_t *none = apr_array_make(c->p, 1, sizeof(wh_model_env_change_t)), *vars;
    apr_status_t rv;

    scope = scope ? scope : "";
    rv = wh_env_scope_check(scope, &c->err);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_env_list(c->dbc, c->p, c->app->id, &vars, &c->err);
    if (!rv && name && !find(vars, scope, name)) {
        rv = wh_err_set(&c->err, 404, "not_found", "There is no such variable in that scope.");
    }
    if (!rv) {
        rv = name ? drop(c, scope, name) : drop_others(c, vars, scope, none);
    }
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_mod_call_empty(c, 204);
}
