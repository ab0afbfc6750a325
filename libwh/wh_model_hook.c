/* wh_model_hook: hooks and logins, from and to JSON. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_actions.h"
#include "libwh/wh_forge.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_host.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

static json_t *lines(const char *text)
{
    json_t *list = json_array();

    while (list && *text) {
        size_t n = strcspn(text, "\n");

        (void)json_array_append_new(list, json_stringn(text, n));
        text += n + (text[n] == '\n');
    }
    return list;
}

static json_t *forge_json(const wh_hookrow_t *hook)
{
    const char *state = hook->forge_stopped  ? "stopped"
                        : *hook->forge_id    ? "registered"
                                             : "waiting";

    return json_pack("{s:s, s:s, s:s, s:o}", "api", hook->forge_api, "repository",
                     hook->forge_repository, "state", state, "error",
                     wh_model_int_text(hook->forge_error));
}

json_t *wh_model_hook_json(apr_pool_t *p, const wh_hookrow_t *hook, const char *app_slug,
                           const char *url, const char *secret)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", hook->id, "app",
                             app_slug, "provider", hook->provider, "url", url, "watch",
                             lines(hook->watch ? hook->watch : ""), "previous_secret_until",
                             wh_model_int_time(hook->previous_until), "last_delivery_at",
                             wh_model_int_time(hook->last_delivery_at), "created_at",
                             wh_model_int_time(hook->created_at));
    wh_actions_rule_t rule;

    if (json && secret)
        (void)json_object_set_new(json, "secret", json_string(secret));
    if (json && hook->token_rule && *hook->token_rule) {
        wh_actions_rule_load(p, hook->token_rule, &rule);
        (void)json_object_set_new(json, "actions", wh_actions_rule_json(&rule));
    }
    if (json && hook->forge_api && *hook->forge_api)
        (void)json_object_set_new(json, "forge", forge_json(hook));
    return json;
}

json_t *wh_model_delivery_json(const wh_delivery_t *d, int full)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "id", d->id, "delivery",
        d->delivery_id, "event", d->event, "ref", wh_model_int_text(d->ref), "commit",
        wh_model_int_text(d->sha), "before", wh_model_int_text(d->before), "verdict", d->verdict,
        "reason", wh_model_int_text(d->reason), "deployment", wh_model_int_text(d->deployment_id),
        "replay_of", wh_model_int_text(d->replay_of), "received_at",
        wh_model_int_time(d->received_at));

    if (json && full) {
        (void)json_object_set_new(json, "headers", wh_model_int_object(d->headers));
        (void)json_object_set_new(json, "payload", wh_model_int_object(d->payload));
    }
    return json;
}

apr_status_t wh_model_forge_decode(apr_pool_t *p, const json_t *body, const char *provider,
                                   wh_model_forge_t *out, int *there, wh_err_t *err)
{
    static const wh_json_field_t fields[] = {
        {"token", WH_JSON_T_STR, {.flags = WH_JSON_F_REQUIRED, .min = 1, .max = WH_FORGE_TOKEN_MAX},
         offsetof(wh_model_forge_t, token)},
        {"api", WH_JSON_T_STR, {.min = 1, .max = 255}, offsetof(wh_model_forge_t, api)},
        {"repository", WH_JSON_T_STR, {.min = 1, .max = 255},
         offsetof(wh_model_forge_t, repository)}};
    const wh_forge_t *forge = wh_forge_of(provider);
    wh_json_at_t at = wh_json_root(body), part;
    apr_status_t rv;

    *out = (wh_model_forge_t){.token = "", .api = "", .repository = ""};
    *there = 0;
    if ((rv = wh_json_obj(&at, "forge", WH_JSON_F_NULL, &part, err)) != APR_SUCCESS || !part.obj)
        return rv;
    if (!forge)
        return wh_model_int_bad(&at, "forge", err, "no API of this provider is known");
    if ((rv = wh_json_fields(&part, fields, WH_ARRAY_LEN(fields), WH_JSON_STRICT, out, err)) !=
        APR_SUCCESS)
        return rv;
    if (!wh_forge_token_ok(out->token))
        return wh_model_int_bad(&part, "token", err, "a token has no blanks");
    if (*out->api && !wh_forge_api_ok(p, out->api))
        return wh_model_int_bad(&part, "api", err,
                                "the address of an API ends without a slash");
    if (*out->repository && !wh_forge_repository_ok(forge, out->repository))
        return wh_model_int_bad(&part, "repository", err, "a repository is owner/name");
    *there = 1;
    return APR_SUCCESS;
}

apr_status_t wh_model_hook_decode(apr_pool_t *p, json_t *body, int need_app,
                                  wh_model_hook_new_t *out, wh_err_t *err)
{
    static const char *const names[] = {"provider", "watch", "actions", "forge", "app"};
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(body))), actions;
    apr_array_header_t *watch;
    apr_status_t rv;

    *out = (wh_model_hook_new_t){.app = "", .provider = "", .watch = ""};
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    if ((rv = wh_json_only(&at, names, need_app ? 5 : 4, err)) != APR_SUCCESS ||
        (rv = wh_json_str(&at, "provider", WH_JSON_REQ(1, 32), &out->provider, err)) !=
            APR_SUCCESS ||
        (rv = wh_json_str(&at, "watch", WH_JSON_RULE(WH_JSON_F_LINES, 0, 8192), &out->watch,
                          err)) != APR_SUCCESS)
        return rv;
    if (need_app && (rv = wh_json_str(&at, "app", WH_JSON_REQ(1, WH_HOST_SLUG_MAX), &out->app,
                                      err)) != APR_SUCCESS)
        return rv;
    if (!wh_hook_provider(out->provider))
        return wh_model_int_bad(
            &at, "provider", err,
            apr_pstrcat(p, "a provider is one of ", wh_hook_provider_names(p), NULL));
    if ((rv = wh_json_obj(&at, "actions", WH_JSON_F_NULL, &actions, err)) != APR_SUCCESS)
        return rv;
    out->actions = actions.obj;
    if (out->actions && wh_hook_provider(out->provider)->scheme != WH_HOOK_OIDC)
        return wh_model_int_bad(&at, "actions", err, "this provider's deliveries are no tokens");
    if ((rv = wh_model_forge_decode(p, body, out->provider, &out->forge, &out->has_forge, err)) !=
        APR_SUCCESS)
        return rv;
    return wh_hook_watch_parse(p, out->watch, &watch, err);
}

apr_status_t wh_model_login_decode(apr_pool_t *p, json_t *body, const char **token,
                                   const char **name, wh_err_t *err)
{
    static const char *const names[] = {"token", "name"};
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(body)));
    apr_status_t rv;

    *token = "";
    *name = "admin";
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    if ((rv = wh_json_only(&at, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
        (rv = wh_json_str(&at, "token", WH_JSON_REQ(1, 256), token, err)) != APR_SUCCESS)
        return rv;
    return wh_model_int_str(&at, "name", 1, WH_APP_NAME_MAX, "admin", name, err);
}
