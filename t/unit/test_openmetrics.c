/* Figures as text: both forms, labels, which one is asked for. */
#include "t/unit/unit.h"

#include <string.h>

#include "libwh/wh_openmetrics.h"

static const char *both(apr_pool_t *p, size_t *n)
{
    wh_om_t om;

    wh_om_begin(&om, p);
    wh_om_family(&om, WH_OM_COUNTER, "wisehost_a", NULL, "Things.");
    wh_om_int(&om, "_total", 3, "app", "blog", "code_class", "2xx", NULL);
    wh_om_family(&om, WH_OM_GAUGE, "wisehost_b_seconds", "seconds", "Time.");
    wh_om_us(&om, "", -1500001, NULL);
    wh_om_millis(&om, "", 1050, "of", "a\"b\\c\nd", NULL);
    wh_om_family(&om, WH_OM_INFO, "wisehost_build", NULL, "Which.");
    wh_om_int(&om, "_info", 1, "version", "1", NULL);
    wh_om_family(&om, WH_OM_HISTOGRAM, "wisehost_h_seconds", "seconds", "How long.");
    wh_om_int(&om, "_bucket", 2, "le", "+Inf", NULL);
    wh_om_int(&om, "_count", 2, NULL);
    wh_om_us(&om, "_sum", 2000000, NULL);
    return wh_om_end(&om, n);
}

static void test_text(void **state)
{
    size_t n;

    assert_string_equal(both(*state, &n), "# TYPE wisehost_a counter\n"
                                          "# HELP wisehost_a Things.\n"
                                          "wisehost_a_total{app=\"blog\",code_class=\"2xx\"} 3\n"
                                          "# TYPE wisehost_b_seconds gauge\n"
                                          "# UNIT wisehost_b_seconds seconds\n"
                                          "# HELP wisehost_b_seconds Time.\n"
                                          "wisehost_b_seconds -1.500001\n"
                                          "wisehost_b_seconds{of=\"a\\\"b\\\\c\\nd\"} 1.050\n"
                                          "# TYPE wisehost_build info\n"
                                          "# HELP wisehost_build Which.\n"
                                          "wisehost_build_info{version=\"1\"} 1\n"
                                          "# TYPE wisehost_h_seconds histogram\n"
                                          "# UNIT wisehost_h_seconds seconds\n"
                                          "# HELP wisehost_h_seconds How long.\n"
                                          "wisehost_h_seconds_bucket{le=\"+Inf\"} 2\n"
                                          "wisehost_h_seconds_count 2\n"
                                          "wisehost_h_seconds_sum 2.000000\n"
                                          "# EOF\n");
}

static void test_plain(void **state)
{
    size_t n;
    const char *text = both(*state, &n);

    assert_string_equal(wh_om_plain(*state, text, &n),
                        "# TYPE wisehost_a_total counter\n"
                        "# HELP wisehost_a_total Things.\n"
                        "wisehost_a_total{app=\"blog\",code_class=\"2xx\"} 3\n"
                        "# TYPE wisehost_b_seconds gauge\n"
                        "# HELP wisehost_b_seconds Time.\n"
                        "wisehost_b_seconds -1.500001\n"
                        "wisehost_b_seconds{of=\"a\\\"b\\\\c\\nd\"} 1.050\n"
                        "# TYPE wisehost_build_info gauge\n"
                        "# HELP wisehost_build_info Which.\n"
                        "wisehost_build_info{version=\"1\"} 1\n"
                        "# TYPE wisehost_h_seconds histogram\n"
                        "# HELP wisehost_h_seconds How long.\n"
                        "wisehost_h_seconds_bucket{le=\"+Inf\"} 2\n"
                        "wisehost_h_seconds_count 2\n"
                        "wisehost_h_seconds_sum 2.000000\n");
}

static void test_long(void **state)
{
    wh_om_t om;
    size_t n;

    wh_om_begin(&om, *state);
    wh_om_family(&om, WH_OM_GAUGE, "x", NULL, "Many.");
    for (int i = 0; i < 5000; i++)
        wh_om_int(&om, "", i, "i", "a label of some length", NULL);
    (void)wh_om_end(&om, &n);
    assert_int_equal(strlen(om.buf), n);
    assert_true(n > 100000);
}

static void test_foreign(void **state)
{
    (void)state;
    assert_true(wh_om_text_ok("# TYPE a gauge\na 1\n", 19));
    assert_false(wh_om_text_ok("", 0));
    assert_false(wh_om_text_ok("a 1", 3));
    assert_false(wh_om_text_ok("a 1\n\nb 1\n", 9));
    assert_false(wh_om_text_ok("a 1\n# EOF\n", 10));
    assert_false(wh_om_text_ok("a\0 1\n", 5));
}

static void test_accept(void **state)
{
    (void)state;
    assert_int_equal(wh_om_wanted(NULL), 0);
    assert_int_equal(wh_om_wanted("*/*"), 0);
    assert_int_equal(wh_om_wanted("text/plain"), 0);
    assert_int_equal(wh_om_wanted("application/openmetrics-text"), 1);
    /* Prometheus 2.42 and 2.53 */
    assert_int_equal(wh_om_wanted("application/openmetrics-text;version=1.0.0,"
                                  "application/openmetrics-text;version=0.0.1;q=0.75,"
                                  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                     1);
    assert_int_equal(wh_om_wanted("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), 0);
    assert_int_equal(wh_om_wanted("text/plain, application/openmetrics-text; q=0.5"), 0);
    assert_int_equal(wh_om_wanted("application/openmetrics-text;q=0"), 0);
    assert_int_equal(wh_om_wanted(",;q=,application/openmetrics-textual"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("families, labels, units, the end", test_text),
        UNIT("the same in the older form", test_plain),
        UNIT("text of any length", test_long),
        UNIT("what another wrote is looked at", test_foreign),
        UNIT("Accept decides", test_accept),
    };

    return UNIT_RUN(tests);
}
