#include "whdb/wh_db_sync.h"
#include "whdb/wh_dbc_priv.h"

#define EVENTS_KEPT 100
#define PRUNE_EVERY 50

apr_status_t wh_db_sync_get(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_sync_t *out,
                            wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_sync_get, WH_ARGS(WH_S(app_id)), &rows, err);

    wh_sync_none(out, app_id);
    if (rv != APR_SUCCESS || rows.n == 0) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    out->app_id = wh_dbc_text(&r);
    (void)wh_model_sync_status_of(wh_dbc_text(&r), &out->status);
    out->cause_code = wh_dbc_text(&r);
    out->cause_detail = wh_dbc_text(&r);
    out->trigger = wh_dbc_text(&r);
    out->commit_sha = wh_dbc_text(&r);
    out->commit_ref = wh_dbc_text(&r);
    out->failures = wh_dbc_int(&r);
    out->next_at = wh_dbc_int(&r);
    out->asked_at = wh_dbc_int(&r);
    out->synced_at = wh_dbc_int(&r);
    out->version = wh_dbc_int(&r);
    out->updated_at = wh_dbc_int(&r);
    return APR_SUCCESS;
}

apr_status_t wh_db_sync_hold(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_sync_t *out,
                             wh_err_t *err)
{
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "A sync is written in a transaction only.");
    }
    rv = wh_dbc_cas(dbc, p, WH_SQL_sync_hold, WH_ARGS(WH_S(app_id)), err);
    return rv == APR_SUCCESS ? wh_db_sync_get(dbc, p, app_id, out, err) : rv;
}

/* Numbered by the write that it tells of; now and then those go that are older than the last
 * hundred. */
static apr_status_t event(wh_dbc_t *dbc, apr_pool_t *p, const wh_sync_t *s,
                          const char *deployment_id, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_query(
        dbc, p, WH_SQL_sync_event_insert,
        WH_ARGS(WH_S(s->app_id), WH_I(s->version), WH_S(wh_model_sync_status_text(s->status)),
                WH_S(s->cause_code), WH_S(s->cause_detail), WH_S(s->trigger), WH_S(s->commit_sha),
                WH_S(deployment_id), WH_I(s->updated_at)),
        NULL, err);

    if (rv == APR_SUCCESS && s->version % PRUNE_EVERY == 0) {
        rv = wh_dbc_query(dbc, p, WH_SQL_sync_event_prune,
                          WH_ARGS(WH_S(s->app_id), WH_I(s->version - EVENTS_KEPT)), NULL, err);
    }
    return rv;
}

apr_status_t wh_db_sync_write(wh_dbc_t *dbc, apr_pool_t *p, wh_sync_t *s, const char *deployment_id,
                              wh_err_t *err)
{
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "A sync is written in a transaction only.");
    }
    rv = wh_dbc_cas(dbc, p, WH_SQL_sync_write,
                    WH_ARGS(WH_S(s->app_id), WH_S(wh_model_sync_status_text(s->status)),
                            WH_S(s->cause_code), WH_S(s->cause_detail), WH_S(s->trigger),
                            WH_S(s->commit_sha), WH_S(s->commit_ref), WH_I(s->failures),
                            WH_I(s->next_at), WH_I(s->asked_at), WH_I(s->synced_at),
                            WH_I(s->version + 1), WH_I(s->updated_at), WH_I(s->version)),
                    err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    s->version++;
    return event(dbc, p, s, deployment_id, err);
}

apr_status_t wh_db_sync_events(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, int limit,
                               apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_sync_event_list,
                                    WH_ARGS(WH_S(app_id), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_sync_event_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_sync_event_t *e = apr_array_push(*out);

        e->version = wh_dbc_int(&r);
        e->status = wh_dbc_text(&r);
        e->cause_code = wh_dbc_text(&r);
        e->cause_detail = wh_dbc_text(&r);
        e->trigger = wh_dbc_text(&r);
        e->commit_sha = wh_dbc_text(&r);
        e->deployment_id = wh_dbc_text(&r);
        e->at = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_sync_ask(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, apr_time_t now,
                            wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_sync_ask, WH_ARGS(WH_S(app_id), WH_I(now), WH_I(now)), NULL,
                        err);
}

apr_status_t wh_db_sync_again(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_sync_again, WH_ARGS(WH_S(app_id)), NULL, err);
}

apr_status_t wh_db_sync_list_due(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int limit,
                                 apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_sync_due,
                                    WH_ARGS(WH_I(now), WH_I(now), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_db_sync_due_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_sync_due_t *d = apr_array_push(*out);

        d->app_id = wh_dbc_text(&r);
        d->url = wh_dbc_text(&r);
        d->branch = wh_dbc_text(&r);
        d->version = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}
