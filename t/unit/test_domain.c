/* Domains: what may be one, where it may lead, and what a finding means. */
#include <string.h>

#include "libwh/wh_domain.h"
#include "libwh/wh_idn.h"
#include "libwh/wh_json.h"
#include "t/unit/unit.h"

#define DAY apr_time_from_sec(86400)
#define T0 apr_time_from_sec(1000000)

static void test_host(void **state)
{
    static const char *const good[] = {"example.com",  "WWW.Example.com", "xn--bcher-kva.example",
                                       "a.b.c.d.test", "1.example",       "my-site.io"};
    static const char *const bad[] = {
        "localhost", "example",      "127.0.0.1",     "0x7f.1",         "1.2.3.4",
        "[::1]",     "*.example.com", "example.com.",  ".example.com",   "a..b",
        "a_b.com",   "a b.com",      "a.com\n",       "http://a.com",   "a.com:80",
        "a.com/x",   "-a.com",       "a-.com",        "x.localhost",    "a`b.com",
        "a)||b.com", "a&&b.com",     "a\"b.com",      "",               "a.com\x01",
    };
    const char *host;
    char *longest = memset(apr_pcalloc(*state, 300), 'a', 250);

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_int_equal(wh_domain_host_check(*state, good[i], "apps.test", &host, NULL),
                         APR_SUCCESS);
    assert_int_equal(wh_domain_host_check(*state, "WWW.Example.com", "", &host, NULL), APR_SUCCESS);
    assert_string_equal(host, "www.example.com");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_err_t err = WH_ERR_INIT;

        assert_code(wh_domain_host_check(*state, bad[i], "apps.test", &host, &err), &err,
                    "domain_invalid");
        assert_string_equal(err.pointer, "/host");
    }
    for (int i = 50; i < 250; i += 50)
        longest[i] = '.';
    assert_int_not_equal(wh_domain_host_check(*state, longest, "", &host, NULL), APR_SUCCESS);
    assert_int_equal(wh_domain_host_check(*state, longest + 10, "", &host, NULL), APR_SUCCESS);
}

static void test_host_reserved(void **state)
{
    static const char *const names[] = {"apps.test", "x.apps.test", "a.b.apps.test", "X.APPS.test"};
    const char *host;
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        wh_err_clear(&err);
        assert_code(wh_domain_host_check(*state, names[i], "apps.test", &host, &err), &err,
                    "domain_reserved");
    }
    assert_int_equal(wh_domain_host_check(*state, "evilapps.test", "apps.test", &host, NULL),
                     APR_SUCCESS);
}

/* In any letters; what no registry gives out is refused by name. */
static void test_idn(void **state)
{
    static const char *const good[][2] = {
        {"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
        {"B\xc3\x9c" "CHER.Example", "xn--bcher-kva.example"},
        {"bu\xcc\x88" "cher.example", "xn--bcher-kva.example"}, /* u and a diaeresis */
        {"stra\xc3\x9f" "e.example", "xn--strae-oqa.example"}, /* not "strasse": not transitional */
        {"\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
         "xn--r8jz45g.xn--zckzah"}, /* the full stop of its script */
        {"\xef\xbd\x81" "pple.example", "apple.example"}, /* a wide letter is the letter */
        {"b\xc3\xbc" "cher.xn--bcher-kva.example", "xn--bcher-kva.xn--bcher-kva.example"},
        {"xn--i-7iq.ws", "xn--i-7iq.ws"}, /* given out by another rule once: as DNS has it */
    };
    static const char *const bad[] = {
        "b\xc3\xbc" "cher",                          /* no dot */
        "b\xc3" "cher.example",                       /* no UTF-8 */
        "\xc3\xbc" "xn--bcher-kva\x01.example",     /* a control character */
        "\xe2\x98\x83.example",                     /* a snowman is no letter */
        "\xe2\x80\xae" "b\xc3\xbc.example",       /* turns the writing direction */
        "\xd7\x90" "1a.example",                     /* both directions in a label */
        "\xe2\x80\x8d" "b\xc3\xbc.example",       /* an invisible joiner */
        "b\xc3\xbc_x.example", "b\xc3\xbc/x.example", "b\xc3\xbc x.example",
        "http://b\xc3\xbc.example", "*.b\xc3\xbc.example", "b\xc3\xbc.example:80",
        "b\xc3\xbc.xn--zzzzzz-.example",             /* another label that is none */
        "1\xe3\x80\x82" "2\xe3\x80\x82" "3\xe3\x80\x82" "4", /* an address in disguise */
        "b\xc3\xbc.localhost", "b\xc3\xbc..example",
    };
    char *longest = apr_pcalloc(*state, 2100);
    const char *host;
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_ok(wh_domain_host_check(*state, good[i][0], "apps.test", &host, &err), &err);
        assert_string_equal(host, good[i][1]);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_err_clear(&err);
        assert_code(wh_domain_host_check(*state, bad[i], "apps.test", &host, &err), &err,
                    "domain_invalid");
        assert_string_equal(err.pointer, "/host");
    }
    for (int n = 60; n <= 1000; n += 235) {
        memset(longest, 0, 2100);
        for (int i = 0; i < n; i++)
            memcpy(longest + 2 * i, "\xc3\xbc", 2);
        memcpy(longest + 2 * n, ".example", 9);
        wh_err_clear(&err);
        assert_code(wh_domain_host_check(*state, longest, "", &host, &err), &err,
                    "domain_invalid");
    }
    wh_err_clear(&err);
    assert_code(wh_domain_host_check(*state, "\xef\xbd\x81" "pps.test", "apps.test", &host, &err),
                &err, "domain_reserved");
    wh_err_clear(&err);
    assert_ok(wh_domain_target_check(*state, "HTTPS://B\xc3\xbc" "cher.example:8443/", "a.example",
                                     &host, &err),
              &err);
    assert_string_equal(host, "https://xn--bcher-kva.example:8443");
    assert_code(wh_domain_target_check(*state, "b\xc3\xbc" "cher.example", "xn--bcher-kva.example",
                                       &host, &err),
                &err, "redirect_invalid");
}

