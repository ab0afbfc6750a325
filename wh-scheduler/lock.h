/* One active scheduler. On SQLite a second one must not start: the lock is on scheduler.lock in the
 * state directory, held as long as the process lives. With PostgreSQL schedulers of several
 * machines share the database; besides the file (two of one machine would share socket and route
 * table) an advisory lock of the database decides which of them is active, and the others wait. */
#ifndef WH_LOCK_H
#define WH_LOCK_H

#include "whdb/wh_dbc.h"

/* Takes the file lock without waiting; held until p is cleared. *pid is who has it when somebody
 * does (0 = unknown). Errors: lock_held, lock_unusable. */
apr_status_t wh_lock_file(apr_pool_t *p, const char *path, long *pid, wh_err_t *err) WH_MUST_CHECK;

/* Is it free? For --check; takes nothing. */
int wh_lock_file_free(apr_pool_t *p, const char *path);

#endif
