#include "t/unit/unit.h"
#include "libwh/wh_secret.h"
#include "libwh/wh_sign.h"

/* The GCM specification of McGrew and Viega (as submitted to NIST), appendix B: test cases 13 to
 * 16, those with a key of 256 bits and a nonce of 96. */
#define K "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define P60                                                                                        \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define C60                                                                                        \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                             \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
static const struct {
    const char *key, *nonce, *aad, *in, *out, *tag;
} gcm[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {K, "cafebabefacedbaddecaf888", "", P60 "1aafd255", C60 "898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {K, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", P60, C60,
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static wh_secret_bytes_t bytes(apr_pool_t *p, const char *hex)
{
    size_t n = strlen(hex);
    unsigned char *out = apr_palloc(p, n / 2 + 1);

    assert_int_equal(wh_sign_unhex(hex, n, out), 0);
    return (wh_secret_bytes_t){out, n / 2};
}

static void test_vectors(void **state)
{
    apr_pool_t *p = *state;

    for (size_t i = 0; i < WH_ARRAY_LEN(gcm); i++) {
        wh_secret_bytes_t key = bytes(p, gcm[i].key), nonce = bytes(p, gcm[i].nonce);
        wh_secret_bytes_t aad = bytes(p, gcm[i].aad), in = bytes(p, gcm[i].in);
        unsigned char out[128], back[128];
        wh_secret_bytes_t sealed = {out, in.n + WH_SECRET_TAG_LEN};

        wh_secret_encrypt(key.at, nonce.at, aad, in, out);
        assert_string_equal(wh_sign_hex(p, out, sealed.n),
                            apr_pstrcat(p, gcm[i].out, gcm[i].tag, NULL));
        assert_int_equal(wh_secret_decrypt(key.at, nonce.at, aad, sealed, back), 0);
        assert_memory_equal(back, in.at, in.n);
        for (size_t bit = 0; bit < sealed.n * 8; bit++) {
            out[bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_int_equal(wh_secret_decrypt(key.at, nonce.at, aad, sealed, back), -1);
            out[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        for (sealed.n = 0; sealed.n < in.n + WH_SECRET_TAG_LEN; sealed.n++)
            assert_int_equal(wh_secret_decrypt(key.at, nonce.at, aad, sealed, back), -1);
    }
}

static const unsigned char root[WH_KEY_LEN] = "0123456789abcdefghijklmnopqrstu";

static const char *seal(apr_pool_t *p, const wh_secret_ring_t *ring, const wh_rand_t *rnd,
                        const char *a, const char *b, const char *text)
{
    wh_secret_for_t what = {"test", (const char *const[]){a, b}, 2};
    const char *sealed = NULL;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(
        wh_secret_seal(p, ring, rnd, &what, (wh_secret_bytes_t){text, strlen(text)}, &sealed, &err),
        &err);
    return sealed;
}

static const char *try_open(apr_pool_t *p, const wh_secret_ring_t *ring, apr_int64_t key,
                            const wh_secret_for_t *what, const char *sealed)
{
    wh_secret_bytes_t text = {"", 0};
    static wh_err_t err;

    wh_err_clear(&err);
    return wh_secret_open(p, ring, key, what, sealed, &text, &err) == APR_SUCCESS ? text.at
                                                                                  : err.code;
}

static void test_bound(void **state)
{
    apr_pool_t *p = *state;
    wh_secret_ring_t ring = {.id = 3, .root = root};
    wh_rand_fake_t rnd;
    wh_secret_for_t ab = {"test", (const char *const[]){"a", "bc"}, 2},
                    other[] = {{"test", (const char *const[]){"ab", "c"}, 2},
                               {"test", (const char *const[]){"a", "bd"}, 2},
                               {"test", (const char *const[]){"a"}, 1},
                               {"best", (const char *const[]){"a", "bc"}, 2}};
    const char *sealed, *again;

    wh_rand_fake_init(&rnd, 1);
    sealed = seal(p, &ring, &rnd.rnd, "a", "bc", "hunter2hunter2");
    again = seal(p, &ring, &rnd.rnd, "a", "bc", "hunter2hunter2");
    assert_string_not_equal(sealed, again);
    assert_null(strstr(sealed, "hunter2"));
    assert_string_equal(try_open(p, &ring, 3, &ab, sealed), "hunter2hunter2");
    assert_string_equal(try_open(p, &ring, 3, &ab, again), "hunter2hunter2");
    assert_string_equal(try_open(p, &ring, 3, &ab, seal(p, &ring, &rnd.rnd, "a", "bc", "")), "");
    for (size_t i = 0; i < WH_ARRAY_LEN(other); i++)
        assert_string_equal(try_open(p, &ring, 3, &other[i], sealed), "secret_broken");
    assert_string_equal(try_open(p, &ring, 2, &ab, sealed), "secret_broken");
    assert_string_equal(try_open(p, &ring, 4, &ab, sealed), "secret_broken");
    assert_string_equal(try_open(p, &ring, 0, &ab, sealed), "secret_key");
    for (const char *const *bad = (const char *const[]){"", "A", "!!", "AAAA", NULL}; *bad; bad++)
        assert_string_equal(try_open(p, &ring, 3, &ab, *bad), "secret_broken");
}

static void test_ring(void **state)
{
    apr_pool_t *p = *state;
    wh_secret_for_t ab = {"test", (const char *const[]){"a", "b"}, 2};
    wh_secret_ring_t old = {.id = 1, .root = root}, now = {.id = 2, .root = root}, module, later;
    wh_keys_t keys, newer;
    wh_rand_fake_t rnd;
    const char *first, *second;

    wh_rand_fake_init(&rnd, 7);
    wh_keys_derive(root, &keys);
    module = wh_secret_ring(&keys);
    first = seal(p, &module, &rnd.rnd, "a", "b", "by the module's first key");
    assert_string_equal(try_open(p, &old, 1, &ab, first), "by the module's first key");
    second = seal(p, &now, &rnd.rnd, "a", "b", "by the second");
    assert_string_equal(try_open(p, &module, 2, &ab, second), "secret_key");
    assert_string_equal(try_open(p, &now, 1, &ab, first), "by the module's first key");
    wh_keys_env_derive(root, 2, &keys);
    module = wh_secret_ring(&keys);
    assert_int_equal(module.id, 2);
    assert_string_equal(try_open(p, &module, 1, &ab, first), "by the module's first key");
    assert_string_equal(try_open(p, &module, 2, &ab, second), "by the second");
    wh_keys_env_derive(root, 3, &newer);
    later = wh_secret_ring(&newer);
    assert_string_equal(try_open(p, &later, 1, &ab, first), "secret_key");
}

static void test_no_random(void **state)
{
    wh_secret_ring_t ring = {.id = 1, .root = root};
    wh_secret_for_t what = {"test", NULL, 0};
    const char *sealed = "kept";
    wh_err_t err = WH_ERR_INIT;
    wh_rand_fake_t rnd;

    wh_rand_fake_init(&rnd, 1);
    rnd.fail_after = 0;
    assert_code(
        wh_secret_seal(*state, &ring, &rnd.rnd, &what, (wh_secret_bytes_t){"x", 1}, &sealed, &err),
        &err, "no_random");
    assert_string_equal(sealed, "kept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F297 AES-256-GCM gives the published vectors, and no changed bit opens",
             test_vectors),
        UNIT("F226 a sealed value opens for what it belongs to and nothing else", test_bound),
        UNIT("F226 keys have numbers: the module has two, the scheduler all", test_ring),
        UNIT("without random numbers nothing is sealed", test_no_random),
    };

    return UNIT_RUN(tests);
}
