#include "t/unit/unit.h"
#include "libwh/wh_jwt.h"
#include "libwh/wh_sign.h"

#define NOW_S INT64_C(1767225600)
#define NOW apr_time_from_sec(NOW_S)
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define KEY_HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define JTI "00112233445566778899aabb"

static const unsigned char key[WH_KEY_LEN] = "an example key, of 32 bytes.....";

/* A token of any header and payload, signed rightly. */
static const char *token_of(apr_pool_t *p, const char *header, const char *payload)
{
    unsigned char mac[WH_SHA256_LEN];
    char *text = apr_pstrcat(p, wh_sign_b64url(p, header, strlen(header)), ".",
                             wh_sign_b64url(p, payload, strlen(payload)), NULL);

    wh_sign_hmac(key, sizeof(key), text, strlen(text), mac);
    return apr_pstrcat(p, text, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL);
}

static const char *payload_of(apr_pool_t *p, const char *sub, const char *iat, const char *exp)
{
    return apr_psprintf(p, "{\"sub\":%s,\"key_hash\":\"%s\",\"iat\":%s,\"exp\":%s,\"jti\":\"%s\"}",
                        sub, KEY_HASH, iat, exp, JTI);
}

static wh_jwt_claims_t usual(void)
{
    wh_jwt_claims_t c = {
        .sub = 7, .key_hash = KEY_HASH, .iat = NOW_S, .exp = NOW_S + 900, .jti = JTI};

    return c;
}

static void assert_refused(apr_pool_t *p, const char *token, const char *code)
{
    wh_jwt_claims_t c = {.sub = 99};
    wh_err_t err = WH_ERR_INIT;

    assert_int_not_equal(wh_jwt_verify(p, key, token, NOW, &c, &err), APR_SUCCESS);
    assert_string_equal(err.code, code);
    assert_int_equal(err.http, 401);
    assert_int_equal(c.sub, 99);
}

static void test_constants(void **state)
{
    (void)state;
    assert_int_equal(WH_JWT_TTL_S, 15 * 60);
    assert_int_equal(WH_JWT_SKEW_S, 2 * 60);
    assert_int_equal(WH_KEY_LEN, 32);
    assert_int_equal(WH_JWT_JTI_BYTES, 12);
    assert_false(wh_jwt_refresh_due(NOW_S + 121, NOW));
    assert_true(wh_jwt_refresh_due(NOW_S + 120, NOW));
    assert_true(wh_jwt_refresh_due(0, NOW));
}

static void test_shape(void **state)
{
    unsigned char key_sha256[WH_KEY_LEN], again[WH_SHA256_LEN];
    wh_rand_fake_t fake;
    wh_jwt_claims_t c;
    char want[65];
    const char *token;

    wh_sign_sha256("the api key", 11, key_sha256);
    wh_sign_sha256(key_sha256, sizeof(key_sha256), again);
    wh_sign_hex_buf(want, again, sizeof(again));
    wh_rand_fake_init(&fake, 5);
    assert_int_equal(wh_jwt_claims_make(&c, 7, key_sha256, NOW + 999999, &fake.rnd), APR_SUCCESS);
    assert_string_equal(c.key_hash, want);
    assert_int_equal(strlen(c.jti), 24);
    assert_int_equal(c.iat, NOW_S);
    assert_int_equal(c.exp, NOW_S + 900);
    c = usual();
    token = wh_jwt_mint(*state, key, &c);
    assert_string_equal(
        token, token_of(*state, HEADER, payload_of(*state, "7", "1767225600", "1767226500")));
    assert_memory_equal(token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", 37);
    assert_null(strpbrk(token, "=+/"));
    fake.fail_after = 0;
    assert_int_not_equal(wh_jwt_claims_make(&c, 7, key_sha256, NOW, &fake.rnd), APR_SUCCESS);
}

static void test_round(void **state)
{
    wh_jwt_claims_t c = usual(), out = {.sub = 0};
    const char *token = wh_jwt_mint(*state, key, &c);
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_jwt_verify(*state, key, token, NOW, &out, &err), &err);
    assert_int_equal(out.sub, 7);
    assert_string_equal(out.key_hash, KEY_HASH);
    assert_string_equal(out.jti, JTI);
    /* The last microsecond is good, the end itself is not. */
    assert_ok(wh_jwt_verify(*state, key, token, NOW + apr_time_from_sec(900) - 1, &out, &err),
              &err);
    assert_code(wh_jwt_verify(*state, key, token, NOW + apr_time_from_sec(900), &out, &err), &err,
                "token_expired");
    assert_ok(wh_jwt_verify(*state, key, token, NOW - apr_time_from_sec(60), &out, &err), &err);
    assert_code(wh_jwt_verify(*state, key, token, NOW - apr_time_from_sec(61), &out, &err), &err,
                "clock_skew");
}

