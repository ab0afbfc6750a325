/* Domains: asks the prover about those that are due, and does what its findings mean. */
#ifndef WH_DOMAINS_H
#define WH_DOMAINS_H

#include "wh-scheduler/core.h"

/* Answers first, so that a domain that was proved is in the table at once; then new questions. */
apr_status_t wh_domains_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
