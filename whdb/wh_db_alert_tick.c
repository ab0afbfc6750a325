#include "whdb/wh_db_alert_tick.h"
#include "whdb/wh_db_alert_row.h"

enum { CONTAINER = 1, RUNS = 2, AWAY = 4 }; /* of the statement alert_apps */

void wh_db_alert_rule_row(wh_row_t *r, wh_alert_rule_t *out)
{
    int known;

    out->id = wh_dbc_text(r);
    out->user_id = wh_dbc_text(r);
    out->app_id = wh_dbc_text(r);
    out->kind = WH_ALERT_DEPLOYMENT_FAILED;
    known = wh_alert_kind_of(wh_dbc_text(r), &out->kind);
    out->threshold = wh_dbc_int(r);
    out->sustain_s = wh_dbc_int(r);
    out->severity = wh_dbc_text(r);
    out->enabled = (int)wh_dbc_int(r) && known;
    out->revision = wh_dbc_int(r);
    out->created_at = wh_dbc_int(r);
    out->updated_at = wh_dbc_int(r);
    out->deleted_at = wh_dbc_int(r);
}

apr_status_t wh_db_alert_rules_since(wh_dbc_t *dbc, apr_pool_t *p, apr_int64_t revision, int limit,
                                     apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_alert_rule_since,
                                    WH_ARGS(WH_I(revision), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_alert_rule_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);

        wh_db_alert_rule_row(&r, apr_array_push(*out));
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_alert_apps(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_alert_apps, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_alert_app_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_alert_app_t *app = apr_array_push(*out);
        apr_int64_t is;

        app->id = wh_dbc_text(&r);
        app->slug = wh_dbc_text(&r);
        is = wh_dbc_int(&r);
        app->container = (is & CONTAINER) != 0;
        app->runs = (is & RUNS) != 0;
        app->away = (is & AWAY) != 0;
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_alert_open(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_alert_open, WH_NOARGS, &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_alert_open_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_alert_open_t one = {.id = wh_dbc_text(&r)};

        one.rule_id = wh_dbc_text(&r);
        one.app_id = wh_dbc_text(&r);
        if (wh_alert_kind_of(wh_dbc_text(&r), &one.kind)) {
            APR_ARRAY_PUSH(*out, wh_alert_open_t) = one;
        }
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_alert_states(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **out,
                                apr_time_t *tick, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_alert_tick_get, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *tick = wh_dbc_int(&r);
        rv = wh_dbc_select(dbc, p, WH_SQL_alert_states, WH_NOARGS, &rows, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_alert_change_t));
    for (int i = 0; i < rows.n; i++) {
        wh_alert_change_t *c = apr_array_push(*out);

        r = wh_dbc_row(&rows, i);
        c->rule_id = wh_dbc_text(&r);
        c->app_id = wh_dbc_text(&r);
        c->state.since = wh_dbc_int(&r);
        c->state.missing_since = wh_dbc_int(&r);
        c->state.open = (int)wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

static apr_status_t put(wh_dbc_t *dbc, apr_pool_t *p, json_t *batch, wh_err_t *err)
{
    int empty = json_array_size(batch) == 0;
    const char *text = wh_dbc_batch_text(p, batch);

    return empty ? APR_SUCCESS
                 : wh_dbc_query(dbc, p, WH_SQL_alert_state_put, WH_ARGS(WH_J(text)), NULL, err);
}

static apr_status_t drop(wh_dbc_t *dbc, apr_pool_t *p, json_t *batch, wh_err_t *err)
{
    int empty = json_array_size(batch) == 0;
    const char *text = wh_dbc_batch_text(p, batch);

    return empty ? APR_SUCCESS
                 : wh_dbc_query(dbc, p, WH_SQL_alert_state_drop, WH_ARGS(WH_J(text)), NULL, err);
}

apr_status_t wh_db_alert_states_write(wh_dbc_t *dbc, apr_pool_t *p,
                                      const apr_array_header_t *changes, apr_time_t now,
                                      wh_err_t *err)
{
    json_t *puts = json_array(), *drops = json_array();
    apr_status_t rv;

    for (int i = 0; i < changes->nelts; i++) {
        const wh_alert_change_t *c = &APR_ARRAY_IDX(changes, i, wh_alert_change_t);

        if (c->state.since == 0 && c->state.missing_since == 0) {
            json_array_append_new(drops, json_pack("[s,s]", c->rule_id, c->app_id));
        } else {
            json_array_append_new(puts, json_pack("[s,s,I,I,I,i]", c->rule_id, c->app_id,
                                                  (json_int_t)c->state.since,
                                                  (json_int_t)c->state.missing_since,
                                                  (json_int_t)c->value, c->state.open));
        }
    }
    rv = put(dbc, p, puts, err);
    rv = rv == APR_SUCCESS ? drop(dbc, p, drops, err) : rv;
    return rv == APR_SUCCESS
               ? wh_dbc_query(dbc, p, WH_SQL_alert_tick_set, WH_ARGS(WH_I(now)), NULL, err)
               : rv;
}