static void test_headers(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"typ\":\"JWT\"}",
        "{\"alg\":\"None\",\"typ\":\"JWT\"}",
        "{\"alg\":\"nOnE\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS384\",\"typ\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"hs256\",\"typ\":\"JWT\"}",
        "{\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\"}",
        "{\"typ\":\"JWT\",\"alg\":\"HS256\"}",
        "{\"alg\": \"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"../../etc/passwd\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}",
        "",
        "{}",
        "null",
    };
    const char *payload = payload_of(*state, "7", "1767225600", "1767226500");

    for (size_t i = 0; i < WH_ARRAY_LEN(headers); i++)
        assert_refused(*state, token_of(*state, headers[i], payload), "bad_token");
}

static void test_segments(void **state)
{
    wh_jwt_claims_t c = usual();
    const char *good = wh_jwt_mint(*state, key, &c);
    const char *mac = strrchr(good, '.') + 1;
    char *dots = apr_palloc(*state, 1048577);
    apr_pool_t *p = *state;

    memset(dots, '.', 1048576);
    dots[1048576] = '\0';
    assert_refused(p, NULL, "bad_token");
    assert_refused(p, "", "bad_token");
    assert_refused(p, ".", "bad_token");
    assert_refused(p, "..", "bad_token");
    assert_refused(p, dots, "bad_token");
    assert_refused(p, apr_pstrcat(p, good, ".", NULL), "bad_token");
    assert_refused(p, apr_pstrcat(p, good, ".x", NULL), "bad_token");
    assert_refused(p, apr_pstrcat(p, ".", good, NULL), "bad_token");
    assert_refused(p, apr_pstrmemdup(p, good, (size_t)(mac - good)), "bad_token");
    assert_refused(p, apr_pstrmemdup(p, good, (size_t)(mac - good) - 1), "bad_token");
    assert_refused(p, apr_pstrcat(p, good, "=", NULL), "bad_token");
    assert_refused(p, apr_pstrcat(p, good, " ", NULL), "bad_token");
    assert_refused(p, apr_pstrcat(p, " ", good, NULL), "bad_token");
    assert_refused(p, apr_pstrcat(p, good, "\n", NULL), "bad_token");
    assert_refused(p, apr_pstrcat(p, "Bearer ", good, NULL), "bad_token");
}

/* One character changed anywhere makes it another token; the last one also has spare bits. */
static void test_each_character(void **state)
{
    wh_jwt_claims_t c = usual();
    char *token = wh_jwt_mint(*state, key, &c);
    size_t n = strlen(token);

    for (size_t i = 0; i < n; i++) {
        char was = token[i];

        for (const char *other = "AQgwBZ09-_.=+/ "; *other != '\0'; other++) {
            if (*other == was)
                continue;
            token[i] = *other;
            assert_refused(*state, token, "bad_token");
        }
        token[i] = was;
    }
    for (size_t i = 0; i < n; i++)
        assert_refused(*state, apr_pstrmemdup(*state, token, i), "bad_token");
}

static void test_other_key(void **state)
{
    wh_jwt_claims_t c = usual();
    unsigned char other[WH_KEY_LEN];
    wh_keys_t keys;
    char *token = wh_jwt_mint(*state, key, &c);
    wh_err_t err = WH_ERR_INIT;

    /* Another purpose of the same root does not verify. */
    wh_keys_derive(key, &keys);
    token = wh_jwt_mint(*state, keys.worker_jwt, &c);
    assert_ok(wh_jwt_verify(*state, keys.worker_jwt, token, NOW, &c, &err), &err);
    assert_code(wh_jwt_verify(*state, keys.hub_assertion, token, NOW, &c, &err), &err, "bad_token");
    assert_code(wh_jwt_verify(*state, keys.webhook, token, NOW, &c, &err), &err, "bad_token");
    memset(other, 0, sizeof(other));
    assert_code(wh_jwt_verify(*state, other, token, NOW, &c, &err), &err, "bad_token");
}

