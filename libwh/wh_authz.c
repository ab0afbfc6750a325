/* wh_authz: see wh_authz.h. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_authz.h"

#define K(kind) (1u << WH_ACTOR_##kind)
#define ANY ((1u << WH_ACTOR_COUNT) - 1)

typedef enum on_e { ON_NONE, ON_LIST, ON_APP, ON_WORKER, ON_HOOK, ON_FLEET } on_e;

typedef struct action_t {
    const char *text;
    unsigned kinds;
    unsigned scope;
    on_e on;
} action_t;

static const action_t actions[WH_ACT_COUNT] = {
#define WH_AUTHZ_DEF(sym, name, who, need, object)                                                \
    [WH_ACT_##sym] = {.text = (name), .kinds = (who), .scope = (need), .on = ON_##object},
#include "libwh/wh_authz.def"
#undef WH_AUTHZ_DEF
};

static int known(wh_action_e action)
{
    return (unsigned)action < WH_ACT_COUNT;
}

int wh_authz_sees_app(const wh_actor_t *actor, const char *app_id)
{
    int i;

    if (actor->kind != WH_ACTOR_TOKEN || !app_id)
        return 0;
    if (!actor->apps)
        return 1;
    for (i = 0; i < actor->apps->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(actor->apps, i, const char *), app_id) == 0)
            return 1;
    }
    return 0;
}

static int owns(const wh_actor_t *actor, on_e on, const wh_object_t *object)
{
    switch (on) {
    case ON_APP:
        return object->exists && wh_authz_sees_app(actor, object->app_id);
    case ON_WORKER:
        return object->exists && actor->worker_id > 0 && actor->worker_id == object->worker_id;
    case ON_HOOK:
        return object->exists && actor->id && object->hook_id &&
               strcmp(actor->id, object->hook_id) == 0;
    case ON_FLEET:
        return object->exists;
    case ON_NONE:
    case ON_LIST:
        return 1;
    default:
        return 0;
    }
}

wh_verdict_e wh_authz(const wh_actor_t *actor, wh_action_e action, const wh_object_t *object)
{
    const action_t *a;

    if (!known(action) || (unsigned)actor->kind >= WH_ACTOR_COUNT)
        return WH_DENY_403;
    a = &actions[action];
    if (a->kinds == ANY)
        return WH_ALLOW;
    if (actor->kind == WH_ACTOR_ANON)
        return WH_DENY_401;
    if (!(a->kinds & (1u << actor->kind)))
        return WH_DENY_403;
    if (object && !owns(actor, a->on, object))
        return WH_DENY_404;
    if (actor->kind != WH_ACTOR_TOKEN)
        return WH_ALLOW;
    if (a->scope && !(actor->scopes & (a->scope | WH_SCOPE_ADMIN)))
        return WH_DENY_403;
    if ((a->on == ON_NONE || a->on == ON_FLEET) && actor->apps)
        return WH_DENY_403;
    return WH_ALLOW;
}

int wh_authz_privileged(wh_action_e action)
{
    /* Of those that need no scope. What is new is privileged until it stands here. */
    static const wh_action_e quiet[] = {
        WH_ACT_HEALTH,         WH_ACT_OPENAPI,       WH_ACT_WORKER_REFRESH, WH_ACT_WORKER_CONNECT,
        WH_ACT_TRAEFIK_WORKER, WH_ACT_TRAEFIK_PROXY, WH_ACT_AGENT_RELEASE,  WH_ACT_AGENT_OBJECT,
        WH_ACT_AGENT_COMMIT,   WH_ACT_AGENT_SOURCE};

    if (!known(action) || actions[action].scope == WH_SCOPE_READ)
        return 0;
    for (size_t i = 0; i < WH_ARRAY_LEN(quiet); i++) {
        if (quiet[i] == action)
            return 0;
    }
    return 1;
}

