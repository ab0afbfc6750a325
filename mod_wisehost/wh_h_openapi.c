#include "mod_wisehost/wh_mod_api.h"
#include "libwh/wh_json.h"

#include <apr_lib.h>
#include <apr_strings.h>

/* GET /v1/openapi.json is printed from the route table and the permission table, so it says what
 * this server does. Who may call stands in x-callers, x-scope and x-action, which the tests walk.
 */

static const struct {
    wh_actor_kind_e kind;
    const char *name;
} callers[] = {
    {WH_ACTOR_ANON, "anonymous"},      {WH_ACTOR_CONTROL, "control"},
    {WH_ACTOR_ENROLMENT, "enrolment"}, {WH_ACTOR_WORKER_KEY, "worker_key"},
    {WH_ACTOR_WORKER, "worker"},       {WH_ACTOR_PROXY, "proxy"},
    {WH_ACTOR_TOKEN, "token"},         {WH_ACTOR_HOOK, "hook"},
    {WH_ACTOR_METRICS, "metrics"},
};

static const char *const objects[] = {
    [WH_OBJ_NONE] = "none",     [WH_OBJ_APP] = "app",
    [WH_OBJ_BODY_APP] = "app",  [WH_OBJ_DEPLOYMENT] = "deployment",
    [WH_OBJ_HOOK] = "hook",     [WH_OBJ_DELIVERY] = "delivery",
    [WH_OBJ_BODY_JOB] = "job",  [WH_OBJ_QUERY_JOB] = "job",
    [WH_OBJ_WORKER] = "worker", [WH_OBJ_SWITCH] = "switch",
    [WH_OBJ_ALERT] = "alert",   [WH_OBJ_ALERT_RULE] = "alert_rule",
    [WH_OBJ_CHANNEL] = "channel", [WH_OBJ_LOGDRAIN] = "logdrain",
    [WH_OBJ_PATH_JOB] = "job",  [WH_OBJ_REPOSITORY] = "app",
};

static json_t *caller_names(wh_action_e action)
{
    json_t *names = json_array();

    for (apr_size_t i = 0; i < WH_ARRAY_LEN(callers); i++) {
        if (wh_authz_action_takes(action, callers[i].kind)) {
            json_array_append_new(names, json_string(callers[i].name));
        }
    }
    return names;
}

/* The {names} of the path, then the query. */
static json_t *parameters(apr_pool_t *p, const wh_api_route_t *route)
{
    json_t *list = json_array();
    json_t *query = wh_mod_field_parameters(route->query);

    for (const char *s = strchr(route->pattern, '{'); s; s = strchr(s + 1, '{')) {
        const char *name = apr_pstrmemdup(p, s + 1, strcspn(s + 1, "}"));

        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in",
                                              "path", "required", 1, "schema", "type", "string"));
    }
    json_array_extend(list, query);
    json_decref(query);
    return list;
}

static json_t *responses(apr_pool_t *p, const wh_api_route_t *route)
{
    json_t *all = json_pack("{s:{s:s}}", "default", "$ref", "#/components/responses/Problem");

    json_object_set_new(all, apr_itoa(p, route->status),
                        json_pack("{s:s}", "description", route->summary));
    return all;
}

static json_t *request_body(const wh_api_route_t *route)
{
    if (route->body) {
        return json_pack("{s:b, s:{s:{s:o}}}", "required", !(route->flags & WH_API_OPTIONAL),
                         "content", "application/json", "schema", wh_mod_field_schema(route->body));
    }
    return json_pack(
        "{s:b, s:{s:{s:{}}}}", "required", 1, "content",
        (route->flags & WH_API_SIGNED) ? "application/json" : "application/octet-stream", "schema");
}

static json_t *operation(apr_pool_t *p, const wh_api_route_t *route)
{
    int open = wh_authz_action_takes(route->action, WH_ACTOR_ANON);
    unsigned scope = wh_authz_action_scope(route->action);
    json_t *op = json_pack(
        "{s:s, s:s, s:o, s:o, s:s, s:o, s:s, s:s}", "operationId", route->operation, "summary",
        route->summary, "parameters", parameters(p, route), "responses", responses(p, route),
        "x-action", wh_authz_action_text(route->action), "x-callers", caller_names(route->action),
        "x-scope", wh_authz_scopes_text(p, scope), "x-object", objects[route->object]);

    if (!open && !(route->flags & WH_API_SIGNED)) {
        json_object_set_new(op, "security", json_pack("[{s:[]}]", "bearer"));
    }
    if (route->body || (route->flags & WH_API_RAW)) {
        json_object_set_new(op, "requestBody", request_body(route));
    }
    return op;
}

static json_t *components(void)
{
    return json_pack("{s:{s:{s:s, s:s}}, s:{s:{s:s, s:{s:{s:{s:s}}}}}}", "securitySchemes",
                     "bearer", "type", "http", "scheme", "bearer", "responses", "Problem",
                     "description",
                     "A problem document (RFC 9457) with a stable code and the request's id",
                     "content", "application/problem+json", "schema", "type", "object");
}

static const char *lower(apr_pool_t *p, const char *text)
{
    char *out = apr_pstrdup(p, text);

    for (char *s = out; *s; s++) {
        *s = apr_tolower(*s);
    }
    return out;
}

apr_status_t wh_h_openapi_get(wh_call_t *c)
{
    json_t *paths = json_object();

    for (int i = 0; i < wh_api_routes_n; i++) {
        const wh_api_route_t *route = &wh_api_routes[i];
        json_t *path = json_object_get(paths, route->pattern);

        if (!path) {
            path = json_object();
            json_object_set_new(paths, route->pattern, path);
        }
        json_object_set_new(path, lower(c->p, route->method), operation(c->p, route));
    }
    return wh_mod_call_reply(c, 200,
                             json_pack("{s:s, s:{s:s, s:s}, s:o, s:o}", "openapi", "3.1.0", "info",
                                       "title", "Wisehost", "version", WH_VERSION, "paths", paths,
                                       "components", components()));
}

/* conf/wisehost.schema.json, as it was when this was built. */
static const char repo_schema[] = {
#include "mod_wisehost/wh_repo_schema.inc"
};

apr_status_t wh_h_openapi_repo_schema(wh_call_t *c)
{
    json_t *json;
    apr_status_t rv =
        wh_json_load_object(c->p, repo_schema, sizeof(repo_schema), NULL, &json, &c->err);

    return rv ? rv : wh_mod_call_reply(c, 200, json_incref(json));
}
