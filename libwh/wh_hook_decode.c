/* wh_hook_decode: a payload to events, by the tables of wh_hook_provider.def. */
#include <string.h>
#include <strings.h>
#include <apr_strings.h>

#include "libwh/wh_commit.h"
#include "libwh/wh_hook_int.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

#define NAME_MAX_LEN 255
#define URL_MAX_LEN 2048

typedef struct reader_t {
    apr_pool_t *p;
    const wh_hook_provider_t *provider;
    const wh_hook_shape_t *shape;
    wh_hook_kind_e kind;
    const json_t *root;   /* the payload */
    const json_t *change; /* one of its changes, or the payload */
    wh_err_t *err;
} reader_t;

static apr_status_t unusable(wh_err_t *err, const char *what)
{
    return wh_err_set(err, 422, "payload_invalid", "the delivery cannot be used: %s", what);
}

/* ---- finding things ------------------------------------------------------------------------- */

/* "a.b" of json up to end; NULL when it is not there, or null. */
static const json_t *follow(const json_t *json, const char *path, const char *end)
{
    while (json && path < end) {
        const char *dot = memchr(path, '.', (size_t)(end - path));
        size_t n = (size_t)((dot ? dot : end) - path);
        char key[64];

        if (n >= sizeof(key))
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        json = json_object_get(json, key);
        path += n + 1;
    }
    return json_is_null(json) ? NULL : json;
}

/* The first of "a|b" that is there. */
static const json_t *at(const json_t *json, const char *path)
{
    while (path) {
        const char *bar = strchr(path, '|');
        const json_t *found = follow(json, path, bar ? bar : path + strlen(path));

        if (found)
            return found;
        path = bar ? bar + 1 : NULL;
    }
    return NULL;
}

static const char *text_at(const json_t *json, const char *path)
{
    const json_t *value = at(json, path);

    return json_is_string(value) ? json_string_value(value) : NULL;
}

static const char *clean(apr_pool_t *p, const char *text, size_t cap)
{
    return text ? wh_text_clean_line(p, text, strlen(text), cap) : "";
}

static int zeros(const char *sha)
{
    return *sha && strspn(sha, "0") == strlen(sha);
}

static int hex_lower(apr_pool_t *p, const char *text, const char **out)
{
    size_t n = text ? strlen(text) : 0;
    unsigned char raw[32];

    if ((n != 40 && n != 64) || wh_sign_unhex(text, n, raw) != 0)
        return 0;
    *out = wh_sign_hex(p, raw, n / 2);
    return 1;
}

/* ---- refs and commits ----------------------------------------------------------------------- */

static apr_status_t use_ref(reader_t *r, const char *ref, wh_hook_event_t *out)
{
    const char *name = ref + 5;

    if (strncmp(ref, "refs/", 5) != 0)
        return unusable(r->err, "its ref is not a full one, as refs/heads/main is");
    if (strncmp(ref, "refs/heads/", 11) == 0)
        name = ref + 11;
    else if (strncmp(ref, "refs/tags/", 10) == 0)
        name = ref + 10;
    /* git has the same rules for tags and for every other kind of ref. */
    if (wh_host_branch_check(name, NULL) != APR_SUCCESS)
        return unusable(r->err, "git has no such ref");
    out->ref = apr_pstrdup(r->p, ref);
    out->branch = name == ref + 11 ? out->ref + 11 : NULL;
    out->tag = name == ref + 10 ? out->ref + 10 : NULL;
    if (out->tag)
        out->kind = WH_HOOK_TAG;
    return APR_SUCCESS;
}

/* A full ref, or a name with its type; "branch" when none is told. */
static apr_status_t read_ref(reader_t *r, wh_hook_event_t *out)
{
    const char *ref = text_at(r->change, r->shape->ref);
    const char *name = text_at(r->change, r->shape->name);
    const char *type = text_at(r->change, r->shape->type);

    if (ref)
        return use_ref(r, ref, out);
    if (at(r->change, r->shape->ref))
        return unusable(r->err, "its ref is not a text");
    if (name && r->shape->type && !type)
        return unusable(r->err, "its ref has no type");
    if (name && type && strcmp(type, "tag") != 0 && strcmp(type, "branch") != 0 &&
        strcmp(type, "named_branch") != 0) {
        out->kind = WH_HOOK_OTHER;
        return APR_SUCCESS;
    }
    if (name)
        return use_ref(r,
                       apr_pstrcat(r->p,
                                   type && strcmp(type, "tag") == 0 ? "refs/tags/" : "refs/heads/",
                                   name, NULL),
                       out);
    return r->provider->flags & WH_HOOK_HEAD ? APR_SUCCESS : unusable(r->err, "it names no ref");
}

