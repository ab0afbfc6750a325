/* Fetches the keys of those who issue tokens for hooks (libwh/wh_oidc.h): what an issuer says of
 * itself, then its keys, both by httpout. Once an hour, at once when a token came with a key that
 * is not there; after failures it waits longer each time, and the keys that are there stay. */
#ifndef WH_ISSUERS_H
#define WH_ISSUERS_H

#include "wh-scheduler/core.h"

apr_status_t wh_issuers_look(wh_core_t *core, apr_pool_t *p, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

#endif
