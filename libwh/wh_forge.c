/* wh_forge: see wh_forge.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_forge.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_httpurl.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"

#define REPOSITORY_MAX 255
#define KEY_MAX 40 /* of a build's key, Bitbucket */
#define ID_MAX 64

struct wh_forge_t {
    const char *name, *cloud, *cloud_api, *api;
    const char *auth, *auth_before, *accept, *version, *version_value;
    const char *id;    /* members of an answer, the first that is there */
    const char *items; /* the member that holds a list, "" = the answer is one */
    int nested; /* repositories lie in groups of groups, and stand in a path as one segment */
    const char *states[WH_FORGE_STATES];
    int kind;
};

enum {
#define WH_FORGE(sym, ...) FORGE_##sym,
#include "libwh/wh_forge.def"
#undef WH_FORGE
    FORGES
};

static const wh_forge_t forges[FORGES] = {
#define WH_FORGE(sym, ...) [FORGE_##sym] = {.name = #sym, .kind = FORGE_##sym, __VA_ARGS__},
#include "libwh/wh_forge.def"
#undef WH_FORGE
};

static const struct {
    const char *method, *path, *body, *match;
} calls[FORGES][WH_FORGE_ACTIONS] = {
#define WH_FORGE_CALL(who, action, how, where, what, found)                                        \
    [FORGE_##who][WH_FORGE_##action] = {how, where, what, found},
#include "libwh/wh_forge.def"
#undef WH_FORGE_CALL
};

const wh_forge_t *wh_forge_of(const char *provider)
{
    const wh_hook_provider_t *speaks = wh_hook_provider(provider);

    for (size_t i = 0; speaks != NULL && i < WH_ARRAY_LEN(forges); i++) {
        if (strcmp(forges[i].name, speaks->name) == 0) {
            return &forges[i];
        }
    }
    return NULL;
}

/* ---- where ---- */

int wh_forge_api_ok(apr_pool_t *p, const char *api)
{
    size_t n = strlen(api);
    wh_httpurl_t url;

    return n > 0 && n <= 255 && api[n - 1] != '/' && strchr(api, '?') == NULL &&
           wh_httpurl_parse(p, api, 1, &url, NULL) == APR_SUCCESS;
}

int wh_forge_repository_ok(const wh_forge_t *forge, const char *repository)
{
    size_t parts = 0, n = strlen(repository);

    for (const char *s = repository; n > 0 && n <= REPOSITORY_MAX;) {
        size_t len = strcspn(s, "/");

        if (len == 0 || (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))) {
            return 0;
        }
        for (size_t i = 0; i < len; i++) {
            if (!apr_isalnum(s[i]) && strchr("-_.", s[i]) == NULL) {
                return 0;
            }
        }
        parts++;
        if (s[len] == '\0') {
            return parts == 2 || (parts > 2 && forge->nested);
        }
        s += len + 1;
    }
    return 0;
}

int wh_forge_token_ok(const char *token)
{
    size_t n = strlen(token);

    for (size_t i = 0; i < n; i++) {
        if (token[i] <= ' ' || token[i] >= 0x7f) {
            return 0;
        }
    }
    return n > 0 && n <= WH_FORGE_TOKEN_MAX;
}

apr_status_t wh_forge_place(apr_pool_t *p, const wh_forge_t *forge, const char *url,
                            const char **api, const char **repository, wh_err_t *err)
{
    const char *site = wh_giturl_site(p, url), *name = wh_giturl_name(p, url);
    wh_giturl_parts_t parts = {.path = ""};

    if (*site == '\0') {
        return wh_err_set(err, 422, "forge_unknown",
                          "The app's repository is not at a forge: name api and repository.");
    }
    wh_giturl_parts(p, url, &parts);
    if (!wh_forge_repository_ok(forge, name)) {
        return wh_err_set(err, 422, "forge_unknown",
                          "The app's repository has no owner and name: name it.");
    }
    *repository = name;
    if (parts.user[0] != '\0') { /* the port is that of ssh */
        site = parts.host;
    }
    *api = forge->cloud != NULL && strcasecmp(site, forge->cloud) == 0
               ? forge->cloud_api
               : apr_pstrcat(p, "https://", site, forge->api, NULL);
    return APR_SUCCESS;
}

