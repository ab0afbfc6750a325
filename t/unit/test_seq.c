#include "t/unit/unit.h"
#include "libwh/wh_seq.h"
#include "libwh/wh_types.h"

static void test_rising(void **state)
{
    wh_seq_t seq;

    (void)state;
    wh_seq_init(&seq);
    for (int i = 1; i <= 5000; i++)
        assert_int_equal(wh_seq_take(&seq, i), WH_SEQ_OK);
    assert_int_equal(seq.high, 5000);
    for (int i = 5000; i >= 5000 - WH_SEQ_BEHIND; i--)
        assert_int_equal(wh_seq_take(&seq, i), WH_SEQ_REPLAY);
}

static void test_range(void **state)
{
    wh_seq_t seq = {0};

    (void)state;
    assert_int_equal(wh_seq_take(&seq, 0), WH_SEQ_RANGE);
    assert_int_equal(wh_seq_take(&seq, -1), WH_SEQ_RANGE);
    assert_int_equal(wh_seq_take(&seq, INT64_MIN), WH_SEQ_RANGE);
    assert_int_equal(wh_seq_take(&seq, INT64_MAX), WH_SEQ_RANGE);
    assert_int_equal(wh_seq_take(&seq, APR_INT64_C(9007199254740992)), WH_SEQ_RANGE);
    assert_int_equal(wh_seq_take(&seq, APR_INT64_C(9007199254740991)), WH_SEQ_JUMP);
    assert_int_equal(seq.high, 0);
    seq.high = APR_UINT64_C(9007199254740990);
    assert_int_equal(wh_seq_take(&seq, APR_INT64_C(9007199254740991)), WH_SEQ_OK);
}

static void test_behind(void **state)
{
    wh_seq_t seq = {0};

    (void)state;
    assert_int_equal(wh_seq_take(&seq, 1000), WH_SEQ_OK);
    assert_int_equal(wh_seq_check(&seq, 1000 - WH_SEQ_BEHIND), WH_SEQ_OK);
    assert_int_equal(wh_seq_check(&seq, 1000 - WH_SEQ_BEHIND - 1), WH_SEQ_OLD);
    assert_int_equal(wh_seq_take(&seq, 1000 - WH_SEQ_BEHIND), WH_SEQ_OK);
    assert_int_equal(wh_seq_take(&seq, 1000 - WH_SEQ_BEHIND), WH_SEQ_REPLAY);
    assert_int_equal(wh_seq_take(&seq, 999), WH_SEQ_OK);
    assert_int_equal(seq.high, 1000);
    assert_int_equal(wh_seq_take(&seq, 1001), WH_SEQ_OK);
    assert_int_equal(wh_seq_take(&seq, 999), WH_SEQ_REPLAY);
    assert_int_equal(wh_seq_take(&seq, 1001 - WH_SEQ_BEHIND - 1), WH_SEQ_OLD);
}

static void test_ahead(void **state)
{
    wh_seq_t seq = {0};

    (void)state;
    assert_int_equal(wh_seq_take(&seq, WH_SEQ_AHEAD + 1), WH_SEQ_JUMP);
    assert_int_equal(wh_seq_take(&seq, WH_SEQ_AHEAD), WH_SEQ_OK);
    assert_int_equal(wh_seq_take(&seq, 2 * WH_SEQ_AHEAD + 1), WH_SEQ_JUMP);
    assert_int_equal(seq.high, WH_SEQ_AHEAD);
    assert_int_equal(wh_seq_take(&seq, 2 * WH_SEQ_AHEAD), WH_SEQ_OK);
    /* What was jumped over is still to come, what stood in the same place of the ring is not. */
    assert_int_equal(wh_seq_take(&seq, 2 * WH_SEQ_AHEAD - 1), WH_SEQ_OK);
    assert_int_equal(wh_seq_take(&seq, 2 * WH_SEQ_AHEAD - 1), WH_SEQ_REPLAY);
}

/* Against the plain rule, with every number remembered for ever. */
static void test_model(void **state)
{
    enum { N = 20000 };
    unsigned char *taken = apr_pcalloc(*state, N + 1);
    wh_seq_t seq = {0};
    uint32_t seed = 2463534242U;
    int64_t high = 0;

    for (int i = 0; i < 100000 && high < N - 1100; i++) {
        int64_t n;
        wh_seq_verdict_e want;

        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        n = high - 300 + seed % 320 + (seed % 97 == 0 ? 900 : 0);
        if (n < 1)
            want = WH_SEQ_RANGE;
        else if (n > high)
            want = n - high > 1024 ? WH_SEQ_JUMP : WH_SEQ_OK;
        else if (high - n > 256)
            want = WH_SEQ_OLD;
        else
            want = taken[n] ? WH_SEQ_REPLAY : WH_SEQ_OK;
        assert_int_equal(wh_seq_take(&seq, n), want);
        if (want == WH_SEQ_OK) {
            taken[n] = 1;
            high = n > high ? n : high;
        }
    }
    assert_true(high > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F86 each number of a rising sequence is taken once", test_rising),
        UNIT("F86 numbers below 1 and above 2^53 - 1 are refused", test_range),
        UNIT("F86 R4 256 behind is taken once, 257 behind is refused", test_behind),
        UNIT("F86 R4 a jump of 1024 is taken, of 1025 refused", test_ahead),
        UNIT("F86 R4 the window agrees with a memory of everything", test_model),
    };

    return UNIT_RUN(tests);
}
