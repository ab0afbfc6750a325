/* What running apps print: GET /v1/apps/{slug}/logs, out of the files that the scheduler writes
 * (libwh/wh_logread.h); it is readable with the scheduler down. */
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_logpack.h"
#include "libwh/wh_logread.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"
#include "mod_wisehost/wh_h_applog.h"
#include "mod_wisehost/wh_mod_stream.h"
#include "whdb/wh_db_deployment.h"

#define LIMIT_DEFAULT 200
#define MAPPED 2000 /* the newest deployments of an app whose environment a stream knows */
#define ANSWER_BYTES (1024 * 1024)
#define BUDGET (512 * (apr_int64_t)WH_MIB) /* of text in one call; the next goes on */

static apr_status_t bad(wh_call_t *c, const char *name, const char *why)
{
    return wh_err_set(&c->err, 400, "bad_parameter", "%s: %s", name, why);
}

apr_status_t wh_h_applog_time(wh_call_t *c, const char *name, apr_time_t *out)
{
    const char *text = apr_table_get(c->query, name);
    apr_int64_t seconds;

    *out = 0;
    if (text == NULL) {
        return APR_SUCCESS;
    }
    if (wh_text_number(text, 0, APR_INT64_C(253402300799), &seconds)) {
        *out = apr_time_from_sec(seconds);
        return APR_SUCCESS;
    }
    return wh_time_parse(text, out) == APR_SUCCESS
               ? APR_SUCCESS
               : bad(c, name, "a time of RFC 3339, or seconds since 1970");
}

/* A level takes those above it along; a stream is one. */
static apr_status_t kinds_of(wh_call_t *c, unsigned *out)
{
    const char *level = apr_table_get(c->query, "level");
    const char *stream = apr_table_get(c->query, "stream");
    wh_stream_e which;

    *out = 0;
    if (level != NULL) {
        int from = (int)wh_level_named(level, strlen(level));

        if (from == WH_LEVEL_NONE) {
            return bad(c, "level", "debug, info, warn, error or fatal");
        }
        for (; from < WH_LEVEL_COUNT; from++) {
            *out |= WH_LOGPACK_LEVEL(from);
        }
    }
    if (stream != NULL) {
        if (!wh_model_stream_of(stream, &which)) {
            return bad(c, "stream", "out, err or sys");
        }
        *out |= WH_LOGPACK_KIND(which);
    }
    return APR_SUCCESS;
}

/* ---- of one deployment, or of one environment ---- */

static int is_of(void *baton, const char *deployment, const char *container)
{
    wh_applog_of_t *of = baton;
    const char *environment;
    wh_deployment_t *d;
    wh_err_t err = WH_ERR_INIT;

    (void)container;
    if (of->deployment != NULL && strcmp(of->deployment, deployment) != 0) {
        return 0;
    }
    if (of->environment == NULL) {
        return 1;
    }
    environment = apr_table_get(of->known, deployment);
    if (environment == NULL) {
        environment =
            wh_db_deployment_get(of->call->dbc, of->call->p, deployment, &d, &err) == APR_SUCCESS &&
                    strcmp(d->app_id, of->call->app->id) == 0
                ? d->environment
                : "";
        apr_table_setn(of->known, apr_pstrdup(of->call->p, deployment), environment);
    }
    return strcmp(environment, of->environment) == 0;
}

apr_status_t wh_h_applog_query(wh_call_t *c, wh_logread_query_t *q, wh_applog_of_t *of)
{
    apr_status_t rv;

    *of = (wh_applog_of_t){.call = c,
                           .deployment = apr_table_get(c->query, "deployment"),
                           .environment = apr_table_get(c->query, "environment"),
                           .known = apr_table_make(c->p, 8)};
    *q = (wh_logread_query_t){
        .dir =
            apr_pstrcat(c->p, wh_mod_conf_state_dir(c->r->server), "/logs/apps/", c->app->id, NULL),
        .forward = apr_table_get(c->query, "after") != NULL,
        .after = wh_mod_call_number(c, "after", 0),
        .before = wh_mod_call_number(c, "before", 0),
        .limit = (int)wh_mod_call_number(c, "limit", LIMIT_DEFAULT),
        .bytes = ANSWER_BYTES,
        .text = apr_table_get(c->query, "text"),
        .wants = of->deployment != NULL || of->environment != NULL ? is_of : NULL,
        .baton = of,
        .budget = BUDGET};
    rv = wh_h_applog_time(c, "from", &q->from);
    rv = rv == APR_SUCCESS ? wh_h_applog_time(c, "to", &q->to) : rv;
    rv = rv == APR_SUCCESS ? kinds_of(c, &q->kinds) : rv;
    if (rv == APR_SUCCESS && q->forward && q->before != 0) {
        rv = bad(c, "before", "after and before exclude each other");
    }
    if (rv == APR_SUCCESS && of->environment != NULL) {
        rv = wh_mod_call_db(c);
    } else if (rv == APR_SUCCESS) {
        wh_mod_db_release(c->r); /* files only from here on */
        c->dbc = NULL;
    }
    return rv;
}

