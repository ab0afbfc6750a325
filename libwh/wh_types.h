/* Small things every header of the project wants: attributes, limits, time units.
 *
 * Rules of all libwh headers, said once:
 * - a `const char *` that is returned lives in the pool that was given, or is static when no pool
 * was;
 * - `apr_time_t` is wall time in microseconds UTC, `wh_mono_t` is monotonic time and cannot be
 * mixed with it by mistake; names end in _us, _s, _bytes, _millis;
 * - a function that can fail returns apr_status_t and fills a wh_err_t; a failed function leaves
 * its outputs untouched unless its comment says otherwise;
 * - nothing here reads the clock or random numbers (wh_sys is the one exception) and nothing keeps
 *   state between calls, so all of it may be called from any thread, each pool by one thread at a
 * time. The sink of wh_log is the only global; it is set at start-up.
 */
#ifndef WH_TYPES_H
#define WH_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

#define WH_MUST_CHECK __attribute__((warn_unused_result))
#define WH_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define WH_NORETURN __attribute__((noreturn))
#define WH_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define WH_KIB ((apr_int64_t)1024)
#define WH_MIB (1024 * WH_KIB)
#define WH_GIB (1024 * WH_MIB)

/* Monotonic time in microseconds from an unknown start. Only differences mean something. */
typedef struct wh_mono_t {
    int64_t us;
} wh_mono_t;

#endif
