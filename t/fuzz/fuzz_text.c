/* The cleaners of text from outside: whatever comes in, what goes out is bounded, well-formed and
 * without a control byte, and cleaning twice is cleaning once. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"
#include "libwh/wh_id.h"
#include "t/fuzz/fuzz.h"

static void check_clean(const char *out, size_t cap)
{
    size_t n = strlen(out);

    fuzz_must(n <= cap);
    fuzz_must(wh_text_utf8_ok(out, n));
    for (size_t i = 0; i < n; i++)
        fuzz_must(((unsigned char)out[i] >= 0x20 || out[i] == '\t') && out[i] != 0x7f);
}

static void check_line(apr_pool_t *p, const char *in, size_t n, size_t cap)
{
    char *once = wh_text_clean_line(p, in, n, cap);

    check_clean(once, cap);
    fuzz_must(strcmp(wh_text_clean_line(p, once, WH_TEXT_NUL, cap), once) == 0);
}

static void check_escape(apr_pool_t *p, const char *in, size_t n, size_t max)
{
    const char *out = wh_text_log_escape(p, in, n, max);
    char buf[64];

    fuzz_must(strlen(out) <= max);
    fuzz_must(wh_text_plain(out, WH_TEXT_NUL) && wh_text_utf8_ok(out, WH_TEXT_NUL));
    wh_text_log_escape_buf(buf, sizeof(buf), in, n);
    fuzz_must(wh_text_plain(buf, WH_TEXT_NUL) && wh_text_utf8_ok(buf, WH_TEXT_NUL));
}

static void check_cuts(apr_pool_t *p, const char *text)
{
    size_t n = strlen(text);
    int whole = wh_text_utf8_ok(text, n);
    apr_time_t when;
    char *tame = apr_pstrdup(p, text);

    for (size_t max = 0; max < 40; max++) {
        char *cut = wh_text_cap(p, text, max);
        char *middle = wh_text_cap_middle(p, text, max);

        fuzz_must(strlen(cut) <= max);
        fuzz_must(strlen(middle) <= max + strlen(WH_TEXT_CUT_MIDDLE));
        fuzz_must(!whole ||
                  (wh_text_utf8_ok(cut, WH_TEXT_NUL) && wh_text_utf8_ok(middle, WH_TEXT_NUL)));
    }
    wh_text_tame(tame);
    fuzz_must(strlen(tame) == n && wh_text_utf8_ok(tame, n) && wh_text_plain(tame, n));
    if (wh_time_parse(text, &when) == APR_SUCCESS)
        fuzz_must(strlen(wh_time_rfc3339(p, when)) == WH_TIME_RFC3339_SIZE - 1);
    fuzz_must(!wh_id_ok(text) || wh_id_time(text) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    const char *in = (const char *)data;

    check_line(p, in, n, WH_TEXT_LINE_MAX);
    check_line(p, in, n, 40);
    check_line(p, in, n, 3);
    check_escape(p, in, n, 1024);
    check_escape(p, in, n, 7);
    check_cuts(p, apr_pstrmemdup(p, in, n));
    return 0;
}
