#include "t/unit/unit.h"
#include "libwh/wh_clock.h"
#include "wh-agent/logs.h"

static int woken;

static void wake(void *baton)
{
    (void)baton;
    woken++;
}

static wh_clock_fake_t clock_;

static wh_logs_t *make(apr_pool_t *p)
{
    wh_logs_opts_t opts = {.clock = &clock_.clock, .wake = wake};
    wh_logs_t *logs = NULL;
    wh_err_t err = WH_ERR_INIT;

    wh_clock_fake_init(&clock_, APR_INT64_C(1700000000000000));
    woken = 0;
    assert_ok(wh_logs_make(p, &opts, &logs, &err), &err);
    return logs;
}

static const wh_msg_line_t *line_at(const apr_array_header_t *lines, int i)
{
    return &APR_ARRAY_IDX(lines, i, wh_msg_line_t);
}

static void test_order(void **state)
{
    apr_pool_t *p = *state;
    wh_logs_t *logs = make(p);
    apr_array_header_t *lines;
    apr_int64_t dropped = 9;

    assert_null(wh_logs_take(logs, p, &dropped));
    assert_int_equal(dropped, 0);
    wh_logs_add(logs, WH_STREAM_OUT, "one", 3);
    wh_clock_fake_advance(&clock_, 5);
    wh_logs_add(logs, WH_STREAM_ERR, "t\033[31mw\0o\n", 10);
    wh_logs_say(logs, "three %d", 3);
    assert_int_equal(woken, 3);
    assert_true(wh_logs_pending(logs));
    lines = wh_logs_take(logs, p, &dropped);
    assert_int_equal(lines->nelts, 3);
    assert_int_equal(line_at(lines, 0)->seq, 1);
    assert_int_equal(line_at(lines, 2)->seq, 3);
    assert_string_equal(line_at(lines, 1)->text, "two");
    assert_int_equal(line_at(lines, 1)->stream, WH_STREAM_ERR);
    assert_int_equal(line_at(lines, 1)->at, APR_INT64_C(1700000000000005));
    assert_string_equal(line_at(lines, 2)->text, "three 3");
    assert_int_equal(line_at(lines, 2)->stream, WH_STREAM_SYS);
    assert_false(wh_logs_pending(logs));
    assert_null(wh_logs_take(logs, p, &dropped));
}

static void test_again(void **state)
{
    apr_pool_t *p = *state;
    wh_logs_t *logs = make(p);
    apr_array_header_t *lines;
    apr_int64_t dropped;

    for (int i = 0; i < 5; i++)
        wh_logs_add(logs, WH_STREAM_OUT, "x", 1);
    /* What was never handed out cannot be acknowledged away. */
    wh_logs_acked(logs, 100);
    lines = wh_logs_take(logs, p, &dropped);
    assert_int_equal(lines->nelts, 5);
    wh_logs_acked(logs, 3);
    wh_logs_rewind(logs);
    lines = wh_logs_take(logs, p, &dropped);
    assert_int_equal(lines->nelts, 2);
    assert_int_equal(line_at(lines, 0)->seq, 4);
    wh_logs_acked(logs, 5);
    wh_logs_rewind(logs);
    assert_null(wh_logs_take(logs, p, &dropped));
    wh_logs_add(logs, WH_STREAM_OUT, "y", 1);
    lines = wh_logs_take(logs, p, &dropped);
    assert_int_equal(line_at(lines, 0)->seq, 6);
}

static void test_rate(void **state)
{
    apr_pool_t *p = *state;
    wh_logs_t *logs = make(p);
    char line[8192];
    apr_int64_t dropped, all = 0, kept = 0;
    apr_array_header_t *lines;

    memset(line, 'a', sizeof(line));
    /* 4 MiB at once: the burst of 1 MiB is kept, the rest is counted. */
    for (int i = 0; i < 512; i++)
        wh_logs_add(logs, WH_STREAM_OUT, line, sizeof(line));
    wh_logs_say(logs, "a word of the agent's own is heard all the same");
    while ((lines = wh_logs_take(logs, p, &dropped)) != NULL) {
        kept += lines->nelts;
        all += lines->nelts + dropped;
    }
    assert_int_equal(all, 513);
    assert_int_equal(kept, 127 + 1);
    /* A second later a quarter of a MiB more. */
    wh_logs_acked(logs, 1000);
    wh_clock_fake_advance(&clock_, APR_USEC_PER_SEC);
    kept = 0;
    for (int i = 0; i < 100; i++)
        wh_logs_add(logs, WH_STREAM_OUT, line, sizeof(line));
    while ((lines = wh_logs_take(logs, p, &dropped)) != NULL)
        kept += lines->nelts;
    assert_in_range(kept, 31, 32);
}

static void test_bound(void **state)
{
    apr_pool_t *p = *state;
    wh_logs_t *logs = make(p);
    apr_int64_t dropped, total = 0;
    apr_array_header_t *lines;
    int kept = 0;

    /* Nobody acknowledges: the memory stays bounded however long it goes on. */
    for (int i = 0; i < 100000; i++) {
        wh_clock_fake_advance(&clock_, APR_USEC_PER_SEC);
        wh_logs_add(logs, WH_STREAM_OUT, "short", 5);
    }
    while ((lines = wh_logs_take(logs, p, &dropped)) != NULL) {
        kept += lines->nelts;
        total += lines->nelts + dropped;
    }
    assert_int_equal(total, 100000);
    assert_in_range(kept, 1000, 2 * 1024 * 1024 / 40);
}

