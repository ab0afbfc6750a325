#include "t/unit/unit.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sys.h"

static void test_fake(void **state)
{
    wh_clock_fake_t fake;
    wh_mono_t start, deadline;

    (void)state;
    wh_clock_fake_init(&fake, 1000);
    start = wh_clock_mono(&fake.clock);
    deadline = wh_mono_add(start, 500);
    assert_int_equal(wh_clock_now(&fake.clock), 1000);
    assert_false(wh_mono_reached(start, deadline));
    wh_clock_fake_step(&fake, -900);
    assert_int_equal(wh_clock_now(&fake.clock), 100);
    assert_int_equal(wh_mono_diff(wh_clock_mono(&fake.clock), start), 0);
    wh_clock_fake_advance(&fake, 500);
    assert_int_equal(wh_clock_now(&fake.clock), 600);
    assert_true(wh_mono_reached(wh_clock_mono(&fake.clock), deadline));
}

static void test_rand_fake(void **state)
{
    wh_rand_fake_t one, two;
    unsigned char a[16], b[16];

    wh_rand_fake_init(&one, 7);
    wh_rand_fake_init(&two, 7);
    assert_int_equal(wh_rand_fill(&one.rnd, a, sizeof(a)), APR_SUCCESS);
    assert_int_equal(wh_rand_fill(&two.rnd, b, sizeof(b)), APR_SUCCESS);
    assert_memory_equal(a, b, sizeof(a));
    wh_rand_fake_init(&two, 8);
    assert_int_equal(wh_rand_fill(&two.rnd, b, sizeof(b)), APR_SUCCESS);
    assert_memory_not_equal(a, b, sizeof(a));
    one.fail_after = 1;
    assert_int_equal(strlen(wh_rand_hex(*state, &one.rnd, 12)), 24);
    assert_null(wh_rand_hex(*state, &one.rnd, 12));
    assert_int_equal(wh_rand_jitter(&one.rnd), 0x80000000);
}

static void test_system(void **state)
{
    const wh_clock_t *clock = wh_sys_clock();
    wh_mono_t start = wh_clock_mono(clock);
    char *a = wh_rand_hex(*state, wh_sys_rand(), 32);
    char *b = wh_rand_hex(*state, wh_sys_rand(), 32);

    /* 2024-01-01, in microseconds: a later clock counts microseconds too. */
    assert_true(wh_clock_now(clock) > INT64_C(1704067200000000));
    assert_true(wh_mono_diff(wh_clock_mono(clock), start) >= 0);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the fake clock stands, goes on and jumps", test_fake),
        UNIT("fake randomness repeats by seed and fails on order", test_rand_fake),
        UNIT("the system's clock and randomness answer", test_system),
    };

    return UNIT_RUN(tests);
}
