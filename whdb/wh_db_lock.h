#ifndef WH_DB_LOCK_H
#define WH_DB_LOCK_H
/* Which scheduler of several is the active one. Error rules: wh_dbc.h. */

#include "whdb/wh_dbc.h"

/* PostgreSQL: tries to take the advisory lock of the active scheduler; *got = 1 when this
 * connection has it now. It is held until the connection ends, however that comes about, so the
 * connection must be kept, and once wh_dbc_gone says that it died the lock is lost: stop acting.
 * Once it is had, do not ask again on this connection. SQLite: *got = 1 always; there the lock is a
 * file's (scheduler.lock).
 */
apr_status_t wh_db_lock_scheduler(wh_dbc_t *dbc, apr_pool_t *p, int *got,
                                  wh_err_t *err) WH_DB_CHECKED;

#endif
