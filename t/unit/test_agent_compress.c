#include "t/unit/unit.h"

#include <stdlib.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "libwh/wh_mime.h"
#include "wh-agent/variants.h"

static const char *text(apr_pool_t *p, size_t n)
{
    char *s = apr_palloc(p, n + 1);

    for (size_t i = 0; i < n; i++)
        s[i] = "abcdefgh \n"[(i * i / 7 + i) % 10];
    s[n] = '\0';
    return s;
}

static void test_wanted(void **state)
{
    static const char *const yes[] = {"a.html", "a.js",   "a.css", "a.json", "a.svg",
                                      "a.xml",  "a.wasm", "a.ttf", "a.ico",  "a.webmanifest"};
    static const char *const no[] = {"a.png", "a.woff2", "a.zip", "a.mp4", "a.gz", "a"};

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(yes); i++)
        assert_true(wh_compress_wanted(wh_mime_type(yes[i]), 1000));
    for (size_t i = 0; i < WH_ARRAY_LEN(no); i++)
        assert_false(wh_compress_wanted(wh_mime_type(no[i]), 1000));
    assert_true(wh_compress_wanted("text/html", 256));
    assert_false(wh_compress_wanted("text/html", 255));
    assert_true(wh_compress_wanted("text/html", WH_COMPRESS_MAX));
    assert_false(wh_compress_wanted("text/html", WH_COMPRESS_MAX + 1));
}

static void test_tiers(void **state)
{
    (void)state;
    assert_int_equal(wh_compress_tier(4096, 0), WH_COMPRESS_BEST);
    assert_int_equal(wh_compress_tier(WH_COMPRESS_SMALL, 0), WH_COMPRESS_BEST);
    assert_int_equal(wh_compress_tier(WH_COMPRESS_SMALL + 1, 0), WH_COMPRESS_GOOD);
    assert_int_equal(wh_compress_tier(4096, WH_COMPRESS_BEST_US), WH_COMPRESS_GOOD);
    assert_int_equal(wh_compress_tier(4096, WH_COMPRESS_GOOD_US), WH_COMPRESS_FAST);
    assert_int_equal(wh_compress_tier(4096, WH_COMPRESS_FAST_US), WH_COMPRESS_TIERS);
}

/* What came out is the same content again, and the same bytes the next time. */
static void test_round(void **state)
{
    apr_pool_t *p = *state;
    size_t n = 20000;
    const char *in = text(p, n);
    char *back = apr_palloc(p, n);

    for (int tier = 0; tier < WH_COMPRESS_TIERS; tier++) {
        for (int c = 0; c < WH_CODINGS; c++) {
            char *out = NULL, *same = NULL;
            size_t out_n = 0, same_n = 0;

            assert_int_equal(
                wh_compress((wh_coding_e)c, (wh_compress_tier_e)tier, in, n, &out, &out_n),
                APR_SUCCESS);
            assert_int_equal(
                wh_compress((wh_coding_e)c, (wh_compress_tier_e)tier, in, n, &same, &same_n),
                APR_SUCCESS);
            assert_int_equal(out_n, same_n);
            assert_memory_equal(out, same, out_n);
            assert_true(out_n < n - n / 10);
            memset(back, 0, n);
            if (c == WH_CODING_ZSTD) {
                assert_int_equal(ZSTD_decompress(back, n, out, out_n), n);
                assert_memory_equal(back, in, n);
            } else if (c == WH_CODING_GZIP) {
                z_stream z = {.next_in = (unsigned char *)out,
                              .avail_in = (unsigned)out_n,
                              .next_out = (unsigned char *)back,
                              .avail_out = (unsigned)n};

                assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
                assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
                (void)inflateEnd(&z);
                assert_memory_equal(back, in, n);
                assert_int_equal(out[4] | out[5] | out[6] | out[7], 0); /* no time in it */
            }
            free(out);
            free(same);
        }
    }
}

