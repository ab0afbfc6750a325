#include <stdio.h>
#include <stdlib.h>
#include <apr_general.h>
#include "t/fuzz/fuzz.h"

apr_pool_t *fuzz_pool(void)
{
    static apr_pool_t *pool;

    if (pool != NULL)
        apr_pool_clear(pool);
    else if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS ||
             atexit(apr_terminate) != 0) /* what the last input left would count as a leak */
        abort();
    return pool;
}

void fuzz_check(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}