const char *wh_authz_kind_text(wh_actor_kind_e kind)
{
    static const char *const words[] = {
        [WH_ACTOR_ANON] = "anonymous", [WH_ACTOR_CONTROL] = "control",
        [WH_ACTOR_ENROLMENT] = "enrolment", [WH_ACTOR_WORKER_KEY] = "worker_key",
        [WH_ACTOR_WORKER] = "worker", [WH_ACTOR_PROXY] = "proxy",
        [WH_ACTOR_TOKEN] = "token", [WH_ACTOR_HOOK] = "hook",
        [WH_ACTOR_METRICS] = "metrics"};

    return (unsigned)kind < WH_ARRAY_LEN(words) ? words[kind] : NULL;
}

const char *wh_authz_action_text(wh_action_e action)
{
    return known(action) ? actions[action].text : NULL;
}

unsigned wh_authz_action_scope(wh_action_e action)
{
    return known(action) ? actions[action].scope : 0;
}

int wh_authz_action_takes(wh_action_e action, wh_actor_kind_e kind)
{
    return known(action) && (unsigned)kind < WH_ACTOR_COUNT &&
           (actions[action].kinds & (1u << kind)) != 0;
}

static const struct {
    const char *word;
    unsigned scope;
} scope_words[] = {
    {"read", WH_SCOPE_READ},
    {"deploy", WH_SCOPE_DEPLOY},
    {"write", WH_SCOPE_WRITE},
    {"admin", WH_SCOPE_ADMIN},
};

apr_status_t wh_authz_scopes_parse(const char *text, unsigned *scopes, wh_err_t *err)
{
    unsigned got = 0;
    const char *s = text;

    for (;;) {
        size_t n = strcspn(s, " ,"), i;

        for (i = 0; i < WH_ARRAY_LEN(scope_words); i++) {
            if (strlen(scope_words[i].word) == n && strncmp(scope_words[i].word, s, n) == 0)
                break;
        }
        if (i == WH_ARRAY_LEN(scope_words))
            return wh_err_set(err, 400, "scopes_invalid",
                              "scopes are words among read, deploy, write, admin");
        got |= scope_words[i].scope;
        s += n;
        if (*s == '\0')
            break;
        s++;
    }
    *scopes = got;
    return APR_SUCCESS;
}

const char *wh_authz_scopes_text(apr_pool_t *p, unsigned scopes)
{
    const char *text = "";
    size_t i;

    for (i = 0; i < WH_ARRAY_LEN(scope_words); i++) {
        if (scopes & scope_words[i].scope)
            text = apr_pstrcat(p, text, *text ? " " : "", scope_words[i].word, NULL);
    }
    return text;
}

apr_status_t wh_authz_apps_parse(apr_pool_t *p, const char *text, apr_array_header_t **apps,
                                 wh_err_t *err)
{
    apr_array_header_t *out;
    const char *s = text;

    if (strcmp(text, "*") == 0) {
        *apps = NULL;
        return APR_SUCCESS;
    }
    out = apr_array_make(p, 4, sizeof(const char *));
    while (*s) {
        size_t n = strcspn(s, ",");

        if (n == 0 || n > 64 || strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789") < n)
            return wh_err_set(err, 400, "apps_invalid", "apps are \"*\" or ids with commas");
        APR_ARRAY_PUSH(out, const char *) = apr_pstrmemdup(p, s, n);
        s += n;
        if (*s == ',' && *++s == '\0')
            return wh_err_set(err, 400, "apps_invalid", "apps end with a comma");
    }
    *apps = out;
    return APR_SUCCESS;
}

apr_status_t wh_authz_err(wh_verdict_e verdict, wh_err_t *err)
{
    switch (verdict) {
    case WH_ALLOW:
        return APR_SUCCESS;
    case WH_DENY_401:
        return wh_err_set(err, 401, "unauthorized", "this needs a credential");
    case WH_DENY_404:
        return wh_err_set(err, 404, "not_found", "there is no such thing here");
    case WH_DENY_403:
    default:
        return wh_err_set(err, 403, "forbidden", "this credential does not allow that");
    }
}
