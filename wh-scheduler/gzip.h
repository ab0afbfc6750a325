/* gzip of what is sent to others. Pure and thread-safe. */
#ifndef WH_GZIP_H
#define WH_GZIP_H

#include <apr_pools.h>

/* In p, with its length; NULL = no memory. The fast level: the database thread waits for it. */
const char *wh_gzip(apr_pool_t *p, const char *data, apr_size_t n, apr_size_t *len);

#endif