static void test_times(void **state)
{
    static const struct {
        const char *iat, *exp, *code;
    } rows[] = {
        {"1767225600", "1767225600", "bad_token"},     /* exp = iat */
        {"1767225600", "1767225599", "bad_token"},     /* ends before it begins */
        {"1767225600", "1767226501", "bad_token"},     /* 15 min and a second */
        {"1767225600", "1798761600", "bad_token"},     /* a year */
        {"1767224700", "1767225600", "token_expired"}, /* ends now */
        {"1767225661", "1767226000", "clock_skew"},
        {"1767225600", "\"1767226500\"", "bad_token"},
        {"1767225600", "1767226500.5", "bad_token"},
        {"1767225600", "1767226500.0", "bad_token"},
        {"1767225600", "1.7672265e9", "bad_token"},
        {"1767225600", "-1", "bad_token"},
        {"1767225600", "9223372036854775808", "bad_token"},
        {"1767225600", "9223372036854775807", "bad_token"},
        {"-9223372036854775808", "9223372036854775807", "bad_token"},
        {"-9223372036854775808", "1767226500", "bad_token"},
        {"1767225600", "null", "bad_token"},
        {"1767225600", "true", "bad_token"},
        {"\"1767225600\"", "1767226500", "bad_token"},
        {"null", "1767226500", "bad_token"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++)
        assert_refused(*state,
                       token_of(*state, HEADER, payload_of(*state, "7", rows[i].iat, rows[i].exp)),
                       rows[i].code);
}

#define FOUR                                                                                       \
    "\"key_hash\":\"" KEY_HASH "\",\"iat\":1767225600,\"exp\":1767226500,\"jti\":\"" JTI "\""
static void test_claims(void **state)
{
    static const char *const payloads[] = {
        "",
        "[]",
        "{}",
        "null",
        "{" FOUR "}",
        "{\"sub\":0," FOUR "}",
        "{\"sub\":-1," FOUR "}",
        "{\"sub\":\"7\"," FOUR "}",
        "{\"sub\":7.0," FOUR "}",
        "{\"sub\":[7]," FOUR "}",
        "{\"sub\":7,\"sub\":8," FOUR "}",
        "{\"sub\":7," FOUR ",\"aud\":\"user\"}",
        "{\"sub\":7," FOUR ",\"iss\":\"session\"}",
        "{\"sub\":7," FOUR ",\"nbf\":1767225600}",
        "{\"sub\":7," FOUR "} ",
        "{\"sub\":7," FOUR "}}",
        "{\"sub\":7,\"iat\":1767225600,\"exp\":1767226500,\"jti\":\"" JTI "\"}",
        "{\"sub\":7,\"key_hash\":\"" KEY_HASH "\",\"iat\":1767225600,\"jti\":\"" JTI "\"}",
        "{\"sub\":7,\"key_hash\":\"" KEY_HASH "\",\"exp\":1767226500,\"jti\":\"" JTI "\"}",
        "{\"sub\":7,\"key_hash\":\"" KEY_HASH "\",\"iat\":1767225600,\"exp\":1767226500}",
        "{\"sub\":7,\"key_hash\":\"" KEY_HASH "\",\"iat\":1767225600,\"exp\":1767226500,"
        "\"jti\":\"00112233445566778899AABB\"}",
        "{\"sub\":7,\"key_hash\":\"" KEY_HASH "\",\"iat\":1767225600,\"exp\":1767226500,"
        "\"jti\":\"00112233445566778899aa\"}",
        "{\"sub\":7,\"key_hash\":\"x\",\"iat\":1767225600,\"exp\":1767226500,\"jti\":\"" JTI "\"}",
        "{\"sub\":7,\"key_hash\":7,\"iat\":1767225600,\"exp\":1767226500,\"jti\":\"" JTI "\"}",
    };
    const char *spaced = "{\"sub\":7," FOUR "} ";
    wh_jwt_claims_t c;
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(payloads); i++)
        if (strcmp(payloads[i], spaced) != 0)
            assert_refused(*state, token_of(*state, HEADER, payloads[i]), "bad_token");
    /* White space is JSON, and it is signed. */
    assert_ok(wh_jwt_verify(*state, key, token_of(*state, HEADER, spaced), NOW, &c, &err), &err);
    assert_refused(*state, token_of(*state, HEADER, "{\"sub\":7," FOUR ",\"\xff\":1}"),
                   "bad_token");
}

static void test_mint_refuses(void **state)
{
    wh_jwt_claims_t c = usual();

    c.sub = 0;
    assert_null(wh_jwt_mint(*state, key, &c));
    c = usual();
    c.exp = c.iat + 901;
    assert_null(wh_jwt_mint(*state, key, &c));
    c = usual();
    c.key_hash[3] = '"';
    assert_null(wh_jwt_mint(*state, key, &c));
    c = usual();
    c.jti[0] = '\0';
    assert_null(wh_jwt_mint(*state, key, &c));
}

static void test_size(void **state)
{
    wh_jwt_claims_t c = usual();
    char *big = apr_palloc(*state, 4096);

    c.sub = APR_INT64_MAX;
    assert_true(strlen(wh_jwt_mint(*state, key, &c)) <= WH_JWT_MAX);
    memset(big, ' ', 4095);
    big[4095] = '\0';
    big[0] = '{';
    assert_refused(*state, token_of(*state, HEADER, big), "bad_token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F122 F123 F124 F130 TTL 15 min, skew 2 min, key 32 bytes, jti 12 bytes",
             test_constants),
        UNIT("F127 F129 R29 claims, header and encoding are exactly these", test_shape),
        UNIT("F131 a token is good until exp, not at exp; iat at most 60 s ahead", test_round),
        UNIT("F129 XD1 any other header is refused, signed or not", test_headers),
        UNIT("F131 XD6 three segments and nothing around them", test_segments),
        UNIT("F131 XD6 each changed character is refused", test_each_character),
        UNIT("F126 F128 XD4 a key of another purpose does not verify", test_other_key),
        UNIT("F131 XD3 XD4 times that are no good are refused", test_times),
        UNIT("F127 all claims with their types, and no others", test_claims),
        UNIT("claims that would be refused are not minted", test_mint_refuses),
        UNIT("a token over 1 KiB is refused", test_size),
    };

    return UNIT_RUN(tests);
}
