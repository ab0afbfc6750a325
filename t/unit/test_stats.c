/* Live figures of apps: expiry at its edge, rates from totals, sums over the parts. */
#include "t/unit/unit.h"

#include "libwh/wh_clock.h"
#include "libwh/wh_stats.h"

#define APP "01hzx0000000000000000000aa"
#define APP2 "01hzx0000000000000000000ab"
#define DEP "01hzx0000000000000000000dd"
#define DEP2 "01hzx0000000000000000000de"
#define S APR_INT64_C(1000000)
#define NOW APR_INT64_C(1767225600000000)

static wh_mono_t at(apr_int64_t us)
{
    return (wh_mono_t){.us = 77 * S + us};
}

static wh_msg_app_use_t use(const char *app, const char *deployment, apr_int64_t total)
{
    return (wh_msg_app_use_t){.app = app,
                              .deployment = deployment,
                              .cpu_millis = 250,
                              .memory_bytes = 1000,
                              .memory_limit_bytes = 4000,
                              .net_rx_bytes = total,
                              .net_tx_bytes = 2 * total,
                              .disk_read_bytes = 3 * total,
                              .disk_write_bytes = 4 * total};
}

static int put(wh_stats_t *stats, apr_int64_t worker, wh_msg_app_use_t u, apr_int64_t us)
{
    return wh_stats_put(stats, worker, &u, NOW + us, at(us));
}

static void test_expiry(void **state)
{
    wh_stats_t *stats = wh_stats_make(*state, 10);
    wh_stats_live_t live;

    assert_int_equal(wh_stats_get(stats, APP, at(0), &live), 0);
    assert_int_equal(put(stats, 1, use(APP, DEP, 5), 0), 1);
    assert_int_equal(wh_stats_get(stats, APP, at(45 * S), &live), 1);
    assert_int_equal(live.updated_at, NOW);
    assert_int_equal(live.cpu_millis, 250);
    assert_int_equal(live.memory_bytes, 1000);
    assert_int_equal(live.memory_limit_bytes, 4000);
    assert_int_equal(wh_stats_get(stats, APP, at(45 * S + 1), &live), 0);
    assert_int_equal(live.cpu_millis, 0);
    assert_int_equal(wh_stats_get(stats, APP2, at(0), &live), 0);
}

static void test_sweep(void **state)
{
    wh_stats_t *stats = wh_stats_make(*state, 10);

    put(stats, 1, use(APP, DEP, 5), 0); /* the first sweep is now */
    put(stats, 1, use(APP2, DEP2, 5), 44 * S);
    put(stats, 1, use(APP2, DEP2, 5), 45 * S - 1);
    assert_int_equal(wh_stats_count(stats), 2);
    put(stats, 1, use(APP2, DEP2, 5), 45 * S); /* sweeps, but APP is not stale yet */
    assert_int_equal(wh_stats_count(stats), 2);
    put(stats, 1, use(APP2, DEP2, 5), 90 * S - 1); /* stale since long, not the time to sweep */
    assert_int_equal(wh_stats_count(stats), 2);
    put(stats, 1, use(APP2, DEP2, 5), 90 * S);
    assert_int_equal(wh_stats_count(stats), 1);
}

static void test_rates(void **state)
{
    wh_stats_t *stats = wh_stats_make(*state, 10);
    wh_stats_live_t live;

    put(stats, 1, use(APP, DEP, 1000), 0);
    assert_int_equal(wh_stats_get(stats, APP, at(0), &live), 1);
    assert_int_equal(live.net_rx_per_s, 0);
    assert_int_equal(live.net_bytes, 3000);
    put(stats, 1, use(APP, DEP, 16000), 15 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(15 * S), &live), 1);
    assert_int_equal(live.net_rx_per_s, 1000);
    assert_int_equal(live.net_tx_per_s, 2000);
    assert_int_equal(live.disk_read_per_s, 3000);
    assert_int_equal(live.disk_write_per_s, 4000);
    assert_int_equal(live.net_bytes, 48000);
    assert_int_equal(live.disk_bytes, 7 * 16000);
    /* the container began anew: its totals count from zero */
    put(stats, 1, use(APP, DEP, 150), 30 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(30 * S), &live), 1);
    assert_int_equal(live.net_rx_per_s, 10);
    /* twice at once: the rate stays that of the last true interval */
    put(stats, 1, use(APP, DEP, 151), 30 * S);
    put(stats, 1, use(APP, DEP, 9000), 31 * S - 1);
    assert_int_equal(wh_stats_get(stats, APP, at(31 * S), &live), 1);
    assert_int_equal(live.net_rx_per_s, 10);
    put(stats, 1, use(APP, DEP, 15150), 45 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(45 * S), &live), 1);
    assert_int_equal(live.net_rx_per_s, 1000);
    /* after a pause nothing is known of the time between */
    put(stats, 1, use(APP, DEP, 99999), 91 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(91 * S), &live), 1);
    assert_int_equal(live.net_rx_per_s, 0);
}

