#include <malloc.h>

#include "t/unit/unit.h"
#include "libwh/wh_redirects.h"

static void note(void *baton, int line, const char *text)
{
    char *out = baton;

    apr_snprintf(out, 256, "%d: %s", line, text);
}

static wh_redirects_t *parse(apr_pool_t *p, const char *text, char *said)
{
    *said = '\0';
    return wh_redirects_parse(p, text, strlen(text), note, said);
}

static void test_rules(void **state)
{
    static const char text[] =
        "# moved\n"
        "/old /new\n"
        "/old /never 302\n"
        "/a%20b   /c%20d\t302   # spaces\r\n"
        "/slash/ /other 308\n"
        "/blog/:year/:slug /posts/:slug?y=:year 301\n"
        "/ext/* https://example.com/x/:splat 302!\n"
        "/app/* /index.html 200\n"
        "/gone/* /gone.html 410\n"
        "/none /404.html 404\n"
        "/up/* /:splat 301\n"
        "/q /t?a=1 303\n"
        "/f /t#part 307\n"
        "/*.php /:splat\n"
        "/* /last/:splat 307\n";
    static const struct {
        const char *path, *query;
        int forced, code;
        const char *to;
    } rows[] = {
        {"/old", NULL, 0, 301, "/new"},
        {"/old/", NULL, 0, 301, "/new"},
        {"/old", "x=1&y=2", 0, 301, "/new?x=1&y=2"},
        {"/old", NULL, 1, 0, NULL},
        {"/a b", NULL, 0, 302, "/c%20d"},
        {"/slash", NULL, 0, 308, "/other"},
        {"/blog/2024/hi", NULL, 0, 301, "/posts/hi?y=2024"},
        {"/blog/2024/a&b c", "z=1", 0, 301, "/posts/a%26b%20c?y=2024"},
        {"/ext/a/b", NULL, 1, 302, "https://example.com/x/a/b"},
        {"/ext", NULL, 1, 302, "https://example.com/x/"},
        {"/ext/@evil.example/\\x", NULL, 1, 302, "https://example.com/x/@evil.example/%5Cx"},
        {"/app/x/y", "a=1", 0, 200, "/index.html"},
        {"/gone/x", NULL, 0, 410, "/gone.html"},
        {"/none", NULL, 0, 404, "/404.html"},
        /* never another host */
        {"/up//evil.example", NULL, 0, 301, "/evil.example"},
        {"/up///evil.example/x", NULL, 0, 301, "/evil.example/x"},
        {"/up/\\evil.example", NULL, 0, 301, "/%5Cevil.example"},
        {"/up/\r\nSet-Cookie: a=b", NULL, 0, 301, "/Set-Cookie:%20a%3Db"},
        {"/q", "b=2", 0, 303, "/t?a=1"},
        {"/f", "b=2", 0, 307, "/t?b=2#part"},
        {"/x/y.php", NULL, 0, 301, "/x/y"},
        {"/anything/else", NULL, 0, 307, "/last/anything/else"},
    };
    apr_pool_t *p = *state;
    char said[256];
    wh_redirects_t *rules = parse(p, text, said);

    assert_string_equal(said, "");
    assert_int_equal(wh_redirects_count(rules), 14);
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        wh_redirects_hit_t hit = {0};
        int found = wh_redirects_match(rules, p, rows[i].path, rows[i].query, rows[i].forced, &hit);

        if (found != (rows[i].code != 0) || hit.code != rows[i].code ||
            (found && strcmp(hit.to, rows[i].to) != 0))
            fail_msg("%s: %d %s", rows[i].path, hit.code, hit.to ? hit.to : "(none)");
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"/a", "1: a rule has a path and a target"},
        {"a /b", "1: a path begins with \"/\""},
        {"/a b", "1: the target is neither a path nor http:// or https://"},
        {"/a //evil.example/", "1: the target is neither a path nor http:// or https://"},
        {"/a /\\evil.example/", "1: the target is neither a path nor http:// or https://"},
        {"/a javascript:alert(1)", "1: the target is neither a path nor http:// or https://"},
        {"/a ftp://x/", "1: the target is neither a path nor http:// or https://"},
        {"/* https://:splat/", "1: a placeholder cannot be part of the target's host"},
        {"/:h https://x:h/", "1: a placeholder cannot be part of the target's host"},
        {"/a https:///x", "1: the target has no host"},
        {"/a https://u@x/", "1: the target has no host"},
        {"/a https://x/ 200", "1: 200, 404 and 410 need a path of this site: requests are not passed "
                              "on to another server"},
        {"/a /b 204", "1: \"204\" is none of 200, 301, 302, 303, 307, 308, 404, 410"},
        {"/a /b 301 302", "1: \"302\" is none of 200, 301, 302, 303, 307, 308, 404, 410"},
        {"/a /b 302 Country=de", "1: conditions are not supported: Country=de"},
        {"/a /b Language=de", "1: conditions are not supported: Language=de"},
        {"/a /b 200! Role=admin", "1: conditions are not supported: Role=admin"},
        {"/a id=:id /b/:id", "1: conditions on the query are not supported"},
        {"https://x.example/* /b", "1: a rule begins with a path: hosts are given by the domains of "
                                   "the app"},
        {"/a/* /b/:name", "1: the target has :name, which the path has not"},
        {"/a/*/* /b", "1: it has more than one \"*\""},
        {"/a/:x.html /b", "1: a placeholder stands for a whole segment"},
        {"/a/*/:x /b", "1: a placeholder stands before the \"*\""},
        {"/a%0 /b", "1: its percent-encoding is broken"},
        {"/a%00 /b", "1: its percent-encoding is broken"},
        {"/a /a", "1: it leads to itself"},
        {"/a /b 1 2 3 4 5 6 7 8", "1: the line has too many words"},
        {"/ok /x\n\n# c\n/a b", "4: the target is neither a path nor http:// or https://"},
    };
    apr_pool_t *p = *state;
    char said[256];

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        wh_redirects_t *rules = parse(p, rows[i].text, said);

        assert_string_equal(said, rows[i].said);
        assert_int_equal(wh_redirects_count(rules), rows[i].text[1] == 'o');
    }
}

