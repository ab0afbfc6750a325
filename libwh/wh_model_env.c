/* wh_model_env: env vars, from and to JSON. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_host.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

json_t *wh_model_env_json(const wh_env_var_t *v, const char *value)
{
    return json_pack("{s:s, s:o, s:b, s:b, s:o, s:o, s:o}", "name", v->name, "environment",
                     wh_model_int_text(v->scope), "secret", v->secret, "build", v->build, "value",
                     value != NULL ? json_string(value) : json_null(), "created_at",
                     wh_model_int_time(v->created_at), "updated_at",
                     wh_model_int_time(v->updated_at));
}

/* A name, and what its value or its marks are to be. */
static apr_status_t change(const wh_json_at_t *at, wh_model_env_change_t *c, wh_err_t *err)
{
    static const char *const names[] = {"name", "value", "secret", "build", "remove"};
    const wh_json_rule_t value = {.flags = WH_JSON_F_NULL | WH_JSON_F_ANY, .max = WH_ENV_VALUE_MAX};
    apr_status_t rv;

    *c = (wh_model_env_change_t){.secret = -1, .build = -1};
    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "wrong_type", "a variable is an object");
    if ((rv = wh_json_only(at, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
        (rv = wh_json_str(at, "name", WH_JSON_REQ(1, WH_ENV_NAME_MAX), &c->name, err)) !=
            APR_SUCCESS ||
        (rv = wh_model_int_at(at, "name", wh_env_name_check(c->name, err), err)) != APR_SUCCESS ||
        (rv = wh_json_str(at, "value", &value, &c->value, err)) != APR_SUCCESS ||
        (rv = wh_json_bool(at, "secret", WH_JSON_F_NULL, &c->secret, err)) != APR_SUCCESS ||
        (rv = wh_json_bool(at, "build", WH_JSON_F_NULL, &c->build, err)) != APR_SUCCESS)
        return rv;
    return wh_json_bool(at, "remove", WH_JSON_F_NULL, &c->remove, err);
}

static int named_before(const apr_array_header_t *changes, const char *name)
{
    for (int i = 0; i < changes->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(changes, i, wh_model_env_change_t).name, name) == 0)
            return 1;
    return 0;
}

apr_status_t wh_model_env_decode(apr_pool_t *p, json_t *body, const char **scope,
                                 apr_array_header_t **changes, wh_err_t *err)
{
    static const char *const names[] = {"environment", "variables"};
    wh_json_at_t at = wh_json_root(wh_json_own(p, json_incref(body)));
    const json_t *list = NULL, *one;
    apr_status_t rv;
    size_t i;

    *scope = "";
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    if ((rv = wh_json_only(&at, names, WH_ARRAY_LEN(names), err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "environment", 1, WH_HOST_ENV_MAX, "", scope, err)) !=
            APR_SUCCESS ||
        (rv = wh_model_int_at(&at, "environment", wh_env_scope_check(*scope, err), err)) !=
            APR_SUCCESS ||
        (rv = wh_json_arr(&at, "variables", WH_JSON_REQ(0, WH_ENV_VARS_MAX), &list, err)) !=
            APR_SUCCESS)
        return rv;
    *changes = apr_array_make(p, 8, sizeof(wh_model_env_change_t));
    json_array_foreach((json_t *)(uintptr_t)list, i, one)
    {
        wh_json_at_t place = wh_json_item(&at, "variables", i, one);
        wh_model_env_change_t c;

        rv = change(&place, &c, err);
        if (rv == APR_SUCCESS && named_before(*changes, c.name))
            rv = wh_err_field(err, place.pointer, "invalid_value", "%s is named twice", c.name);
        if (rv != APR_SUCCESS)
            return rv;
        APR_ARRAY_PUSH(*changes, wh_model_env_change_t) = c;
    }
    return APR_SUCCESS;
}
