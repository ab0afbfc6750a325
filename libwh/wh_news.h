/* wh_news: live events. A row of event_outbox, which the database's triggers wrote with a status,
 * is one event, or two where a write says two things: the deployment's status and its build's,
 * which is derived from status, phase and conclusion (F283, F284).
 *
 * In the event log (wh-scheduler/eventlog.h) an event is the text of a line (wh_logline.h):
 *
 *     <type> <app id, or "-" for what belongs to no app> <JSON object>
 *
 * whose seq is the row's id and whose k says which of its events it is: so each is known again. An
 * event's own id, by which a stream goes on, is the line's number. Pure and thread-safe. */
#ifndef WH_NEWS_H
#define WH_NEWS_H

#include <jansson.h>

#include "libwh/wh_err.h"

#define WH_NEWS_MAX 2 /* events of one row */

typedef enum wh_news_e {
#define WH_NEWS(sym, name) WH_NEWS_##sym,
#include "libwh/wh_news.def"
#undef WH_NEWS
    WH_NEWS_TYPES
} wh_news_e;

const char *wh_news_name(wh_news_e type);

/* "alert.opened", "alert.*", several with commas between, as bits (1 << type); 0 = there is no such
 * type. */
unsigned wh_news_types(const char *names);

/* ---- from a row ---- */

typedef struct wh_news_row_t {
    apr_int64_t id;
    apr_time_t at;
    const char *topic;  /* the thing whose status was written: "deployment" */
    const char *app_id; /* "" = of no app */
    const char *slug;   /* "" = it has none */
    const char *object_id;
    const char *status, *was; /* was "": it is new */
    const char *data;         /* a JSON object */
} wh_news_row_t;

typedef struct wh_news_t {
    wh_news_e type;
    const char *text; /* of the line */
    json_t *data;     /* what of it is JSON; borrowed, of p */
} wh_news_t;

/* How many events it is: 0 = a topic that is not known, or no JSON. */
int wh_news_of(apr_pool_t *p, const wh_news_row_t *row, wh_news_t out[WH_NEWS_MAX]);

/* ---- from a line ---- */

typedef struct wh_news_line_t {
    wh_news_e type;
    const char *app, *json; /* in the text; not terminated */
    size_t app_n, json_n;
} wh_news_line_t;

/* 1 = it is one. text has n bytes. */
int wh_news_parse(const char *text, size_t n, wh_news_line_t *out);

/* As the API shows it: {"id", "at", "type", …}; new reference, NULL = it is damaged. p is a scratch
 * pool. */
json_t *wh_news_json(apr_pool_t *p, apr_int64_t id, apr_time_t at, const wh_news_line_t *line);

#endif
