/* What private repositories ask for, on its way: opened, for a job's frame or for a look at a
 * branch; and sealed anew, once another key seals (envs.h). */
#ifndef WH_SOURCES_H
#define WH_SOURCES_H

#include "wh-scheduler/core.h"

/* What there is for an app whose repository lies at url, in p. own_only: not for submodules. Asks
 * the database only where it can matter. Errors: secret_broken, secret_key, those of the database.
 */
typedef struct wh_sources_of_t {
    const char *app_id, *url;
    int submodules, own_only;
} wh_sources_of_t;
apr_status_t wh_sources_of(wh_core_t *core, apr_pool_t *p, const wh_sources_of_t *of,
                           wh_gitauth_t *auth, wh_err_t *err) WH_MUST_CHECK;

/* Up to limit of what older keys sealed, in one transaction; *n how many there were. */
apr_status_t wh_sources_reseal(wh_core_t *core, apr_pool_t *p, int limit, int *n,
                               wh_err_t *err) WH_MUST_CHECK;

#endif
