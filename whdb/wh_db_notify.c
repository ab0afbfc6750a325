#include "whdb/wh_db_notify.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_event.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "whdb/wh_db_event.h"
#include "whdb/wh_db_worker.h"
#include "whdb/wh_dbc_priv.h"

/* ---- channels ---- */

static wh_channel_t *channel_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_row_t r = wh_dbc_row(rows, i);
    wh_channel_t *c = apr_pcalloc(p, sizeof(*c));

    c->id = wh_dbc_text(&r);
    c->name = wh_dbc_text(&r);
    c->kind = wh_dbc_text(&r);
    c->shown = wh_dbc_text(&r);
    c->key_id = wh_dbc_int(&r);
    c->sealed = wh_dbc_text(&r);
    c->app_id = wh_dbc_text(&r);
    c->slug = wh_dbc_text(&r);
    c->events = wh_dbc_text(&r);
    c->enabled = (int)wh_dbc_int(&r);
    c->reason = wh_dbc_text(&r);
    c->failures = wh_dbc_int(&r);
    c->created_at = wh_dbc_int(&r);
    c->updated_at = wh_dbc_int(&r);
    return c;
}

static apr_array_header_t *channels_at(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n + 1, sizeof(wh_channel_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_channel_t *) = channel_at(p, rows, i);
    }
    return list;
}

apr_status_t wh_db_channel_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_channel_t *c,
                                  wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_channel_insert,
                        WH_ARGS(WH_S(c->id), WH_S(c->name), WH_S(c->kind), WH_S(c->shown),
                                WH_I(c->key_id), WH_S(c->sealed), WH_S(c->app_id), WH_S(c->events),
                                WH_S(c->reason), WH_I(c->enabled), WH_I(c->created_at),
                                WH_I(c->updated_at)),
                        NULL, err);
}

apr_status_t wh_db_channel_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id_or_name,
                               wh_channel_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_channel_get,
                                        WH_ARGS(WH_S(id_or_name), WH_S(id_or_name)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = channel_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_channel_list(wh_dbc_t *dbc, apr_pool_t *p, const char *after, int limit,
                                apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_channel_list, WH_ARGS(WH_S(after), WH_I(limit)),
                                    &rows, err);

    if (rv == APR_SUCCESS) {
        *out = channels_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_channel_update(wh_dbc_t *dbc, apr_pool_t *p, const wh_channel_t *c,
                                  apr_time_t read_at, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_channel_update,
                      WH_ARGS(WH_S(c->name), WH_S(c->kind), WH_S(c->shown), WH_I(c->key_id),
                              WH_S(c->sealed), WH_S(c->app_id), WH_S(c->events), WH_S(c->reason),
                              WH_I(c->enabled), WH_I(c->updated_at), WH_S(c->id), WH_I(read_at)),
                      err);
}

static apr_status_t drop(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *code,
                         const char *detail, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_notice_drop, WH_ARGS(WH_S(code), WH_S(detail), WH_S(id)),
                        NULL, err);
}

apr_status_t wh_db_channel_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                  wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_cas(dbc, p, WH_SQL_channel_delete, WH_ARGS(WH_I(now), WH_S(id)), err);

    return rv == APR_SUCCESS
               ? drop(dbc, p, id, "channel_deleted", "The channel was deleted.", err)
               : rv;
}

apr_status_t wh_db_channel_arrived(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_channel_arrived, WH_ARGS(WH_S(id)), NULL, err);
}

apr_status_t wh_db_channel_failed(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_channel_failed, WH_ARGS(WH_S(id)), NULL, err);
}

apr_status_t wh_db_channel_disable(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *reason,
                                   apr_int64_t failures, apr_time_t now, int *done, wh_err_t *err)
{
    int rows = 0;
    apr_status_t rv =
        wh_dbc_query(dbc, p, WH_SQL_channel_disable,
                     WH_ARGS(WH_S(reason), WH_I(now), WH_S(id), WH_I(failures)), &rows, err);

    if (done != NULL) {
        *done = rv == APR_SUCCESS && rows > 0;
    }
    return rv == APR_SUCCESS && rows > 0
               ? drop(dbc, p, id, "channel_disabled", "The channel was disabled.", err)
               : rv;
}

