/* What git says of a failure, in words for people. */
#ifndef WH_AGENT_GITSAYS_H
#define WH_AGENT_GITSAYS_H

#include "wh-agent/source.h"

/* Its standard error as one line: the first "fatal:" or "error:" line, cleaned and short; "" when
 * there is none. In p. Pure. */
const char *wh_gitsays_line(apr_pool_t *p, const char *errors);

/* Why a fetch failed, after its standard error. Looks up who has a local repository that git does
 * not take for its owner's sake. Codes: ref_not_found, clone_failed. Never APR_SUCCESS. */
apr_status_t wh_gitsays_fetch_failed(apr_pool_t *p, const wh_source_opts_t *opts,
                                     const char *errors, wh_err_t *err);

#endif
