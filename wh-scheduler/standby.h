/* Before it is the active one: locks, and what a scheduler does while another is active.
 *
 * With PostgreSQL it asks for the lock of the database twice a second, over one connection, and
 * keeps the route table of its own machine current: the httpd in front of it serves whatever the
 * active one deploys, a second later. Into the database it writes what that httpd counts of
 * requests (requests.h), nothing else, and it listens for nobody.
 * With SQLite there is one scheduler: a second one leaves at once. */
#ifndef WH_STANDBY_H
#define WH_STANDBY_H

#include <signal.h>

#include "wh-scheduler/core.h"

/* Returns -1 when this is the active scheduler: core->dbc holds the lock, core->publish is open.
 * Else the code to exit with: 0 after *stop was set, EX_UNAVAILABLE or EX_CONFIG with the reason in
 * err. verifier: see wh_publish_open. */
int wh_standby_run(wh_core_t *core, apr_pool_t *p, const char *verifier,
                   const volatile sig_atomic_t *stop, wh_err_t *err) WH_MUST_CHECK;

#endif