/* ---- templates ---- */

/* At most 40 bytes, and another one for another context. */
static const char *key_of(apr_pool_t *p, const char *context)
{
    return strlen(context) <= KEY_MAX
               ? context
               : apr_pstrmemdup(p, wh_sign_sha256_hex(p, context, strlen(context)), KEY_MAX);
}

static const char *value_of(apr_pool_t *p, const wh_forge_t *forge, const wh_forge_vars_t *v,
                            const char *word, size_t n)
{
    const struct {
        const char *name, *value;
    } all[] = {{"repo", v->repository},
               {"id", v->id},
               {"url", v->url},
               {"secret", v->secret},
               {"sha", v->sha},
               {"target", v->target},
               {"description", v->description},
               {"context", v->context},
               {"number", v->number},
               {"text", v->text},
               {"state", forge->states[v->state]}};

    for (size_t i = 0; i < WH_ARRAY_LEN(all); i++) {
        if (strlen(all[i].name) == n && strncmp(all[i].name, word, n) == 0) {
            return all[i].value != NULL ? all[i].value : "";
        }
    }
    return n == 3 && strncmp(word, "key", 3) == 0 && v->context != NULL ? key_of(p, v->context)
                                                                        : "";
}

static const char *encoded(apr_pool_t *p, const char *text, int slashes)
{
    char *out = apr_palloc(p, 3 * strlen(text) + 1), *o = out;

    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (apr_isalnum(*c) || strchr("-_.~", *c) != NULL || (*c == '/' && slashes)) {
            *o++ = (char)*c;
        } else {
            *o++ = '%';
            *o++ = "0123456789ABCDEF"[*c >> 4];
            *o++ = "0123456789ABCDEF"[*c & 15];
        }
    }
    *o = '\0';
    return out;
}

static const char *quoted(apr_pool_t *p, const char *text)
{
    json_t *json = json_string(text);
    char *out = json != NULL ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const char *copy = apr_pstrdup(p, out != NULL ? out : "\"\"");

    json_decref(json);
    free(out);
    return copy;
}

static const char *expand(apr_pool_t *p, const wh_forge_t *forge, const wh_forge_vars_t *vars,
                          const char *template, int body)
{
    apr_array_header_t *parts = apr_array_make(p, 16, sizeof(const char *));

    for (const char *s = template; *s;) {
        size_t n = strcspn(s, "$");
        char *text = apr_pstrmemdup(p, s, n);
        const char *value;

        for (char *c = text; body && *c; c++) {
            *c = *c == '\'' ? '"' : *c;
        }
        APR_ARRAY_PUSH(parts, const char *) = text;
        s += n;
        if (*s == '$') {
            n = strspn(s + 1, "abcdefghijklmnopqrstuvwxyz");
            value = value_of(p, forge, vars, s + 1, n);
            APR_ARRAY_PUSH(parts, const char *) =
                body ? quoted(p, value)
                     : encoded(p, value, !forge->nested && strncmp(s + 1, "repo", 4) == 0);
            s += 1 + n;
        }
    }
    return apr_array_pstrcat(p, parts, '\0');
}