/* Deleted is what the payload says where it says so, else what the commit says. */
static apr_status_t read_deleted(reader_t *r, wh_hook_event_t *out)
{
    const json_t *said = at(r->change, r->shape->deleted);
    int deleted = said ? json_is_true(said) : zeros(out->sha);

    if (said && !json_is_boolean(said))
        return unusable(r->err, "\"deleted\" is not true or false");
    if (deleted && !zeros(out->sha))
        return unusable(r->err, "it deletes, and names a commit");
    if (deleted && out->kind == WH_HOOK_PUSH)
        out->kind = out->branch ? WH_HOOK_DELETE : WH_HOOK_OTHER;
    return APR_SUCCESS;
}

static apr_status_t read_sha(reader_t *r, wh_hook_event_t *out)
{
    const json_t *told = at(r->change, r->shape->sha);
    const char *before = text_at(r->change, r->shape->before);

    if (!told && (r->provider->flags & WH_HOOK_HEAD)) {
        out->head = 1;
        return APR_SUCCESS;
    }
    if (!told && (r->provider->flags & WH_HOOK_NO_SHA_DELETES))
        out->sha = "0000000000000000000000000000000000000000";
    else if (!hex_lower(r->p, told ? json_string_value(told) : NULL, &out->sha))
        return unusable(r->err, "its commit is not 40 or 64 hexadecimal digits");
    (void)hex_lower(r->p, before, &out->before);
    return read_deleted(r, out);
}

/* What stands in one commit, or in the payload itself. */
static void use_commit(reader_t *r, const json_t *commit, wh_hook_event_t *out)
{
    const char *message = text_at(commit, r->shape->message);
    const char *when = text_at(commit, r->shape->at);

    if (message)
        out->skip |= wh_commit_skips(message);
    if (message)
        message = wh_text_first_line(r->p, message);
    out->message = clean(r->p, message, WH_HOOK_MESSAGE_MAX);
    out->author = clean(r->p, text_at(commit, r->shape->author), 256);
    if (when && wh_time_parse(when, &out->at) != APR_SUCCESS)
        out->at = 0;
}

static const json_t *among(const json_t *commits, const char *id, const char *sha)
{
    size_t i;
    json_t *one;

    json_array_foreach(commits, i, one)
    {
        const char *text = text_at(one, id);

        if (text && strcasecmp(text, sha) == 0)
            return one;
    }
    return NULL;
}

/* The commit that the push ends with: the one that stands apart, or the one of the list. */
static apr_status_t read_commit(reader_t *r, wh_hook_event_t *out)
{
    const json_t *head = at(r->change, r->shape->head);
    const json_t *commits = at(r->root, r->shape->commits);
    const char *id;

    if (head && !json_is_object(head))
        return unusable(r->err, "its head commit is not an object");
    if (commits && !json_is_array(commits))
        return unusable(r->err, "its commits are not a list");
    id = head ? text_at(head, r->shape->id) : NULL;
    if (head && (!id || strcasecmp(id, out->sha) != 0))
        return unusable(r->err, "its head commit is not the one it ends with");
    if (!head)
        head = among(commits, r->shape->id, out->sha);
    if (head)
        use_commit(r, head, out);
    /* A forge that tells its head commit apart has none to build when it says null. */
    out->has_commit =
        !zeros(out->sha) &&
        (head || !r->shape->head || !json_is_null(json_object_get(r->change, r->shape->head)));
    return APR_SUCCESS;
}

/* ---- paths ---------------------------------------------------------------------------------- */

static int add_paths(reader_t *r, const json_t *list, apr_array_header_t *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
    {
        const char *text = json_is_string(one) ? json_string_value(one) : "";

        if (out->nelts >= WH_HOOK_PATHS_MAX)
            return 0;
        if (*text && strlen(text) <= 1024 && wh_text_plain(text, strlen(text)))
            APR_ARRAY_PUSH(out, const char *) = apr_pstrdup(r->p, text);
        else
            return 0;
    }
    return 1;
}

/* Known only when the list holds every commit between the two: not of a first push of a branch, not
 * of a forced one, and not when the forge cut the list. */
