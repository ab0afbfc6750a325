#include "whdb/wh_db_token.h"
#include "whdb/wh_dbc_priv.h"

#define TOUCH_EVERY_US (APR_INT64_C(3600) * APR_USEC_PER_SEC)

apr_status_t wh_db_token_find_by_hash(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                      apr_time_t now, wh_token_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    wh_token_t *t;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_token_by_hash, WH_ARGS(WH_S(hash), WH_I(now)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    r = wh_dbc_row(&rows, 0);
    t = apr_pcalloc(p, sizeof(*t));
    t->id = wh_dbc_text(&r);
    t->name = wh_dbc_text(&r);
    t->hash = wh_dbc_text(&r);
    t->scopes = wh_dbc_text(&r);
    t->apps = wh_dbc_text(&r);
    t->created_at = wh_dbc_int(&r);
    t->expires_at = wh_dbc_int(&r);
    t->last_used_at = wh_dbc_int(&r);
    t->revoked_at = wh_dbc_int(&r);
    *out = t;
    return APR_SUCCESS;
}

apr_status_t wh_db_token_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_token_t *t, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_token_insert,
                        WH_ARGS(WH_S(t->id), WH_S(t->name), WH_S(t->hash), WH_S(t->scopes),
                                WH_S(t->apps), WH_I(t->created_at), WH_I(t->expires_at)),
                        NULL, err);
}

apr_status_t wh_db_token_touch(wh_dbc_t *dbc, apr_pool_t *p, const wh_token_t *t, apr_time_t now,
                               wh_err_t *err)
{
    apr_time_t before = now - TOUCH_EVERY_US;

    if (t->last_used_at >= before) {
        return APR_SUCCESS;
    }
    return wh_dbc_query(dbc, p, WH_SQL_token_touch, WH_ARGS(WH_I(now), WH_S(t->id), WH_I(before)),
                        NULL, err);
}

apr_status_t wh_db_token_revoke(wh_dbc_t *dbc, apr_pool_t *p, const char *id, apr_time_t now,
                                wh_err_t *err)
{
    return wh_dbc_cas(dbc, p, WH_SQL_token_revoke, WH_ARGS(WH_I(now), WH_S(id)), err);
}

apr_status_t wh_db_token_onetime_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_onetime_t *t,
                                        wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_onetime_insert,
                        WH_ARGS(WH_S(t->hash), WH_S(t->purpose), WH_S(t->worker_name),
                                WH_I(t->replaces != 0), WH_I(t->created_at), WH_I(t->expires_at)),
                        NULL, err);
}

apr_status_t wh_db_token_onetime_get(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                     const char *purpose, apr_time_t now, wh_err_t *err)
{
    wh_rows_t rows;

    return wh_dbc_select_one(dbc, p, WH_SQL_onetime_get,
                             WH_ARGS(WH_S(hash), WH_S(purpose), WH_I(now)), &rows, err);
}

apr_status_t wh_db_token_onetime_redeem(wh_dbc_t *dbc, apr_pool_t *p, const char *hash,
                                        const char *purpose, apr_time_t now, wh_db_onetime_t *out,
                                        wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select_one(dbc, p, WH_SQL_onetime_redeem,
                          WH_ARGS(WH_I(now), WH_S(hash), WH_S(purpose), WH_I(now)), &rows, err);

    if (rv == APR_SUCCESS && out != NULL) {
        wh_row_t r = wh_dbc_row(&rows, 0);

        *out = (wh_db_onetime_t){.hash = hash, .purpose = purpose};
        out->worker_name = wh_dbc_text(&r);
        out->replaces = wh_dbc_int(&r) != 0;
    }
    return rv;
}
