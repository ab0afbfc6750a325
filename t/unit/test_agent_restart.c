#include <string.h>
#include "t/unit/unit.h"
#include "wh-agent/restart.h"

#define S APR_USEC_PER_SEC

static wh_mono_t at(apr_int64_t s)
{
    return wh_mono_add((wh_mono_t){0}, s * S);
}

static apr_int64_t pause_s(const wh_restart_t *r, wh_mono_t now)
{
    return wh_mono_diff(r->until, now) / S;
}

static void test_pauses(void **state)
{
    static const apr_int64_t want[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    wh_restart_t r = {0};
    wh_mono_t now = at(1000);

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        wh_restart_down(&r, now, 0, 0);
        assert_int_equal(pause_s(&r, now), want[i]);
        assert_false(wh_restart_due(&r, wh_mono_add(r.until, -1)));
        assert_true(wh_restart_due(&r, r.until));
        assert_int_equal(wh_restart_state(&r),
                         i < 4 ? WH_OBSERVED_STARTING : WH_OBSERVED_CRASHLOOP);
        wh_restart_up(&r);
        assert_false(wh_restart_due(&r, wh_mono_add(now, 900 * S)));
        now = wh_mono_add(now, 400 * S);
    }
}

static void test_reset(void **state)
{
    wh_restart_t r = {0};

    (void)state;
    for (int i = 0; i < 6; i++)
        wh_restart_down(&r, at(i), 0, 0);
    wh_restart_down(&r, at(700), 600 * S - 1, 0);
    assert_int_equal(pause_s(&r, at(700)), 64);
    assert_int_equal(wh_restart_state(&r), WH_OBSERVED_CRASHLOOP);
    wh_restart_down(&r, at(1400), 600 * S, 0);
    assert_int_equal(pause_s(&r, at(1400)), 1);
    assert_int_equal(wh_restart_state(&r), WH_OBSERVED_STARTING);
}

static void test_oom(void **state)
{
    wh_restart_t r = {0};

    (void)state;
    wh_restart_down(&r, at(1000), 0, 1);
    wh_restart_down(&r, at(2000), 700 * S, 1);
    wh_restart_down(&r, at(4601), 700 * S, 1);
    assert_false(r.violated); /* an hour and a second after the first */
    wh_restart_down(&r, at(5000), 0, 0);
    assert_false(r.violated);
    wh_restart_down(&r, at(5600), 0, 1); /* an hour to the second after the second */
    assert_true(r.violated);
    assert_int_equal(wh_restart_state(&r), WH_OBSERVED_VIOLATED);
    assert_false(wh_restart_due(&r, at(1000000)));
}

static wh_restart_t down(wh_restarts_t *all, const char *id, apr_int64_t s, apr_int64_t status,
                         int *oom)
{
    wh_restarts_end_t end = {
        .started_at = (s - 1) * S, .ended_at = s * S, .status = status, .oom = 0};
    wh_restart_t r;
    int news;

    wh_restarts_down(all, id, &end, at(s), &r, oom, &news);
    return r;
}

static void test_table(void **state)
{
    apr_pool_t *p = *state;
    wh_restarts_t *all;
    wh_restart_t r;
    int oom;

    assert_int_equal(wh_restarts_make(p, 150 * S, &all, NULL), APR_SUCCESS);
    wh_restarts_begin(all, -1);
    /* Nobody saw it run in this life: the machine came up. At once. */
    r = down(all, "a", 100, 255, &oom);
    assert_true(wh_restart_due(&r, at(100)));
    assert_int_equal(wh_restarts_wait(all, at(100), 30 * S), 0);
    wh_restarts_started(all, "a", 1, at(100));
    assert_int_equal(wh_restarts_wait(all, at(100), 30 * S), 30 * S);
    assert_int_equal(wh_restarts_up(all, "a"), 1);
    /* Now it fell; the same end is counted once. */
    for (int i = 0; i < 3; i++) {
        r = down(all, "a", 101, 3, &oom);
        assert_int_equal(r.quick, 1);
        assert_false(oom);
    }
    assert_int_equal(wh_restarts_wait(all, at(101), 30 * S), S);
    /* What cannot even be started is an end, too. */
    wh_restarts_started(all, "a", 0, at(102));
    r = down(all, "a", 101, 3, &oom);
    assert_int_equal(r.quick, 2);
    assert_int_equal(wh_restarts_wait(all, at(102), 30 * S), 2 * S);
    wh_restarts_end(all);
    /* Gone from the list: forgotten. */
    wh_restarts_begin(all, -1);
    wh_restarts_end(all);
    r = down(all, "a", 140, 3, &oom);
    assert_int_equal(r.quick, 0);
    /* Started in this life, and down before any look saw it up. */
    r = down(all, "b", 200, 3, &oom);
    assert_int_equal(r.quick, 1);
}

/* Some engines do not say it: then signal 9 and the kernel's own count do. */
static void test_kernel_oom(void **state)
{
    apr_pool_t *p = *state;
    wh_restarts_t *all;
    int oom;

    assert_int_equal(wh_restarts_make(p, 150 * S, &all, NULL), APR_SUCCESS);
    wh_restarts_begin(all, 7);
    (void)wh_restarts_up(all, "a");
    (void)down(all, "a", 100, 137, &oom);
    assert_false(oom);
    wh_restarts_begin(all, 7);
    wh_restarts_started(all, "a", 1, at(101));
    (void)down(all, "a", 102, 137, &oom);
    assert_false(oom);
    wh_restarts_begin(all, 8);
    wh_restarts_started(all, "a", 1, at(103));
    (void)down(all, "a", 104, 137, &oom);
    assert_true(oom);
    wh_restarts_begin(all, 9);
    wh_restarts_started(all, "a", 1, at(105));
    (void)down(all, "a", 106, 1, &oom);
    assert_false(oom);
}

static void test_violated_before(void **state)
{
    apr_pool_t *p = *state;
    wh_restarts_end_t end = {.started_at = 10 * S, .ended_at = 11 * S, .status = 137};
    wh_restarts_t *all;
    wh_restart_t r;
    wh_err_t err = WH_ERR_INIT;
    int oom, news;

    assert_ok(wh_restarts_make(p, 100 * S, &all, &err), &err);
    wh_restarts_violated(all, "c");
    wh_restarts_begin(all, 0);
    wh_restarts_down(all, "c", &end, at(1), &r, &oom, &news);
    wh_restarts_end(all);
    assert_int_equal(wh_restart_state(&r), WH_OBSERVED_VIOLATED);
    assert_false(wh_restart_due(&r, at(100000)));
    assert_false(news);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("1 s doubling to 5 minutes, a crash loop from the fifth end", test_pauses),
        UNIT("10 minutes of running begin anew", test_reset),
        UNIT("R34 three kills for want of memory in an hour", test_oom),
        UNIT("each end counts once; the machine's start is none", test_table),
        UNIT("R34 kills that the engine does not tell of", test_kernel_oom),
        UNIT("R34 what broke a rule stays down over a restart of the agent", test_violated_before),
    };
    return UNIT_RUN(tests);
}
