/* A few small files as a tar stream in memory: a whole one, or what goes in front of another. */
#ifndef WH_AGENT_TARFILE_H
#define WH_AGENT_TARFILE_H

#include <apr_pools.h>
#include "libwh/wh_err.h"

typedef struct wh_tarfile_entry_t {
    const char *name;
    const void *bytes;
    size_t n;
    int mode;
} wh_tarfile_entry_t;

/* A stream, and how much of it was read. */
typedef struct wh_tarfile_t {
    const char *buf;
    size_t n, at;
} wh_tarfile_t;

/* Heads and contents in whole blocks, the same bytes each time, so that an engine knows the layer
 * again. whole = 0: without the blocks that end a stream. The stream is in p. Codes: internal. */
apr_status_t wh_tarfile_make(apr_pool_t *p, const wh_tarfile_entry_t *entries, int count, int whole,
                             wh_tarfile_t *out, wh_err_t *err) WH_MUST_CHECK;

/* The next bytes, as a build reads them (wh_engine_read_fn); the baton is a wh_tarfile_t. */
apr_ssize_t wh_tarfile_read(void *tarfile, char *buf, size_t n);

#endif
