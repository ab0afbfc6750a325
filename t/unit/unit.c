#include <stdlib.h>
#include "t/unit/unit.h"

static apr_pool_t *root_pool;

int unit_pool_make(void **state)
{
    apr_pool_t *p;

    if (apr_pool_create(&p, root_pool) != APR_SUCCESS)
        return -1;
    *state = p;
    return 0;
}

int unit_pool_drop(void **state)
{
    apr_pool_destroy(*state);
    return 0;
}

int unit_run(const struct CMUnitTest *tests, size_t n)
{
    int failed;

    if (n == 0 || apr_initialize() != APR_SUCCESS ||
        apr_pool_create(&root_pool, NULL) != APR_SUCCESS)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = _cmocka_run_group_tests("unit", tests, n, NULL, NULL);
    apr_pool_destroy(root_pool);
    apr_terminate();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
