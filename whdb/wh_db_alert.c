#include "whdb/wh_db_alert.h"
#include "whdb/wh_dbc_priv.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "whdb/wh_db_alert_row.h"
#include "whdb/wh_db_event.h"

#define LAST "~" /* behind every id */

/* ---- rules ---- */

static apr_status_t bump(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t *revision, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "A rule is written in a transaction only.");
    }
    rv = wh_dbc_select_one(dbc, p, WH_SQL_alert_rule_bump, WH_NOARGS, &rows, err);
    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *revision = wh_dbc_int(&r);
    }
    return rv;
}

/* Under the lock of bump(): two at once cannot both be the last. */
static apr_status_t room(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_alert_rule_count, WH_ARGS(WH_S(app_id)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    return wh_dbc_int(&r) < WH_ALERT_RULES_MAX
               ? APR_SUCCESS
               : wh_err_set(err, 409, "too_many", "There are at most %d rules of an app.",
                            WH_ALERT_RULES_MAX);
}

apr_status_t wh_db_alert_rule_insert(wh_dbc_t *dbc, apr_pool_t *p, wh_alert_rule_t *r,
                                     wh_err_t *err)
{
    apr_status_t rv = bump(dbc, p, &r->revision, err);

    rv = rv == APR_SUCCESS ? room(dbc, p, r->app_id, err) : rv;
    return rv == APR_SUCCESS
               ? wh_dbc_query(dbc, p, WH_SQL_alert_rule_insert,
                              WH_ARGS(WH_S(r->id), WH_S(r->user_id), WH_S(r->app_id),
                                      WH_S(wh_alert_kind_text(r->kind)), WH_I(r->threshold),
                                      WH_I(r->sustain_s), WH_S(r->severity), WH_I(r->enabled),
                                      WH_I(r->revision), WH_I(r->created_at), WH_I(r->updated_at),
                                      WH_S(wh_alert_unit(r->kind))),
                              NULL, err)
               : rv;
}

apr_status_t wh_db_alert_rule_update(wh_dbc_t *dbc, apr_pool_t *p, wh_alert_rule_t *r,
                                     wh_err_t *err)
{
    apr_status_t rv = bump(dbc, p, &r->revision, err);

    return rv == APR_SUCCESS
               ? wh_dbc_cas(dbc, p, WH_SQL_alert_rule_update,
                            WH_ARGS(WH_I(r->threshold), WH_I(r->sustain_s), WH_S(r->severity),
                                    WH_I(r->enabled), WH_I(r->revision), WH_I(r->updated_at),
                                    WH_I(r->deleted_at), WH_S(r->id)),
                            err)
               : rv;
}

static void decode_on(wh_row_t *r, wh_db_alert_rule_t *out)
{
    wh_db_alert_rule_row(r, &out->rule);
    out->slug = wh_dbc_text(r);
    out->state.since = wh_dbc_int(r);
    out->state.missing_since = wh_dbc_int(r);
    out->open = wh_dbc_int(r) > 0;
}

apr_status_t wh_db_alert_rule_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                  wh_db_alert_rule_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_alert_rule_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *out = apr_pcalloc(p, sizeof(**out));
        decode_on(&r, *out);
    }
    return rv;
}

static apr_array_header_t *rules_of(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *out = apr_array_make(p, rows->n + 1, sizeof(wh_db_alert_rule_t));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);

        decode_on(&r, apr_array_push(out));
    }
    return out;
}

