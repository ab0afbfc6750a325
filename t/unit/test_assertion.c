#include "t/unit/unit.h"
#include "libwh/wh_assertion.h"
#include "libwh/wh_sign.h"

#define NOW apr_time_from_sec(INT64_C(1767225600))
#define TTL apr_time_from_sec(WH_ASSERTION_TTL_S)

static const unsigned char key[WH_KEY_LEN] = "an example key, of 32 bytes.....";

static void assert_refused(apr_pool_t *p, const char *text, const char *code)
{
    const char *actor = "kept", *action = "kept", *object = "kept";
    wh_err_t err = WH_ERR_INIT;

    assert_code(wh_assertion_verify(p, key, text, NOW, &actor, &action, &object, &err), &err, code);
    assert_int_equal(err.http, 401);
    assert_string_equal(actor, "kept");
}

static const char *signed_text(apr_pool_t *p, const char *json)
{
    unsigned char mac[WH_SHA256_LEN];
    char *body = wh_sign_b64url(p, json, strlen(json));

    wh_sign_hmac(key, sizeof(key), body, strlen(body), mac);
    return apr_pstrcat(p, body, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL);
}

static void test_round(void **state)
{
    const char *actor, *action, *object;
    wh_err_t err = WH_ERR_INIT;
    char *text = wh_assertion_make(*state, key, "worker:7", "worker.connect", "hub", NOW + TTL);

    assert_ok(wh_assertion_verify(*state, key, text, NOW, &actor, &action, &object, &err), &err);
    assert_string_equal(actor, "worker:7");
    assert_string_equal(action, "worker.connect");
    assert_string_equal(object, "hub");
    assert_ok(wh_assertion_verify(*state, key, text, NOW + TTL - 1, &actor, &action, &object, &err),
              &err);
    assert_code(wh_assertion_verify(*state, key, text, NOW + TTL, &actor, &action, &object, &err),
                &err, "assertion_expired");
    assert_code(
        wh_assertion_verify(*state, key, text, NOW - TTL - 1, &actor, &action, &object, &err), &err,
        "bad_assertion");
    text = wh_assertion_make(*state, key, "a", "b", "\"\\\xc3\xa9", NOW + TTL);
    assert_ok(wh_assertion_verify(*state, key, text, NOW, &actor, &action, &object, &err), &err);
    assert_string_equal(object, "\"\\\xc3\xa9");
}

static void test_refused(void **state)
{
    apr_pool_t *p = *state;
    char *text = wh_assertion_make(p, key, "worker:7", "worker.connect", "hub", NOW + TTL);
    char *big = apr_palloc(p, 5001);

    memset(big, 'A', 5000);
    big[5000] = '\0';
    assert_refused(p, NULL, "bad_assertion");
    assert_refused(p, "", "bad_assertion");
    assert_refused(p, ".", "bad_assertion");
    assert_refused(p, big, "bad_assertion");
    assert_refused(p, apr_pstrcat(p, text, "=", NULL), "bad_assertion");
    assert_refused(p, apr_pstrcat(p, text, ".", text, NULL), "bad_assertion");
    for (char *c = text; *c != '\0'; c++) {
        char was = *c;

        *c = was == 'A' ? 'B' : 'A';
        assert_refused(p, text, "bad_assertion");
        *c = was;
    }
}

static void test_signed_nonsense(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "x",
        "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\"}",
        "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\",\"exp\":\"1767225605000000\"}",
        "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\",\"exp\":1767225605000000.0}",
        "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\",\"exp\":9223372036854775807}",
        "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\",\"exp\":-1}",
        "{\"actor\":\"\",\"action\":\"b\",\"object\":\"c\",\"exp\":1767225605000000}",
        "{\"actor\":7,\"action\":\"b\",\"object\":\"c\",\"exp\":1767225605000000}",
        "{\"actor\":\"a\\n\",\"action\":\"b\",\"object\":\"c\",\"exp\":1767225605000000}",
        "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\",\"exp\":1767225605000000,\"x\":1}",
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(bodies); i++)
        assert_refused(*state, signed_text(*state, bodies[i]), "bad_assertion");
    assert_refused(
        *state,
        signed_text(*state, "{\"actor\":\"a\",\"action\":\"b\",\"object\":\"c\",\"exp\":1}"),
        "assertion_expired");
}

static void test_make_refuses(void **state)
{
    char *big = apr_palloc(*state, 514);

    memset(big, 'x', 513);
    big[513] = '\0';
    assert_null(wh_assertion_make(*state, key, "", "b", "c", NOW));
    assert_null(wh_assertion_make(*state, key, "a", NULL, "c", NOW));
    assert_null(wh_assertion_make(*state, key, "a", "b", "c\r\n", NOW));
    assert_null(wh_assertion_make(*state, key, "a", "b", "\xff", NOW));
    assert_null(wh_assertion_make(*state, key, big, "b", "c", NOW));
    assert_non_null(wh_assertion_make(*state, key, big + 1, "b", "c", NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("an assertion says actor, action, object, for 10 s", test_round),
        UNIT("each changed character of an assertion is refused", test_refused),
        UNIT("signed nonsense is refused", test_signed_nonsense),
        UNIT("only plain texts are asserted", test_make_refuses),
    };

    return UNIT_RUN(tests);
}
