/* Figures of requests: the histogram's edges, quantiles, rings. */
#include "t/unit/unit.h"

#include <string.h>

#include "libwh/wh_meter.h"

static void test_buckets(void **state)
{
    (void)state;
    assert_int_equal(wh_meter_bucket(-5), 0);
    assert_int_equal(wh_meter_bucket(0), 0);
    assert_int_equal(wh_meter_bucket(100), 0);
    assert_int_equal(wh_meter_bucket(101), 1);
    for (int i = 0; i < WH_METER_BUCKETS - 1; i++) {
        assert_int_equal(wh_meter_bucket(wh_meter_bounds_us[i]), i);
        assert_int_equal(wh_meter_bucket(wh_meter_bounds_us[i] + 1), i + 1);
        assert_true(i == 0 || wh_meter_bounds_us[i] > wh_meter_bounds_us[i - 1]);
    }
    assert_int_equal(wh_meter_bounds_us[WH_METER_BUCKETS - 2], 100000000);
    assert_int_equal(wh_meter_bucket(APR_INT64_MAX), WH_METER_BUCKETS - 1);
}

static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(wh_meter_class(101), WH_METER_1XX);
    assert_int_equal(wh_meter_class(200), WH_METER_2XX);
    assert_int_equal(wh_meter_class(304), WH_METER_3XX);
    assert_int_equal(wh_meter_class(499), WH_METER_4XX);
    assert_int_equal(wh_meter_class(599), WH_METER_5XX);
    assert_int_equal(wh_meter_class(0), WH_METER_5XX);
    assert_int_equal(wh_meter_class(600), WH_METER_5XX);
}

/* n requests of a duration. */
static void took(wh_meter_sum_t *sum, int n, apr_int64_t us)
{
    sum->of[WH_METER_2XX] += (apr_uint64_t)n;
    sum->of[WH_METER_TOOK_US] += (apr_uint64_t)(n * us);
    sum->took[wh_meter_bucket(us)] += (apr_uint64_t)n;
}

static void test_quantiles(void **state)
{
    wh_meter_sum_t sum = {{0}, {0}};

    (void)state;
    assert_int_equal(wh_meter_quantile_us(&sum, 0.5), -1);
    took(&sum, 100, 4000); /* 3 to 5 ms */
    assert_int_equal(wh_meter_quantile_us(&sum, 0.5), 4000);
    assert_int_equal(wh_meter_quantile_us(&sum, 0), 3000);
    assert_int_equal(wh_meter_quantile_us(&sum, 1), 5000);
    took(&sum, 100, 250000);
    assert_int_equal(wh_meter_quantile_us(&sum, 0.5), 5000);
    assert_in_range(wh_meter_quantile_us(&sum, 0.95), 200000, 300000);
    assert_int_equal(wh_meter_requests(&sum), 200);
    took(&sum, 1000000, 200 * APR_INT64_C(1000000)); /* beyond: the last bound is what is known */
    assert_int_equal(wh_meter_quantile_us(&sum, 0.99), 100000000);
}

static void test_ring(void **state)
{
    wh_meter_slot_t slot = {.stamp = 0};
    wh_meter_sum_t before = {{0}, {0}}, now = {{0}, {0}}, out = {{0}, {0}};

    (void)state;
    took(&now, 3, 150);
    now.of[WH_METER_BYTES] = APR_UINT64_C(5000000000);
    wh_meter_note(&slot, 7, &now, &before);
    before = now;
    took(&now, 2, 150);
    wh_meter_note(&slot, 7, &now, &before); /* the same minute: added */
    assert_int_equal(wh_meter_add(&out, &slot, 8), 0);
    assert_int_equal(wh_meter_add(&out, &slot, 7), 1);
    assert_int_equal(out.of[WH_METER_2XX], 5);
    assert_int_equal(out.took[1], 5);
    assert_true(out.of[WH_METER_BYTES] == APR_UINT64_C(5000000000));
    assert_int_equal(out.of[WH_METER_TOOK_US], 5 * 150);
    wh_meter_note(&slot, 67, &now, &now); /* an hour later: begun anew */
    assert_int_equal(wh_meter_add(&out, &slot, 7), 0);
    memset(&out, 0, sizeof(out));
    assert_int_equal(wh_meter_add(&out, &slot, 67), 1);
    assert_int_equal(wh_meter_requests(&out), 0);
    wh_meter_note(&slot, 68, &before, &now); /* a row that changed hands: never negative */
    assert_int_equal(slot.n[WH_METER_2XX], 0);
    now.of[WH_METER_2XX] = APR_UINT64_C(1) << 40; /* and never around */
    wh_meter_note(&slot, 68, &now, &before);
    assert_int_equal(slot.n[WH_METER_2XX], UINT32_MAX);
    wh_meter_between(&out, &before, &now);
    assert_int_equal(wh_meter_requests(&out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("bounds of the histogram belong below", test_buckets),
        UNIT("statuses by their hundred", test_classes),
        UNIT("quantiles lie between the bounds", test_quantiles),
        UNIT("slots of a ring: added, begun anew, never negative", test_ring),
    };

    return UNIT_RUN(tests);
}
