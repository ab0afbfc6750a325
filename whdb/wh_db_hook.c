#include "whdb/wh_db_hook.h"
#include "whdb/wh_dbc_priv.h"

static wh_db_hook_t *hook_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_db_hook_t *h = apr_pcalloc(p, sizeof(*h));
    wh_row_t r = wh_dbc_row(rows, i);

    h->row.id = wh_dbc_text(&r);
    h->row.app_id = wh_dbc_text(&r);
    h->row.provider = wh_dbc_text(&r);
    h->row.secret_n = wh_dbc_int(&r);
    h->row.previous_until = wh_dbc_int(&r);
    h->row.watch = wh_dbc_text(&r);
    h->row.last_delivery_at = wh_dbc_int(&r);
    h->row.created_at = wh_dbc_int(&r);
    h->row.deleted_at = wh_dbc_int(&r);
    h->row.token_issuer = wh_dbc_text(&r);
    h->row.token_rule = wh_dbc_text(&r);
    h->slug = wh_dbc_text(&r);
    h->row.forge_api = wh_dbc_text(&r);
    h->row.forge_repository = wh_dbc_text(&r);
    h->row.forge_id = wh_dbc_text(&r);
    h->row.forge_error = wh_dbc_text(&r);
    h->row.forge_stopped = (int)wh_dbc_int(&r);
    return h;
}

apr_status_t wh_db_hook_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_hookrow_t *h, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_hook_insert,
                        WH_ARGS(WH_S(h->id), WH_S(h->app_id), WH_S(h->provider), WH_S(h->watch),
                                WH_S(h->token_issuer), WH_S(h->token_rule), WH_I(h->created_at)),
                        NULL, err);
}

apr_status_t wh_db_hook_get(wh_dbc_t *dbc, apr_pool_t *p, const char *id, wh_db_hook_t **out,
                            wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, WH_SQL_hook_get, WH_ARGS(WH_S(id)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = hook_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_hook_list(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id, const char *after,
                             int limit, apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        app_id == NULL ? wh_dbc_select(dbc, p, WH_SQL_hook_list_all,
                                       WH_ARGS(WH_S(after), WH_I(limit)), &rows, err)
                       : wh_dbc_select(dbc, p, WH_SQL_hook_list_app,
                                       WH_ARGS(WH_S(app_id), WH_S(after), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_db_hook_t *));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_db_hook_t *) = hook_at(p, &rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_hook_delete(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                               wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_hook_delete, WH_ARGS(WH_I(now), WH_S(id)), err);
}

apr_status_t wh_db_hook_rotate(wh_dbc_t *dbc, apr_pool_t *p, const wh_hookrow_t *h,
                               apr_time_t previous_until, wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_hook_rotate,
                      WH_ARGS(WH_I(previous_until), WH_S(h->id), WH_I(h->secret_n)), err);
}

apr_status_t wh_db_hook_watch(wh_dbc_t *dbc, apr_pool_t *p, const char *id, const char *watch,
                              wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_hook_watch, WH_ARGS(WH_S(watch), WH_S(id)), err);
}

apr_status_t wh_db_hook_touch(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                              wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_hook_touch, WH_ARGS(WH_I(now), WH_S(id)), err);
}

/* ---- deliveries ---- */

static wh_delivery_t *delivery_at(apr_pool_t *p, const wh_rows_t *rows, int i)
{
    wh_delivery_t *d = apr_pcalloc(p, sizeof(*d));
    wh_row_t r = wh_dbc_row(rows, i);

    d->id = wh_dbc_text(&r);
    d->hook_id = wh_dbc_text(&r);
    d->delivery_id = wh_dbc_text(&r);
    d->part = wh_dbc_int(&r);
    d->event = wh_dbc_text(&r);
    d->ref = wh_dbc_text(&r);
    d->before = wh_dbc_text(&r);
    d->sha = wh_dbc_text(&r);
    d->verdict = wh_dbc_text(&r);
    d->reason = wh_dbc_text(&r);
    d->deployment_id = wh_dbc_text(&r);
    d->body_sha256 = wh_dbc_text(&r);
    d->headers = wh_dbc_text(&r);
    d->payload = wh_dbc_text(&r);
    d->replay_of = wh_dbc_text(&r);
    d->received_at = wh_dbc_int(&r);
    return d;
}

static apr_status_t first(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                          int nargs, wh_delivery_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select_one(dbc, p, id, args, nargs, &rows, err);

    if (rv == APR_SUCCESS) {
        *out = delivery_at(p, &rows, 0);
    }
    return rv;
}

apr_status_t wh_db_delivery_earlier(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                    wh_delivery_t **out, wh_err_t *err)
{
    return first(dbc, p, WH_SQL_delivery_earlier,
                 WH_ARGS(WH_S(d->hook_id), WH_S(d->delivery_id), WH_S(d->body_sha256),
                         WH_I(d->received_at)),
                 out, err);
}

apr_status_t wh_db_delivery_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id, const char *id,
                                wh_delivery_t **out, wh_err_t *err)
{
    return first(dbc, p, WH_SQL_delivery_get, WH_ARGS(WH_S(hook_id), WH_S(id)), out, err);
}

apr_status_t wh_db_delivery_after(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                  apr_time_t since, wh_delivery_t **out, wh_err_t *err)
{
    return first(dbc, p, WH_SQL_delivery_after,
                 WH_ARGS(WH_S(d->hook_id), WH_S(d->sha), WH_S(d->ref), WH_I(since)), out, err);
}

apr_status_t wh_db_delivery_list(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                 const char *before, int limit, apr_array_header_t **out,
                                 wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_delivery_list,
                                    WH_ARGS(WH_S(hook_id), WH_S(before), WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n, sizeof(wh_delivery_t *));
    for (int i = 0; i < rows.n; i++) {
        APR_ARRAY_PUSH(*out, wh_delivery_t *) = delivery_at(p, &rows, i);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_delivery_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_delivery_t *d,
                                   wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_delivery_insert,
                        WH_ARGS(WH_S(d->id), WH_S(d->hook_id), WH_S(d->delivery_id), WH_I(d->part),
                                WH_S(d->event), WH_S(d->ref), WH_S(d->before), WH_S(d->sha),
                                WH_S(d->verdict), WH_S(d->reason), WH_SN(d->deployment_id),
                                WH_S(d->body_sha256), WH_S(d->headers), WH_S(d->payload),
                                WH_S(d->replay_of), WH_I(d->received_at)),
                        NULL, err);
}

apr_status_t wh_db_delivery_prune(wh_dbc_t *dbc, apr_pool_t *p, const char *hook_id,
                                  apr_time_t before, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_delivery_prune, WH_ARGS(WH_S(hook_id), WH_I(before)), NULL,
                        err);
}
