#include "t/unit/unit.h"
#include "libwh/wh_text.h"

static void assert_clean(void **state, const char *in, const char *want)
{
    assert_string_equal(wh_text_clean_line(*state, in, WH_TEXT_NUL, WH_TEXT_LINE_MAX), want);
}

static void test_ansi(void **state)
{
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"\x1b[31mred\x1b[0m", "red"},
        {"\x1b[38;5;196mx\x1b[1;2;3;4m", "x"},
        {"\x1b[2J\x1b[H\x1b[?25lx", "x"},
        {"\x1b[1 qx", "x"},
        {"\x1b]0;title\x07x", "x"},
        {"\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"},
        {"\x1bP1$qm\x1b\\x\x1b_apc\x1b\\y\x1b^pm\x1b\\z\x1bXsos\x1b\\", "xyz"},
        {"\033(B\033=\033>\0337\0338\033cx", "x"},
        {"\xc2\x9b"
         "31mx\xc2\x9d"
         "0;t\xc2\x9cy",
         "xy"},
        {"\xc2\x85\xc2\x80x", "x"},
        {"a\x1b", "a"},
        {"a\x1b[", "a"},
        {"a\x1b[31", "a"},
        {"a\x1b\x1b[31mb", "ab"},
        {"a\x1b[3\x01m", "am"},
        {"a\x1b\xc3\xa9", "a\xc3\xa9"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(pairs); i++)
        assert_clean(state, pairs[i][0], pairs[i][1]);
}

/* A control string without an end loses its introducer only, or it would hide what follows. */
static void test_unterminated(void **state)
{
    size_t n = 2 * 200000;
    char *many = apr_palloc(*state, n + 1);

    assert_clean(state, "a\x1b]0;hidden", "a0;hidden");
    assert_clean(state,
                 "\x1bPa\x1b]b\xc2\x9d"
                 "c",
                 "abc");
    for (size_t i = 0; i < n; i += 2)
        memcpy(many + i, "\x1b]", 2);
    many[n] = '\0';
    assert_clean(state, many, "");
}

static void test_controls(void **state)
{
    assert_string_equal(wh_text_clean_line(*state, "a\0b\0", 4, 100), "ab");
    assert_clean(state,
                 "a\tb\x01\x08\x0b\x0c\x7f"
                 "c",
                 "a\tbc");
    assert_clean(state, "line\r\n", "line");
    assert_clean(state, "line\n", "line");
    assert_clean(state, "10%\r20%\r100%", "10% 20% 100%");
    assert_clean(state, "a\r\n\r\nb", "a b");
    assert_clean(state, "", "");
    assert_clean(state, "\r\n", "");
}

