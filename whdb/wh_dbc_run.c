/* Running the statements of wh_sql.def and copying their rows.
 *
 * PostgreSQL: statements are "prepared" without a label, so the driver sends text and values each
 * time (PQexecParams): that survives reconnects, schema changes and poolers. SQLite: prepared once
 * a handle; a schema change by another process spoils them for good, so they are prepared again. */
#include "whdb/wh_dbc_priv.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <sqlite3.h>

#include "libwh/wh_json.h"

#define ARGS_MAX 48

static apr_status_t gone(wh_err_t *err)
{
    return wh_err_set(err, 503, "db_gone", "The database cannot be reached at present.");
}

static wh_dbc_class_e exec_once(wh_dbc_t *dbc, const char *text)
{
    int rows = 0;
    int ret = apr_dbd_query(dbc->driver, dbc->handle, &rows, text);

    if (dbc->kind == WH_DBC_SQLITE && ret == SQLITE_ROW) {
        return WH_DBC_OK; /* a row came, which is all that the driver finds wrong */
    }
    return wh_dbc_classify(dbc, ret);
}

apr_status_t wh_dbc_exec(wh_dbc_t *dbc, const char *text, wh_err_t *err)
{
    wh_dbc_class_e class = exec_once(dbc, text);

    if (class == WH_DBC_STALE) {
        class = exec_once(dbc, text);
    }
    return class == WH_DBC_OK ? APR_SUCCESS
                              : wh_dbc_fail(dbc, class, apr_pstrndup(dbc->pool, text, 60), err);
}

apr_status_t wh_dbc_exec_value(wh_dbc_t *dbc, apr_pool_t *p, const char *text, const char **value,
                               wh_err_t *err)
{
    apr_dbd_results_t *res = NULL;
    apr_dbd_row_t *row = NULL;
    apr_pool_t *tp;
    wh_dbc_class_e class;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&tp, p);
    class = wh_dbc_classify(dbc, apr_dbd_select(dbc->driver, tp, dbc->handle, &res, text, 1));
    if (class == WH_DBC_STALE) {
        res = NULL;
        class = wh_dbc_classify(dbc, apr_dbd_select(dbc->driver, tp, dbc->handle, &res, text, 1));
    }
    *value = NULL;
    if (class != WH_DBC_OK) {
        rv = wh_dbc_fail(dbc, class, apr_pstrndup(tp, text, 60), err);
    }
    for (int n = 0; rv == APR_SUCCESS && apr_dbd_get_row(dbc->driver, tp, res, &row, -1) == 0;
         n++) {
        char *got = NULL;
        if (n == 0 &&
            apr_dbd_datum_get(dbc->driver, row, 0, APR_DBD_TYPE_STRING, &got) == APR_SUCCESS) {
            *value = apr_pstrdup(p, got == NULL ? "" : got);
        }
    }
    apr_pool_destroy(tp);
    return rv;
}

/* The prepared form, made on first use. again: throw the known one away (its memory stays with the
 * handle, which is small and bounded by the number of schema changes). */
static int prepare(wh_dbc_t *dbc, const wh_sql_t *sql, int again, apr_dbd_prepared_t **out)
{
    apr_dbd_prepared_t *st = NULL;
    const char *label = dbc->kind == WH_DBC_PGSQL ? NULL : sql->label;
    const char *text = dbc->kind == WH_DBC_PGSQL ? sql->pgsql : sql->text;
    int ret;

    if (!again) {
        st = apr_hash_get(dbc->prepared, sql->label, APR_HASH_KEY_STRING);
        if (st != NULL) {
            *out = st;
            return 0;
        }
    }
    ret = apr_dbd_prepare(dbc->driver, dbc->hpool, dbc->handle, text, label, &st);
    if (ret == 0) {
        apr_hash_set(dbc->prepared, sql->label, APR_HASH_KEY_STRING, st);
        *out = st;
    }
    return ret;
}

