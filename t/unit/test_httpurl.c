/* Which addresses HTTP may be sent to, and how each is read. */
#include "t/unit/unit.h"

#include "libwh/wh_httpurl.h"

typedef struct good_t {
    const char *url, *host;
    int port;
    const char *target;
} good_t;

static const good_t good[] = {
    {"https://example.com", "example.com", 443, "/"},
    {"https://Example.COM/", "example.com", 443, "/"},
    {"https://example.com?a=b", "example.com", 443, "/?a=b"},
    {"https://example.com:8443/x/y?z=%20", "example.com", 8443, "/x/y?z=%20"},
    {"https://a.example:80", "a.example", 80, "/"},
    {"https://93.184.216.34/", "93.184.216.34", 443, "/"},
    {"https://[2606:2800::1]:1024/a", "2606:2800::1", 1024, "/a"},
    {"https://localhost:65535/@x", "localhost", 65535, "/@x"},
};

static const char *const bad[] = {
    "",
    "example.com",
    "//example.com",
    "ftp://example.com",
    "HTTPS://example.com",
    "file:///etc/passwd",
    "gopher://example.com",
    "https://",
    "https:///x",
    "https://user@example.com",
    "https://user:pw@example.com/",
    "https://example.com@10.0.0.1/",
    "https://exam ple.com",
    "https://example.com/a b",
    "https://example.com/\r\nX: y",
    "https://example.com/\tx",
    "https://example.com/#frag",
    "https://example.com\\@10.0.0.1/",
    "https://ex\xc3\xa4mple.com/",
    "https://example.com:",
    "https://example.com:0",
    "https://example.com:25/",
    "https://example.com:22/",
    "https://example.com:6553x",
    "https://example.com:65536",
    "https://example.com:000443",
    "https://127.1/",
    "https://0x7f.0.0.1/",
    "https://0x7f000001/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://example.1/",
    "https://[::1",
    "https://[]/",
    "https://[127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://::1/",
    "https://[::1]x/",
    "https://-a.example/",
    "https://a..b/",
};

static void test_good(void **state)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_httpurl_t u;

        assert_ok(wh_httpurl_parse(*state, good[i].url, 0, &u, &err), &err);
        assert_string_equal(u.host, good[i].host);
        assert_int_equal(u.port, good[i].port);
        assert_string_equal(u.target, good[i].target);
        assert_int_equal(u.tls, 1);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_httpurl_t u;

        if (wh_httpurl_parse(*state, bad[i], 1, &u, &err) == APR_SUCCESS) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_string_equal(err.code, "url_invalid");
        assert_null(strstr(err.text, "example"));
    }
}

static void test_plain(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    wh_httpurl_t u;

    assert_code(wh_httpurl_parse(*state, "http://example.com/", 0, &u, &err), &err, "url_invalid");
    assert_ok(wh_httpurl_parse(*state, "http://10.0.0.1:3000/x", 1, &u, &err), &err);
    assert_int_equal(u.tls, 0);
    assert_int_equal(u.port, 3000);
    assert_ok(wh_httpurl_parse(*state, "http://10.0.0.1", 1, &u, &err), &err);
    assert_int_equal(u.port, 80);
}

static void test_long(void **state)
{
    char *url = apr_palloc(*state, WH_HTTPURL_MAX + 2);
    wh_err_t err = WH_ERR_INIT;
    wh_httpurl_t u;

    memset(url, 'a', WH_HTTPURL_MAX + 1);
    memcpy(url, "https://a/", 10);
    url[WH_HTTPURL_MAX] = '\0';
    assert_ok(wh_httpurl_parse(*state, url, 0, &u, &err), &err);
    url[WH_HTTPURL_MAX] = 'a';
    url[WH_HTTPURL_MAX + 1] = '\0';
    assert_code(wh_httpurl_parse(*state, url, 0, &u, &err), &err, "url_invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("an address is read in one way", test_good),
        UNIT("what has two readings, a user, other ports or characters is refused", test_bad),
        UNIT("http:// only where it is allowed", test_plain),
        UNIT("2048 bytes and no more", test_long),
    };
    return UNIT_RUN(tests);
}
