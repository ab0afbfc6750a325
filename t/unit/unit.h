/* What every C unit shares: cmocka with TAP output, a fresh pool for each test, names that say what
 * is proved (with the number of the fact, where there is one).
 *
 *     static void test_expiry(void **state)
 *     {
 *         apr_pool_t *p = *state;
 *         …
 *     }
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = {
 *             UNIT("F122 a token lives for 15 minutes", test_expiry),
 *         };
 *         return UNIT_RUN(tests);
 *     }
 */
#ifndef T_UNIT_UNIT_H
#define T_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include "libwh/wh_err.h"

int unit_pool_make(void **state);
int unit_pool_drop(void **state);
int unit_run(const struct CMUnitTest *tests, size_t n);

#define UNIT(what, fn)                                                                             \
    {                                                                                              \
        .name = (what), .test_func = (fn), .setup_func = unit_pool_make,                           \
        .teardown_func = unit_pool_drop                                                            \
    }
#define UNIT_RUN(tests) unit_run((tests), sizeof(tests) / sizeof((tests)[0]))

/* rv is a success, or the test fails with what err says. */
#define assert_ok(rv, err)                                                                         \
    do {                                                                                           \
        if ((rv) != APR_SUCCESS)                                                                   \
            fail_msg("%s: %s (%s)", (err)->code, (err)->text, (err)->pointer);                     \
    } while (0)

/* rv is a failure with exactly this code. */
#define assert_code(rv, err, want)                                                                 \
    do {                                                                                           \
        assert_int_not_equal((rv), APR_SUCCESS);                                                   \
        assert_string_equal((err)->code, (want));                                                  \
    } while (0)

#endif