apr_status_t wh_db_channel_stale(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t key_id, int limit,
                                 apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_channel_stale,
                                    WH_ARGS(WH_I(key_id), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = channels_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_channel_reseal(wh_dbc_t *dbc, apr_pool_t *p, const wh_channel_t *old,
                                  const wh_channel_t *fresh, wh_err_t *err)
{
    return wh_dbc_cas(
        dbc, p, WH_SQL_channel_reseal,
        WH_ARGS(WH_I(fresh->key_id), WH_S(fresh->sealed), WH_S(old->id), WH_S(old->sealed)), err);
}

/* ---- what is on its way ---- */

apr_status_t wh_db_event_untold(wh_dbc_t *dbc, apr_pool_t *p, int limit, apr_array_header_t **out,
                                wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_event_untold, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_db_untold_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_untold_t *e = apr_array_push(*out);

        e->id = wh_dbc_text(&r);
        e->app_id = wh_dbc_text(&r);
        e->kind = wh_dbc_text(&r);
        e->at = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_event_told(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_event_told, WH_ARGS(WH_S(id)), err);
}

static wh_notice_t *notice_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_row_t r = wh_dbc_row(rows, i);
    wh_notice_t *n = apr_pcalloc(p, sizeof(*n));

    n->id = wh_dbc_text(&r);
    n->channel_id = wh_dbc_text(&r);
    n->event_id = wh_dbc_text(&r);
    n->status = wh_dbc_text(&r);
    n->attempts = wh_dbc_int(&r);
    n->next_at = wh_dbc_int(&r);
    n->http_status = wh_dbc_int(&r);
    n->cause_code = wh_dbc_text(&r);
    n->cause_detail = wh_dbc_text(&r);
    n->created_at = wh_dbc_int(&r);
    n->attempted_at = wh_dbc_int(&r);
    n->kind = wh_dbc_text(&r);
    n->ended = (int)wh_dbc_int(&r);
    n->payload = wh_dbc_text(&r);
    n->at = wh_dbc_int(&r);
    return n;
}

static apr_array_header_t *notices_at(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *list = apr_array_make(p, rows->n + 1, sizeof(wh_notice_t *));

    for (int i = 0; i < rows->n; i++) {
        APR_ARRAY_PUSH(list, wh_notice_t *) = notice_at(p, rows, i);
    }
    return list;
}

apr_status_t wh_db_notice_insert(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *channel,
                                 const char *event, apr_time_t now, wh_err_t *err)
{
    return wh_dbc_query(
        dbc, p, WH_SQL_notice_insert,
        WH_ARGS(WH_S(id), WH_S(channel), WH_S(event), WH_I(now), WH_I(now)), NULL, err);
}

apr_status_t wh_db_notice_get(wh_dbc_t *dbc, apr_pool_t *p, const char *channel, const char *id,
                              wh_notice_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_notice_get,
                                        WH_ARGS(WH_S(channel), WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = notice_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_notice_list(wh_dbc_t *dbc, apr_pool_t *p, const char *channel,
                               const char *before, const char *status, int limit,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_notice_list,
                                    WH_ARGS(WH_S(channel), WH_S(before[0] ? before : "~"),
                                            WH_S(status[0] ? status : "%"), WH_I(limit)),
                                    &rows, err);

    if (rv == APR_SUCCESS) {
        *out = notices_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_notice_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int each, int limit,
                              apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_notice_due,
                                    WH_ARGS(WH_I(now), WH_I(each), WH_I(limit)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = notices_at(p, &rows);
    }
    return rv;
}

apr_status_t wh_db_notice_begin(wh_dbc_t *dbc, apr_pool_t *p, const wh_notice_t *n, apr_time_t now,
                                apr_time_t lost_at, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_notice_begin,
                      WH_ARGS(WH_I(now), WH_I(lost_at), WH_S(n->id), WH_I(n->attempts)), err);
}

apr_status_t wh_db_notice_end(wh_dbc_t *dbc, apr_pool_t *p, const wh_notice_t *n, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_notice_end,
                      WH_ARGS(WH_S(n->status), WH_I(n->next_at), WH_I(n->http_status),
                              WH_S(n->cause_code), WH_S(n->cause_detail), WH_S(n->id),
                              WH_S(n->channel_id), WH_I(n->attempts)),
                      err);
}

apr_status_t wh_db_notice_again(wh_dbc_t *dbc, apr_pool_t *p, const char *channel, const char *id,
                                apr_time_t now, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_notice_again, WH_ARGS(WH_I(now), WH_S(channel), WH_S(id)),
                      err);
}

apr_status_t wh_db_notice_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, wh_err_t *err)
{
    apr_status_t rv =
        wh_dbc_query(dbc, p, WH_SQL_notice_prune, WH_ARGS(WH_I(before)), NULL, err);

    return rv == APR_SUCCESS
               ? wh_dbc_query(dbc, p, WH_SQL_event_prune, WH_ARGS(WH_I(before)), NULL, err)
               : rv;
}