/* The argument vector of the pb* calls: pointers to text and to apr_int64_t, NULL = SQL NULL. */
static int bind_args(const wh_sql_t *sql, const wh_arg_t *args, int nargs,
                     const void *argv[ARGS_MAX])
{
    if (nargs > ARGS_MAX || (size_t)nargs != strlen(sql->kinds)) {
        return 0;
    }
    for (int i = 0; i < nargs; i++) {
        if (args[i].kind != sql->kinds[i]) {
            return 0;
        }
        if (args[i].null) {
            argv[i] = NULL;
        } else {
            argv[i] = args[i].kind == 'i' ? (const void *)&args[i].i : (const void *)args[i].s;
        }
    }
    return 1;
}

typedef struct call_t {
    const wh_sql_t *sql;
    const void **argv;
    apr_pool_t *tp;         /* of this call */
    apr_dbd_results_t *res; /* modes R and X */
    int rows;               /* mode W */
} call_t;

static int run_once(wh_dbc_t *dbc, call_t *call, int again)
{
    apr_dbd_prepared_t *st;
    int ret = prepare(dbc, call->sql, again, &st);

    if (ret != 0) {
        return ret;
    }
    call->res = NULL;
    call->rows = 0;
    if (call->sql->mode == 'W') {
        return apr_dbd_pbquery(dbc->driver, call->tp, dbc->handle, &call->rows, st, call->argv);
    }
    /* random = 1: with 0 an empty result costs 100 ms on PostgreSQL and errors look like no rows.
     */
    return apr_dbd_pbselect(dbc->driver, call->tp, dbc->handle, &call->res, st, 1, call->argv);
}

/* Runs, prepares again once where the schema changed, connects again once where it may. */
static apr_status_t run(wh_dbc_t *dbc, call_t *call, wh_err_t *err)
{
    wh_dbc_class_e class = wh_dbc_classify(dbc, run_once(dbc, call, 0));

    if (class == WH_DBC_STALE) {
        class = wh_dbc_classify(dbc, run_once(dbc, call, 1));
        if (class == WH_DBC_STALE) {
            class = WH_DBC_OTHER;
        }
    }
    /* A write may have been done before the connection died, so only reads are sent again. */
    if (class == WH_DBC_DEAD && call->sql->mode == 'R' && wh_dbc_reconnect(dbc)) {
        class = wh_dbc_classify(dbc, run_once(dbc, call, 0));
    }
    return class == WH_DBC_OK ? APR_SUCCESS : wh_dbc_fail(dbc, class, call->sql->label, err);
}

static void copy_rows(wh_dbc_t *dbc, apr_pool_t *p, const call_t *call, wh_rows_t *rows)
{
    apr_dbd_row_t *row = NULL;
    int room = 0;

    rows->n = 0;
    rows->cells = NULL;
    rows->cols = apr_dbd_num_cols(dbc->driver, call->res);
    /* Always drained to the end: the driver frees the result only then. */
    while (apr_dbd_get_row(dbc->driver, call->tp, call->res, &row, -1) == 0) {
        const char **to;

        if (rows->n == room) {
            const char **old = rows->cells;
            room = room == 0 ? 4 : room * 2;
            rows->cells = apr_palloc(p, sizeof(char *) * (size_t)room * (size_t)rows->cols);
            if (rows->n > 0) {
                memcpy(rows->cells, old, sizeof(char *) * (size_t)rows->n * (size_t)rows->cols);
            }
        }
        to = rows->cells + (size_t)rows->n * (size_t)rows->cols;
        for (int c = 0; c < rows->cols; c++) {
            char *value = NULL;
            /* get_entry would give "" for NULL on PostgreSQL and NULL on SQLite. */
            apr_status_t rv = apr_dbd_datum_get(dbc->driver, row, c, APR_DBD_TYPE_STRING, &value);
            to[c] = rv == APR_SUCCESS ? apr_pstrdup(p, value == NULL ? "" : value) : NULL;
        }
        rows->n++;
    }
}