static void test_extremes(void **state)
{
    wh_stats_t *stats = wh_stats_make(*state, 10);
    wh_stats_live_t live;
    wh_msg_app_use_t u = use(APP, DEP, 0);

    put(stats, 1, u, 0);
    u.net_rx_bytes = u.net_tx_bytes = APR_INT64_C(9007199254740991);
    put(stats, 1, u, S);
    assert_int_equal(wh_stats_get(stats, APP, at(S), &live), 1);
    assert_int_equal(live.net_rx_per_s, APR_INT64_C(9007199254740991));
    assert_int_equal(live.net_bytes, 2 * APR_INT64_C(9007199254740991));
    /* the monotonic clock does not go back, but nothing breaks if it did */
    put(stats, 1, u, -10 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(S), &live), 1);
    assert_true(live.net_rx_per_s >= 0);
}

static void test_parts(void **state)
{
    wh_stats_t *stats = wh_stats_make(*state, 3);
    wh_stats_live_t live;

    put(stats, 1, use(APP, DEP, 100), 0);
    put(stats, 2, use(APP, DEP, 200), 10 * S);
    put(stats, 1, use(APP, DEP2, 300), 20 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(20 * S), &live), 1);
    assert_int_equal(live.parts, 3);
    assert_int_equal(live.cpu_millis, 750);
    assert_int_equal(live.net_bytes, 3 * 600);
    assert_int_equal(live.updated_at, NOW + 20 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(50 * S), &live), 1);
    assert_int_equal(live.parts, 2);
    /* no room, until something is stale and swept */
    assert_int_equal(put(stats, 1, use(APP2, DEP, 1), 40 * S), 0);
    assert_int_equal(put(stats, 2, use(APP, DEP, 201), 41 * S), 1);
    assert_int_equal(put(stats, 1, use(APP2, DEP, 1), 50 * S), 1);
    wh_stats_delete_app(stats, APP);
    wh_stats_delete_app(stats, APP);
    assert_int_equal(wh_stats_get(stats, APP, at(50 * S), &live), 0);
    assert_int_equal(wh_stats_get(stats, APP2, at(50 * S), &live), 1);
    assert_int_equal(wh_stats_count(stats), 1);
}

/* What was used in all: from what came between two reports; never more than that, never less than
 * before. */
static void test_used(void **state)
{
    wh_stats_t *stats = wh_stats_make(*state, 10);
    wh_stats_live_t live;

    put(stats, 1, use(APP, DEP, 1000000), 0); /* it may have run for a year */
    assert_int_equal(wh_stats_get(stats, APP, at(0), &live), 1);
    assert_int_equal(live.used_cpu_us + live.used_rx + live.used_write, 0);
    put(stats, 1, use(APP, DEP, 1000100), 15 * S);
    put(stats, 2, use(APP, DEP2, 7000), 20 * S); /* another container: another part */
    put(stats, 2, use(APP, DEP2, 7050), 24 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(24 * S), &live), 1);
    assert_int_equal(live.used_cpu_us, 19 * S / 4);
    assert_int_equal(live.used_rx, 150);
    assert_int_equal(live.used_tx, 300);
    assert_int_equal(live.used_read, 450);
    assert_int_equal(live.used_write, 600);
    put(stats, 1, use(APP, DEP, 600000), 30 * S); /* one of several ended, or all began anew */
    put(stats, 1, use(APP, DEP, 600001), 45 * S);
    assert_int_equal(wh_stats_get(stats, APP, at(45 * S), &live), 1);
    assert_int_equal(live.used_rx, 151);
    put(stats, 2, use(APP, DEP2, 7060), 80 * S); /* late: nobody knows of its CPU */
    assert_int_equal(wh_stats_get(stats, APP, at(80 * S), &live), 1);
    assert_int_equal(live.used_cpu_us, (15 + 4 + 15 + 15) * S / 4);
    assert_int_equal(live.used_rx, 161);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F3 F4 F69 F71 F134 there at 45 s, gone a microsecond later", test_expiry),
        UNIT("F133 a report sweeps when 45 s have passed since the last sweep", test_sweep),
        UNIT("F72 R6 rates from totals, never negative", test_rates),
        UNIT("F71 what was used in all only grows, and by no more than was used", test_used),
        UNIT("the greatest numbers of the wire", test_extremes),
        UNIT("F2 F132 F135 an app is the sum of its parts; bounded; deleted", test_parts),
    };

    return UNIT_RUN(tests);
}
