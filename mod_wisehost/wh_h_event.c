/* Live events: GET /v1/events and GET /v1/apps/{slug}/events, as pages and as streams, out of the
 * log that the scheduler writes (libwh/wh_news.h). Each caller sees those of the apps that it may
 * see; what belongs to no app (workers) is for tokens of all apps. */
#include "mod_wisehost/wh_h_event.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_news.h"

#define LIMIT_DEFAULT 100
#define ANSWER_BYTES (1024 * 1024)
#define BUDGET (512 * (apr_int64_t)WH_MIB)

static int is_named(const char *id, const wh_news_line_t *line)
{
    return strlen(id) == line->app_n && memcmp(id, line->app, line->app_n) == 0;
}

/* D9: this alone decides who sees what, for pages and streams. */
static int wants(const wh_stream_of_t *of, const char *text, apr_size_t n)
{
    wh_news_line_t line;

    if (!wh_news_parse(text, n, &line) ||
        (of->types != 0 && (of->types & (1U << line.type)) == 0)) {
        return 0;
    }
    if (of->app != NULL) {
        return is_named(of->app, &line);
    }
    for (int i = 0; of->apps != NULL && i < of->apps->nelts; i++) {
        if (is_named(APR_ARRAY_IDX(of->apps, i, const char *), &line)) {
            return 1;
        }
    }
    return of->apps == NULL;
}

static int line_wanted(void *baton, const char *text, size_t n)
{
    return wants(baton, text, n);
}

/* New reference; NULL = it is none. */
static json_t *item_of(apr_pool_t *p, const wh_logread_line_t *line)
{
    wh_news_line_t news;

    return wh_news_parse(line->text, strlen(line->text), &news)
               ? wh_news_json(p, line->n, line->at, &news)
               : NULL;
}

char *wh_h_event_format(apr_pool_t *p, const wh_logread_line_t *line, apr_size_t *len)
{
    json_t *item = item_of(p, line);
    const char *json = item != NULL ? wh_json_text_safe(p, item, NULL) : NULL;
    char *event = NULL;

    if (json != NULL) {
        json = apr_psprintf(p, "id: %" APR_INT64_T_FMT "\nevent: %s\ndata: %s\n\n", line->n,
                            json_string_value(json_object_get(item, "type")), json);
        *len = strlen(json);
        event = strdup(json);
    }
    json_decref(item);
    return event;
}

/* What the call asks for, and what it may see. */
static apr_status_t query_of(wh_call_t *c, wh_stream_of_t *of, wh_logread_query_t *q)
{
    const char *types = apr_table_get(c->query, "type");
    apr_status_t rv;

    *of = (wh_stream_of_t){
        .dir = apr_pstrcat(c->p, wh_mod_conf_state_dir(c->r->server), "/logs/events", NULL),
        .format = wh_h_event_format,
        .wants = wants,
        .app = c->app != NULL ? c->app->id : NULL,
        .apps = c->actor.apps,
        .types = types != NULL ? wh_news_types(types) : 0};
    /* An app's id stands in its lines: the index of packed segments passes over others'. */
    of->text = of->app;
    *q = (wh_logread_query_t){.dir = of->dir,
                              .forward = apr_table_get(c->query, "after") != NULL,
                              .after = wh_mod_call_number(c, "after", 0),
                              .before = wh_mod_call_number(c, "before", 0),
                              .limit = (int)wh_mod_call_number(c, "limit", LIMIT_DEFAULT),
                              .bytes = ANSWER_BYTES,
                              .text = of->text,
                              .wants_line = line_wanted,
                              .baton = of,
                              .budget = BUDGET};
    rv = wh_h_applog_time(c, "from", &q->from);
    rv = rv == APR_SUCCESS ? wh_h_applog_time(c, "to", &q->to) : rv;
    if (rv == APR_SUCCESS && types != NULL && of->types == 0) {
        rv = wh_err_set(&c->err, 400, "bad_parameter",
                        "type: there is no such event; docs/events.md names them.");
    }
    if (rv == APR_SUCCESS && q->forward && q->before != 0) {
        rv = wh_err_set(&c->err, 400, "bad_parameter",
                        "before: after and before exclude each other");
    }
    return rv;
}

/* Behind what the client has, or behind `after`, from a time on, or with the newest `limit`; else
 * what comes from now on. */
static apr_status_t stream(wh_call_t *c, wh_stream_of_t *of, const wh_logread_query_t *q)
{
    apr_int64_t had = wh_mod_stream_last_id(c);
    apr_status_t rv = APR_SUCCESS;

    if (q->before != 0 || q->to != 0) {
        return wh_err_set(&c->err, 400, "bad_parameter", "%s: a stream goes on with what comes",
                          q->before != 0 ? "before" : "to");
    }
    if (had < 0 && q->forward) {
        had = q->after;
    }
    if (had >= 0) {
        wh_mod_stream_resume(c, of, had);
    } else {
        wh_logread_query_t from = *q;

        from.limit = (int)wh_mod_call_number(c, "limit", 0);
        rv = wh_mod_stream_begin_at(c, of, &from);
    }
    return rv == APR_SUCCESS ? wh_mod_stream_begin(c, of) : rv;
}

static json_t *answer_of(wh_call_t *c, const wh_logread_query_t *q,
                         const wh_logread_result_t *result)
{
    json_t *items = json_array();

    for (int i = 0; i < result->lines->nelts; i++) {
        json_t *item = item_of(c->p, &APR_ARRAY_IDX(result->lines, i, wh_logread_line_t));

        if (item != NULL) {
            json_array_append_new(items, item);
        }
    }
    return json_pack("{s:o, s:o, s:b}", "items", items, q->forward ? "next" : "before",
                     wh_h_applog_cursor(q, result), "complete", result->reached == 0);
}

apr_status_t wh_h_event_get(wh_call_t *c)
{
    wh_logread_result_t result;
    wh_logread_query_t q;
    wh_stream_of_t of;
    apr_status_t rv = query_of(c, &of, &q);

    wh_mod_call_let_go(c); /* files only from here on */
    if (rv == APR_SUCCESS && wh_mod_stream_wanted(c)) {
        return stream(c, &of, &q);
    }
    rv = rv == APR_SUCCESS ? wh_logread(c->p, &q, &result, &c->err) : rv;
    return rv == APR_SUCCESS ? wh_mod_call_reply(c, 200, answer_of(c, &q, &result)) : rv;
}
