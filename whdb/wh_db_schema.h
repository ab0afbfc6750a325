#ifndef WH_DB_SCHEMA_H
#define WH_DB_SCHEMA_H
/* The schema and its numbered migrations, schema/NNNN-name.sql, which are part of the program.
 * Only the scheduler migrates (wh-scheduler --migrate, --init, or its start); the module only
 * checks. Error rules: wh_dbc.h; the texts say what to do. */

#include "whdb/wh_dbc.h"

/* SQLite: makes an empty file of mode 0660 at params unless something is there; PostgreSQL:
 * nothing. Before the first wh_dbc_open of a new installation. The directory must exist. */
apr_status_t wh_db_schema_create(apr_pool_t *p, const char *driver, const char *params,
                                 wh_err_t *err) WH_DB_CHECKED;

/* Brings the schema up to this program's version, each migration in its own transaction, all under
 * one lock (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so that two programs that start
 * at once do it once. SQLite's file gets WAL and mode 0660. *from and *to (may be NULL) are the
 * versions before and after. Not inside a transaction.
 * Errors: schema_newer 503 (made by a newer Wisehost: install that), schema_half_applied 503
 * (a migration stopped in its middle: restore the backup), schema_changed 503 (an applied migration
 * is not the text that this program has), and the usual ones. */
apr_status_t wh_db_schema_migrate(wh_dbc_t *dbc, apr_pool_t *p, apr_time_t now, int *from, int *to,
                                  wh_err_t *err) WH_DB_CHECKED;

/* Read-only: is the schema exactly what this program needs? Errors as above and schema_older 503
 * ("schema is at 2, this program needs 3: run wh-scheduler --migrate"). */
apr_status_t wh_db_schema_check(wh_dbc_t *dbc, apr_pool_t *p, wh_err_t *err) WH_DB_CHECKED;

/* The version that this program needs: the number of the last migration it has. */
int wh_db_schema_needed(void);

#endif
