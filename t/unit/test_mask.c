#include "t/unit/unit.h"
#include <stdlib.h>
#include "libwh/wh_mask.h"
#include "libwh/wh_rand.h"
#include "libwh/wh_sign.h"

static wh_mask_t *mask_of(apr_pool_t *p, const char *a, const char *b)
{
    return wh_mask_make(p, (const char *const[]){a, b}, b != NULL ? 2 : 1);
}

static const char *masked(apr_pool_t *p, const wh_mask_t *m, const char *text)
{
    size_t n;

    return wh_mask_text(p, m, NULL, text, strlen(text), &n);
}

#define SECRET "p@ss w/rd+1~\"x\\"
static void test_forms(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"nothing", "nothing"},
        {"", ""},
        {"a " SECRET " b", "a *** b"},
        {SECRET SECRET, "***"},
        {SECRET " " SECRET, "*** ***"},
        {"{\"v\":\"p@ss w/rd+1~\\\"x\\\\\"}", "{\"v\":\"***\"}"},
        {"{\"v\":\"p@ss w\\/rd+1~\\\"x\\\\\"}", "{\"v\":\"***\"}"},
        {"u=p%40ss%20w%2Frd%2B1~%22x%5C&", "u=***&"}, /* encodeURIComponent */
        {"u=p%40ss%20w%2frd%2b1~%22x%5c&", "u=***&"}, /* its digits in lower case */
        {"u=p%40ss%20w/rd%2B1~%22x%5C&", "u=***&"},   /* a path */
        {"u=p%40ss+w%2Frd%2B1%7E%22x%5C&", "u=***&"}, /* a form */
        {"u=p%40ss+w%2Frd%2B1~%22x%5C&", "u=***&"},   /* Python's quote_plus */
        {"70407373207772642f7264", "70407373207772642f7264"},
    };
    apr_pool_t *p = *state;
    wh_mask_t *m = mask_of(p, SECRET, "another-one");
    const char *hex = wh_sign_hex(p, SECRET, strlen(SECRET));

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++)
        assert_string_equal(masked(p, m, rows[i].text), rows[i].want);
    assert_string_equal(masked(p, m, apr_pstrcat(p, "x", hex, "y", NULL)), "x***y");
    assert_string_equal(masked(p, m, "another-one, another-onf"), "***, another-onf");
    /* An overlap of two, and one inside another. */
    m = mask_of(p, "abcdefgh", "fghijklm");
    assert_string_equal(masked(p, m, "xabcdefghijklmx"), "x***x");
    m = mask_of(p, "abcdefghijkl", "defghi");
    assert_string_equal(masked(p, m, "xdefghix abcdefghijkl abcdefghi!"), "x***x *** abc***!");
}

/* The secret in base64 wherever it stands in what was encoded, with either alphabet. */
static void test_base64(void **state)
{
    static const char *const before[] = {"", "u", "us", "user:", "\xff\xff\xff"};
    static const char *const after[] = {"", "\n", "!!", "\xff\xff\xff"};
    static const char secret[] = "tops\xc3\xa9"
                                 "cret?>~~~>";
    apr_pool_t *p = *state;
    wh_mask_t *m = mask_of(p, secret, NULL);

    for (size_t b = 0; b < WH_ARRAY_LEN(before); b++) {
        for (size_t a = 0; a < WH_ARRAY_LEN(after); a++) {
            const char *all = apr_pstrcat(p, before[b], secret, after[a], NULL);
            char *text = wh_sign_b64url(p, all, strlen(all));
            const char *got = masked(p, m, text);

            /* What is left of it are the characters that it shares with its neighbours. */
            assert_non_null(strstr(got, "***"));
            assert_true(strlen(got) <= 3 + (strlen(before[b]) + strlen(after[a]) + 6) * 4 / 3 + 3);
            for (char *c = text; *c; c++)
                *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
            assert_non_null(strstr(masked(p, m, text), "***"));
        }
    }
}

static void test_short(void **state)
{
    apr_pool_t *p = *state;

    assert_null(mask_of(p, "12345", ""));
    assert_non_null(mask_of(p, "123456", NULL));
    assert_string_equal(masked(p, NULL, "12345"), "12345");
    assert_string_equal(masked(p, mask_of(p, "12345", "abcdef"), "12345 abcdef"), "12345 ***");
}

/* Pieces as a stream brings them, cut anywhere. */
static void test_borders(void **state)
{
    static const char secret[] = "0123456789abcdef";
    static const char text[] = "key=0123456789abcdef.";
    apr_pool_t *p = *state;
    wh_mask_t *m = mask_of(p, secret, NULL);

    for (size_t cut = 0; cut <= strlen(text); cut++) {
        wh_mask_state_t st = {0};
        size_t n, seen = 0;
        const char *a = wh_mask_text(p, m, &st, text, cut, &n);
        const char *all = apr_pstrmemdup(p, a, n);

        a = wh_mask_text(p, m, &st, text + cut, strlen(text) - cut, &n);
        all = apr_pstrcat(p, all, "\n", apr_pstrmemdup(p, a, n), NULL);
        for (const char *c = all; *c; c++)
            seen += *c >= '0' && *c <= 'f' && *c != '=' && *c != 'e';
        if (seen >= WH_MASK_MIN)
            fail_msg("cut at %d: %s", (int)cut, all);
    }
}

