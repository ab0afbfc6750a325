/* The whole environment in which git runs (D2): pure. */
#ifndef WH_AGENT_GITENV_H
#define WH_AGENT_GITENV_H

#include "wh-agent/source.h"

/* NULL-terminated, in p. Which protocol is allowed follows from opts->url and hub_url; pin as in
 * wh_source_t. */
const char *const *wh_gitenv_make(apr_pool_t *p, const wh_source_opts_t *opts, const char *pin);

#endif
