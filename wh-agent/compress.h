/* Content codings of a whole file in memory: brotli, zstd, gzip. Pure: the same bytes, coding and
 * tier give the same result with the same libraries (wh_compress_libraries), so a result need not
 * be kept. Any thread. */
#ifndef WH_AGENT_COMPRESS_H
#define WH_AGENT_COMPRESS_H

#include "libwh/wh_err.h"
#include "libwh/wh_manifest.h"

#define WH_COMPRESS_MIN 256            /* bytes: less is one packet as it is */
#define WH_COMPRESS_MAX (32 * WH_MIB)  /* it is all held in memory */
#define WH_COMPRESS_SMALL (256 * 1024) /* beyond it the best tier takes too long */
#define WH_COMPRESS_BEST_US (APR_INT64_C(1) * APR_USEC_PER_SEC)
#define WH_COMPRESS_GOOD_US (APR_INT64_C(60) * APR_USEC_PER_SEC)
#define WH_COMPRESS_FAST_US (APR_INT64_C(90) * APR_USEC_PER_SEC)

/* How hard it tries. */
typedef enum wh_compress_tier_e {
    WH_COMPRESS_BEST,
    WH_COMPRESS_GOOD,
    WH_COMPRESS_FAST,
    WH_COMPRESS_TIERS, /* how many; as a tier: not at all */
} wh_compress_tier_e;

/* True for a file of which variants are made. */
int wh_compress_wanted(const char *type, apr_int64_t size);

/* The tier for a file of that size when compressing has taken used_us of this deployment already.
 * Few files get the best there is, many still go quickly, and there is an end. */
wh_compress_tier_e wh_compress_tier(apr_int64_t size, apr_interval_time_t used_us);

/* *out is the caller's to free(). APR_NOTFOUND when it would not be a tenth (and 32 bytes)
 * smaller, or there is no memory for it. */
apr_status_t wh_compress(wh_coding_e coding, wh_compress_tier_e tier, const char *data, size_t n,
                         char **out, size_t *out_n) WH_MUST_CHECK;

/* True when the slower codings need not be tried: gzip, the cheapest, came to gzip bytes (0 = it
 * got nothing out of it). */
int wh_compress_hopeless(apr_int64_t size, apr_int64_t gzip);

/* Names and versions of what makes the bytes, without a space. In p. */
const char *wh_compress_libraries(apr_pool_t *p);

#endif
