#include "t/unit/unit.h"
#include "libwh/wh_bucket.h"

static wh_mono_t at(int64_t us)
{
    return (wh_mono_t){.us = 5000000 + us};
}

static void test_log_limits(void **state)
{
    wh_bucket_t bucket;

    (void)state;
    assert_int_equal(WH_BUCKET_LOG_RATE, 256 * 1024);
    assert_int_equal(WH_BUCKET_LOG_BURST, 1024 * 1024);
    wh_bucket_init(&bucket, WH_BUCKET_LOG_RATE, WH_BUCKET_LOG_BURST, at(0));
    assert_true(wh_bucket_take(&bucket, WH_BUCKET_LOG_BURST, at(0)));
    assert_false(wh_bucket_take(&bucket, 1, at(0)));
    assert_false(wh_bucket_take(&bucket, WH_BUCKET_LOG_RATE, at(999999)));
    assert_true(wh_bucket_take(&bucket, WH_BUCKET_LOG_RATE, at(1000000)));
    /* However long it is quiet, no more than the burst. */
    assert_false(wh_bucket_take(&bucket, WH_BUCKET_LOG_BURST + 1, at(INT64_C(1) << 60)));
    assert_true(wh_bucket_take(&bucket, WH_BUCKET_LOG_BURST, at(INT64_C(1) << 60)));
}

static void test_often(void **state)
{
    wh_bucket_t bucket;
    int had = 0;

    (void)state;
    /* 3 a second, asked every 100 ms for 10 s: 30 come, none is lost by asking often. */
    wh_bucket_init(&bucket, 3, 1, at(0));
    assert_true(wh_bucket_take(&bucket, 1, at(0)));
    for (int i = 1; i <= 100; i++)
        had += wh_bucket_take(&bucket, 1, at(i * INT64_C(100000)));
    assert_in_range(had, 24, 30);
    wh_bucket_init(&bucket, 3, 100, at(0));
    assert_true(wh_bucket_take(&bucket, 100, at(0)));
    for (int i = 1; i <= 1000; i++)
        assert_false(wh_bucket_take(&bucket, 31, at(i * INT64_C(10000))));
    assert_true(wh_bucket_take(&bucket, 30, at(INT64_C(10000000))));
}

static void test_edges(void **state)
{
    wh_bucket_t bucket;

    (void)state;
    wh_bucket_init(&bucket, -1, -1, at(0));
    assert_false(wh_bucket_take(&bucket, 1, at(1000000)));
    assert_true(wh_bucket_take(&bucket, 0, at(0)));
    assert_true(wh_bucket_take(&bucket, -7, at(0)));
    assert_int_equal(bucket.level, 0);
    wh_bucket_init(&bucket, APR_INT64_MAX, APR_INT64_MAX, at(0));
    assert_true(wh_bucket_take(&bucket, INT64_C(1) << 40, at(0)));
    assert_true(wh_bucket_take(&bucket, INT64_C(1) << 40, at(INT64_C(1) << 61)));
    /* A clock that goes back gives nothing and takes nothing. */
    wh_bucket_init(&bucket, 10, 10, at(0));
    assert_true(wh_bucket_take(&bucket, 4, at(0)));
    assert_false(wh_bucket_take(&bucket, 7, at(-4000000)));
    assert_true(wh_bucket_take(&bucket, 6, at(-4000000)));
}

static void test_wait(void **state)
{
    wh_bucket_t bucket;

    (void)state;
    wh_bucket_init(&bucket, 3, 10, at(0));
    assert_int_equal(wh_bucket_wait(&bucket, 10, at(0)), 0);
    assert_int_equal(wh_bucket_wait(&bucket, 11, at(0)), -1);
    assert_true(wh_bucket_take(&bucket, 10, at(0)));
    assert_int_equal(wh_bucket_wait(&bucket, 1, at(0)), 333334);
    assert_int_equal(wh_bucket_wait(&bucket, 3, at(0)), 1000000);
    assert_int_equal(wh_bucket_wait(&bucket, 1, at(333333)), 1);
    assert_false(wh_bucket_take(&bucket, 1, at(333333)));
    assert_true(wh_bucket_take(&bucket, 1, at(333334)));
    wh_bucket_init(&bucket, 0, 10, at(0));
    assert_true(wh_bucket_take(&bucket, 10, at(0)));
    assert_int_equal(wh_bucket_wait(&bucket, 1, at(0)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F66 F67 F94 log bytes: 256 KiB/s sustained, 1 MiB burst, token bucket",
             test_log_limits),
        UNIT("asking often starves nobody", test_often),
        UNIT("no figure and no clock breaks it", test_edges),
        UNIT("the wait it tells is the wait it takes", test_wait),
    };

    return UNIT_RUN(tests);
}