static void read_paths(reader_t *r, wh_hook_event_t *out)
{
    const json_t *commits = at(r->root, r->shape->commits);
    const json_t *total = at(r->root, r->shape->total);
    apr_array_header_t *paths = apr_array_make(r->p, 16, sizeof(const char *));
    size_t i, k;
    json_t *one;

    if (!r->shape->paths[0] || !json_array_size(commits) || !*out->before || zeros(out->before) ||
        json_is_true(at(r->change, r->shape->forced)) ||
        (total && json_integer_value(total) != (json_int_t)json_array_size(commits)))
        return;
    json_array_foreach(commits, i, one)
    {
        for (k = 0; k < WH_ARRAY_LEN(r->shape->paths); k++) {
            const json_t *list = at(one, r->shape->paths[k]);

            if (!json_is_array(list) || !add_paths(r, list, paths))
                return;
        }
    }
    out->paths = paths;
}

/* ---- events --------------------------------------------------------------------------------- */

static apr_status_t read_push(reader_t *r, wh_hook_event_t *out)
{
    apr_status_t rv = read_ref(r, out);

    if (rv != APR_SUCCESS || out->kind == WH_HOOK_OTHER || (rv = read_sha(r, out)) != APR_SUCCESS)
        return rv;
    if (!r->shape->head && !r->shape->commits) {
        use_commit(r, r->change, out);
        out->has_commit = !out->head && !zeros(out->sha);
        return APR_SUCCESS;
    }
    rv = read_commit(r, out);
    if (rv == APR_SUCCESS)
        read_paths(r, out);
    return rv;
}

static apr_status_t read_delete(reader_t *r, wh_hook_event_t *out)
{
    apr_status_t rv = read_ref(r, out);

    out->sha = "0000000000000000000000000000000000000000";
    return rv;
}

/* Numbers and texts alike: ids of repositories are the one or the other. */
static const char *scalar(apr_pool_t *p, const json_t *value)
{
    if (json_is_integer(value))
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    return json_is_string(value) ? json_string_value(value) : NULL;
}

static int is_fork(reader_t *r)
{
    const char *from = scalar(r->p, at(r->root, r->shape->source_repo));
    const char *to = scalar(r->p, at(r->root, r->shape->target_repo));

    if (r->shape->fork)
        return at(r->root, r->shape->fork) != NULL;
    /* A repository that is gone, or that is not told, is not ours. */
    return !from || !to || strcasecmp(from, to) != 0;
}

static apr_status_t read_request_sha(reader_t *r, wh_hook_event_t *out)
{
    const char *sha = text_at(r->root, r->shape->sha);

    if (hex_lower(r->p, sha, &out->sha) && !zeros(out->sha)) {
        out->has_commit = 1;
        return APR_SUCCESS;
    }
    out->sha = "";
    if ((r->provider->flags & WH_HOOK_SHORT_SHA) && sha && strlen(sha) >= 7 && strlen(sha) < 64 &&
        strspn(sha, "0123456789abcdef") == strlen(sha)) {
        out->short_sha = apr_pstrdup(r->p, sha);
        out->head = 1;
        return APR_SUCCESS;
    }
    return r->kind == WH_HOOK_REQUEST_CLOSE
               ? APR_SUCCESS
               : unusable(r->err, "its commit is not 40 or 64 hexadecimal digits");
}

static apr_status_t read_request(reader_t *r, wh_hook_event_t *out)
{
    const char *number = scalar(r->p, at(r->root, r->shape->number));
    const char *source = text_at(r->root, r->shape->source);

    if (!number || !*number || strlen(number) > 10 || strspn(number, "0123456789") < strlen(number))
        return unusable(r->err, "its request has no number");
    if (source && strncmp(source, "refs/heads/", 11) == 0)
        source += 11;
    if (!source || wh_host_branch_check(source, NULL) != APR_SUCCESS)
        return unusable(r->err, "its request has no branch of git's");
    out->number = apr_pstrdup(r->p, number);
    out->branch = apr_pstrdup(r->p, source);
    out->fork = is_fork(r);
    if (r->provider->request_ref) {
        const char *gap = strstr(r->provider->request_ref, "%s");

        out->request_ref = apr_pstrcat(r->p,
                                       apr_pstrmemdup(r->p, r->provider->request_ref,
                                                      (apr_size_t)(gap - r->provider->request_ref)),
                                       out->number, NULL);
    }
    use_commit(r, r->root, out);
    return read_request_sha(r, out);
}