json_t *wh_h_applog_line(const wh_logread_line_t *line)
{
    const char *level = wh_level_text(line->level);
    char when[WH_TIME_RFC3339_SIZE];

    wh_time_rfc3339_buf(when, line->at);
    /* NULL for bytes that are not UTF-8: such a line can only be damage on disk. */
    return json_pack("{s:I, s:s, s:s, s:o, s:s, s:s, s:s}", "seq", (json_int_t)line->n, "at", when,
                     "stream", wh_model_stream_text(line->stream), "level",
                     *level ? json_string(level) : json_null(), "text", line->text, "deployment",
                     line->deployment, "container", line->container);
}

json_t *wh_h_applog_cursor(const wh_logread_query_t *q, const wh_logread_result_t *result)
{
    int n = result->lines->nelts;

    if (result->reached != 0) {
        return json_integer(result->reached);
    }
    if (!q->forward) {
        return json_null();
    }
    return json_integer(n > 0 ? APR_ARRAY_IDX(result->lines, n - 1, wh_logread_line_t).n
                              : q->after);
}

/* The deployments that there are, after the newest line was looked at: one that is not among them
 * comes later. */
static apr_status_t map_environment(wh_call_t *c, wh_stream_of_t *show, const char *environment)
{
    apr_array_header_t *list;
    apr_status_t rv;

    show->map = apr_hash_make(c->p);
    show->map_to = wh_mod_stream_newest(c->p, show->dir);
    rv = wh_mod_call_db(c);
    rv = rv == APR_SUCCESS ? wh_db_deployment_environments(c->dbc, c->p, c->app->id, MAPPED, &list,
                                                           &c->err)
                           : rv;
    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        const wh_db_deployment_env_t *d = &APR_ARRAY_IDX(list, i, wh_db_deployment_env_t);

        apr_hash_set(show->map, d->id, APR_HASH_KEY_STRING,
                     strcmp(d->environment, environment) == 0 ? "y" : "");
    }
    return rv;
}

/* From the line on that the client has, or some of the newest, then what comes. */
static apr_status_t stream(wh_call_t *c, const wh_logread_query_t *q, const wh_applog_of_t *of)
{
    wh_stream_of_t show = {.dir = q->dir,
                           .format = wh_feed_log_event,
                           .kinds = q->kinds,
                           .text = q->text,
                           .deployment = of->deployment};
    apr_int64_t had = wh_mod_stream_last_id(c);
    apr_status_t rv = APR_SUCCESS;

    if (q->to != 0 || q->before != 0) {
        return bad(c, q->before != 0 ? "before" : "to", "a stream goes on with what comes");
    }
    if (had < 0 && q->forward) {
        had = q->after;
    }
    if (had >= 0) {
        wh_mod_stream_resume(c, &show, had);
    } else {
        rv = wh_mod_stream_begin_at(c, &show, q);
    }
    if (rv == APR_SUCCESS && of->environment != NULL) {
        rv = map_environment(c, &show, of->environment);
    }
    return rv == APR_SUCCESS ? wh_mod_stream_begin(c, &show) : rv;
}

apr_status_t wh_h_applog_get(wh_call_t *c)
{
    wh_logread_result_t result;
    wh_logread_query_t q;
    wh_applog_of_t of;
    json_t *items;
    apr_status_t rv = wh_h_applog_query(c, &q, &of);

    if (rv == APR_SUCCESS && wh_mod_stream_wanted(c)) {
        return stream(c, &q, &of);
    }
    rv = rv == APR_SUCCESS ? wh_logread(c->p, &q, &result, &c->err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    items = json_array();
    for (int i = 0; i < result.lines->nelts; i++) {
        json_t *item = wh_h_applog_line(&APR_ARRAY_IDX(result.lines, i, wh_logread_line_t));

        if (item != NULL) {
            json_array_append_new(items, item);
        }
    }
    return wh_mod_call_reply(c, 200,
                             json_pack("{s:o, s:o, s:b}", "items", items,
                                       q.forward ? "next" : "before",
                                       wh_h_applog_cursor(&q, &result), "complete", result.reached == 0));
}