apr_status_t wh_db_alert_rule_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                                   apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_alert_rule_list,
                                    WH_ARGS(WH_S(after), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = rules_of(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_alert_rule_list_app(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                                       apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(
        dbc, p, WH_SQL_alert_rule_list_app,
        WH_ARGS(WH_S(app_id), WH_S(app_id), WH_I(2 * WH_ALERT_RULES_MAX)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = rules_of(p, &rows);
    }
    return rv;
}

/* ---- alerts ---- */

static wh_alert_t *alert_of(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_row_t r = wh_dbc_row(rows, i);
    wh_alert_t *a = apr_pcalloc(p, sizeof(*a));

    a->id = wh_dbc_text(&r);
    a->user_id = wh_dbc_text(&r);
    a->app_id = wh_dbc_text(&r);
    a->slug = wh_dbc_text(&r);
    a->rule_id = wh_dbc_text(&r);
    a->kind = wh_dbc_text(&r);
    a->severity = wh_dbc_text(&r);
    a->source_type = wh_dbc_text(&r);
    a->source_id = wh_dbc_text(&r);
    a->title = wh_dbc_text(&r);
    a->message = wh_dbc_text(&r);
    a->unit = wh_dbc_text(&r);
    a->value = wh_dbc_int(&r);
    a->threshold = wh_dbc_int(&r);
    a->status = wh_dbc_text(&r);
    a->reason = wh_dbc_text(&r);
    a->fired_at = wh_dbc_int(&r);
    a->acknowledged_at = wh_dbc_int(&r);
    a->resolved_at = wh_dbc_int(&r);
    a->acknowledged_by = wh_dbc_text(&r);
    a->missing_since = wh_dbc_int(&r);
    return a;
}

apr_status_t wh_db_alert_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_alert_t **out,
                             wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_alert_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = alert_of(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_alert_list(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_filter_t *f,
                              apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_alert_list,
                      WH_ARGS(WH_S(f->app_id), WH_S(f->app_id), WH_S(f->status), WH_S(f->status),
                              WH_S(f->status), WH_S(*f->before ? f->before : LAST), WH_I(f->limit)),
                      &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_alert_t *));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_alert_t *) = alert_of(p, &rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_alert_acknowledge(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *by,
                                     apr_time_t now, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_alert_acknowledge, WH_ARGS(WH_I(now), WH_S(by), WH_S(id)),
                      err);
}

/* The events of these edges: ids is what the statement before returned. */
static apr_status_t tell(wh_dbc_t *dbc, apr_pool_t *p, const wh_rows_t *ids, int ended,
                         apr_time_t now, wh_err_t *err)
{
    json_t *list = json_array();
    apr_array_header_t *events;
    wh_rows_t rows;
    apr_status_t rv;

    for (int i = 0; i < ids->n; i++) {
        wh_row_t r = wh_dbc_row(ids, i);

        json_array_append_new(list, json_pack("[s]", wh_dbc_text(&r)));
    }
    rv = wh_dbc_select(dbc, p, WH_SQL_alert_these, WH_ARGS(WH_J(wh_dbc_batch_text(p, list))), &rows,
                       err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    events = apr_array_make(p, rows.n + 1, sizeof(wh_db_event_t));
    for (int i = 0; i < rows.n; i++) {
        const wh_alert_t *a = alert_of(p, &rows, i);
        const char *edge = apr_pstrcat(p, a->id, ended ? " ended" : " fired", NULL);

        APR_ARRAY_PUSH(events, wh_db_event_t) =
            (wh_db_event_t){.id = wh_id_of(p, now, edge),
                            .user_id = a->user_id,
                            .app_id = a->app_id,
                            .kind = a->source_type,
                            .ended = ended,
                            .payload = wh_json_own(p, wh_alert_event_json(p, a)),
                            .at = now};
    }
    return wh_db_event_insert_all(dbc, p, events, err);
}

apr_status_t wh_db_alert_resolve(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *ends,
                                 apr_time_t now, int *n, wh_err_t *err)
{
    json_t *batch = json_array();
    wh_rows_t rows = {.n = 0};
    apr_status_t rv;

    for (int i = 0; i < ends->nelts; i++) {
        const wh_db_alert_end_t *end = &APR_ARRAY_IDX(ends, i, wh_db_alert_end_t);

        json_array_append_new(batch, json_pack("[s,s]", end->id, end->reason));
    }
    rv = wh_dbc_select(dbc, p, WH_SQL_alert_resolve,
                       WH_ARGS(WH_I(now), WH_J(wh_dbc_batch_text(p, batch))), &rows, err);
    if (rv == APR_SUCCESS && n != NULL) {
        *n = rows.n;
    }
    return rv == APR_SUCCESS && rows.n > 0 ? tell(dbc, p, &rows, 1, now, err) : rv;
}

apr_status_t wh_db_alert_of_source(wh_dbc_t *dbc, apr_pool_t *p, const wh_alert_t *source,
                                   const char **id, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_alert_of_source,
                                    WH_ARGS(WH_S(source->user_id), WH_S(source->source_type),
                                            WH_S(source->source_id), WH_S(source->app_id)),
                                    &rows, err);

    *id = NULL;
    if (rv == APR_SUCCESS && rows.n > 0) {
        r = wh_dbc_row(&rows, 0);
        *id = wh_dbc_text(&r);
    }
    return rv;
}

apr_status_t wh_db_alert_fire(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *alerts,
                              apr_time_t now, int *n, wh_err_t *err)
{
    json_t *batch = json_array();
    wh_rows_t rows = {.n = 0};
    apr_status_t rv;

    for (int i = 0; i < alerts->nelts; i++) {
        const wh_alert_t *a = &APR_ARRAY_IDX(alerts, i, wh_alert_t);

        json_array_append_new(batch,
                              json_pack("[s,s,s,s,s,s,s,s,s,s,I,I,s,I]", a->id, a->user_id,
                                        a->app_id, a->rule_id, a->kind, a->severity, a->source_type,
                                        a->source_id, a->title, a->message, (json_int_t)a->value,
                                        (json_int_t)a->threshold, a->unit, (json_int_t)now));
    }
    rv = wh_dbc_select(dbc, p, WH_SQL_alert_fire, WH_ARGS(WH_J(wh_dbc_batch_text(p, batch))), &rows,
                       err);
    if (rv == APR_SUCCESS && n != NULL) {
        *n = rows.n;
    }
    return rv == APR_SUCCESS && rows.n > 0 ? tell(dbc, p, &rows, 0, now, err) : rv;
}

/* ---- what is told by events ---- */

static void source_of(apr_pool_t *p, const wh_db_alert_event_t *event, wh_alert_t *a)
{
    a->app_id = event->app_id;
    a->source_type = wh_alert_source_type(p, event->kind);
    a->source_id =
        *event->what ? apr_pstrcat(p, event->app_id, "/", event->what, NULL) : event->app_id;
}

/* The app's own rules stand in the place of those of every app. *found = 0: none holds. */
static apr_status_t rule_for(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_event_t *event,
                             wh_alert_rule_t *rule, int *found, wh_err_t *err)
{
    const char *first = NULL;
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(
        dbc, p, WH_SQL_alert_rule_for,
        WH_ARGS(WH_S(wh_alert_kind_text(event->kind)), WH_S(event->app_id)), &rows, err);

    *found = 0;
    for (int i = 0; rv == APR_SUCCESS && i < rows.n && !*found; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);

        wh_db_alert_rule_row(&r, rule);
        first = first != NULL ? first : rule->app_id;
        *found = rule->enabled && strcmp(rule->app_id, first) == 0;
    }
    return rv;
}

apr_status_t wh_db_alert_happened(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_event_t *event,
                                  wh_err_t *err)
{
    apr_array_header_t *one = apr_array_make(p, 1, sizeof(wh_alert_t));
    wh_alert_t *a = apr_array_push(one);
    wh_alert_rule_t rule;
    int found;
    apr_status_t rv = rule_for(dbc, p, event, &rule, &found, err);

    if (rv != APR_SUCCESS || !found) {
        return rv;
    }
    *a = (wh_alert_t){.user_id = rule.user_id,
                      .rule_id = rule.id,
                      .kind = wh_alert_kind_text(event->kind),
                      .severity = rule.severity,
                      .title = event->title,
                      .message = event->message,
                      .unit = ""};
    source_of(p, event, a);
    a->id = wh_id_of(
        p, event->now,
        apr_psprintf(p, "%s %s %" APR_INT64_T_FMT, a->source_type, a->source_id, event->now));
    return wh_db_alert_fire(dbc, p, one, event->now, NULL, err);
}

apr_status_t wh_db_alert_over(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_alert_event_t *event,
                              wh_err_t *err)
{
    apr_array_header_t *ends = apr_array_make(p, 1, sizeof(wh_db_alert_end_t));
    wh_alert_t source = {.user_id = ""};
    const char *id;
    apr_status_t rv;

    source_of(p, event, &source);
    rv = wh_db_alert_of_source(dbc, p, &source, &id, err);
    if (rv != APR_SUCCESS || id == NULL) {
        return rv;
    }
    APR_ARRAY_PUSH(ends, wh_db_alert_end_t) = (wh_db_alert_end_t){.id = id, .reason = "recovered"};
    return wh_db_alert_resolve(dbc, p, ends, event->now, NULL, err);
}
