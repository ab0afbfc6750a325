#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_time.h"
#include "whdb/wh_db_environment.h"

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

apr_status_t wh_h_environment_delete(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv
            : wh_db_environment_delete(c->dbc, c->p, c->app->id, c->param[1], &c->err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 404, "not_found", "There is no such environment.");
    }
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_mod_call_empty(c, 204);
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