void wh_forge_call(apr_pool_t *p, const wh_forge_t *forge, wh_forge_action_e action,
                   const wh_forge_vars_t *vars, wh_forge_call_t *out)
{
    const char *body = calls[forge->kind][action].body;
    int n = 0;

    *out = (wh_forge_call_t){.method = calls[forge->kind][action].method};
    out->url =
        apr_pstrcat(p, vars->api, expand(p, forge, vars, calls[forge->kind][action].path, 0), NULL);
    out->body = body != NULL ? expand(p, forge, vars, body, 1) : NULL;
    out->headers[n][0] = forge->auth;
    out->headers[n++][1] = apr_pstrcat(p, forge->auth_before, vars->token, NULL);
    out->headers[n][0] = "Accept";
    out->headers[n++][1] = forge->accept;
    if (forge->version != NULL) {
        out->headers[n][0] = forge->version;
        out->headers[n++][1] = forge->version_value;
    }
    if (body != NULL) {
        out->headers[n][0] = "Content-Type";
        out->headers[n][1] = "application/json";
    }
}

/* ---- answers ---- */

static const json_t *named(const json_t *object, const char *name, size_t n)
{
    char key[32];

    apr_cpystrn(key, name, n < sizeof(key) ? n + 1 : sizeof(key));
    return json_object_get(object, key);
}

static const json_t *member(const json_t *json, const char *path)
{
    while (json != NULL && *path) {
        size_t n = strcspn(path, ".");

        json = named(json, path, n);
        path += n + (path[n] == '.');
    }
    return json;
}

/* A number or a text of printable ASCII that is a name in a path. */
static int id_ok(const char *id)
{
    return strlen(id) <= ID_MAX && wh_forge_token_ok(id) && strcmp(id, ".") != 0 &&
           strcmp(id, "..") != 0;
}

static const char *id_of(apr_pool_t *p, const wh_forge_t *forge, const json_t *item)
{
    for (const char *name = forge->id; *name;) {
        size_t n = strcspn(name, "|");
        const json_t *id = named(item, name, n);

        if (json_is_integer(id)) {
            return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(id));
        }
        if (json_is_string(id) && id_ok(json_string_value(id))) {
            return json_string_value(id);
        }
        name += n + (name[n] == '|');
    }
    return NULL;
}

const char *wh_forge_id(apr_pool_t *p, const wh_forge_t *forge, const char *body, size_t n)
{
    json_t *doc;

    return wh_json_load(p, body, n, NULL, &doc, NULL) == APR_SUCCESS ? id_of(p, forge, doc) : NULL;
}

const char *wh_forge_find(apr_pool_t *p, const wh_forge_t *forge, wh_forge_action_e action,
                          const char *what, const char *body, size_t n)
{
    const json_t *list;
    json_t *doc;

    if (wh_json_load(p, body, n, NULL, &doc, NULL) != APR_SUCCESS) {
        return NULL;
    }
    list = member(doc, forge->items);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *text = json_string_value(member(item, calls[forge->kind][action].match));

        if (text != NULL &&
            (action == WH_FORGE_HOOK_FIND ? strcmp(text, what) == 0 : strstr(text, what) != NULL)) {
            return id_of(p, forge, item);
        }
    }
    return NULL;
}

wh_forge_verdict_e wh_forge_verdict(wh_forge_action_e action, int status, int waits)
{
    if (status >= 200 && status < 300) {
        return WH_FORGE_DONE;
    }
    if (status == 0 || status == 408 || status == 429 || status >= 500 ||
        (status == 403 && waits)) {
        return WH_FORGE_AGAIN;
    }
    /* Whoever may comment may write our mark: what is not ours to edit does not silence us. */
    if (status == 404 || status == 410 || (status == 403 && action == WH_FORGE_COMMENT_SET)) {
        switch (action) {
        case WH_FORGE_HOOK_REMOVE:
            return WH_FORGE_DONE;
        case WH_FORGE_HOOK_SET:
        case WH_FORGE_COMMENT_SET:
            return WH_FORGE_GONE;
        case WH_FORGE_HOOK_ADD:
        case WH_FORGE_HOOK_FIND:
            return WH_FORGE_STOP;
        default:
            return WH_FORGE_NO;
        }
    }
    return status == 401 || status == 403 ? WH_FORGE_STOP : WH_FORGE_NO;
}
