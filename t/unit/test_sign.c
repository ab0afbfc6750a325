#include "t/unit/unit.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include "libwh/wh_sign.h"

static void assert_hex(const unsigned char *buf, size_t n, const char *want)
{
    char hex[512];

    wh_sign_hex_buf(hex, buf, n);
    assert_string_equal(hex, want);
}

static void test_sha256(void **state)
{
    unsigned char sum[WH_SHA256_LEN];
    wh_sign_ctx_t *ctx;

    wh_sign_sha256("abc", 3, sum);
    assert_hex(sum, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    wh_sign_sha256("", 0, sum);
    assert_hex(sum, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ctx = wh_sign_sha256_begin(*state);
    wh_sign_add(ctx, "a", 1);
    wh_sign_add(ctx, NULL, 0);
    wh_sign_add(ctx, "bc", 2);
    wh_sign_end(ctx, sum);
    assert_hex(sum, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(wh_sign_sha256_hex(*state, "abc", 3),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231: a byte repeated, or a text, as key and data. */
static const struct {
    int key_byte;
    size_t key_len;
    const char *key;
    int data_byte;
    size_t data_len;
    const char *data;
    const char *mac;
} rfc4231[] = {
    {0x0b, 20, NULL, 0, 8, "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 4, "Jefe", 0, 28, "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0xaa, 131, NULL, 0, 54, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL, 0, 152,
     "This is a test using a larger than block-size key and a larger than block-size data. The key "
     "needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static void test_hmac(void **state)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(rfc4231); i++) {
        unsigned char key[131], data[152], mac[WH_SHA256_LEN];
        size_t klen = rfc4231[i].key_len, dlen = rfc4231[i].data_len;
        wh_sign_ctx_t *ctx;

        memset(key, rfc4231[i].key_byte, sizeof(key));
        memset(data, rfc4231[i].data_byte, sizeof(data));
        if (rfc4231[i].key != NULL)
            memcpy(key, rfc4231[i].key, klen);
        if (rfc4231[i].data != NULL)
            memcpy(data, rfc4231[i].data, dlen);
        wh_sign_hmac(key, klen, data, dlen, mac);
        assert_hex(mac, 32, rfc4231[i].mac);
        ctx = wh_sign_hmac_begin(*state, key, klen);
        for (size_t at = 0; at < dlen; at += 7)
            wh_sign_hmac_add(ctx, data + at, dlen - at < 7 ? dlen - at : 7);
        wh_sign_hmac_end(ctx, mac);
        assert_hex(mac, 32, rfc4231[i].mac);
    }
}

/* The same by libcrypto's own implementation. */
static void reference_hkdf(const void *ikm, size_t n, const char *info, unsigned char *out,
                           size_t outlen)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)ikm, n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info,
                                          strlen(info)),
        OSSL_PARAM_construct_end(),
    };

    assert_int_equal(EVP_KDF_derive(ctx, out, outlen, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void test_hkdf(void **state)
{
    unsigned char ikm[22], out[100], want[100];

    (void)state;
    /* RFC 5869, test case 3: no salt, no info. */
    memset(ikm, 0x0b, sizeof(ikm));
    assert_int_equal(wh_sign_hkdf(ikm, sizeof(ikm), "", out, 42), APR_SUCCESS);
    assert_hex(out, 42,
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
               "9d201395faa4b61a96c8");
    for (size_t n = 1; n <= sizeof(out); n++) {
        assert_int_equal(wh_sign_hkdf(ikm, sizeof(ikm), "wisehost-webhook-v1", out, n),
                         APR_SUCCESS);
        reference_hkdf(ikm, sizeof(ikm), "wisehost-webhook-v1", want, n);
        assert_memory_equal(out, want, n);
    }
    assert_int_equal(wh_sign_hkdf(ikm, sizeof(ikm), "x", out, 0), APR_EINVAL);
    assert_int_equal(wh_sign_hkdf(ikm, sizeof(ikm), "x", out, 255 * 32 + 1), APR_EINVAL);
}

static void test_hex(void **state)
{
    unsigned char buf[8];

    assert_string_equal(wh_sign_hex(*state, "\x00\x7f\xff", 3), "007fff");
    assert_int_equal(wh_sign_unhex("00aBfF", 6, buf), 0);
    assert_memory_equal(buf, "\x00\xab\xff", 3);
    assert_int_equal(wh_sign_unhex("", 0, buf), 0);
    assert_int_equal(wh_sign_unhex("abc", 3, buf), -1);
    assert_int_equal(wh_sign_unhex("0x", 2, buf), -1);
    assert_int_equal(wh_sign_unhex("g0", 2, buf), -1);
    assert_int_equal(wh_sign_unhex(" 0", 2, buf), -1);
    assert_true(wh_sign_is_hex("00ab", 4));
    assert_false(wh_sign_is_hex("00aB", 4));
    assert_false(wh_sign_is_hex("00ab0", 4));
    assert_false(wh_sign_is_hex("00a", 4));
    assert_false(wh_sign_is_hex(NULL, 4));
}

static void test_b64url(void **state)
{
    static const char *const pairs[][2] = {
        /* RFC 4648 §10, without padding */
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"}};
    static const char *const bad[] = {"Zg==", "Zg=",   "Z",  "Zm9vY", "Zm9+",       "Zm9/",
                                      "Zm 9", "Zm9\n", "Zh", "Zm9",   "Zm\xc3\xa9", "Zm9v."};
    unsigned char *out;
    size_t n;

    for (size_t i = 0; i < WH_ARRAY_LEN(pairs); i++) {
        const char *text = pairs[i][1];

        assert_string_equal(wh_sign_b64url(*state, pairs[i][0], strlen(pairs[i][0])), text);
        assert_int_equal(wh_sign_unb64url(*state, text, strlen(text), &out, &n), 0);
        assert_int_equal(n, strlen(pairs[i][0]));
        assert_memory_equal(out, pairs[i][0], n + 1);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_int_equal(wh_sign_unb64url(*state, bad[i], strlen(bad[i]), &out, &n), -1);
    assert_int_equal(wh_sign_unb64url(*state, "Zm\0v", 4, &out, &n), -1);
}

static void test_equal(void **state)
{
    char secret[8] = "secret";

    (void)state;
    assert_true(wh_sign_equal("abcd", "abcd", 4));
    assert_false(wh_sign_equal("abcd", "abce", 4));
    assert_true(wh_sign_equal("x", "y", 0));
    wh_sign_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, "\0\0\0\0\0\0\0\0", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("SHA-256 whole and in pieces", test_sha256),
        UNIT("HMAC-SHA256 by the vectors of RFC 4231, whole and in pieces", test_hmac),
        UNIT("F128 HKDF-SHA256 by RFC 5869 and like libcrypto's own", test_hkdf),
        UNIT("hex is read strictly", test_hex),
        UNIT("F129 base64url without padding has one spelling only", test_b64url),
        UNIT("secrets are compared and wiped", test_equal),
    };

    return UNIT_RUN(tests);
}
