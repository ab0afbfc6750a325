#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_time.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_domain.h"
#include "whdb/wh_db_env.h"
#include "whdb/wh_db_environment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"

static json_t *document(wh_call_t *c, const wh_branch_rule_t *rule)
{
    return json_pack("{s:s, s:s, s:I, s:s?, s:s, s:s}", "name", rule->environment, "pattern",
                     rule->pattern, "position", (json_int_t)rule->position, "url",
                     wh_h_app_url(c, c->app->slug, rule->environment), "created_at",
                     wh_time_rfc3339(c->p, rule->created_at), "updated_at",
                     wh_time_rfc3339(c->p, rule->updated_at));
}

/* One page: there are at most WH_BRANCH_RULES_MAX of an app. */
apr_status_t wh_h_environment_list(wh_call_t *c)
{
    apr_array_header_t *rules;
    json_t *items;
    apr_status_t rv = wh_db_environment_list(c->dbc, c->p, c->app->id, &rules, &c->err);

    if (rv) {
        return rv;
    }
    items = json_array();
    for (int i = 0; i < rules->nelts; i++) {
        json_array_append_new(items, document(c, &APR_ARRAY_IDX(rules, i, wh_branch_rule_t)));
    }
    return wh_mod_call_reply(c, 200, wh_mod_call_list(items, NULL));
}

static apr_status_t name_ok(wh_call_t *c)
{
    apr_status_t rv = wh_host_env_check(c->param[1], &c->err);

    if (!rv && wh_branch_is_preview(c->param[1])) {
        rv = wh_err_set(&c->err, 400, "environment_invalid",
                        "A name that begins with \"" WH_BRANCH_PREVIEW "\" is a preview's.");
    }
    return rv;
}

static apr_status_t write_rule(wh_call_t *c, wh_branch_rule_t *rule)
{
    apr_array_header_t *rules;
    const wh_branch_rule_t *known = NULL;
    apr_status_t rv = wh_db_environment_list(c->dbc, c->p, c->app->id, &rules, &c->err);

    for (int i = 0; !rv && i < rules->nelts; i++) {
        const wh_branch_rule_t *r = &APR_ARRAY_IDX(rules, i, wh_branch_rule_t);

        known = strcmp(r->environment, rule->environment) ? known : r;
    }
    if (!rv && !known && rules->nelts >= WH_BRANCH_RULES_MAX) {
        return wh_err_set(&c->err, 409, "too_many", "An app has at most %d of them.",
                          WH_BRANCH_RULES_MAX);
    }
    if (!rv && known) {
        rule->created_at = known->created_at;
    }
    return rv ? rv : wh_db_environment_put(c->dbc, c->p, c->app->id, rule, &c->err);
}

apr_status_t wh_h_environment_put(wh_call_t *c)
{
    wh_branch_rule_t rule = {
        .environment = c->param[1],
        .pattern = json_string_value(json_object_get(c->body, "pattern")),
        .position = json_integer_value(json_object_get(c->body, "position")),
        .created_at = c->now,
        .updated_at = c->now};
    apr_status_t rv = name_ok(c);

    rv = rv ? rv : wh_branch_pattern_check(rule.pattern, &c->err);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : write_rule(c, &rule);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_mod_call_reply(c, 200, document(c, &rule));
}

/* Whoever asks for a domain that shows it would get nothing any more. */
static apr_status_t no_domains(wh_call_t *c)
{
    apr_array_header_t *domains;
    apr_status_t rv = wh_db_domain_list(c->dbc, c->p, c->app->id, &domains, &c->err);

    for (int i = 0; !rv && i < domains->nelts; i++) {
        const wh_domain_t *d = APR_ARRAY_IDX(domains, i, wh_domain_t *);

        if (!strcmp(d->environment, c->param[1]) && !*d->redirect_to) {
            return wh_err_set(&c->err, 409, "has_domains",
                              "%s shows it: let it show another environment, or remove it.",
                              d->host);
        }
    }
    return rv;
}

/* What is under way there; one that is over already is none. */
static apr_status_t cancel_open(wh_call_t *c, int *n)
{
    apr_array_header_t *open;
    apr_status_t rv = wh_db_deployment_list_open_until(c->dbc, c->p, c->app->id, c->param[1],
                                                       APR_INT64_MAX, &open, &c->err);

    *n = rv ? 0 : open->nelts;
    for (int i = 0; !rv && i < open->nelts; i++) {
        const wh_deployment_t *d = APR_ARRAY_IDX(open, i, wh_deployment_t *);

        rv = wh_db_job_cancel_request(c->dbc, c->p, d->id, c->now, &c->err);
        if (rv && wh_err_is(&c->err, "already_completed")) {
            wh_err_clear(&c->err);
            rv = APR_SUCCESS;
        }
    }
    return rv;
}

static apr_status_t drop_env(wh_call_t *c)
{
    apr_array_header_t *vars;
    apr_status_t rv = wh_db_env_list(c->dbc, c->p, c->app->id, &vars, &c->err);

    for (int i = 0; !rv && i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);

        if (!strcmp(v->scope, c->param[1])) {
            rv = wh_db_env_delete(c->dbc, c->p, c->app->id, v->scope, v->name, &c->err);
        }
    }
    return rv;
}

/* Its names, its containers, what is under way, its env vars: the scheduler carries it out. *any:
 * there was something. */
static apr_status_t end_it(wh_call_t *c, int *any)
{
    int names = 0, open = 0;
    apr_status_t rv;

    if (!strcmp(c->param[1], WH_BRANCH_PRODUCTION)) {
        return wh_err_set(&c->err, 409, "production",
                          "Production goes with the app; an app can be stopped, too.");
    }
    rv = no_domains(c);
    rv = rv ? rv : cancel_open(c, &open);
    rv = rv ? rv
            : wh_db_name_close(c->dbc, c->p, c->app->id, c->param[1], c->now, &names, &c->err);
    rv = rv ? rv : drop_env(c);
    *any = names + open > 0;
    return rv;
}

apr_status_t wh_h_environment_delete(wh_call_t *c)
{
    const char *keep = apr_table_get(c->query, "keep");
    int any = 0;
    apr_status_t rv = wh_mod_call_begin(c);

    if (!rv && !(keep && !strcmp(keep, "true"))) {
        rv = end_it(c, &any);
    }
    rv = rv ? rv
            : wh_db_environment_delete(c->dbc, c->p, c->app->id, c->param[1], &c->err);
    if (rv == APR_NOTFOUND && !any) {
        return wh_err_set(&c->err, 404, "not_found", "There is no such environment.");
    }
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return wh_mod_call_empty(c, 204);
}

apr_status_t wh_h_environment_of(wh_call_t *c, const wh_app_t *app, const char *branch,
                                 const char **environment)
{
    apr_array_header_t *rules;
    apr_status_t rv = wh_db_environment_list(c->dbc, c->p, app->id, &rules, &c->err);

    if (!rv) {
        *environment = wh_branch_environment(c->p, branch, app->repo_branch, rules,
                                             app->preview_max > 0);
    }
    return rv;
}
