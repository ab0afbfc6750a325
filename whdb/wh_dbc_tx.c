/* Transactions: our own BEGIN and COMMIT, never apr_dbd_transaction_*, which crashes on a dead
 * PostgreSQL connection, goes on in autocommit after a busy SQLite, and commits what is left open.
 */
#include "whdb/wh_dbc_priv.h"

#include <sqlite3.h>
#include <libpq-fe.h>

/* How long a writer waits for its turn in this process, then for SQLite's lock, and how it polls.
 * The driver's own poll is 100 ms. */
#define BUSY_WAIT_US 3000000
#define BUSY_STEP_MAX_US 5000

static apr_status_t rollback_cleanup(void *data)
{
    wh_dbc_t *dbc = data;

    dbc->tx_pool = NULL;
    wh_dbc_rollback(dbc);
    return APR_SUCCESS;
}

/* Takes SQLite's write lock. By the native handle, for the driver would poll ten times a second and
 * give up after 1.6 s; nothing is asleep under the driver's process-wide mutex meanwhile. */
static int begin_immediate(wh_dbc_t *dbc)
{
    /* Whoever's turn did not come has waited already. */
    apr_interval_time_t waited = dbc->turn ? 0 : BUSY_WAIT_US;
    apr_interval_time_t step = 1000;

    for (;;) {
        int ret = sqlite3_exec(dbc->native, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        if ((ret & 0xff) != SQLITE_BUSY || waited >= BUSY_WAIT_US) {
            return ret;
        }
        apr_sleep(step);
        waited += step;
        step = step * 2 > BUSY_STEP_MAX_US ? BUSY_STEP_MAX_US : step * 2;
    }
}

static apr_status_t begin_pgsql(wh_dbc_t *dbc, wh_err_t *err)
{
    int rows = 0;
    wh_dbc_class_e class =
        wh_dbc_classify(dbc, apr_dbd_query(dbc->driver, dbc->handle, &rows, "BEGIN"));

    if (class == WH_DBC_DEAD && wh_dbc_reconnect(dbc)) {
        class = wh_dbc_classify(dbc, apr_dbd_query(dbc->driver, dbc->handle, &rows, "BEGIN"));
    }
    return class == WH_DBC_OK ? APR_SUCCESS : wh_dbc_fail(dbc, class, "begin", err);
}

apr_status_t wh_dbc_begin(wh_dbc_t *dbc, apr_pool_t *p, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (dbc->gone) {
        return wh_err_set(err, 503, "db_gone", "The database cannot be reached at present.");
    }
    if (dbc->in_tx) {
        return wh_err_set(err, 503, "db_error", "A transaction is open already.");
    }
    if (dbc->kind == WH_DBC_SQLITE) {
        rv = wh_dbc_unmoved(dbc, err);
        if (rv == APR_SUCCESS) {
            wh_dbc_turn_take(dbc, BUSY_WAIT_US);
        }
        int ret = rv == APR_SUCCESS ? begin_immediate(dbc) : SQLITE_OK;
        if (ret != SQLITE_OK) {
            wh_dbc_turn_end(dbc);
            rv = wh_dbc_fail(dbc, wh_dbc_classify(dbc, ret), "begin", err);
        }
    } else {
        rv = begin_pgsql(dbc, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    dbc->in_tx = 1;
    dbc->tx_failed = 0;
    dbc->tx_pool = p;
    apr_pool_cleanup_register(p, dbc, rollback_cleanup, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

static apr_status_t bump_routes(wh_dbc_t *dbc, wh_err_t *err)
{
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, dbc->pool);
    rv = wh_dbc_query(dbc, p, WH_SQL_routes_bump, WH_NOARGS, NULL, err);
    apr_pool_destroy(p);
    return rv;
}

apr_status_t wh_dbc_names_moved(wh_dbc_t *dbc, wh_err_t *err)
{
    dbc->names_moved = dbc->in_tx;
    return dbc->in_tx ? APR_SUCCESS : bump_routes(dbc, err);
}

apr_status_t wh_dbc_then_moved(wh_dbc_t *dbc, apr_status_t rv, wh_err_t *err)
{
    return rv == APR_SUCCESS ? wh_dbc_names_moved(dbc, err) : rv;
}

/* Forgets the transaction, which is over in the database. */
static void tx_over(wh_dbc_t *dbc)
{
    if (dbc->tx_pool != NULL) {
        apr_pool_cleanup_kill(dbc->tx_pool, dbc, rollback_cleanup);
        dbc->tx_pool = NULL;
    }
    dbc->in_tx = 0;
    dbc->tx_failed = 0;
    dbc->names_moved = 0;
    wh_dbc_turn_end(dbc);
}

int wh_dbc_state_agrees(const wh_dbc_t *dbc)
{
    if (dbc->kind == WH_DBC_SQLITE) {
        return (sqlite3_get_autocommit(dbc->native) == 0) == dbc->in_tx;
    }
    switch (PQtransactionStatus(dbc->native)) {
    case PQTRANS_IDLE:
        return !dbc->in_tx;
    case PQTRANS_INTRANS:
        return dbc->in_tx;
    case PQTRANS_INERROR:
        return dbc->in_tx && dbc->tx_failed;
    default:
        /* Unknown = the connection is dead, which other checks tell better. */
        return PQstatus(dbc->native) != CONNECTION_OK;
    }
}

void wh_dbc_rollback(wh_dbc_t *dbc)
{
    int rows = 0;

    if (!dbc->in_tx || dbc->handle == NULL) {
        wh_dbc_turn_end(dbc);
        return;
    }
    /* Errors are not of interest: SQLite may have rolled back by itself, PostgreSQL may be dead. */
    (void)apr_dbd_query(dbc->driver, dbc->handle, &rows, "ROLLBACK");
    tx_over(dbc);
    if (!wh_dbc_state_agrees(dbc)) {
        dbc->gone = 1;
    }
}

void wh_dbc_with_commit(wh_dbc_t *dbc, wh_dbc_commit_fn *fn, void *baton)
{
    dbc->with_commit = fn;
    dbc->commit_baton = baton;
}

/* What has to be in the transaction, too. */
static apr_status_t last_words(wh_dbc_t *dbc, wh_err_t *err)
{
    wh_dbc_commit_fn *fn = dbc->with_commit;
    apr_status_t rv = APR_SUCCESS;

    if (dbc->tx_failed) {
        return APR_SUCCESS; /* it will say so itself */
    }
    dbc->with_commit = NULL;
    rv = fn != NULL ? fn(dbc->commit_baton, dbc, err) : APR_SUCCESS;
    return rv == APR_SUCCESS && dbc->names_moved ? bump_routes(dbc, err) : rv;
}

apr_status_t wh_dbc_commit(wh_dbc_t *dbc, wh_err_t *err)
{
    wh_dbc_class_e class;
    int rows = 0;

    if (!dbc->in_tx) {
        return wh_err_set(err, 503, "db_error", "There is no transaction to commit.");
    }
    if (dbc->gone) {
        wh_dbc_rollback(dbc);
        return wh_err_set(err, 503, "db_gone", "The database cannot be reached at present.");
    }
    if (last_words(dbc, err) != APR_SUCCESS) {
        wh_dbc_rollback(dbc);
        return APR_EGENERAL;
    }
    if (dbc->tx_failed || !wh_dbc_state_agrees(dbc)) {
        wh_dbc_rollback(dbc);
        return wh_err_set(err, 503, "db_error",
                          "The transaction was rolled back, for a statement in it failed.");
    }
    class = wh_dbc_classify(dbc, apr_dbd_query(dbc->driver, dbc->handle, &rows, "COMMIT"));
    if (class != WH_DBC_OK) {
        apr_status_t rv = wh_dbc_fail(dbc, class, "commit", err);
        wh_dbc_rollback(dbc);
        return rv;
    }
    tx_over(dbc);
    return APR_SUCCESS;
}

apr_status_t wh_dbc_join(wh_dbc_t *dbc, apr_pool_t *p, int *own, wh_err_t *err)
{
    *own = !wh_dbc_in_transaction(dbc);
    return *own ? wh_dbc_begin(dbc, p, err) : APR_SUCCESS;
}

apr_status_t wh_dbc_leave(wh_dbc_t *dbc, int own, apr_status_t rv, wh_err_t *err)
{
    if (own && rv == APR_SUCCESS) {
        return wh_dbc_commit(dbc, err);
    }
    if (own) {
        wh_dbc_rollback(dbc);
    }
    return rv;
}