static void test_feed(void **state)
{
    static const char text[] = "one\ntwo\r\nthree\rfour";
    apr_pool_t *p = *state;

    for (size_t step = 1; step < sizeof(text); step++) {
        wh_logs_t *logs = make(p);
        wh_logs_half_t *half = apr_pcalloc(p, sizeof(*half));
        apr_array_header_t *lines;
        apr_int64_t dropped;

        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            size_t n = sizeof(text) - 1 - at;

            wh_logs_feed(logs, WH_STREAM_OUT, half, text + at, n < step ? n : step);
        }
        wh_logs_flush(logs, WH_STREAM_OUT, half);
        lines = wh_logs_take(logs, p, &dropped);
        assert_int_equal(lines->nelts, 4);
        assert_string_equal(line_at(lines, 1)->text, "two");
        assert_string_equal(line_at(lines, 2)->text, "three");
        assert_string_equal(line_at(lines, 3)->text, "four");
    }
}

static void test_endless_line(void **state)
{
    apr_pool_t *p = *state;
    wh_logs_t *logs = make(p);
    wh_logs_half_t *half = apr_pcalloc(p, sizeof(*half));
    char *big = apr_palloc(p, 100000);
    apr_array_header_t *lines;
    apr_int64_t dropped;

    memset(big, 'a', 100000);
    wh_logs_feed(logs, WH_STREAM_OUT, half, big, 100000);
    wh_logs_flush(logs, WH_STREAM_OUT, half);
    lines = wh_logs_take(logs, p, &dropped);
    assert_int_equal(lines->nelts, 13);
    for (int i = 0; i < lines->nelts; i++)
        assert_true(strlen(line_at(lines, i)->text) <= 8192);
}

static void test_mask(void **state)
{
    static const char secret[] = "topsecretvalue";
    static const char text[] =
        "a topsecretvalue\nb tops\x1b[1mecretv\x1b[0malue\ndG9wc2VjcmV0\ndmFsdWU=\n";
    apr_pool_t *p = *state;
    const wh_mask_t *mask = wh_mask_make(p, (const char *const[]){secret}, 1);

    for (size_t step = 1; step < sizeof(text); step++) {
        wh_logs_t *logs = make(p);
        wh_logs_half_t *half = apr_pcalloc(p, sizeof(*half));
        apr_array_header_t *lines;
        apr_int64_t dropped;

        wh_logs_mask(logs, mask);
        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            size_t n = sizeof(text) - 1 - at;

            wh_logs_feed(logs, WH_STREAM_OUT, half, text + at, n < step ? n : step);
        }
        wh_logs_say(logs, "said: %s", secret);
        wh_logs_mask(logs, NULL);
        wh_logs_say(logs, "%s", secret);
        lines = wh_logs_take(logs, p, &dropped);
        assert_int_equal(lines->nelts, 6);
        assert_string_equal(line_at(lines, 0)->text, "a ***");
        assert_string_equal(line_at(lines, 1)->text, "b ***");
        assert_string_equal(line_at(lines, 2)->text, "***");
        assert_string_equal(line_at(lines, 3)->text,
                            "***U="); /* the end is not the secret's alone */
        assert_string_equal(line_at(lines, 4)->text, "said: ***");
        assert_string_equal(line_at(lines, 5)->text, secret);
    }
}

/* A secret across the cut of a line of 8 KiB, behind bytes that grow when they are cleaned. */
static void test_mask_long(void **state)
{
    apr_pool_t *p = *state;
    wh_logs_t *logs = make(p);
    wh_logs_half_t *half = apr_pcalloc(p, sizeof(*half));
    const wh_mask_t *mask = wh_mask_make(p, (const char *const[]){"topsecretvalue"}, 1);
    char *big = apr_palloc(p, 10000);
    apr_array_header_t *lines;
    apr_int64_t dropped;

    wh_logs_mask(logs, mask);
    for (size_t at = 0; at < 9000; at++)
        big[at] = (char)(at % 100 == 0 ? 0xff : 'a');
    memcpy(big + 8000, "topsecretvalue", 14);
    memcpy(big + 8185, "topsecretvalue", 14);
    wh_logs_feed(logs, WH_STREAM_OUT, half, big, 9000);
    wh_logs_flush(logs, WH_STREAM_OUT, half);
    lines = wh_logs_take(logs, p, &dropped);
    assert_int_equal(lines->nelts, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(strlen(line_at(lines, i)->text) <= 8192);
        assert_null(strstr(line_at(lines, i)->text, "topsec"));
        assert_null(strstr(line_at(lines, i)->text, "tvalue"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XB5 R17 a job's secrets are masked, whatever the pieces and the colours", test_mask),
        UNIT("XB5 and where a line is cut", test_mask_long),
        UNIT("F104 lines are numbered, cleaned and timed", test_order),
        UNIT("F104 what is not acknowledged is handed out again", test_again),
        UNIT("F66 F67 256 KiB/s with a burst of 1 MiB, and the rest counted", test_rate),
        UNIT("unacknowledged lines are bounded", test_bound),
        UNIT("a stream is cut into lines whatever the pieces", test_feed),
        UNIT("XE17 a line without end comes in pieces of 8 KiB", test_endless_line),
    };
    return UNIT_RUN(tests);
}
