#include "t/unit/unit.h"
#include "libwh/wh_headers.h"

typedef struct seen_t {
    apr_pool_t *p;
    char *text;
} seen_t;

static void note(void *baton, int line, const char *text)
{
    apr_snprintf(baton, 256, "%d: %s", line, text);
}

static void field(void *baton, const char *name, const char *value)
{
    seen_t *seen = baton;

    seen->text = apr_pstrcat(seen->p, seen->text, value ? "" : "!", name, value ? "=" : "",
                             value ? value : "", ";", NULL);
}

static const char *of(apr_pool_t *p, const wh_headers_t *rules, const char *path)
{
    seen_t seen = {p, apr_pstrdup(p, "")};

    wh_headers_match(rules, p, path, field, &seen);
    return seen.text;
}

static void test_rules(void **state)
{
    static const char text[] = "# all\n"
                               "/*\n"
                               "  X-Frame-Options: DENY\n"
                               "  Referrer-Policy:no-referrer  \r\n"
                               "\n"
                               "/assets/*\n"
                               "\tCache-Control: public, max-age=86400\n"
                               "  ! X-Frame-Options\n"
                               "  # no header\n"
                               "/movies/:title\n"
                               "  X-Movie: \":title\"\n"
                               "/*.pdf\n"
                               "  X-Robots-Tag: noindex\n";
    apr_pool_t *p = *state;
    char said[256] = "";
    wh_headers_t *rules = wh_headers_parse(p, text, sizeof(text) - 1, note, said);
    static const char all[] = "X-Frame-Options=DENY;Referrer-Policy=no-referrer;";

    assert_string_equal(said, "");
    assert_int_equal(wh_headers_count(rules), 4);
    assert_string_equal(of(p, rules, "/"), all);
    assert_string_equal(
        of(p, rules, "/assets/a.js"),
        apr_pstrcat(p, all, "Cache-Control=public, max-age=86400;!X-Frame-Options;", NULL));
    assert_string_equal(of(p, rules, "/movies/a b"),
                        apr_pstrcat(p, all, "X-Movie=\"a b\";", NULL));
    assert_string_equal(of(p, rules, "/movies/a\r\nSet-Cookie: x=1"),
                        apr_pstrcat(p, all, "X-Movie=\"aSet-Cookie: x=1\";", NULL));
    assert_string_equal(of(p, rules, "/x/y.pdf"),
                        apr_pstrcat(p, all, "X-Robots-Tag=noindex;", NULL));
}

static void test_refused(void **state)
{
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"  Connection: close", "2: Connection is not for a site to set"},
        {"  transfer-encoding: chunked", "2: transfer-encoding is not for a site to set"},
        {"  Content-Length: 1", "2: Content-Length is not for a site to set"},
        {"  Content-Encoding: gzip", "2: Content-Encoding is not for a site to set"},
        {"  Set-Cookie: a=b", "2: Set-Cookie is not for a site to set"},
        {"  Basic-Auth: a:b", "2: Basic-Auth is not for a site to set"},
        {"  X-Wisehost-Nonce: a", "2: X-Wisehost-Nonce is not for a site to set"},
        {"  X-Content-Type-Options: x", "2: X-Content-Type-Options is not for a site to set"},
        {"  X-Sendfile: /etc/passwd", "2: X-Sendfile is not for a site to set"},
        {"  x-accel-redirect: /inside", "2: x-accel-redirect is not for a site to set"},
        {"  ! Date", "2: Date is not for a site to set"},
        {"  No header", "2: that is no header: a line is \"Name: value\""},
        {"  Bad name: x", "2: that is no header: a line is \"Name: value\""},
        {"  : x", "2: that is no header: a line is \"Name: value\""},
        {"  X-Empty:", "2: the value is empty or has a control byte"},
        {"  X-A: a\x01", "2: the value is empty or has a control byte"},
        {"  X-A: a\rX-B: b", "2: the value is empty or has a control byte"},
        {"https://x.example/*", "2: a rule begins with a path: it holds on every name of the app"},
        {"x", "2: a path begins with \"/\""},
    };
    apr_pool_t *p = *state;
    char said[256];

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        const char *text = apr_pstrcat(p, "/*\n", rows[i].line, "\n", NULL);
        wh_headers_t *rules = wh_headers_parse(p, text, strlen(text), note, said);

        assert_string_equal(said, rows[i].said);
        assert_string_equal(of(p, rules, "/"), "");
    }
    (void)wh_headers_parse(p, "  A: b\n", 7, note, said);
    assert_string_equal(said, "1: a header stands below a path");
}

static void test_limits(void **state)
{
    apr_pool_t *p = *state;
    char *text = apr_palloc(p, 256 * 1024), *at = text, said[256];
    wh_headers_t *rules;

    for (int i = 0; i < 101; i++)
        at += apr_snprintf(at, 64, "/%d\n  A: b\n", i);
    rules = wh_headers_parse(p, text, strlen(text), note, said);
    assert_int_equal(wh_headers_count(rules), WH_HEADERS_RULES_MAX);
    assert_string_equal(said, "201: there are more than 100 rules");
    memcpy(text, "/\n X: ", 6);
    memset(text + 6, 'a', 1997);
    memcpy(text + 6 + 1997, "\n", 2);
    rules = wh_headers_parse(p, text, strlen(text), note, said);
    assert_string_equal(said, "2: the line is longer than 2000 bytes or has a NUL byte");
    assert_string_equal(of(p, rules, "/"), "");
}

static void count(void *baton, const char *name, const char *value)
{
    size_t *n = baton;

    *n += strlen(name) + (value ? strlen(value) : 0);
}

/* An answer's head is bounded, and a visitor's long path cannot push what is fixed out of it. */
static void test_amplified(void **state)
{
    apr_pool_t *p = *state;
    char *text = apr_palloc(p, 1024 * 1024), *at = text, *path = apr_palloc(p, 8004), said[256];
    wh_headers_t *rules;
    size_t n = 0;

    memset(path, 'x', 8003);
    memcpy(path, "/a/", 3);
    path[8003] = '\0';
    at += apr_snprintf(at, 64, "/a/:a\n");
    for (int i = 0; i < 200; i++) {
        at += apr_snprintf(at, 64, "  X-A: ");
        for (int k = 0; k < 600; k++)
            at += apr_snprintf(at, 64, ":a/");
        at += apr_snprintf(at, 64, "\n");
    }
    apr_snprintf(at, 64, "/*\n  X-Frame-Options: DENY\n");
    rules = wh_headers_parse(p, text, strlen(text), note, said);
    assert_string_equal(of(p, rules, path), "X-Frame-Options=DENY;");
    at = text + apr_snprintf(text, 64, "/*\n");
    for (int i = 0; i < 500; i++) {
        at += apr_snprintf(at, 64, "  X-A: ");
        memset(at, 'a', 1900);
        at += 1900;
        at += apr_snprintf(at, 64, "\n");
    }
    rules = wh_headers_parse(p, text, strlen(text), note, said);
    wh_headers_match(rules, p, "/", count, &n);
    assert_in_range(n, WH_HEADERS_ANSWER_MAX / 2, WH_HEADERS_ANSWER_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("_headers: rules, detaching, placeholders, no split header", test_rules),
        UNIT("_headers: what is refused, and why", test_refused),
        UNIT("_headers: limits", test_limits),
        UNIT("_headers: an answer's head is bounded", test_amplified),
    };
    return UNIT_RUN(tests);
}
