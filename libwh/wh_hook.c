/* wh_hook: see wh_hook.h. */
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_hook.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

static const wh_hook_provider_t providers[] = {
    {
        .name = "github",
        .signature_header = "X-Hub-Signature-256",
        .event_header = "X-GitHub-Event",
        .delivery_header = "X-GitHub-Delivery",
        .push = wh_hook_github_push,
    },
};

const wh_hook_provider_t *wh_hook_provider(const char *name)
{
    size_t i;

    for (i = 0; name && i < WH_ARRAY_LEN(providers); i++) {
        if (strcmp(providers[i].name, name) == 0)
            return &providers[i];
    }
    return NULL;
}

static apr_status_t bad_signature(wh_err_t *err)
{
    return wh_err_set(err, 401, "bad_signature", "the delivery is not signed by this hook");
}

apr_status_t wh_hook_signature_parse(const char *value, unsigned char out[32], wh_err_t *err)
{
    static const char prefix[] = "sha256=";
    const size_t n = sizeof(prefix) - 1;

    if (!value || strncmp(value, prefix, n) != 0 || strlen(value) != n + WH_SHA256_HEX ||
        wh_sign_unhex(value + n, WH_SHA256_HEX, out) != 0)
        return bad_signature(err);
    return APR_SUCCESS;
}

apr_status_t wh_hook_verify(const char *secret, const void *body, size_t n, const char *signature,
                            wh_err_t *err)
{
    unsigned char want[WH_SHA256_LEN], got[WH_SHA256_LEN] = {0};
    apr_status_t rv = wh_hook_signature_parse(signature, got, err);

    /* Also for a header that is no signature: a sender learns nothing from the time it took. */
    wh_sign_hmac(secret, strlen(secret), body, n, want);
    if (!wh_sign_equal(want, got, sizeof(want)) && rv == APR_SUCCESS)
        rv = bad_signature(err);
    return rv;
}

wh_hook_event_e wh_hook_event(const char *name)
{
    if (name && strcmp(name, "push") == 0)
        return WH_HOOK_PUSH;
    if (name && strcmp(name, "ping") == 0)
        return WH_HOOK_PING;
    return WH_HOOK_UNKNOWN;
}

int wh_hook_delivery_ok(const char *id)
{
    size_t n = id ? strlen(id) : 0, i;

    for (i = 0; i < n; i++) {
        if (!apr_isalnum(id[i]) && id[i] != '.' && id[i] != '_' && id[i] != '-')
            return 0;
    }
    return n >= 1 && n <= 64;
}

static apr_status_t unusable(wh_err_t *err, const char *what)
{
    return wh_err_set(err, 422, "payload_invalid", "the push cannot be used: %s", what);
}

static int zeros(const char *sha)
{
    return strspn(sha, "0") == strlen(sha);
}

static int asks_to_skip(const char *message)
{
    static const char *const marks[] = {"[skip ci]", "[ci skip]", "[no ci]", "[skip deploy]",
                                        "[deploy skip]", "[skip actions]"};
    size_t i;
    const char *s;

    for (s = strchr(message, '['); s; s = strchr(s + 1, '[')) {
        for (i = 0; i < WH_ARRAY_LEN(marks); i++) {
            if (strncasecmp(s, marks[i], strlen(marks[i])) == 0)
                return 1;
        }
    }
    return 0;
}

static const char *string_of(const json_t *obj, const char *key)
{
    const json_t *value = json_object_get(obj, key);

    return json_is_string(value) ? json_string_value(value) : NULL;
}

static apr_status_t read_ref(apr_pool_t *p, const json_t *body, wh_hook_push_t *out,
                             wh_err_t *err)
{
    const char *ref = string_of(body, "ref");
    const char *name;

    if (!ref)
        return unusable(err, "it names no ref");
    if (strncmp(ref, "refs/", 5) != 0)
        return unusable(err, "its ref is not a full one");
    name = ref + 5;
    if (strncmp(ref, "refs/heads/", 11) == 0)
        name = ref + 11;
    else if (strncmp(ref, "refs/tags/", 10) == 0)
        name = ref + 10;
    /* git has the same rules for tags and for every other kind of ref. */
    if (wh_host_branch_check(name, NULL) != APR_SUCCESS)
        return unusable(err, "git has no such ref");
    out->ref = apr_pstrdup(p, ref);
    out->branch = name == ref + 11 ? out->ref + 11 : NULL;
    out->tag = name == ref + 10;
    return APR_SUCCESS;
}