static void test_lines(void **state)
{
    static const char pem[] =
        "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEF\n-----END KEY-----\n";
    apr_pool_t *p = *state;
    wh_mask_t *m = mask_of(p, pem, NULL);
    const char *rows[] = {"-----BEGIN KEY-----", "MIIEvQIBADANBgkq", "hkiG9w0BAQEF",
                          "-----END KEY-----", "x hkiG9w0BAQEF y"};
    wh_mask_state_t st = {0};
    char *b64 = wh_sign_b64url(p, pem, strlen(pem));
    size_t n;

    assert_string_equal(masked(p, m, pem), "***");
    assert_string_equal(masked(p, m,
                               "a\n-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQEF\r\n"
                               "-----END KEY-----\r\nb"),
                        "a\n***\r\nb");
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++)
        assert_non_null(strstr(masked(p, m, rows[i]), "***"));
    /* base64 -w 20 */
    for (size_t at = 0; at < strlen(b64); at += 20) {
        size_t len = strlen(b64) - at < 20 ? strlen(b64) - at : 20;
        const char *got = wh_mask_text(p, m, &st, b64 + at, len, &n);

        assert_string_equal(apr_pstrmemdup(p, got, 3), "***");
        assert_true(n <= 5);
    }
}

/* A search by hand says where each form must be. */
static void test_against_search(void **state)
{
    apr_pool_t *p = *state;
    wh_rand_fake_t rnd;

    wh_rand_fake_init(&rnd, 42);
    for (int round = 0; round < 400; round++) {
        char a[12], b[9], text[200], want[201];
        apr_pool_t *sub;
        const char *got;
        size_t n, at, depth = 0;

        apr_pool_create(&sub, p);
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = (char)('a' + wh_rand_jitter(&rnd.rnd) % 2);
        memcpy(a, text + 50, 11);
        a[11] = '\0';
        memcpy(b, text + 120, 8);
        b[8] = '\0';
        memset(want, 0, sizeof(want));
        for (size_t i = 0; i < sizeof(text); i++) {
            if (i + 11 <= sizeof(text) && memcmp(text + i, a, 11) == 0)
                memset(want + i, 1, 11);
            if (i + 8 <= sizeof(text) && memcmp(text + i, b, 8) == 0)
                memset(want + i, 1, 8);
        }
        for (size_t d = 10; d >= WH_MASK_MIN && depth == 0; d--)
            if (memcmp(text + sizeof(text) - d, a, d) == 0 ||
                (d < 8 && memcmp(text + sizeof(text) - d, b, d) == 0))
                depth = d;
        memset(want + sizeof(text) - depth, 1, depth);
        got = wh_mask_text(sub, mask_of(sub, a, b), NULL, text, sizeof(text), &n);
        for (size_t i = at = 0; i < sizeof(text); i++) {
            if (!want[i]) {
                assert_int_equal(got[at++], text[i]);
            } else if (i == 0 || !want[i - 1]) {
                assert_memory_equal(got + at, "***", 3);
                at += 3;
            }
        }
        assert_int_equal(at, n);
        apr_pool_destroy(sub);
    }
}

static void test_buf(void **state)
{
    char buf[32] = "cannot take topsecret \xc3\xa4";
    wh_mask_t *m = mask_of(*state, "topsecret", NULL);

    wh_mask_buf(m, buf, sizeof(buf));
    assert_string_equal(buf, "cannot take *** \xc3\xa4");
    wh_mask_buf(NULL, buf, sizeof(buf));
    assert_string_equal(buf, "cannot take *** \xc3\xa4");
}

static void test_large(void **state)
{
    apr_pool_t *p = *state;
    char *value = apr_palloc(p, 65537), *text = apr_palloc(p, 8193);
    wh_rand_fake_t rnd;
    wh_mask_t *m;
    size_t n;

    wh_rand_fake_init(&rnd, 5);
    for (int i = 0; i < 65536; i++)
        value[i] = (char)('!' + wh_rand_jitter(&rnd.rnd) % 90);
    value[65536] = '\0';
    m = mask_of(p, value, NULL);
    wh_mask_text(p, m, NULL, value, 65536, &n);
    assert_int_equal(n, 3);
    /* The worst text for it: one byte, over and over. */
    memset(text, 'a', 8192);
    text[8192] = '\0';
    memset(value, 'a', 65536);
    m = mask_of(p, value, NULL);
    wh_mask_text(p, m, NULL, text, 8192, &n);
    assert_int_equal(n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XB5 a value as it is, in JSON, percent-encoded, in hex", test_forms),
        UNIT("XB5 a value in base64, wherever it stands in it", test_base64),
        UNIT("XB5 what is shorter than 6 bytes is not looked for", test_short),
        UNIT("XB5 over the borders of pieces at most 5 bytes are seen", test_borders),
        UNIT("XB5 values of several lines, base64 in lines", test_lines),
        UNIT("what is found is what a search by hand finds", test_against_search),
        UNIT("a text where it stands", test_buf),
        UNIT("64 KiB of value", test_large),
    };

    return UNIT_RUN(tests);
}
