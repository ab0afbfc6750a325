/* The git caches of all apps as one heap of disk: the ones used longest ago go when it grows over
 * what it may have. A cache that is gone is fetched anew by the app's next deployment. */
#ifndef WH_AGENT_CACHES_H
#define WH_AGENT_CACHES_H

#include "libwh/wh_err.h"

/* Bring the caches below state_dir/cache to at most bytes; *left is what they have afterwards,
 * *gone how many went. One that a job works in stays. Codes: those of wh_fsutil. Blocks. */
apr_status_t wh_caches_trim(apr_pool_t *p, const char *state_dir, apr_int64_t bytes,
                            apr_int64_t *left, int *gone, wh_err_t *err) WH_MUST_CHECK;

/* At start: what a former life, which was killed, left of keys and tokens beside them goes. */
void wh_caches_forget_auth(apr_pool_t *p, const char *state_dir);

#endif
