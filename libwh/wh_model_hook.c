/* wh_model_hook: hooks and logins, from and to JSON. */
#include <string.h>

#include "libwh/wh_hook.h"
#include "libwh/wh_host.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

json_t *wh_model_hook_json(apr_pool_t *p, const wh_hookrow_t *hook, const char *app_slug,
                           const char *url, const char *secret)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", hook->id, "app", app_slug,
                             "provider", hook->provider, "url", url, "created_at",
                             wh_model_int_time(hook->created_at));

    (void)p;
    if (json && secret)
        (void)json_object_set_new(json, "secret", json_string(secret));
    return json;
}

apr_status_t wh_model_hook_decode(apr_pool_t *p, json_t *body, int need_app, const char **app,
                                  const char **provider, wh_err_t *err)
{
    static const char *const names[] = {"provider", "app"};
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(body)));
    apr_status_t rv;

    *app = "";
    *provider = "";
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    if ((rv = wh_json_only(&at, names, need_app ? 2 : 1, err)) != APR_SUCCESS ||
        (rv = wh_json_str(&at, "provider", WH_JSON_REQ(1, 32), provider, err)) != APR_SUCCESS)
        return rv;
    if (need_app &&
        (rv = wh_json_str(&at, "app", WH_JSON_REQ(1, WH_HOST_SLUG_MAX), app, err)) != APR_SUCCESS)
        return rv;
    if (!wh_hook_provider(*provider))
        return wh_model_int_bad(&at, "provider", err, "a provider is \"github\"");
    return APR_SUCCESS;
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
