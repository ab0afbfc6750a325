#include "whdb/wh_db_outbox.h"
#include "whdb/wh_dbc_priv.h"

apr_status_t wh_db_outbox_list(wh_dbc_t *dbc, apr_pool_t *p, int limit, apr_array_header_t **out,
                               wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_outbox_list, WH_ARGS(WH_I(limit)), &rows, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_array_make(p, rows.n + 1, sizeof(wh_news_row_t));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        wh_news_row_t *row = apr_array_push(*out);

        row->id = wh_dbc_int(&r);
        row->at = wh_dbc_int(&r);
        row->topic = wh_dbc_text(&r);
        row->app_id = wh_dbc_text(&r);
        row->slug = wh_dbc_text(&r);
        row->object_id = wh_dbc_text(&r);
        row->status = wh_dbc_text(&r);
        row->was = wh_dbc_text(&r);
        row->data = wh_dbc_text(&r);
    }
    return APR_SUCCESS;
}

apr_status_t wh_db_outbox_delete(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *rows,
                                 wh_err_t *err)
{
    json_t *batch = json_array();

    for (int i = 0; i < rows->nelts; i++) {
        const wh_news_row_t *row = &APR_ARRAY_IDX(rows, i, wh_news_row_t);

        json_array_append_new(batch, json_pack("[I]", (json_int_t)row->id));
    }
    return wh_dbc_query(dbc, p, WH_SQL_outbox_delete, WH_ARGS(WH_J(wh_dbc_batch_text(p, batch))),
                        NULL, err);
}
