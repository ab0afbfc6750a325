/* wh_model_switch: rollbacks and promotions as JSON, and the bodies that ask for one. */
#include <string.h>

#include "libwh/wh_host.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"

json_t *wh_model_switch_json(const wh_switch_t *s, const char *app_slug, const char *url)
{
    json_t *cause = *s->cause_code ? json_pack("{s:s, s:s}", "code", s->cause_code, "detail",
                                               s->cause_detail)
                                   : json_null();

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                     s->id, "app", app_slug, "environment", s->environment, "kind",
                     wh_model_switch_kind_text(s->kind), "settings",
                     wh_model_switch_settings_text(s->settings), "deployment", s->deployment_id,
                     "from", wh_model_int_text(s->from_id), "result",
                     wh_model_int_text(s->result_id), "outcome",
                     wh_model_int_text(wh_model_switch_outcome_text(s->outcome)), "cause", cause,
                     "url", wh_model_int_text(url != NULL ? url : ""), "created_at",
                     wh_model_int_time(s->created_at), "done_at", wh_model_int_time(s->done_at));
}

/* 1 for an id, or a number as people write it. */
static int to_ok(const char *to)
{
    size_t n = strlen(to), digits = strspn(to, "0123456789");

    return n == 26 || (n == digits && n > 0 && n <= 18 && *to != '0');
}

apr_status_t wh_model_switch_decode(apr_pool_t *p, json_t *body, wh_switch_body_e which,
                                    wh_switch_request_t *out, wh_err_t *err)
{
    static const char *const names[] = {"settings", "environment", "to"};
    static const size_t known[] = {
        [WH_SWITCH_BODY_TO_THIS] = 1, [WH_SWITCH_BODY_OF_APP] = 3, [WH_SWITCH_BODY_PROMOTE] = 2};
    const char *settings = "own";
    wh_json_at_t at;
    apr_status_t rv;

    *out = (wh_switch_request_t){.environment = "production", .to = ""};
    if (!body && which != WH_SWITCH_BODY_PROMOTE)
        return APR_SUCCESS;
    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    at = wh_json_root(wh_json_own(p, json_incref(body)));
    if ((rv = wh_json_only(&at, names, known[which], err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "settings", 1, 16, "own", &settings, err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "to", 1, 26, "", &out->to, err)) != APR_SUCCESS ||
        (rv = wh_model_int_str(&at, "environment", 1, WH_HOST_ENV_MAX, "production",
                               &out->environment, err)) != APR_SUCCESS ||
        (rv = wh_model_int_at(&at, "environment", wh_host_env_check(out->environment, err),
                              err)) != APR_SUCCESS)
        return rv;
    if (which == WH_SWITCH_BODY_PROMOTE && !wh_json_has(&at, "environment"))
        return wh_err_field(err, "/environment", "missing_field",
                            "say which environment is to take it");
    if (*out->to && !to_ok(out->to))
        return wh_model_int_bad(&at, "to", err, "the id or the number of a deployment");
    if (!wh_model_switch_settings_of(settings, &out->settings))
        return wh_model_int_bad(&at, "settings", err, "own or current");
    return APR_SUCCESS;
}

const wh_name_t *wh_model_name_main(const apr_array_header_t *names, const char *environment)
{
    const wh_name_t *branch = NULL;

    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *n = APR_ARRAY_IDX(names, i, wh_name_t *);

        if (n->kind == WH_NAME_DEPLOYMENT || strcmp(n->environment, environment) != 0)
            continue;
        if (n->kind != WH_NAME_BRANCH)
            return n;
        branch = n;
    }
    return branch;
}

wh_serving_e wh_model_serving(const apr_array_header_t *names, const char *deployment_id)
{
    wh_serving_e serving = WH_SERVING_NONE;

    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *n = APR_ARRAY_IDX(names, i, wh_name_t *);

        if (n->kind == WH_NAME_DEPLOYMENT || wh_model_name_main(names, n->environment) != n)
            continue;
        if (strcmp(n->deployment_id, deployment_id) == 0)
            return WH_SERVING_CURRENT;
        if (strcmp(n->previous_id, deployment_id) == 0)
            serving = WH_SERVING_PREVIOUS;
    }
    return serving;
}

apr_array_header_t *wh_model_shown_in(apr_pool_t *p, const apr_array_header_t *names,
                                      const char *deployment_id)
{
    apr_array_header_t *list = apr_array_make(p, 2, sizeof(const char *));

    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *n = APR_ARRAY_IDX(names, i, wh_name_t *);

        if (n->kind != WH_NAME_DEPLOYMENT && wh_model_name_main(names, n->environment) == n &&
            strcmp(n->deployment_id, deployment_id) == 0)
            APR_ARRAY_PUSH(list, const char *) = n->environment;
    }
    return list;
}