static void test_limits(void **state)
{
    apr_pool_t *p = *state;
    char *text = apr_palloc(p, 256 * 1024), *at = text, said[256];
    wh_redirects_t *rules;

    for (int i = 0; i < 2001; i++)
        at += apr_snprintf(at, 64, "/f%d /t\n", i);
    rules = parse(p, text, said);
    assert_int_equal(wh_redirects_count(rules), WH_REDIRECTS_STATIC_MAX);
    assert_string_equal(said, "2001: there are more than 2000 rules");
    at = text;
    for (int i = 0; i < 101; i++)
        at += apr_snprintf(at, 64, "/f%d/* /t\n", i);
    rules = parse(p, text, said);
    assert_int_equal(wh_redirects_count(rules), WH_REDIRECTS_DYNAMIC_MAX);
    assert_string_equal(said, "101: there are more than 100 rules with placeholders");
    memset(text, 'a', 2001);
    memcpy(text, "/a /", 4);
    text[2001] = '\0';
    rules = parse(p, text, said);
    assert_int_equal(wh_redirects_count(rules), 0);
    assert_string_equal(said, "1: the line is longer than 2000 bytes");
    text[2000] = '\0';
    rules = parse(p, text, said);
    assert_int_equal(wh_redirects_count(rules), 1);
}

/* What one line and one path could make is the product of both. */
static void test_amplified(void **state)
{
    apr_pool_t *p = *state;
    char *text = apr_pstrdup(p, "/a/:a /"), *path, said[256];
    wh_redirects_hit_t hit = {0};
    wh_redirects_t *rules;

    for (int i = 0; i < 600; i++)
        text = apr_pstrcat(p, text, ":a", NULL);
    path = apr_palloc(p, 8004);
    memset(path, 'x', 8003);
    memcpy(path, "/a/", 3);
    path[8003] = '\0';
    rules = parse(p, text, said);
    assert_int_equal(wh_redirects_count(rules), 1);
    assert_int_equal(wh_redirects_match(rules, p, path, NULL, 0, &hit), 0);
    assert_int_equal(wh_redirects_match(rules, p, "/a/xy", NULL, 0, &hit), 1);
    assert_int_equal(strlen(hit.to), 1201);
    rules = parse(p, "/a/:a /b/:a 301", said);
    path[3] = '\"';
    assert_int_equal(wh_redirects_match(rules, p, path, NULL, 0, &hit), 1);
    assert_int_equal(strlen(hit.to), 3 + 3 + 7999);
}

/* A file of mistakes is not read to its end, and costs no more memory than a good one. */
static void test_mistakes(void **state)
{
    apr_pool_t *p = *state, *sub;
    apr_allocator_t *allocator;
    size_t n = 0, max = (size_t)3 << 20;
    char *text = apr_palloc(p, max + 64), said[256];
    wh_redirects_t *rules;
    struct mallinfo2 before, after;

    while (n < max)
        n += (size_t)apr_snprintf(text + n, 16, "/a /b\n");
    assert_int_equal(apr_allocator_create(&allocator), APR_SUCCESS);
    assert_int_equal(apr_pool_create_ex(&sub, NULL, NULL, allocator), APR_SUCCESS);
    before = mallinfo2();
    rules = parse(sub, text, said);
    after = mallinfo2();
    assert_int_equal(wh_redirects_count(rules), WH_REDIRECTS_STATIC_MAX);
    assert_string_equal(said, "4201: the rest is not read: the file has too many rules");
    assert_true(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + (4u << 20));
    apr_pool_destroy(sub);
    apr_allocator_destroy(allocator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("_redirects: codes, placeholders, splats, order, no other host", test_rules),
        UNIT("_redirects: what is refused, and why", test_refused),
        UNIT("_redirects: limits", test_limits),
        UNIT("_redirects: a short rule and a long path make no large answer", test_amplified),
        UNIT("_redirects: a file of mistakes costs little", test_mistakes),
    };
    return UNIT_RUN(tests);
}
