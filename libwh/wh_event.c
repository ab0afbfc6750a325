/* wh_event: the table of wh_event.def. */
#include "libwh/wh_event.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

static const struct {
    const char *name;
    const char *glyph[2], *title[2]; /* [1] of the other edge */
} kinds[WH_EVENT_KINDS] = {
#define WH_EVENT(sym, text, sign, what, over_sign, over_what)                                      \
    [WH_EVENT_##sym] = {.name = (text), .glyph = {sign, over_sign}, .title = {what, over_what}},
#include "libwh/wh_event.def"
#undef WH_EVENT
};

static const struct {
    const char *name, *pattern;
} groups[] = {
#define WH_EVENT_GROUP(text, stands_for) {text, stands_for},
#include "libwh/wh_event.def"
#undef WH_EVENT_GROUP
};

const char *wh_event_name(wh_event_e kind)
{
    return (unsigned)kind < WH_EVENT_KINDS ? kinds[kind].name : NULL;
}

int wh_event_find(const char *name, wh_event_e *kind)
{
    for (int i = 0; i < WH_EVENT_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *kind = (wh_event_e)i;
            return 1;
        }
    }
    return 0;
}

/* A text below data, by its path of two names at most; "" = it is not there. */
static const char *text_at(const json_t *data, const char *outer, const char *inner)
{
    const json_t *v = json_object_get(data, outer);

    v = inner != NULL ? json_object_get(v, inner) : v;
    return json_is_string(v) ? json_string_value(v) : "";
}

static const char *either(const char *a, const char *b)
{
    return a[0] != '\0' ? a : b;
}

apr_status_t wh_event_read(apr_pool_t *p, const char *id, const char *name, int ended,
                           apr_time_t at, const char *data, wh_event_t *event, wh_err_t *err)
{
    wh_event_t e = {.id = id, .ended = ended != 0, .at = at};
    apr_status_t rv;

    if (!wh_event_find(name, &e.kind)) {
        return wh_err_set(err, 500, "event_unknown", "There is no event of that name.");
    }
    rv = wh_json_load_object(p, data, strlen(data), NULL, &e.data, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    e.subject =
        either(text_at(e.data, "app", "slug"),
               either(text_at(e.data, "worker", "name"), text_at(e.data, "channel", "name")));
    e.url = text_at(e.data, "url", NULL);
    *event = e;
    return APR_SUCCESS;
}

const char *wh_event_title(apr_pool_t *p, const wh_event_t *e)
{
    int edge = e->ended && kinds[e->kind].title[1] != NULL;

    return apr_pstrcat(p, kinds[e->kind].glyph[edge], " ", kinds[e->kind].title[edge], NULL);
}

const char *wh_event_headline(apr_pool_t *p, const wh_event_t *e)
{
    return apr_pstrcat(p, wh_event_title(p, e), e->subject[0] ? " — " : "", e->subject, NULL);
}

const char *wh_event_compact(apr_pool_t *p, const wh_event_t *e)
{
    return apr_pstrcat(p, wh_event_headline(p, e), e->url[0] ? "\n" : "", e->url, NULL);
}

static const char *line(apr_pool_t *p, const char *so_far, const char *name, const char *value)
{
    const char *clean = wh_text_clean_line(p, value, WH_TEXT_NUL, 512);

    return clean[0] != '\0' ? apr_pstrcat(p, so_far, name, ": ", clean, "\n", NULL) : so_far;
}

const char *wh_event_details(apr_pool_t *p, const wh_event_t *e)
{
    const char *sha = wh_text_short_sha(p, text_at(e->data, "commit", "sha"));
    const char *said = wh_text_first_line(p, text_at(e->data, "commit", "message"));
    const char *text = line(p, "", "Environment", text_at(e->data, "environment", NULL));

    if (sha[0] != '\0') {
        text = line(p, text, "Commit", apr_pstrcat(p, sha, " ", said, NULL));
    }
    text = line(p, text, "Cause", text_at(e->data, "cause", "detail"));
    return line(p, text, "Alert", text_at(e->data, "alert", "message"));
}

const char *wh_event_json(apr_pool_t *p, const wh_event_t *e, size_t *n)
{
    json_t *doc = json_pack("{s:s, s:s, s:O}", "type", kinds[e->kind].name, "timestamp",
                            wh_time_rfc3339(p, e->at), "data", e->data);

    if (doc != NULL && e->ended) {
        json_object_set_new(doc, "ended", json_true());
    }
    return doc != NULL ? wh_json_text(p, wh_json_own(p, doc), n) : NULL;
}

/* ---- filters ---- */

/* "*", "deployment.*" or the name itself. */
static int pattern_takes(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);

    if (n > 0 && pattern[n - 1] == '*') {
        return strncmp(pattern, name, n - 1) == 0;
    }
    return strcmp(pattern, name) == 0;
}

static const char *meant(const char *pattern)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(groups); i++) {
        if (strcmp(groups[i].name, pattern) == 0) {
            return groups[i].pattern;
        }
    }
    return pattern;
}

/* A star stands alone or behind a dot: "dep*" is taken for a slip. */
static int pattern_ok(const char *pattern)
{
    const char *star = strchr(pattern, '*');

    if (star != NULL && (star[1] != '\0' || (star != pattern && star[-1] != '.'))) {
        return 0;
    }
    for (int i = 0; i < WH_EVENT_KINDS; i++) {
        if (pattern_takes(meant(pattern), kinds[i].name)) {
            return 1;
        }
    }
    return 0;
}

apr_status_t wh_event_filter_check(const apr_array_header_t *patterns, wh_err_t *err)
{
    char pointer[32];

    if (patterns->nelts > WH_EVENT_FILTERS_MAX) {
        return wh_err_field(err, "/events", "events_too_many", "A channel has at most %d events.",
                            WH_EVENT_FILTERS_MAX);
    }
    for (int i = 0; i < patterns->nelts; i++) {
        const char *pattern = APR_ARRAY_IDX(patterns, i, const char *);

        if (!pattern_ok(pattern)) {
            apr_snprintf(pointer, sizeof(pointer), "/events/%d", i);
            return wh_err_field(err, pointer, "event_unknown", "There is no event \"%s\".",
                                pattern);
        }
    }
    return APR_SUCCESS;
}

int wh_event_filter_takes(const apr_array_header_t *patterns, const char *name)
{
    if (patterns->nelts == 0 || strcmp(name, kinds[WH_EVENT_TEST].name) == 0) {
        return 1;
    }
    for (int i = 0; i < patterns->nelts; i++) {
        if (pattern_takes(meant(APR_ARRAY_IDX(patterns, i, const char *)), name)) {
            return 1;
        }
    }
    return 0;
}