static void test_idn_read(void **state)
{
    assert_string_equal(wh_idn_unicode(*state, "xn--bcher-kva.example"),
                        "b\xc3\xbc" "cher.example");
    assert_string_equal(wh_idn_unicode(*state, "www.example"), "www.example");
    assert_string_equal(wh_idn_unicode(*state, "xn--i-7iq.ws"), "xn--i-7iq.ws");
    assert_string_equal(wh_idn_unicode(*state, "xn--zzzzzz-.example"), "xn--zzzzzz-.example");
    assert_string_equal(wh_idn_unicode(*state, "xn--80ak6aa92e.com"),
                        "\xd0\xb0\xd1\x80\xd1\x80\xd3\x8f\xd0\xb5.com");
}

#define X10 "xxxxxxxxxx"
#define X56 X10 X10 X10 X10 X10 "xxxxxx"
#define X63 X10 X10 X10 X10 X10 X10 "xxx"

static void test_target(void **state)
{
    static const char *const cases[][2] = {
        {"example.com", "https://example.com"},
        {"https://Example.com/", "https://example.com"},
        {"http://example.com", "http://example.com"},
        {"https://example.com:8443", "https://example.com:8443"},
        {X63 "." X63 "." X63 "." X10 ".com", "https://" X63 "." X63 "." X63 "." X10 ".com"},
    };
    static const char *const bad[] = {
        "",           "https://",          "ftp://example.com", "javascript:alert(1)",
        "//evil.com", "https://a.com/b",   "https://a.com?x",   "https://u@a.com",
        "a.com:0",    "a.com:99999",       "a.com:",            "https://a.com\r\nX: y",
        "localhost",  "https://127.0.0.1", "https://[::1]",     "www.own.test",
        "a.com:80:90",
        /* 252 bytes: a name of DNS, but more than a route holds with its scheme */
        X63 "." X63 "." X63 "." X63 ".com", X63 "." X63 "." X63 "." X56 ".com",
        "http://" X63 "." X63 "." X63 "." X56 ".com:65535",
    };
    const char *out;

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        assert_int_equal(wh_domain_target_check(*state, cases[i][0], "www.own.test", &out, NULL),
                         APR_SUCCESS);
        assert_string_equal(out, cases[i][1]);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_err_t err = WH_ERR_INIT;

        assert_code(wh_domain_target_check(*state, bad[i], "www.own.test", &out, &err), &err,
                    "redirect_invalid");
    }
}

static apr_status_t decode(apr_pool_t *p, const char *text, int patch, wh_domain_t *d,
                           wh_err_t *err)
{
    json_t *json;

    assert_int_equal(wh_json_load_object(p, text, strlen(text), NULL, &json, NULL), APR_SUCCESS);
    return wh_domain_decode(p, json, "apps.test", patch, d, err);
}

static void test_decode(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    wh_domain_t d = {.id = ""};

    assert_ok(decode(*state, "{\"host\":\"A.example\"}", 0, &d, &err), &err);
    assert_string_equal(d.host, "a.example");
    assert_string_equal(d.environment, "production");
    assert_string_equal(d.redirect_to, "");
    assert_int_equal(d.redirect_code, 0);
    assert_ok(decode(*state, "{\"redirect_to\":\"www.a.example\"}", 1, &d, &err), &err);
    assert_int_equal(d.redirect_code, 308);
    assert_ok(decode(*state, "{\"redirect_code\":302}", 1, &d, &err), &err);
    assert_string_equal(d.redirect_to, "https://www.a.example");
    assert_int_equal(d.redirect_code, 302);
    assert_ok(decode(*state, "{\"environment\":\"staging\",\"redirect_to\":null}", 1, &d, &err),
              &err);
    assert_string_equal(d.redirect_to, "");
    assert_int_equal(d.redirect_code, 0);
    assert_string_equal(d.environment, "staging");
    assert_code(decode(*state, "{\"redirect_code\":301}", 1, &d, &err), &err, "invalid_value");
    wh_err_clear(&err);
    assert_code(decode(*state, "{\"redirect_to\":\"b.example\",\"redirect_code\":304}", 1, &d, &err),
                &err, "invalid_value");
    wh_err_clear(&err);
    assert_code(decode(*state, "{\"host\":\"b.example\"}", 1, &d, &err), &err, "unknown_field");
    wh_err_clear(&err);
    assert_code(decode(*state, "{\"host\":\"b.example\",\"environment\":\"preview-x\"}", 0, &d, &err),
                &err, "environment_invalid");
}

