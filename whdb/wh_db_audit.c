#include "whdb/wh_db_audit.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_audit_insert(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_audit_t *r, wh_err_t *err)
{
    return wh_dbc_query(dbc, p, WH_SQL_audit_insert,
                        WH_ARGS(WH_S(r->id), WH_I(r->at), WH_S(r->actor_kind), WH_S(r->actor_id),
                                WH_S(r->action), WH_S(r->object), WH_S(r->app_id), WH_S(r->address),
                                WH_S(r->request_id), WH_S(r->outcome), WH_I(r->status),
                                WH_S(r->code)),
                        NULL, err);
}

apr_status_t wh_db_audit_list(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_audit_filter_t *f,
                              apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(
        dbc, p, WH_SQL_audit_list,
        WH_ARGS(WH_S(*f->before ? f->before : "~"), WH_S(f->action), WH_S(f->action), WH_S(f->slug),
                WH_S(f->slug), WH_S(f->actor), WH_S(f->actor), WH_I(f->since), WH_I(f->limit)),
        &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_db_audit_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_db_audit_t *a = apr_array_push(*out);

        a->id = wh_dbc_text(&r);
        a->at = wh_dbc_int(&r);
        a->actor_kind = wh_dbc_text(&r);
        a->actor_id = wh_dbc_text(&r);
        a->action = wh_dbc_text(&r);
        a->object = wh_dbc_text(&r);
        a->app_id = wh_dbc_text(&r);
        a->slug = wh_dbc_text(&r);
        a->address = wh_dbc_text(&r);
        a->request_id = wh_dbc_text(&r);
        a->outcome = wh_dbc_text(&r);
        a->status = (int)wh_dbc_int(&r);
        a->code = wh_dbc_text(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_audit_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int *n,
                               wh_err_t *err)
{
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "The audit log is cut in a transaction only.");
    }
    rv = wh_dbc_query(dbc, p, WH_SQL_audit_before, WH_ARGS(WH_I(before), WH_I(before)), NULL, err);
    return rv == APR_SUCCESS
               ? wh_dbc_query(dbc, p, WH_SQL_audit_prune, WH_ARGS(WH_I(before)), n, err)
               : rv;
}
