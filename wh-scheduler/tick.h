/* What is done once a second, and at once after a poke: cancellations, deleted apps, silent
 * workers, waiting jobs, what was left unfinished, the upkeep of the route table. */
#ifndef WH_TICK_H
#define WH_TICK_H

#include "wh-scheduler/core.h"

/* poked: somebody said that there is news, so nothing is put off to its next due time. */
apr_status_t wh_tick_run(wh_core_t *core, apr_pool_t *p, int poked, wh_err_t *err) WH_MUST_CHECK;

/* The part of it that hands answers of other machines to those who asked. */
apr_status_t wh_tick_answers(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