static wh_domain_t pending(void)
{
    return (wh_domain_t){.status = WH_DOMAIN_STATUS_PENDING, .asked_at = T0, .reason = ""};
}

static void test_backoff(void **state)
{
    static const int minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
    wh_domain_finding_t nothing = {.txt = 0, .why = "nothing"};
    wh_domain_t d = pending();
    apr_time_t now = T0;

    for (size_t i = 0; i < WH_ARRAY_LEN(minutes); i++) {
        assert_int_equal(wh_domain_judge(*state, &d, &nothing, now), WH_DOMAIN_STAYS);
        assert_true(d.next_at - now == apr_time_from_sec(60 * minutes[i]));
        now = d.next_at;
    }
    assert_string_equal(d.reason, "nothing");
    assert_int_equal(wh_domain_judge(*state, &d, &nothing, T0 + 7 * DAY - 1), WH_DOMAIN_STAYS);
    assert_int_equal(wh_domain_judge(*state, &d, &nothing, T0 + 7 * DAY), WH_DOMAIN_FAILED);
    assert_int_equal(d.status, WH_DOMAIN_STATUS_FAILED);
    assert_true(d.next_at == 0);
}

static void test_proofs(void **state)
{
    static const struct {
        wh_domain_finding_t finding;
        wh_domain_verdict_e want;
    } cases[] = {
        {{.txt = 1}, WH_DOMAIN_PROVED},
        {{.txt = -1, .http = 1}, WH_DOMAIN_PROVED},
        {{.txt = 0, .http = 1}, WH_DOMAIN_PROVED},
        {{.txt = -1}, WH_DOMAIN_STAYS},
        {{.txt = 0, .http = 1, .rival = 1}, WH_DOMAIN_STAYS},
        {{.txt = -1, .http = 1, .rival = 1}, WH_DOMAIN_STAYS},
        {{.txt = 1, .rival = 1, .rival_txt = 1}, WH_DOMAIN_STAYS},
        {{.txt = 1, .rival = 1}, WH_DOMAIN_TAKES},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        wh_domain_finding_t f = cases[i].finding;
        wh_domain_t d = pending();

        f.why = "";
        if (wh_domain_judge(*state, &d, &f, T0) != cases[i].want)
            fail_msg("case %d", (int)i);
        assert_int_equal(d.status, cases[i].want == WH_DOMAIN_STAYS ? WH_DOMAIN_STATUS_PENDING
                                                                    : WH_DOMAIN_STATUS_ACTIVE);
        assert_true(d.checked_at == T0);
    }
}

/* What is live stays, whatever a resolver says. */
static void test_active(void **state)
{
    wh_domain_finding_t gone = {.txt = -1, .why = "nobody answers"}, there = {.txt = 1, .why = ""};
    wh_domain_t d = pending();

    d.status = WH_DOMAIN_STATUS_ACTIVE;
    for (int i = 1; i < 100; i++) {
        assert_int_equal(wh_domain_judge(*state, &d, &gone, T0 + i * DAY), WH_DOMAIN_STAYS);
        assert_int_equal(d.status, WH_DOMAIN_STATUS_ACTIVE);
        assert_true(d.next_at == T0 + (i + 1) * DAY);
    }
    assert_string_equal(d.reason, "The proof is gone: nobody answers");
    assert_int_equal(wh_domain_judge(*state, &d, &there, T0), WH_DOMAIN_STAYS);
    assert_string_equal(d.reason, "");
    assert_true(d.verified_at == T0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XL1 XG4 what may be a domain", test_host),
        UNIT("names of our own", test_host_reserved),
        UNIT("names in any letters, and what is none", test_idn),
        UNIT("names as people read them", test_idn_read),
        UNIT("a redirect leads to a name, and nowhere else", test_target),
        UNIT("bodies of POST and PATCH", test_decode),
        UNIT("1 min .. 1 h, for 7 days", test_backoff),
        UNIT("XL4 XG15 who gets a name that two want", test_proofs),
        UNIT("an active domain stays", test_active),
    };

    return UNIT_RUN(tests);
}