static apr_status_t read_after(apr_pool_t *p, const json_t *body, wh_hook_push_t *out,
                               wh_err_t *err)
{
    const char *after = string_of(body, "after");
    const json_t *deleted = json_object_get(body, "deleted");
    unsigned char raw[32];
    size_t n = after ? strlen(after) : 0;

    if ((n != 40 && n != 64) || wh_sign_unhex(after, n, raw) != 0)
        return unusable(err, "its commit is not 40 or 64 hexadecimal digits");
    if (deleted && !json_is_boolean(deleted))
        return unusable(err, "\"deleted\" is not true or false");
    out->after = wh_sign_hex(p, raw, n / 2);
    out->deleted = json_is_true(deleted);
    /* Deleted is what both say; a push of nothing that does not say so names no commit. */
    if (out->deleted && !zeros(after))
        return unusable(err, "it deletes, and names a commit");
    return APR_SUCCESS;
}

static apr_status_t read_commit(apr_pool_t *p, const json_t *body, wh_hook_push_t *out,
                                wh_err_t *err)
{
    const json_t *commit = json_object_get(body, "head_commit");
    const char *text;

    if (!commit || json_is_null(commit))
        return APR_SUCCESS;
    if (!json_is_object(commit))
        return unusable(err, "its head commit is not an object");
    text = string_of(commit, "id");
    if (!text || strcasecmp(text, out->after) != 0)
        return unusable(err, "its head commit is not the one it ends with");
    out->has_commit = !zeros(out->after);
    text = string_of(commit, "message");
    if (text) {
        out->skip = asks_to_skip(text);
        text = wh_text_first_line(p, text);
        out->message = wh_text_clean_line(p, text, strlen(text), WH_HOOK_MESSAGE_MAX);
    }
    text = string_of(json_object_get(commit, "author"), "name");
    if (text)
        out->author = wh_text_clean_line(p, text, strlen(text), 256);
    text = string_of(commit, "timestamp");
    if (text && wh_time_parse(text, &out->timestamp) != APR_SUCCESS)
        out->timestamp = 0;
    return APR_SUCCESS;
}

apr_status_t wh_hook_github_push(apr_pool_t *p, const char *body, size_t n, wh_hook_push_t *out,
                                 wh_err_t *err)
{
    static const wh_json_limits_t limits = {
        .bytes = WH_HOOK_BODY_MAX, .depth = WH_JSON_DEPTH_MAX, .values = 500000};
    const json_t *repository;
    const char *text;
    json_t *json;
    apr_status_t rv;

    *out = (wh_hook_push_t){.message = "", .author = "", .clone_url = "", .full_name = ""};
    if (wh_json_load_object(p, body, n, &limits, &json, NULL) != APR_SUCCESS)
        return unusable(err, "it is not a JSON object");
    if ((rv = read_ref(p, json, out, err)) != APR_SUCCESS ||
        (rv = read_after(p, json, out, err)) != APR_SUCCESS ||
        (rv = read_commit(p, json, out, err)) != APR_SUCCESS)
        return rv;
    repository = json_object_get(json, "repository");
    if (!json_is_object(repository))
        return unusable(err, "it names no repository");
    text = string_of(repository, "clone_url");
    if (text && strlen(text) <= 2048)
        out->clone_url = wh_text_clean_line(p, text, strlen(text), 2048);
    text = string_of(repository, "full_name");
    if (text && strlen(text) <= 255)
        out->full_name = wh_text_clean_line(p, text, strlen(text), 255);
    return APR_SUCCESS;
}

const char *wh_hook_decide(wh_hook_event_e event, const wh_hook_push_t *push,
                           const char *wanted)
{
    if (event == WH_HOOK_PING)
        return "ping";
    if (event != WH_HOOK_PUSH || !push)
        return "unknown_event";
    if (push->tag)
        return "tag";
    if (push->deleted)
        return "branch_delete";
    if (!push->branch || strcmp(push->branch, wanted) != 0)
        return "other_branch";
    if (!push->has_commit)
        return "empty_commit";
    if (push->skip)
        return "skip_requested";
    return NULL;
}
