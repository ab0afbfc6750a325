#ifndef WH_DBC_H
#define WH_DBC_H
/* One database connection: SQLite or PostgreSQL through apr_dbd.
 *
 * A wh_dbc_t wraps one apr_dbd handle. It belongs to one thread at a time and is never shared:
 * transaction state and last error live in the handle. All SQL text stands in wh_sql.def; the
 * entity files (wh_db_<entity>.h) are the only ones that run it.
 *
 * Return values, the same in every function of whdb that returns apr_status_t:
 *   APR_SUCCESS    done.
 *   APR_NOTFOUND   no such row, or the row was not in the state that the call asks for (a
 *                  compare-and-set that lost). err: 404 not_found. Never caused by a database
 * error. APR_EGENERAL   err says why: db_busy      503  somebody else held the lock for 3 s; try
 * again later db_gone      503  the connection is dead: give it back, do not reuse it conflict 409
 * a unique constraint refused foreign_key  409  a foreign key refused db_check     500  a CHECK or
 * NOT NULL refused: the caller passed nonsense db_error     503  all else or a code that the
 * function names. After APR_EGENERAL inside a transaction every further statement is refused and
 * wh_dbc_commit fails: both databases behave as PostgreSQL does. APR_NOTFOUND does not spoil a
 * transaction.
 *
 * err may be NULL everywhere. Results are copied into p and live as long as it. Texts that come
 * back are never NULL unless a function says so; SQL NULL in an id column reads as "" or 0.
 * Times are microseconds since 1970 UTC (apr_time_t), 0 = never. */

#include <apr_pools.h>
#include <apr_hash.h>
#include <apr_time.h>
#include <apr_dbd.h>

#include "libwh/wh_err.h"

#define WH_DB_CHECKED __attribute__((warn_unused_result))

typedef struct wh_dbc_t wh_dbc_t;

typedef enum wh_dbc_kind_e { WH_DBC_SQLITE = 0, WH_DBC_PGSQL = 1 } wh_dbc_kind_e;

/* What a job's worker shows for everything that it asks to write: the statement finds nothing
 * unless this worker holds this job at this epoch. Stale epochs thus read as APR_NOTFOUND. */
typedef struct wh_db_claim_t {
    apr_int64_t worker_id; /* workers.id, the JWT's sub; from the authenticated connection only */
    const char *job_id;
    apr_int64_t epoch;
} wh_db_claim_t;

/* Opens an own connection (scheduler, tools). driver is "sqlite3" (params = path of the file) or
 * "pgsql" (params = libpq connection string). An SQLite file must exist: a missing one is an error
 * and is not made (see wh_db_schema_create). SQLite gets foreign_keys=ON and synchronous=FULL; the
 * journal mode (WAL) is a property of the file, set by wh_db_schema_migrate.
 * Everything is allocated from p, whose cleanup closes; wh_dbc_close closes at once.
 * Errors: db_error (unknown driver, file missing, not a database), db_gone (server unreachable).
 * The first call in a process must not run in two threads at once (apr_dbd_init). */
apr_status_t wh_dbc_open(apr_pool_t *p, const char *driver, const char *params, wh_dbc_t **out,
                         wh_err_t *err) WH_DB_CHECKED;

/* Closes an own connection; a wrapped one is only forgotten. Rolls back first. NULL is fine. */
void wh_dbc_close(wh_dbc_t *dbc);

/* Wraps a handle of mod_dbd for the time of p (the request): driver, handle, pool and prepared of
 * its ap_dbd_t. Statements are prepared lazily into `prepared` from handle_pool, so nothing need be
 * registered with ap_dbd_prepare, and those that a schema change spoiled are prepared again by
 * themselves. The first wrap of a handle switches foreign keys on (SQLite) or sets the lock
 * timeout (PostgreSQL); so does the first after a reconnect. A cleanup on p rolls back whatever
 * transaction is left open, so that the handle goes back clean. An SQLite handle whose file was
 * moved or replaced is gone round: *out is then a connection of its own to the file that bears the
 * name now, closed with p.
 * Errors: as above. */
apr_status_t wh_dbc_wrap(apr_pool_t *p, const apr_dbd_driver_t *driver, apr_dbd_t *handle,
                         apr_pool_t *handle_pool, apr_hash_t *prepared, wh_dbc_t **out,
                         wh_err_t *err) WH_DB_CHECKED;

/* Begins a transaction (SQLite: BEGIN IMMEDIATE, so later statements never meet db_busy). A cleanup
 * on p rolls it back unless committed before. Waits at most 3 s for the write lock, then db_busy.
 * Transactions do not nest: a second begin is db_error. */
apr_status_t wh_dbc_begin(wh_dbc_t *dbc, apr_pool_t *p, wh_err_t *err) WH_DB_CHECKED;

/* Commits, durably. If any statement since begin failed, rolls back and returns that it did
 * (db_error, or db_gone where the connection died: then it is unknown whether a commit that was
 * already on its way took place). No transaction is open afterwards, whatever is returned. */
apr_status_t wh_dbc_commit(wh_dbc_t *dbc, wh_err_t *err) WH_DB_CHECKED;

/* Rolls back; without a transaction it does nothing. */
void wh_dbc_rollback(wh_dbc_t *dbc);

/* Non-zero inside a transaction begun here. */
int wh_dbc_in_transaction(const wh_dbc_t *dbc);

/* Non-zero once the connection is dead or in a state that cannot be mended: the scheduler closes it
 * and opens a new one; the module gives the handle back (mod_dbd reconnects it on the next
 * acquire). */
int wh_dbc_gone(const wh_dbc_t *dbc);

/* Who remembers that a job runs, or that an instance lives, hears of its end from here: called by
 * whichever function of whdb writes it, in the transaction that does (which may yet be rolled back;
 * to forget too much does no harm). job "" = an instance alone; deployment "" = any. */
typedef void wh_dbc_ended_fn(void *baton, const char *job, apr_int64_t worker,
                             const char *deployment);
void wh_dbc_on_ended(wh_dbc_t *dbc, wh_dbc_ended_fn *fn, void *baton);

/* Called once, inside the next transaction of this connection that is about to commit; what it
 * writes is part of it, and when it fails the transaction is rolled back. NULL forgets it. */
typedef apr_status_t wh_dbc_commit_fn(void *baton, wh_dbc_t *dbc, wh_err_t *err);
void wh_dbc_with_commit(wh_dbc_t *dbc, wh_dbc_commit_fn *fn, void *baton);

wh_dbc_kind_e wh_dbc_kind(const wh_dbc_t *dbc);

#endif
