/*
 * Require wisehost-app, wisehost-environment, wisehost-kind: access rules that know what a request
 * is answered by, so that one rule protects every preview that will ever be made.
 */
#include <apr_strings.h>

#include <ap_provider.h>
#include <mod_auth.h>

#include "mod_wisehost/wh_mod_data.h"

typedef enum wh_kind_bit_e {
    WH_IS_PRODUCTION = 1,
    WH_IS_PREVIEW = 2,
    WH_IS_API = 4,
    WH_IS_UNKNOWN = 8,
    WH_IS_OTHER = 16
} wh_kind_bit_e;

static const struct {
    const char *name;
    int bit;
} kinds[] = {{"production", WH_IS_PRODUCTION},
             {"preview", WH_IS_PREVIEW},
             {"api", WH_IS_API},
             {"unknown", WH_IS_UNKNOWN},
             {"other", WH_IS_OTHER}};

static int kind_of(const wh_mod_req_t *req)
{
    if (req == NULL) {
        return WH_IS_OTHER;
    }
    if (req->place == WH_PLACE_APP) {
        return (req->route->flags & WH_ROUTE_PREVIEW) != 0 ? WH_IS_PREVIEW : WH_IS_PRODUCTION;
    }
    return req->place == WH_PLACE_API || req->place == WH_PLACE_GIT ? WH_IS_API : WH_IS_UNKNOWN;
}

/* "Require x a b c" -> a, b, c. */
static const char *parse_words(cmd_parms *cmd, const char *line, const void **parsed)
{
    apr_array_header_t *words = apr_array_make(cmd->pool, 2, sizeof(const char *));

    while (*line != '\0') {
        const char *word = ap_getword_conf(cmd->pool, &line);

        if (*word != '\0') {
            APR_ARRAY_PUSH(words, const char *) = word;
        }
    }
    *parsed = words;
    return words->nelts > 0 ? NULL : "Require wisehost-...: names are missing";
}

static const char *parse_kinds(cmd_parms *cmd, const char *line, const void **parsed)
{
    const void *list = NULL;
    const char *msg = parse_words(cmd, line, &list);
    const apr_array_header_t *words = list;
    int *bits = apr_pcalloc(cmd->pool, sizeof(*bits));
    int i;
    apr_size_t k;

    for (i = 0; msg == NULL && i < words->nelts; i++) {
        const char *word = APR_ARRAY_IDX(words, i, const char *);

        for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[k].name, word) != 0; k++) {
        }
        if (k == sizeof(kinds) / sizeof(kinds[0])) {
            return apr_psprintf(cmd->pool,
                                "Require wisehost-kind: \"%s\" is none of production, preview, "
                                "api, unknown, other",
                                ap_escape_logitem(cmd->pool, word));
        }
        *bits |= kinds[k].bit;
    }
    *parsed = bits;
    return msg;
}

static authz_status among(const void *parsed, const char *name)
{
    const apr_array_header_t *words = parsed;
    int i;

    for (i = 0; i < words->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(words, i, const char *), name) == 0) {
            return AUTHZ_GRANTED;
        }
    }
    return AUTHZ_DENIED;
}

static authz_status check_app(request_rec *r, const char *line, const void *parsed)
{
    const wh_mod_req_t *req = wh_mod_host_place(r);

    (void)line;
    return req != NULL && req->route != NULL ? among(parsed, req->route->slug) : AUTHZ_DENIED;
}

static authz_status check_environment(request_rec *r, const char *line, const void *parsed)
{
    const wh_mod_req_t *req = wh_mod_host_place(r);

    (void)line;
    return req != NULL && req->route != NULL ? among(parsed, req->route->environment)
                                             : AUTHZ_DENIED;
}

static authz_status check_kind(request_rec *r, const char *line, const void *parsed)
{
    const int *bits = parsed;

    (void)line;
    return (kind_of(wh_mod_host_place(r)) & *bits) != 0 ? AUTHZ_GRANTED : AUTHZ_DENIED;
}

static const authz_provider app_provider = {check_app, parse_words};
static const authz_provider environment_provider = {check_environment, parse_words};
static const authz_provider kind_provider = {check_kind, parse_kinds};

void wh_mod_access_register(apr_pool_t *p)
{
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "wisehost-app", AUTHZ_PROVIDER_VERSION,
                              &app_provider, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "wisehost-environment",
                              AUTHZ_PROVIDER_VERSION, &environment_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "wisehost-kind", AUTHZ_PROVIDER_VERSION,
                              &kind_provider, AP_AUTH_INTERNAL_PER_CONF);
}
