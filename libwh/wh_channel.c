#include "libwh/wh_channel.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_event.h"
#include "libwh/wh_json.h"
#include "libwh/wh_stdhook.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

apr_status_t wh_channel_name_check(const char *name, wh_err_t *err)
{
    size_t n = strlen(name);

    if (n == 0 || n > 64 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != n ||
        strchr("-_.", name[0]) != NULL) {
        return wh_err_field(err, "/name", "name_invalid",
                            "A channel's name has 1 to 64 of a-z 0-9 - _ . and begins with a "
                            "letter or digit.");
    }
    return APR_SUCCESS;
}

static wh_secret_for_t bound_to(const char *const *id)
{
    return (wh_secret_for_t){.purpose = "wisehost-channel-v1", .names = id, .n = 1};
}

apr_status_t wh_channel_seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                             wh_channel_t *c, const wh_channel_key_t *key, wh_err_t *err)
{
    wh_secret_for_t what = bound_to(&c->id);
    wh_secret_bytes_t text;
    const char *sealed;
    wh_shout_t *t;
    json_t *doc;
    apr_status_t rv = wh_shout_parse(p, key->url, &t, err);

    if (rv == APR_SUCCESS && t->kind == WH_SHOUT_WEBHOOK) {
        rv = wh_stdhook_secret_check(p, key->secret, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    doc = json_pack("{s:s, s:s, s:s, s:I}", "url", key->url, "secret", key->secret, "former",
                    key->former, "former_until", (json_int_t)key->former_until);
    text.at = wh_json_text(p, wh_json_own(p, doc), &text.n);
    if (text.at == NULL) {
        return wh_err_set(err, 503, "no_memory", "There is no memory left.");
    }
    rv = wh_secret_seal(p, ring, rnd, &what, text, &sealed, err);
    if (rv == APR_SUCCESS) {
        c->kind = wh_shout_kind_name(t->kind);
        c->shown = wh_shout_masked(p, t);
        c->key_id = ring->id;
        c->sealed = sealed;
    }
    return rv;
}

apr_status_t wh_channel_open(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_channel_t *c,
                             wh_channel_key_t *key, wh_err_t *err)
{
    wh_secret_for_t what = bound_to(&c->id);
    wh_secret_bytes_t text;
    wh_channel_key_t k = {.url = "", .secret = "", .former = ""};
    apr_int64_t until = 0;
    wh_json_at_t at;
    json_t *doc;
    apr_status_t rv = wh_secret_open(p, ring, c->key_id, &what, c->sealed, &text, err);

    rv = rv == APR_SUCCESS ? wh_json_load_object(p, text.at, text.n, NULL, &doc, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    at = wh_json_root(doc);
    if (wh_json_str(&at, "url", WH_JSON_REQ(1, WH_SHOUT_URL_MAX), &k.url, err) != APR_SUCCESS ||
        wh_json_str(&at, "secret", WH_JSON_OPT(0, 128), &k.secret, err) != APR_SUCCESS ||
        wh_json_str(&at, "former", WH_JSON_OPT(0, 128), &k.former, err) != APR_SUCCESS ||
        wh_json_int(&at, "former_until", WH_JSON_OPT(0, APR_INT64_MAX), &until, err) !=
            APR_SUCCESS) {
        return APR_EGENERAL;
    }
    k.former_until = until;
    *key = k;
    return APR_SUCCESS;
}

apr_array_header_t *wh_channel_events(apr_pool_t *p, const wh_channel_t *c)
{
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(const char *));
    char *state = NULL, *copy = apr_pstrdup(p, c->events);

    for (char *w = apr_strtok(copy, "\n", &state); w; w = apr_strtok(NULL, "\n", &state)) {
        APR_ARRAY_PUSH(list, const char *) = w;
    }
    return list;
}

int wh_channel_takes(apr_pool_t *p, const wh_channel_t *c, const char *event, const char *app_id)
{
    return (c->app_id[0] == '\0' || strcmp(c->app_id, app_id) == 0) &&
           wh_event_filter_takes(wh_channel_events(p, c), event);
}

json_t *wh_channel_json(apr_pool_t *p, const wh_channel_t *c, const char *secret)
{
    apr_array_header_t *events = wh_channel_events(p, c);
    json_t *list = json_array();

    for (int i = 0; i < events->nelts; i++) {
        json_array_append_new(list, json_string(APR_ARRAY_IDX(events, i, const char *)));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o, s:b, s:s?, s:I, s:s, s:s, s:s*}", "id", c->id,
                     "name", c->name, "kind", c->kind, "target", c->shown, "app",
                     c->slug[0] ? c->slug : NULL, "events", list, "enabled", c->enabled, "reason",
                     c->reason[0] ? c->reason : NULL, "failures", (json_int_t)c->failures,
                     "created_at", wh_time_rfc3339(p, c->created_at), "updated_at",
                     wh_time_rfc3339(p, c->updated_at), "secret", secret);
}