/* One statement from check to copied rows. A write outside a transaction gets one of its own on
 * SQLite, so that it waits for the lock as wh_dbc_begin does. */
static apr_status_t call_sql(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                             int nargs, int *touched, wh_rows_t *rows, wh_err_t *err)
{
    const void *argv[ARGS_MAX];
    call_t call = {.sql = wh_sql_get(id), .argv = argv};
    apr_status_t rv = APR_SUCCESS;
    int own_tx;

    if (dbc->gone) {
        return gone(err);
    }
    if (dbc->in_tx && dbc->tx_failed) {
        return wh_err_set(err, 503, "db_error", "An earlier statement of the transaction failed.");
    }
    if (!bind_args(call.sql, args, nargs, argv)) {
        return wh_err_set(err, 500, "db_error", "Statement %s was called with wrong arguments.",
                          call.sql->label);
    }
    apr_pool_create(&call.tp, p);
    apr_pool_tag(call.tp, "wh_dbc");
    own_tx = dbc->kind == WH_DBC_SQLITE && !dbc->in_tx && call.sql->mode != 'R';
    if (own_tx) {
        rv = wh_dbc_begin(dbc, call.tp, err);
    }
    if (rv == APR_SUCCESS) {
        rv = run(dbc, &call, err);
    }
    if (rv == APR_SUCCESS && call.res != NULL) {
        copy_rows(dbc, p, &call, rows);
    }
    if (rv == APR_SUCCESS && own_tx) {
        rv = wh_dbc_commit(dbc, err);
    }
    apr_pool_destroy(call.tp); /* rolls back own_tx after an error */
    *touched = call.rows;
    return rv;
}

apr_status_t wh_dbc_query(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                          int nargs, int *rows, wh_err_t *err)
{
    wh_rows_t none = {0};
    int touched = 0;
    apr_status_t rv = call_sql(dbc, p, id, args, nargs, &touched, &none, err);

    if (rv == APR_SUCCESS && rows != NULL) {
        *rows = touched;
    }
    return rv;
}

apr_status_t wh_dbc_cas(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args, int nargs,
                        wh_err_t *err)
{
    int touched = 0;
    apr_status_t rv = wh_dbc_query(dbc, p, id, args, nargs, &touched, err);

    return rv == APR_SUCCESS && touched == 0 ? wh_dbc_not_found(err) : rv;
}

apr_status_t wh_dbc_select(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                           int nargs, wh_rows_t *rows, wh_err_t *err)
{
    int touched = 0;

    *rows = (wh_rows_t){0};
    return call_sql(dbc, p, id, args, nargs, &touched, rows, err);
}

apr_status_t wh_dbc_select_one(wh_dbc_t *dbc, apr_pool_t *p, wh_sql_e id, const wh_arg_t *args,
                               int nargs, wh_rows_t *rows, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_select(dbc, p, id, args, nargs, rows, err);

    return rv == APR_SUCCESS && rows->n == 0 ? wh_dbc_not_found(err) : rv;
}

const char *wh_dbc_batch_text(apr_pool_t *p, json_t *batch)
{
    const char *text = wh_json_text(p, batch, NULL);

    json_decref(batch);
    return text != NULL ? text : "[]";
}

wh_row_t wh_dbc_row(const wh_rows_t *rows, int i)
{
    return (wh_row_t){.cell = rows->cells + (size_t)i * (size_t)rows->cols, .left = rows->cols};
}

const char *wh_dbc_text(wh_row_t *row)
{
    const char *text = "";

    if (row->left > 0) {
        text = *row->cell == NULL ? "" : *row->cell;
        row->cell++;
        row->left--;
    }
    return text;
}

apr_int64_t wh_dbc_int(wh_row_t *row)
{
    return apr_strtoi64(wh_dbc_text(row), NULL, 10);
}