static void test_not_worth(void **state)
{
    apr_pool_t *p = *state;
    char *noise = apr_palloc(p, 4096), *out;
    size_t n;
    unsigned x = 12345;

    for (int i = 0; i < 4096; i++) {
        x = x * 1103515245 + 12345;
        noise[i] = (char)(x >> 16);
    }
    for (int c = 0; c < WH_CODINGS; c++) {
        assert_int_equal(wh_compress((wh_coding_e)c, WH_COMPRESS_BEST, noise, 4096, &out, &n),
                         APR_NOTFOUND);
        assert_int_equal(wh_compress((wh_coding_e)c, WH_COMPRESS_BEST, "abc", 3, &out, &n),
                         APR_NOTFOUND);
        assert_int_equal(
            wh_compress((wh_coding_e)c, WH_COMPRESS_TIERS, text(p, 4096), 4096, &out, &n),
            APR_NOTFOUND);
    }
    assert_true(wh_compress_hopeless(4096, 0));
    assert_false(wh_compress_hopeless(4095, 0)); /* brotli knows words that gzip does not */
    assert_false(wh_compress_hopeless(WH_COMPRESS_MAX, 1));
}

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static void write_text(const char *path, const char *mode, const char *bytes)
{
    FILE *f = fopen(path, mode);

    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
}

static void test_cache(void **state)
{
    apr_pool_t *p = *state;
    const char *path = apr_psprintf(p, "%s/wh-variants-%d", getenv("TMPDIR") ?: "/tmp", getpid());
    wh_variants_entry_t some = {.tier = WH_COMPRESS_GOOD, .any = 1}, none = {0};
    wh_variants_t *v = wh_variants_open(p, path);
    const wh_variants_entry_t *got;

    memcpy(some.of[WH_CODING_BR].sha256, C, 65);
    some.of[WH_CODING_BR].size = 77;
    assert_null(wh_variants_find(v, A));
    wh_variants_add(v, A, &some);
    wh_variants_add(v, B, &none);
    assert_non_null(wh_variants_find(v, A));
    wh_variants_save(v);
    v = wh_variants_open(p, path);
    got = wh_variants_find(v, A);
    assert_non_null(got);
    assert_int_equal(got->tier, WH_COMPRESS_GOOD);
    assert_true(got->any);
    assert_string_equal(got->of[WH_CODING_BR].sha256, C);
    assert_int_equal(got->of[WH_CODING_BR].size, 77);
    assert_int_equal(got->of[WH_CODING_GZIP].size, 0);
    got = wh_variants_find(v, B);
    assert_non_null(got); /* it is known that there is none */
    assert_false(got->any);

    /* What is damaged is passed over; half a line makes the next save begin anew. */
    write_text(path, "a",
               "nonsense\n" C " 9\n" C " 0 br x 5\n" C " 0 xz " A " 5\n" C " 0 br " A " 0\n" C
               " 0 br");
    v = wh_variants_open(p, path);
    assert_null(wh_variants_find(v, C));
    assert_non_null(wh_variants_find(v, A));
    wh_variants_add(v, C, &none);
    wh_variants_save(v);
    v = wh_variants_open(p, path);
    assert_non_null(wh_variants_find(v, C));

    /* Other libraries make other bytes. */
    write_text(path, "w", "wisehost-variants 1 brotli-1,zstd-1,zlib-1\n" A " 0\n");
    v = wh_variants_open(p, path);
    assert_null(wh_variants_find(v, A));
    wh_variants_forget(v);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("what is compressed: by type, and neither too small nor too large", test_wanted),
        UNIT("few files get the best there is, and there is an end", test_tiers),
        UNIT("it comes back as it was, and the same bytes come out again", test_round),
        UNIT("what would not get a tenth smaller is left, and not tried thrice", test_not_worth),
        UNIT("what is known is kept, what is damaged is passed over", test_cache),
    };
    return UNIT_RUN(tests);
}
