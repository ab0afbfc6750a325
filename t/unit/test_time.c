#include "t/unit/unit.h"
#include "libwh/wh_time.h"

static void test_format(void **state)
{
    assert_string_equal(wh_time_rfc3339(*state, 0), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(wh_time_rfc3339(*state, INT64_C(1767323045678901)),
                        "2026-01-02T03:04:05.678901Z");
    assert_string_equal(wh_time_rfc3339(*state, -1), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(wh_time_rfc3339(*state, INT64_C(951782400000000)),
                        "2000-02-29T00:00:00.000000Z");
    assert_string_equal(wh_time_rfc3339(*state, APR_INT64_MAX), "9999-12-31T23:59:59.999999Z");
    assert_string_equal(wh_time_rfc3339(*state, APR_INT64_MIN), "0001-01-01T00:00:00.000000Z");
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        apr_time_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05.678901Z", INT64_C(1767323045678901)},
        {"2026-01-02T03:04:05.6789019Z", INT64_C(1767323045678901)},
        {"2026-01-02T03:04:05.6Z", INT64_C(1767323045600000)},
        {"2015-05-05T19:40:15-04:00", INT64_C(1430869215000000)},
        {"2015-05-06T01:10:15+01:30", INT64_C(1430869215000000)},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
    };
    apr_time_t us;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        us = 1;
        assert_int_equal(wh_time_parse(good[i].text, &us), APR_SUCCESS);
        assert_int_equal(us, good[i].us);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "2026",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-13-02T03:04:05Z",
        "2026-00-02T03:04:05Z",
        "2025-02-29T03:04:05Z",
        "1900-02-29T03:04:05Z",
        "2026-01-32T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+0100",
        "2026-01-02T03:04:05Zx",
        "+026-01-02T03:04:05Z",
        "2026-1-02T03:04:05Z",
        "0000-01-02T03:04:05Z",
    };
    apr_time_t us = 42;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_int_equal(wh_time_parse(bad[i], &us), APR_EINVAL);
    assert_int_equal(us, 42);
}

static void test_round(void **state)
{
    /* Every day of 800 years, so every kind of year and month end. */
    for (int64_t day = -146097; day < 146097; day++) {
        apr_time_t us = day * 86400 * APR_USEC_PER_SEC + 43200123456, back;
        char text[WH_TIME_RFC3339_SIZE];

        wh_time_rfc3339_buf(text, us);
        if (wh_time_parse(text, &back) != APR_SUCCESS || back != us)
            fail_msg("%s does not come back", text);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("times are written as RFC 3339 in UTC with microseconds", test_format),
        UNIT("times with zones and fractions are read", test_parse),
        UNIT("what is no time is refused", test_refused),
        UNIT("each day of 800 years comes back", test_round),
    };

    return UNIT_RUN(tests);
}
