/* Figures of requests: the histogram's edges, quantiles, rings. */
#include "t/unit/unit.h"

#include <string.h>

#include "libwh/wh_meter_file.h"

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

#define APP_1 "01j00000000000000000000001"
#define APP_2 "01j00000000000000000000002"
#define NOW APR_INT64_C(1767225600000000)

/* A file of two apps, as the module writes it. */
static char *file_of(apr_pool_t *p)
{
    wh_meter_sum_t one = {{0}, {0}}, other = {{0}, {0}};
    char *text = apr_palloc(p, 4 * WH_METER_FILE_LINE);
    size_t n = wh_meter_file_head(text, NOW);

    took(&one, 9, 4000);
    one.of[WH_METER_5XX] = 3;
    for (int i = 0; i < WH_METER_BUCKETS; i++) { /* the longest line there is */
        other.took[i] = APR_UINT64_C(999999999999);
    }
    other.of[WH_METER_1XX] = APR_UINT64_C(999999999999);
    n += wh_meter_file_app(text + n, APP_1, &one);
    n += wh_meter_file_app(text + n, APP_2, &other);
    n += wh_meter_file_end(text + n, 2);
    assert_int_equal(strlen(text), n);
    return text;
}

static void test_file(void **state)
{
    apr_pool_t *p = *state;
    const char *text = file_of(p);
    apr_hash_t *all = apr_hash_make(p);
    const wh_meter_sum_t *sum;

    assert_int_equal(wh_meter_file_read(all, text, NOW), 1);
    assert_int_equal(wh_meter_file_read(all, text, NOW), 1); /* of another httpd: added */
    assert_int_equal(apr_hash_count(all), 2);
    sum = apr_hash_get(all, APP_1, APR_HASH_KEY_STRING);
    assert_int_equal(sum->of[WH_METER_2XX], 18);
    assert_int_equal(sum->of[WH_METER_5XX], 6);
    assert_int_equal(wh_meter_timed(sum), 18);
    assert_int_equal(wh_meter_quantile_us(sum, 1), 5000);
    sum = apr_hash_get(all, APP_2, APR_HASH_KEY_STRING);
    assert_true(sum->of[WH_METER_1XX] == APR_UINT64_C(1999999999998));
}

/* F3: at 45 s it is still there, a microsecond later it is not. */
static void test_file_age(void **state)
{
    apr_pool_t *p = *state;
    const char *text = file_of(p);
    apr_hash_t *all = apr_hash_make(p);

    assert_int_equal(wh_meter_file_read(all, text, NOW + WH_METER_FILE_TTL_US), 1);
    assert_int_equal(wh_meter_file_read(all, text, NOW - WH_METER_FILE_TTL_US), 1);
    all = apr_hash_make(p);
    assert_int_equal(wh_meter_file_read(all, text, NOW + WH_METER_FILE_TTL_US + 1), 0);
    assert_int_equal(wh_meter_file_read(all, text, NOW - WH_METER_FILE_TTL_US - 1), 0);
    assert_int_equal(apr_hash_count(all), 0);
}

/* Cut off anywhere, a byte changed to what is none: nothing is taken of it. */
static void test_file_broken(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "end 0\n",
        "wisehost-requests 2 1767225600000000\nend 0\n",
        "wisehost-requests 1 -1767225600000000\nend 0\n",
        "wisehost-requests 1 1767225600000000\nend 1\n",
        "wisehost-requests 1 1767225600000000\nend 0\n\n",
        "wisehost-requests 1 1767225600000000\n" APP_1 " 1 2 3 4\nend 1\n",
        "wisehost-requests 1 1767225600000000\n" APP_1 " 1 2 3 4 5 32:1\nend 1\n",
        "wisehost-requests 1 1767225600000000\n" APP_1 " 1 2 3 4 1234567890123456789\nend 1\n",
        "wisehost-requests 1 1767225600000000\n../../etc/passwd 1 2 3 4 5\nend 1\n",
    };
    apr_pool_t *p = *state;
    apr_hash_t *all = apr_hash_make(p);
    char *text = file_of(p);

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_int_equal(wh_meter_file_read(all, bad[i], NOW), 0);
    }
    for (size_t n = strlen(text); n-- > 0;) {
        text[n] = '\0';
        assert_int_equal(wh_meter_file_read(all, text, NOW), 0);
    }
    text = file_of(p);
    for (size_t n = strlen(text), i = 0; i < n; i++) {
        char was = text[i];

        text[i] = '*';
        assert_int_equal(wh_meter_file_read(all, text, NOW), 0);
        text[i] = was;
    }
    assert_int_equal(apr_hash_count(all), 0);
    assert_int_equal(wh_meter_file_read(all, "wisehost-requests 1 1767225600000000\nend 0\n", NOW),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("bounds of the histogram belong below", test_buckets),
        UNIT("statuses by their hundred", test_classes),
        UNIT("quantiles lie between the bounds", test_quantiles),
        UNIT("slots of a ring: added, begun anew, never negative", test_ring),
        UNIT("a file for the scheduler: there and back, added up", test_file),
        UNIT("F3 its age", test_file_age),
        UNIT("a broken one says nothing", test_file_broken),
    };

    return UNIT_RUN(tests);
}
