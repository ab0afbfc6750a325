#include "t/unit/unit.h"
#include "libwh/wh_backoff.h"

static void test_growth(void **state)
{
    static const apr_interval_time_t base[] = {500000,  1000000,  2000000,  4000000,
                                               8000000, 16000000, 30000000, 30000000};
    wh_backoff_t low = {0}, high = {0};

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(base); i++) {
        apr_interval_time_t at_least = wh_backoff_next(&low, 0);
        apr_interval_time_t at_most = wh_backoff_next(&high, UINT32_MAX);

        assert_int_equal(at_least, base[i] / 2);
        assert_true(at_most <= base[i] && at_most > base[i] - 10);
    }
    wh_backoff_reset(&low);
    assert_int_equal(wh_backoff_next(&low, 0), 250000);
}

static void test_forever(void **state)
{
    wh_backoff_t backoff = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_true(wh_backoff_next(&backoff, 0x80000000) <= WH_BACKOFF_MAX_US);
    backoff.attempt = UINT32_MAX;
    assert_int_equal(wh_backoff_next(&backoff, 0), WH_BACKOFF_MAX_US / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("waits double from 0.5 s to 30 s, with jitter in the upper half", test_growth),
        UNIT("no number of failures overflows a wait", test_forever),
    };

    return UNIT_RUN(tests);
}
