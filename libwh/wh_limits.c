/* wh_limits: see wh_limits.h. */
#include <stddef.h>
#include <sys/resource.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "libwh/wh_limits.h"

/* A limit that is lower already stays: raising it is not ours, and prlimit would fail. */
static void add(apr_pool_t *p, apr_array_header_t *argv, const char *name,
                __rlimit_resource_t what, rlim_t most)
{
    struct rlimit now = {.rlim_max = RLIM_INFINITY};

    if (getrlimit(what, &now) == 0 && now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
        most = now.rlim_max;
    APR_ARRAY_PUSH(argv, const char *) =
        apr_psprintf(p, "--%s=%" APR_UINT64_T_FMT ":%" APR_UINT64_T_FMT, name, (apr_uint64_t)most,
                     (apr_uint64_t)most);
}

const char *const *wh_limits_argv(apr_pool_t *p, const wh_limits_t *limits, const char *const *argv)
{
    apr_array_header_t *out = apr_array_make(p, 16, sizeof(const char *));

    APR_ARRAY_PUSH(out, const char *) = WH_LIMITS_PROGRAM;
    add(p, out, "core", RLIMIT_CORE, 0);
    if (limits->file_bytes > 0)
        add(p, out, "fsize", RLIMIT_FSIZE, (rlim_t)limits->file_bytes);
    if (limits->data_bytes > 0)
        add(p, out, "data", RLIMIT_DATA, (rlim_t)limits->data_bytes);
    if (limits->space_bytes > 0)
        add(p, out, "as", RLIMIT_AS, (rlim_t)limits->space_bytes);
    APR_ARRAY_PUSH(out, const char *) = "--";
    for (; *argv != NULL; argv++)
        APR_ARRAY_PUSH(out, const char *) = *argv;
    APR_ARRAY_PUSH(out, const char *) = NULL;
    return (const char *const *)out->elts;
}