/* ---- deployments ---- */

typedef struct told_t {
    const char *app_id, *slug, *environment;
    apr_int64_t number;
    const char *trigger, *sha, *ref, *message, *site, *code, *detail;
} told_t;

/* F177, F178. */
static json_t *payload_of(apr_pool_t *p, const char *id, const told_t *t,
                          wh_conclusion_e conclusion)
{
    json_t *doc = json_pack(
        "{s:{s:s, s:s}, s:s, s:{s:s, s:I, s:s, s:s}, s:s}", "app", "id", t->app_id, "slug", t->slug,
        "environment", t->environment, "deployment", "id", id, "number", (json_int_t)t->number,
        "trigger", t->trigger, "conclusion", wh_model_conclusion_text(conclusion), "url",
        wh_branch_url(p, t->site, t->slug, t->environment, t->ref));

    if (t->sha[0] != '\0') {
        json_object_set_new(doc, "commit",
                            json_pack("{s:s, s:s, s:s, s:s}", "sha", t->sha, "short",
                                      wh_text_short_sha(p, t->sha), "ref", t->ref, "message",
                                      wh_text_first_line(p, t->message)));
    }
    if (t->code[0] != '\0') {
        json_object_set_new(doc, "cause",
                            json_pack("{s:s, s:s}", "code", t->code, "detail", t->detail));
    }
    return wh_json_own(p, doc);
}

apr_status_t wh_db_deployment_tell(wh_dbc_t *dbc, apr_pool_t *p, const char *id,
                                   wh_conclusion_e conclusion, apr_time_t now, wh_err_t *err)
{
    static const wh_event_e kinds[] = {[WH_CONCLUSION_SUCCEEDED] = WH_EVENT_DEPLOYMENT_SUCCEEDED,
                                       [WH_CONCLUSION_FAILED] = WH_EVENT_DEPLOYMENT_FAILED,
                                       [WH_CONCLUSION_CANCELED] = WH_EVENT_DEPLOYMENT_CANCELED};
    wh_db_event_t event = {.user_id = "", .at = now};
    wh_rows_t rows;
    wh_row_t r;
    told_t t;
    apr_status_t rv;

    if (conclusion != WH_CONCLUSION_SUCCEEDED && conclusion != WH_CONCLUSION_FAILED &&
        conclusion != WH_CONCLUSION_CANCELED) {
        return APR_SUCCESS;
    }
    rv = wh_dbc_select_one(dbc, p, WH_SQL_deployment_told, WH_ARGS(WH_S(id)), &rows, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    t = (told_t){.app_id = wh_dbc_text(&r)};
    t.slug = wh_dbc_text(&r);
    t.environment = wh_dbc_text(&r);
    t.number = wh_dbc_int(&r);
    t.trigger = wh_dbc_text(&r);
    t.sha = wh_dbc_text(&r);
    t.ref = wh_dbc_text(&r);
    t.message = wh_dbc_text(&r);
    t.site = wh_dbc_text(&r);
    t.code = wh_dbc_text(&r);
    t.detail = wh_dbc_text(&r);
    if (strcmp(t.trigger, wh_model_trigger_text(WH_TRIGGER_DRAIN)) == 0 &&
        conclusion != WH_CONCLUSION_FAILED) {
        return APR_SUCCESS;
    }
    event.id = wh_id_of(p, now, id);
    event.app_id = t.app_id;
    event.kind = wh_event_name(kinds[conclusion]);
    event.payload = payload_of(p, id, &t, conclusion);
    return wh_db_event_insert(dbc, p, &event, err);
}

apr_status_t wh_db_worker_tell(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_worker_edge_t *edge,
                               wh_err_t *err)
{
    static const wh_event_e kinds[] = {[WH_WORKER_OFFLINE] = WH_EVENT_WORKER_OFFLINE,
                                       [WH_WORKER_ONLINE] = WH_EVENT_WORKER_ONLINE};
    wh_db_event_t event = {.id = edge->id,
                           .user_id = "",
                           .app_id = "",
                           .kind = wh_event_name(kinds[edge->status]),
                           .at = edge->at};
    wh_worker_t *w;
    apr_status_t rv = wh_db_worker_get(dbc, p, edge->worker, &w, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    event.payload = wh_json_own(
        p, json_pack("{s:{s:s, s:s}}", "worker", "id", w->public_id, "name", w->name));
    return wh_db_event_insert(dbc, p, &event, err);
}
