/* The only thread with SQL. It takes work from the mailbox, one message in one pool, ticks once a
 * second and at once after a poke, and waits for a database that has gone until it is back. */
#ifndef WH_DBTHREAD_H
#define WH_DBTHREAD_H

#include "wh-scheduler/core.h"

typedef struct wh_dbthread_t wh_dbthread_t;

/* Opens the database where it is not open yet, brings the schema up to date and, with PostgreSQL,
 * tries for the lock of the active scheduler: *active = 0 when another has it (core->dbc may be
 * read from, and the next call asks again). Called in the main thread before wh_dbthread_start.
 * core->dbc is set. Errors: those of whdb, and nothing is open then; db_gone may pass. */
apr_status_t wh_dbthread_open(wh_core_t *core, apr_pool_t *p, int *active,
                              wh_err_t *err) WH_MUST_CHECK;

/* Publishes what there is and starts the thread, which owns core from now on. */
apr_status_t wh_dbthread_start(apr_pool_t *p, wh_core_t *core, wh_dbthread_t **out,
                               wh_err_t *err) WH_MUST_CHECK;

/* Waits until it has ended (after wh_mailbox_stop). 0, or 1 when it ended by itself because another
 * scheduler became the active one. The connection and the route table are closed then. */
int wh_dbthread_join(wh_dbthread_t *thread);

#endif
