/* wh_event: what people can be told of (deployments, alerts), as a closed table, and the
 * two forms of telling: the compact text for chats (F174-F178) and the JSON document for webhooks.
 *
 * An event is a row of `notification_event`: its name, whether what it tells of has ended, and its
 * data, a JSON object that is made where the thing happened and never changed after:
 *     {"app":{"id","slug"}, "environment", "url", …}, {"worker":{"id","name"}} or
 *     {"channel":{"id","name"}}
 * Pure and thread-safe. */
#ifndef WH_EVENT_H
#define WH_EVENT_H

#include <apr_tables.h>
#include <jansson.h>

#include "libwh/wh_err.h"

#define WH_EVENT_FILTERS_MAX 32 /* patterns of one channel */

typedef enum wh_event_e {
#define WH_EVENT(sym, name, glyph, title, over_glyph, over_title) WH_EVENT_##sym,
#include "libwh/wh_event.def"
#undef WH_EVENT
    WH_EVENT_KINDS
} wh_event_e;

typedef struct wh_event_t {
    const char *id;
    wh_event_e kind;
    int ended;           /* the other edge: what it told of has ended */
    apr_time_t at;
    const char *subject; /* slug of the app; name of the worker, of a test's channel */
    const char *url;     /* where the app answers, "" = nowhere */
    json_t *data;        /* borrowed by the pool of wh_event_read */
} wh_event_t;

/* "deployment.succeeded"; NULL for a number out of the table. */
const char *wh_event_name(wh_event_e kind);

/* 1, and *kind; 0 = there is no such name. */
int wh_event_find(const char *name, wh_event_e *kind);

/* What is stored, read back; data lives as long as p. Codes: event_unknown (500), and those of
 * wh_json. */
apr_status_t wh_event_read(apr_pool_t *p, const char *id, const char *name, int ended,
                           apr_time_t at, const char *data, wh_event_t *event,
                           wh_err_t *err) WH_MUST_CHECK;

/* "{glyph} {title}" and "{glyph} {title} — {subject}", of the closed table (F176). In p. */
const char *wh_event_title(apr_pool_t *p, const wh_event_t *event);
const char *wh_event_headline(apr_pool_t *p, const wh_event_t *event);

/* F174: the headline, a line feed and the URL; without a URL the headline alone. In p. */
const char *wh_event_compact(apr_pool_t *p, const wh_event_t *event);

/* What a mail says below that: commit (F177, F178), environment, cause. In p, "" = nothing. */
const char *wh_event_details(apr_pool_t *p, const wh_event_t *event);

/* {"type","timestamp","data"} as Standard Webhooks have it, and "ended":true at the other edge. In
 * p. */
const char *wh_event_json(apr_pool_t *p, const wh_event_t *event, size_t *n);

/* A filter: names of the table, "deployment.*", "*", or a group ("deploymentUpdate"). Codes (400,
 * at /events/N): event_unknown; events_too_many. */
apr_status_t wh_event_filter_check(const apr_array_header_t *patterns, wh_err_t *err) WH_MUST_CHECK;

/* 1 when one of them takes the name; an empty list takes all, and "test" passes every list. */
int wh_event_filter_takes(const apr_array_header_t *patterns, const char *name);

#endif