#define FFFD "\xef\xbf\xbd"
static void test_utf8_repair(void **state)
{
    static const char *const pairs[][2] = {
        {"\xff", FFFD},
        {"a\x80z", "a" FFFD "z"},
        {"\xc3", FFFD},
        {"\xc0\xaf", FFFD FFFD},                   /* overlong slash */
        {"\xe0\x80\xaf", FFFD FFFD FFFD},          /* the same in three */
        {"\xed\xa0\x80", FFFD FFFD FFFD},          /* surrogate */
        {"\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD}, /* above U+10FFFF */
        {"\xe2\x82", FFFD FFFD},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\xc3\x1b[31m\xa9", FFFD FFFD},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(pairs); i++)
        assert_clean(state, pairs[i][0], pairs[i][1]);
}

static void test_cap(void **state)
{
    char *big = apr_palloc(*state, 20001);
    char *out;

    memset(big, 'x', 20000);
    big[20000] = '\0';
    out = wh_text_clean_line(*state, big, 8192, WH_TEXT_LINE_MAX);
    assert_int_equal(strlen(out), 8192);
    assert_null(strstr(out, WH_TEXT_CUT));
    out = wh_text_clean_line(*state, big, 8193, WH_TEXT_LINE_MAX);
    assert_int_equal(strlen(out), 8192);
    assert_string_equal(out + 8192 - strlen(WH_TEXT_CUT), WH_TEXT_CUT);
    assert_string_equal(wh_text_clean_line(*state, "abcdef", 6, 3), "abc");
    assert_string_equal(wh_text_clean_line(*state, "abcdef", 6, 0), "");
    /* Bytes that are taken out do not count. */
    assert_string_equal(wh_text_clean_line(*state, "\x1b[31mabc\x1b[0m", WH_TEXT_NUL, 3), "abc");
}

static void test_cap_utf8(void **state)
{
    char *euros = apr_palloc(*state, 30001);

    for (size_t i = 0; i < 30000; i += 3)
        memcpy(euros + i, "\xe2\x82\xac", 3);
    euros[30000] = '\0';
    for (size_t cap = 0; cap < 100; cap++) {
        char *line = wh_text_clean_line(*state, euros, 30000, cap);
        char *cut = wh_text_cap(*state, euros, cap);
        char *middle = wh_text_cap_middle(*state, euros, cap);

        assert_true(strlen(line) <= cap && wh_text_utf8_ok(line, WH_TEXT_NUL));
        assert_true(strlen(cut) == cap - cap % 3 && wh_text_utf8_ok(cut, WH_TEXT_NUL));
        assert_true(wh_text_utf8_ok(middle, WH_TEXT_NUL));
        assert_non_null(strstr(middle, WH_TEXT_CUT_MIDDLE));
        assert_true(strlen(middle) <= cap + strlen(WH_TEXT_CUT_MIDDLE));
    }
}

static void test_middle(void **state)
{
    assert_string_equal(wh_text_cap_middle(*state, "0123456789", 10), "0123456789");
    assert_string_equal(wh_text_cap_middle(*state, "0123456789a", 10),
                        "01234...[truncated]...6789a");
    assert_string_equal(wh_text_cap_middle(*state, "0123456789", 0), "...[truncated]...");
    assert_string_equal(wh_text_cap_middle(*state, "", 10), "");
}

static void test_escape(void **state)
{
    assert_string_equal(wh_text_log_escape(*state, "a\nb\x1b\x7f\\\xff", WH_TEXT_NUL, 100),
                        "a\\x0ab\\x1b\\x7f\\\\\\xff");
    assert_string_equal(wh_text_log_escape(*state, "\xc3\xa9\xc2\x9b", WH_TEXT_NUL, 100),
                        "\xc3\xa9\\xc2\\x9b");
    assert_string_equal(wh_text_log_escape(*state, "a\0b", 3, 100), "a\\x00b");
    assert_string_equal(wh_text_log_escape(*state, "ab\n", WH_TEXT_NUL, 5), "ab");
    assert_string_equal(wh_text_log_escape(*state, "ab\n", WH_TEXT_NUL, 6), "ab\\x0a");
    assert_string_equal(wh_text_log_escape(*state, "abc", WH_TEXT_NUL, 0), "");
}

static void test_utf8_ok(void **state)
{
    (void)state;
    assert_true(wh_text_utf8_ok("", 0));
    assert_true(wh_text_utf8_ok("\xed\x9f\xbf\xee\x80\x80", 6));
    assert_true(wh_text_utf8_ok("\xf4\x8f\xbf\xbf", 4));
    assert_true(wh_text_utf8_ok("\xc2\x80\xdf\xbf\xe0\xa0\x80\xf0\x90\x80\x80", 11));
    assert_false(wh_text_utf8_ok("\xf4\x8f\xbf", 3));
    assert_false(wh_text_utf8_ok("\xc1\xbf", 2));
    assert_false(wh_text_utf8_ok("\xf0\x8f\xbf\xbf", 4));
    assert_false(wh_text_utf8_ok("\xf5\x80\x80\x80", 4));
    assert_false(wh_text_utf8_ok("\xed\xbf\xbf", 3));
    assert_false(wh_text_utf8_ok("\xfe\xff", 2));
    assert_true(wh_text_plain("a\xc2\xa0z", WH_TEXT_NUL));
    assert_false(wh_text_plain("a\xc2\x9fz", WH_TEXT_NUL));
    assert_false(wh_text_plain("a\tz", WH_TEXT_NUL));
    assert_false(wh_text_plain("a\0z", 3));
}

static void test_small(void **state)
{
    assert_string_equal(wh_text_short_sha(*state, "0123456789abcdef"), "0123456");
    assert_string_equal(wh_text_short_sha(*state, "012"), "012");
    assert_string_equal(wh_text_short_sha(*state, NULL), "");
    assert_string_equal(wh_text_first_line(*state, "fix: it\n\nlong story"), "fix: it");
    assert_string_equal(wh_text_first_line(*state, "fix\r\nx"), "fix");
    assert_string_equal(wh_text_first_line(*state, "one"), "one");
    assert_string_equal(wh_text_first_line(*state, ""), "");
    assert_string_equal(wh_text_mask(*state, "wh_0123456789abcdef0123456789"), "wh_012***");
    assert_string_equal(wh_text_mask(*state, "short"), "***");
    assert_string_equal(wh_text_mask(*state, NULL), "***");
}

static void test_honest(void **state)
{
    static const char *const hidden[] = {
        "bl\xe2\x80\x8bog", /* U+200B zero width space */
        "a\xe2\x80\x8f",    /* U+200F right-to-left mark */
        "\xe2\x80\xaa"
        "a", /* U+202A */
        "a\xe2\x80\xae"
        "b",             /* U+202E right-to-left override */
        "a\xe2\x81\xa6", /* U+2066 */
        "a\xe2\x81\xa9"
        "b", /* U+2069 */
        "\xef\xbb\xbf"
        "a", /* U+FEFF */
        "a\nb",
        "a\x7f",
        "a\xc2\x9fz",
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(hidden); i++)
        assert_false(wh_text_honest(hidden[i], WH_TEXT_NUL));
    assert_true(wh_text_honest("", 0));
    assert_true(
        wh_text_honest("caf\xc3\xa9 \xe2\x80\x90 \xe2\x81\xa5 \xf0\x9f\x98\x80", WH_TEXT_NUL));
    assert_true(wh_text_honest("\xe2\x80\xa9\xef\xbb\xbe", WH_TEXT_NUL));
}

static void test_number(void **state)
{
    static const char *const wrong[] = {
        "", "-", " 1", "1 ", "+1", "0x1", "1a", "--1", "9223372036854775808", "11", "-6",
    };
    apr_int64_t n = 77;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(wrong); i++)
        assert_false(wh_text_number(wrong[i], -5, 10, &n));
    assert_int_equal(n, 77);
    assert_true(wh_text_number("-5", -5, 10, &n));
    assert_int_equal(n, -5);
    assert_true(wh_text_number("0010", -5, 10, &n));
    assert_int_equal(n, 10);
    assert_true(wh_text_number("9223372036854775807", 0, APR_INT64_MAX, &n));
    assert_true(n == APR_INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F5 F92 ANSI escape sequences of all kinds are taken out", test_ansi),
        UNIT("F92 a control string without end hides nothing and costs nothing", test_unterminated),
        UNIT("F6 F92 NUL and other control bytes are taken out", test_controls),
        UNIT("bytes that are not UTF-8 become U+FFFD", test_utf8_repair),
        UNIT("F7 F93 a line is capped to 8 KiB and marked", test_cap),
        UNIT("F93 F105 R13 no cut splits a UTF-8 sequence", test_cap_utf8),
        UNIT("F105 first and last max/2 bytes with the marker between", test_middle),
        UNIT("log text is escaped, never cut inside an escape", test_escape),
        UNIT("UTF-8 is what the Unicode standard says", test_utf8_ok),
        UNIT("names hide nothing and turn nothing around", test_honest),
        UNIT("a number is digits and nothing else, within its limits", test_number),
        UNIT("F177 F178 short ids, first lines, masked secrets", test_small),
    };

    return UNIT_RUN(tests);
}
