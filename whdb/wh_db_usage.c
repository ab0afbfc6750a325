#include "whdb/wh_db_usage.h"
#include "whdb/wh_dbc_priv.h"

#define HOUR_US APR_INT64_C(3600000000)

static void row_of(wh_row_t *r, wh_usage_row_t *out)
{
    out->app_id = wh_dbc_text(r);
    out->start = wh_dbc_int(r);
    out->samples = wh_dbc_int(r);
    out->cpu_sum = wh_dbc_int(r);
    out->cpu_max = wh_dbc_int(r);
    out->memory_sum = wh_dbc_int(r);
    out->memory_max = wh_dbc_int(r);
    out->net_sum = wh_dbc_int(r);
    out->net_max = wh_dbc_int(r);
    out->net_bytes = wh_dbc_int(r);
}

static apr_array_header_t *rows_of(apr_pool_t *p, const wh_rows_t *rows)
{
    apr_array_header_t *out = apr_array_make(p, rows->n + 1, sizeof(wh_usage_row_t));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);

        row_of(&r, apr_array_push(out));
    }
    return out;
}

static apr_status_t number(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, apr_int64_t *n, wh_err_t *err)
{
    wh_rows_t rows;
    wh_row_t r;
    apr_status_t rv = wh_dbc_select_one(dbc, p, id, WH_NOARGS, &rows, err);

    if (rv == APR_SUCCESS) {
        r = wh_dbc_row(&rows, 0);
        *n = wh_dbc_int(&r);
    }
    return rv;
}

apr_status_t wh_db_usage_rows(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t start,
                              apr_array_header_t **rows, wh_err_t *err)
{
    wh_rows_t found;
    apr_status_t rv = wh_dbc_select(dbc, p, WH_SQL_usage_at, WH_ARGS(WH_I(start)), &found, err);

    if (rv == APR_SUCCESS) {
        *rows = rows_of(p, &found);
    }
    return rv;
}

apr_status_t wh_db_usage_parts(wh_dbc_t *dbc, apr_pool_t *p, apr_array_header_t **parts, int *fresh,
                               wh_err_t *err)
{
    wh_rows_t found;
    apr_int64_t begun = 0;
    apr_status_t rv = number(dbc, p, WH_SQL_usage_begun, &begun, err);

    *fresh = begun == 0;
    rv = rv == APR_SUCCESS ? wh_dbc_select(dbc, p, WH_SQL_usage_parts, WH_NOARGS, &found, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *parts = apr_array_make(p, found.n + 1, sizeof(wh_usage_part_t));
    for (int i = 0; i < found.n; i++) {
        wh_row_t r = wh_dbc_row(&found, i);
        wh_usage_part_t *part = apr_array_push(*parts);

        part->app_id = wh_dbc_text(&r);
        part->deployment = wh_dbc_text(&r);
        part->worker = wh_dbc_int(&r);
        part->net_total = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

static apr_status_t write_rows(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *rows,
                               wh_err_t *err)
{
    json_t *batch = json_array();

    for (int i = 0; i < rows->nelts; i++) {
        const wh_usage_row_t *r = &APR_ARRAY_IDX(rows, i, wh_usage_row_t);

        json_array_append_new(batch,
                              json_pack("[s,I,I,I,I,I,I,I,I,I]", r->app_id, (json_int_t)r->start,
                                        (json_int_t)r->samples, (json_int_t)r->cpu_sum,
                                        (json_int_t)r->cpu_max, (json_int_t)r->memory_sum,
                                        (json_int_t)r->memory_max, (json_int_t)r->net_sum,
                                        (json_int_t)r->net_max, (json_int_t)r->net_bytes));
    }
    return wh_dbc_query(dbc, p, WH_SQL_usage_put, WH_ARGS(WH_J(wh_dbc_batch_text(p, batch))), NULL,
                        err);
}

static apr_status_t write_parts(wh_dbc_t *dbc, apr_pool_t *p, const apr_array_header_t *parts,
                                wh_err_t *err)
{
    json_t *batch = json_array();

    for (int i = 0; i < parts->nelts; i++) {
        const wh_usage_part_t *part = &APR_ARRAY_IDX(parts, i, wh_usage_part_t);

        json_array_append_new(batch,
                              json_pack("[s,s,I,I]", part->app_id, part->deployment,
                                        (json_int_t)part->worker, (json_int_t)part->net_total));
    }
    return wh_dbc_query(dbc, p, WH_SQL_usage_part_put, WH_ARGS(WH_J(wh_dbc_batch_text(p, batch))),
                        NULL, err);
}

apr_status_t wh_db_usage_write(wh_dbc_t *dbc, apr_pool_t *p, const wh_usage_sample_t *sample,
                               wh_err_t *err)
{
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "Usage is written in a transaction only.");
    }
    rv = write_rows(dbc, p, sample->rows, err);
    if (rv == APR_SUCCESS && sample->parts->nelts > 0) {
        rv = write_parts(dbc, p, sample->parts, err);
    }
    return rv == APR_SUCCESS ? wh_dbc_query(dbc, p, WH_SQL_usage_begin, WH_NOARGS, NULL, err) : rv;
}

apr_status_t wh_db_usage_sum(wh_dbc_t *dbc, apr_pool_t *p, const char *app_id,
                             const wh_usage_query_t *q, apr_array_header_t **rows, wh_err_t *err)
{
    wh_rows_t found;
    apr_status_t rv = wh_dbc_select(
        dbc, p, WH_SQL_usage_sum,
        WH_ARGS(WH_I(q->step), WH_I(q->step), WH_S(app_id), WH_I(q->from), WH_I(q->to)), &found,
        err);

    if (rv == APR_SUCCESS) {
        *rows = rows_of(p, &found);
    }
    return rv;
}

apr_status_t wh_db_usage_prune(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t before, int *more,
                               wh_err_t *err)
{
    apr_int64_t oldest = 0;
    apr_status_t rv = number(dbc, p, WH_SQL_usage_oldest, &oldest, err);

    *more = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (oldest == 0 || oldest >= before) {
        return wh_dbc_query(dbc, p, WH_SQL_usage_part_prune, WH_NOARGS, NULL, err);
    }
    *more = 1;
    return wh_dbc_query(dbc, p, WH_SQL_usage_prune,
                        WH_ARGS(WH_I(oldest + HOUR_US < before ? oldest + HOUR_US : before)), NULL,
                        err);
}
