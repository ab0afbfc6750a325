/* Times as text: RFC 3339 in UTC, with microseconds where we write it. */
#ifndef WH_TIME_H
#define WH_TIME_H

#include "libwh/wh_types.h"

/* "2026-01-02T03:04:05.678901Z" in p. Years 0001 to 9999; a time outside is clamped to that range.
 */
const char *wh_time_rfc3339(apr_pool_t *p, apr_time_t us);

/* The same into a buffer of at least 28 bytes. */
#define WH_TIME_RFC3339_SIZE 28
void wh_time_rfc3339_buf(char out[WH_TIME_RFC3339_SIZE], apr_time_t us);

/* Strict RFC 3339: date, 'T', time, up to 9 digits of fraction (cut to microseconds), 'Z' or
 * ±hh:mm. Returns APR_SUCCESS, or APR_EINVAL and leaves *us alone. A leap second counts as the
 * next second. */
apr_status_t wh_time_parse(const char *s, apr_time_t *us) WH_MUST_CHECK;

#endif
