/* wh_hook_log: what is remembered of a delivery. */
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_hook.h"
#include "libwh/wh_host.h"
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"

#define PATHS_BYTES ((size_t)32 * 1024)
#define HEADERS_BYTES ((size_t)4096)

/* All of them or none: half a list would look like all that changed. */
static json_t *paths_json(const apr_array_header_t *paths)
{
    json_t *list = paths ? json_array() : NULL;
    size_t bytes = 0;

    for (int i = 0; list && i < paths->nelts; i++) {
        const char *path = APR_ARRAY_IDX(paths, i, const char *);

        bytes += strlen(path) + 3;
        (void)json_array_append_new(list, json_string(path));
    }
    if (list && bytes <= PATHS_BYTES)
        return list;
    json_decref(list);
    return json_null();
}

json_t *wh_hook_event_json(const wh_hook_event_t *e)
{
    return json_pack(
        "{s:s, s:s, s:s*, s:s*, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:o, s:s, s:s,"
        " s:b, s:s, s:s}",
        "kind", wh_hook_kind_text(e->kind), "ref", e->ref, "branch", e->branch, "tag", e->tag,
        "sha", e->sha, "short_sha", e->short_sha, "before", e->before, "message", e->message,
        "author", e->author, "at", (json_int_t)e->at, "has_commit", e->has_commit, "head", e->head,
        "skip", e->skip, "paths", paths_json(e->paths), "number", e->number, "request_ref",
        e->request_ref, "fork", e->fork, "clone_url", e->clone_url, "full_name", e->full_name);
}

static apr_status_t load_paths(apr_pool_t *p, const json_t *list, wh_hook_event_t *out)
{
    apr_array_header_t *paths;
    json_t *one;
    size_t i;

    if (!json_is_array(list))
        return APR_SUCCESS;
    paths = apr_array_make(p, 16, sizeof(const char *));
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one))
            return APR_EGENERAL;
        APR_ARRAY_PUSH(paths, const char *) = apr_pstrdup(p, json_string_value(one));
    }
    out->paths = paths;
    return APR_SUCCESS;
}

apr_status_t wh_hook_event_load(apr_pool_t *p, const char *text, wh_hook_event_t *out,
                                wh_err_t *err)
{
    static const wh_json_limits_t limits = {
        .bytes = 256 * 1024, .depth = 4, .values = WH_HOOK_PATHS_MAX + 100};
    const char *kind = NULL;
    json_int_t when = 0;
    json_t *json, *paths = NULL;

    *out = (wh_hook_event_t){.ref = ""};
    if (wh_json_load_object(p, text, strlen(text), &limits, &json, NULL) != APR_SUCCESS ||
        json_unpack(json,
                    "{s:s, s:s, s?:s, s?:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:o, s:s,"
                    " s:s, s:b, s:s, s:s}",
                    "kind", &kind, "ref", &out->ref, "branch", &out->branch, "tag", &out->tag,
                    "sha", &out->sha, "short_sha", &out->short_sha, "before", &out->before,
                    "message", &out->message, "author", &out->author, "at", &when, "has_commit",
                    &out->has_commit, "head", &out->head, "skip", &out->skip, "paths", &paths,
                    "number", &out->number, "request_ref", &out->request_ref, "fork", &out->fork,
                    "clone_url", &out->clone_url, "full_name", &out->full_name) != 0 ||
        (*out->sha && wh_host_commit_check(out->sha, NULL) != APR_SUCCESS &&
         strspn(out->sha, "0") != strlen(out->sha)) ||
        (out->branch && wh_host_branch_check(out->branch, NULL) != APR_SUCCESS) ||
        load_paths(p, paths, out) != APR_SUCCESS)
        return wh_err_set(err, 422, "payload_invalid", "this delivery cannot be replayed");
    out->kind = wh_hook_kind_of(kind);
    out->at = (apr_time_t)when;
    return APR_SUCCESS;
}

/* ---- headers -------------------------------------------------------------------------------- */

typedef struct headers_t {
    apr_pool_t *p;
    json_t *json;
    size_t bytes;
} headers_t;

static int proves(const char *name)
{
    static const char *const words[] = {"auth",   "cookie",   "token", "signature",
                                        "secret", "password", "key"};
    size_t i;

    for (i = 0; i < WH_ARRAY_LEN(words); i++) {
        if (strstr(name, words[i]) && strcmp(name, "x-event-key") != 0 &&
            strcmp(name, "idempotency-key") != 0)
            return 1;
    }
    return 0;
}

static int add_header(void *data, const char *key, const char *value)
{
    headers_t *h = data;
    char *name = wh_text_clean_line(h->p, key, strlen(key), 64);
    const char *text;
    char *s;

    for (s = name; *s; s++)
        *s = (char)apr_tolower(*s);
    text = proves(name) ? "(hidden)" : wh_text_clean_line(h->p, value, strlen(value), 256);
    h->bytes += strlen(name) + strlen(text) + 6;
    if (h->bytes <= HEADERS_BYTES)
        (void)json_object_set_new(h->json, name, json_string(text));
    return 1;
}

json_t *wh_hook_headers_json(apr_pool_t *p, const apr_table_t *headers)
{
    headers_t h = {.p = p, .json = json_object()};

    apr_table_do(add_header, &h, headers, NULL);
    return h.json;
}
