/* wh_limits: a child process that has its limits from its first instruction on. posix_spawn knows
 * none, and those set from outside come a moment late: what the child forked until then would be
 * without. So the child begins as prlimit(1), which sets its own and becomes the program.
 * Thread-safe. */
#ifndef WH_LIMITS_H
#define WH_LIMITS_H

#include <apr_pools.h>

typedef struct wh_limits_t {
    apr_int64_t file_bytes;  /* no file that it writes may grow larger; 0 = as we have it */
    apr_int64_t data_bytes;  /* memory that each process may have (RLIMIT_DATA); 0 likewise */
    apr_int64_t space_bytes; /* its address space (RLIMIT_AS); 0 likewise */
} wh_limits_t;

#define WH_LIMITS_PROGRAM "/usr/bin/prlimit"

/* The arguments to start with in place of argv, whose first is the path of a program. Never more
 * than we have ourselves; and no core file. In p; the strings of argv are borrowed. */
const char *const *wh_limits_argv(apr_pool_t *p, const wh_limits_t *limits,
                                  const char *const *argv);

#endif
