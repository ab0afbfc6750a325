#include "t/unit/unit.h"
#include "libwh/wh_host.h"
#include "libwh/wh_sign.h"

static void test_slugs(void **state)
{
    const char *good[] = {"ab", "a1", "hello-static", "a-b-c-d", "env-x", "x-env", "id", "a-id",
                          "abcdefghijklmnopqrstuvwxyzabcdefghijklmn"};
    const struct {
        const char *slug;
        const char *code;
    } bad[] = {
        {"", "slug_invalid"},        {"a", "slug_invalid"},       {"1a", "slug_invalid"},
        {"-ab", "slug_invalid"},     {"ab-", "slug_invalid"},     {"a--b", "slug_invalid"},
        {"Ab", "slug_invalid"},      {"a_b", "slug_invalid"},     {"a.b", "slug_invalid"},
        {"a b", "slug_invalid"},     {"\xc3\xa4\xc3\xa4", "slug_invalid"},
        {"ab\n", "slug_invalid"},    {"a-env-b", "slug_invalid"}, {"a-branch-b", "slug_invalid"},
        {"a-id-b", "slug_invalid"},  {"www", "slug_reserved"},    {"api", "slug_reserved"},
        {"admin", "slug_reserved"},  {"localhost", "slug_reserved"}, {"mail", "slug_reserved"},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmno", "slug_invalid"},
        {"../etc", "slug_invalid"},  {"a;id", "slug_invalid"},
    };
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_ok(wh_host_slug_check(good[i], &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_code(wh_host_slug_check(bad[i].slug, &err), &err, bad[i].code);
        assert_int_equal(err.http, 400);
    }
    assert_ok(wh_host_env_check("production", &err), &err);
    assert_ok(wh_host_env_check("p", &err), &err);
    assert_code(wh_host_env_check("", &err), &err, "environment_invalid");
    assert_code(wh_host_env_check("a--b", &err), &err, "environment_invalid");
    assert_code(wh_host_env_check("x/../y", &err), &err, "environment_invalid");
}

static void test_branches(void **state)
{
    apr_pool_t *p = *state;
    const char *good[] = {"main", "feature/x", "a.b", "v1.0", "\xc3\xa4", "x@y", "a-b", "#1", "a{b"};
    const char *bad[] = {
        "",        "-x",      "--upload-pack=x", "main;id\n", "a..b",   "a b",   "a~b",  "a^b",
        "a:b",     "a?b",     "a*b",  "a[b",     "a\\b",      "/a",     "a/",    "a//b", "a.",
        ".a",      "a/.b",    "a.lock", "a.lock/b", "a@{b",   "@",      "HEAD",  "a\x7f", "a\x01",
        "\xff",    "a\tb",
    };
    wh_err_t err = WH_ERR_INIT;
    char *s = apr_pcalloc(p, 257);

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_ok(wh_host_branch_check(good[i], &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_host_branch_check(bad[i], &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_string_equal(err.code, "ref_invalid");
    }
    memset(s, 'a', 256);
    assert_code(wh_host_branch_check(s, &err), &err, "ref_invalid");
    s[255] = '\0';
    assert_ok(wh_host_branch_check(s, &err), &err);
}

static void test_commits(void **state)
{
    const char *bad[] = {"", "HEAD", "-x", "0000000000000000000000000000000000000000",
                         "e3b0c44298fc1c149afbf4c8996fb92427ae41e",
                         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4a",
                         "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4",
                         "g3b0c44298fc1c149afbf4c8996fb92427ae41e4"};
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    assert_ok(wh_host_commit_check("e3b0c44298fc1c149afbf4c8996fb92427ae41e4", &err), &err);
    assert_ok(wh_host_commit_check("e3b0c44298fc1c149afbf4c8996fb92427ae41e4"
                                   "e3b0c44298fc1c149afbf4c8", &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_host_commit_check(bad[i], &err), &err, "commit_invalid");
}

static void test_normalise(void **state)
{
    apr_pool_t *p = *state;
    const char *good[][2] = {
        {"app.base", "app.base"},       {"APP.Base", "app.base"}, {"app.base.", "app.base"},
        {"app.base:8080", "app.base"},  {"app.base.:80", "app.base"}, {"app.base:", "app.base"},
        {"localhost", "localhost"},     {"127.0.0.1:8080", "127.0.0.1"}, {"[::1]:80", "[::1]"},
        {"[FE80::1]", "[fe80::1]"},     {"0x7f.1", "0x7f.1"},     {"a_b.c", "a_b.c"},
        {"app.base:65535", "app.base"},
    };
    const char *bad[] = {
        "",           ".",        "..",          "a..b",       ".a",         "a..",
        "app%2e.base", "%2e%2e.base", "app.base/", "app/../b", "a b",        "a\tb",
        "app.base:0", "app.base:99999", "app.base:65536", "app.base:abc", "app.base:-1",
        "app.base:80:80", "[::1", "[]", "[::1]x", "[::g]", "[::1]:99999", "\xc3\xa4.base",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000]",
        "a\x01.base", "user@app.base", "app.base\\x",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.base",
    };
    wh_err_t err = WH_ERR_INIT;
    const char *name;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_ok(wh_host_normalise(p, good[i][0], &name, &err), &err);
        assert_string_equal(name, good[i][1]);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_host_normalise(p, bad[i], &name, &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_string_equal(err.code, "host_invalid");
    }
    assert_code(wh_host_normalise(p, NULL, &name, &err), &err, "host_invalid");
}

static void test_places(void **state)
{
    apr_pool_t *p = *state;
    const struct {
        const char *name;
        const char *base;
        wh_host_place_e place;
    } cases[] = {
        {"app.base.example", "base.example", WH_HOST_LABEL},
        {"a.b.base.example", "base.example", WH_HOST_UNDER},
        {"base.example", "base.example", WH_HOST_UNDER},
        {"evilbase.example", "base.example", WH_HOST_OTHER},
        {"app.base.example.evil", "base.example", WH_HOST_OTHER},
        {"example", "base.example", WH_HOST_OTHER},
        {"app.localhost", "localhost", WH_HOST_LABEL},
        {"localhost", "localhost", WH_HOST_UNDER},
        {"127.0.0.1", "localhost", WH_HOST_OTHER},
        {"app.base.example", "", WH_HOST_OTHER},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        const char *label = NULL;

        assert_int_equal(wh_host_label_of(p, cases[i].name, cases[i].base, &label),
                         cases[i].place);
        if (cases[i].place == WH_HOST_LABEL)
            assert_string_equal(label, "app");
        else
            assert_null(label);
    }
}

static void test_labels(void **state)
{
    apr_pool_t *p = *state;
    const char *slug = "abcdefghijklmnopqrstuvwxyzabcdefghijklmn", *a, *b;

    assert_string_equal(wh_host_label_app(p, "blog"), "blog");
    assert_string_equal(wh_host_label_env(p, "my-project", "staging"), "my-project-env-staging");
    assert_string_equal(wh_host_label_branch(p, "blog", "main"), "blog-branch-main");
    a = wh_host_label_branch(p, "blog", "fix/a");
    b = wh_host_label_branch(p, "blog", "fix-a");
    assert_string_equal(b, "blog-branch-fix-a");
    assert_memory_equal(a, "blog-branch-fix-a-", 18);
    assert_int_equal(strlen(a), 25);
    assert_string_not_equal(wh_host_label_branch(p, "blog", "Main"), "blog-branch-main");
    a = wh_host_label_branch(p, "blog", "\xc3\xa4\xc3\xb6");
    assert_memory_equal(a, "blog-branch-", 12);
    assert_true(wh_host_domain_ok(a));
    a = wh_host_label_env(p, slug, "a-very-long-environment-nameabcd");
    assert_int_equal(strlen(a), 63);
    assert_true(wh_host_domain_ok(a));
    b = wh_host_label_env(p, slug, "a-very-long-environment-nameabce");
    assert_string_not_equal(a, b);
    a = wh_host_label_deployment(p, "blog", "01hzx0000000000000000000aa", WH_HOST_ID_DIGITS);
    assert_memory_equal(a, "blog-id-", 8);
    assert_memory_equal(a + 8, wh_sign_sha256_hex(p, "01hzx0000000000000000000aa", 26), 7);
    assert_int_equal(strlen(a), 15);
    assert_int_equal(strlen(wh_host_label_deployment(p, "blog", "x", 12)), 20);
    a = wh_host_label_deployment(p, slug, "x", 40);
    assert_int_equal(strlen(a), 63);
    assert_true(wh_host_domain_ok(a));
    assert_string_equal(wh_host_site(p, "https", "a.example", 443), "https://a.example");
    assert_string_equal(wh_host_site(p, "http", "localhost", 8080), "http://localhost:8080");
    assert_string_equal(wh_host_site_url(p, "http://localhost:8080", "blog"),
                        "http://blog.localhost:8080");
    assert_string_equal(wh_host_site_host(p, "http://localhost:8080", "blog"), "blog.localhost");
    assert_string_equal(wh_host_site_url(p, "", "blog"), "");
    assert_string_equal(wh_host_site_host(p, "", "blog"), "");
    assert_string_equal(wh_host_url(p, "http", "blog", "localhost", 8080),
                        "http://blog.localhost:8080/");
    assert_string_equal(wh_host_url(p, "https", "blog", "a.example", 443),
                        "https://blog.a.example/");
    assert_string_equal(wh_host_url(p, "http", "blog", "a.example", 0), "http://blog.a.example/");
}

static void test_domains(void **state)
{
    const char *good[] = {"a", "localhost", "a.b", "xn--4ca.de", "1.a", "a-b.c"};
    const char *bad[] = {"", ".", "a.", ".a", "a..b", "A.b", "-a", "a-", "a.-b", "1.2.3.4", "1",
                         "a_b", "a b", "a/b", "`a`", "a\n"};

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_true(wh_host_domain_ok(good[i]));
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_host_domain_ok(bad[i]))
            fail_msg("\"%s\" passed", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("slugs: grammar, inner marks, reserved names", test_slugs),
        UNIT("XC16 XI2 branches: what git refuses, and what options look like", test_branches),
        UNIT("XC17 commits are 40 or 64 lower-case digits", test_commits),
        UNIT("F299 R19 XG1 XG3 XG6 the Host header", test_normalise),
        UNIT("F299 R19 R27 XG8 a label is taken only under the base domain", test_places),
        UNIT("F190 F191 F221 labels of app, environment, branch and deployment", test_labels),
        UNIT("F120 what a domain may be", test_domains),
    };

    return UNIT_RUN(tests);
}