static apr_status_t read_event(reader_t *r, wh_hook_event_t *out)
{
    const char *name = text_at(r->root, r->shape->full_name);
    const char *url = text_at(r->root, r->shape->url);

    if (r->shape->repository && !json_is_object(at(r->root, r->shape->repository)))
        return unusable(r->err, "it names no repository");
    out->full_name = name && strlen(name) <= NAME_MAX_LEN ? clean(r->p, name, NAME_MAX_LEN) : "";
    out->clone_url = url && strlen(url) <= URL_MAX_LEN ? clean(r->p, url, URL_MAX_LEN) : "";
    switch (r->kind) {
    case WH_HOOK_PUSH:
        return read_push(r, out);
    case WH_HOOK_DELETE:
        return read_delete(r, out);
    case WH_HOOK_REQUEST_OPEN:
    case WH_HOOK_REQUEST_SYNC:
    case WH_HOOK_REQUEST_CLOSE:
        return read_request(r, out);
    case WH_HOOK_OTHER:
    case WH_HOOK_PING:
    case WH_HOOK_TAG:
    case WH_HOOK_KINDS:
    default:
        return APR_SUCCESS;
    }
}

static wh_hook_event_t *one_more(apr_array_header_t *events, wh_hook_kind_e kind)
{
    wh_hook_event_t *event = &APR_ARRAY_PUSH(events, wh_hook_event_t);

    *event = (wh_hook_event_t){.kind = kind,
                               .ref = "",
                               .sha = "",
                               .short_sha = "",
                               .before = "",
                               .message = "",
                               .author = "",
                               .number = "",
                               .request_ref = "",
                               .clone_url = "",
                               .full_name = ""};
    return event;
}

static apr_status_t read_changes(reader_t *r, apr_array_header_t *events)
{
    const json_t *items = at(r->root, r->shape->items);
    apr_status_t rv = APR_SUCCESS;
    size_t i;

    r->change = r->root;
    if (!r->shape->items)
        return read_event(r, one_more(events, r->kind));
    if (!json_is_array(items) || json_array_size(items) > WH_HOOK_CHANGES_MAX)
        return unusable(r->err, "its changes are not a list, or too many");
    for (i = 0; rv == APR_SUCCESS && i < json_array_size(items); i++) {
        r->change = json_array_get(items, i);
        rv = json_is_object(r->change) ? read_event(r, one_more(events, r->kind))
                                       : unusable(r->err, "a change is not an object");
    }
    if (rv == APR_SUCCESS && !events->nelts)
        (void)one_more(events, WH_HOOK_OTHER);
    return rv;
}

/* The payload; {} for an empty body where that is one. */
static apr_status_t load(apr_pool_t *p, const wh_hook_provider_t *provider, const char *body,
                         size_t n, const json_t **root, wh_err_t *err)
{
    static const wh_json_limits_t limits = {
        .bytes = WH_HOOK_BODY_MAX, .depth = WH_JSON_DEPTH_MAX, .values = 500000};
    json_t *json;

    if (n == 0 && (provider->flags & WH_HOOK_NO_BODY)) {
        *root = wh_json_own(p, json_object());
        return APR_SUCCESS;
    }
    if (wh_json_load_object(p, body, n, &limits, &json, NULL) != APR_SUCCESS)
        return unusable(err, "it is not a JSON object");
    *root = json;
    return APR_SUCCESS;
}

apr_status_t wh_hook_decode(apr_pool_t *p, const wh_hook_provider_t *provider, const char *event,
                            const char *body, size_t n, wh_hook_decoded_t *out, wh_err_t *err)
{
    reader_t r = {.p = p, .provider = provider, .err = err};
    int in_body = provider->event == NULL;

    *out = (wh_hook_decoded_t){.events = apr_array_make(p, 1, sizeof(wh_hook_event_t))};
    out->event = clean(p, event, 64);
    if (!in_body && (!wh_hook_int_event(provider, event ? event : "", NULL, &r.kind, &r.shape) ||
                     r.kind == WH_HOOK_PING)) {
        (void)one_more(out->events, r.kind);
        return APR_SUCCESS;
    }
    if (load(p, provider, body, n, &r.root, err) != APR_SUCCESS)
        return APR_EGENERAL;
    if (in_body) {
        event = text_at(r.root, provider->event_path);
        out->event = clean(p, event, 64);
    }
    if (provider->delivery_path)
        out->delivery = text_at(r.root, provider->delivery_path);
    (void)wh_hook_int_event(provider, event ? event : "", text_at(r.root, provider->action),
                            &r.kind, &r.shape);
    if (!r.shape || r.kind == WH_HOOK_PING) {
        (void)one_more(out->events, r.kind);
        return APR_SUCCESS;
    }
    return read_changes(&r, out->events);
}
