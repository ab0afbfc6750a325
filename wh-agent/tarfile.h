/* One file as the beginning of a tar stream, to be put in front of another stream. */
#ifndef WH_AGENT_TARFILE_H
#define WH_AGENT_TARFILE_H

#include <apr_pools.h>
#include "libwh/wh_err.h"

/* Head and contents, rounded up to whole blocks, without the blocks that end a stream. *out in p.
 * Codes: internal. */
apr_status_t wh_tarfile_make(apr_pool_t *p, const char *name, const char *text, const char **out,
                             size_t *n, wh_err_t *err) WH_MUST_CHECK;

#endif
