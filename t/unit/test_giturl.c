#include "t/unit/unit.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_types.h"

static const char *hostile[] = {
    "", " ", "--upload-pack=touch x", "-oProxyCommand=x", "ext::sh -c id", "fd::17",
    "file:///etc", "file://localhost/etc", "ssh://-oProxyCommand=x/y", "ssh://git@h/x",
    "git@github.com:a/b", "git://h/x", "http://h/x", "HTTPS://h/x", "https:/h/x", "https://",
    "https:///x", "https://h", "https://h/", "https://u:p@h/x", "https://u@h/x",
    "https://h\\@evil/x", "https://h/x\\y", "https://h/x\n--upload-pack=y", "https://h/x y",
    "https://h/x\ty", "https://h/x\x7f", "https://h/x?y", "https://h/x#y", "https://h/../x",
    "https://h/a/../b", "https://h/a/./b", "https://h//a", "https://h/a//b", "https://-h/x",
    "https://h-/x", "https://h..i/x", "https://h:0/x", "https://h:99999/x", "https://h:/x",
    "https://h:8o/x", "https://[::1]/x", "https://256.1.1.1/x", "https://1.2.3/x",
    "https://0x7f.1.1.1/x;id", "https://h/$(id)", "https://h/`id`", "https://h/x|y",
    "https://h/%2e%2e/x", "https://h/%2fx", "https://h/%00", "https://h/%0a", "https://h/%5c",
    "https://h/%zz", "https://h/%", "https://h/%4", "https://\xc3\xa4.de/x", "https://h/\xc3\xa4",
    "https://h/\xff", "https://ext::sh/x", "::", "https::x", "git+https://h/x", "./x", "../x", "x",
};

static void test_hostile(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    char *s;

    for (size_t i = 0; i < WH_ARRAY_LEN(hostile); i++) {
        if (wh_giturl_check(p, hostile[i], "/srv/git", &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", hostile[i]);
        assert_string_equal(err.code, "repository_refused");
        assert_string_equal(err.pointer, "/repository/url");
        assert_int_equal(err.http, 400);
    }
    s = apr_palloc(p, 8193);
    memset(s, 'a', 8192);
    s[8192] = '\0';
    memcpy(s, "https://h/", 10);
    assert_code(wh_giturl_check(p, s, NULL, &err), &err, "repository_refused");
    s[2049] = '\0';
    assert_code(wh_giturl_check(p, s, NULL, &err), &err, "repository_refused");
    s[2048] = '\0';
    assert_ok(wh_giturl_check(p, s, NULL, &err), &err);
}

static void test_good(void **state)
{
    const char *good[] = {
        "https://github.com/owner/name.git", "https://github.com/owner/name",
        "https://git.sr.ht/~user/name", "https://gitlab.example:8443/g/s/p.git",
        "https://10.0.0.1/x", "https://GitHub.com/a/b", "https://h/a@b", "https://h/My%20Project/_git/x",
        "https://h/a/",
    };
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_ok(wh_giturl_check(*state, good[i], NULL, &err), &err);
        assert_int_equal(wh_giturl_kind(good[i]), WH_GITURL_HTTPS);
    }
}

static void test_pushed(void **state)
{
    static const char *const bad[] = {"hub", "hub:x", "hub:/", "HUB:", " hub:", "hub: "};
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_giturl_check(*state, WH_GITURL_PUSHED, NULL, &err), &err);
    assert_int_equal(wh_giturl_kind(WH_GITURL_PUSHED), WH_GITURL_HUB);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_giturl_check(*state, bad[i], NULL, &err), &err, "repository_refused");
}

static void test_local(void **state)
{
    apr_pool_t *p = *state;
    const char *bad[] = {"/etc", "/srv", "/srv/git", "/srv/git/", "/srv/gitx/a", "/srv/git/../x",
                         "/srv/git/a/../../x", "/srv/git/./a", "/srv/git//a", "/srv/git/a//b",
                         "/srv/git/a\nb", "/srv/git/a\\b", "/srv/other/a", "srv/git/a"};
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_giturl_check(p, "/srv/git/a.git", "/srv/git", &err), &err);
    assert_ok(wh_giturl_check(p, "/srv/git/a/b", "/srv/git/", &err), &err);
    assert_int_equal(wh_giturl_kind("/srv/git/a"), WH_GITURL_LOCAL);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_giturl_check(p, bad[i], "/srv/git", &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_string_equal(err.code, "repository_refused");
    }
    assert_code(wh_giturl_check(p, "/srv/git/a.git", NULL, &err), &err, "repository_refused");
    assert_code(wh_giturl_check(p, "/srv/git/a.git", "", &err), &err, "repository_refused");
    assert_code(wh_giturl_check(p, "/srv/git/a.git", "srv/git", &err), &err,
                "repository_refused");
}

static void test_subdirs(void **state)
{
    const char *good[] = {"", "a", "a/b/c", "dist", "site/.well-known", "a b", "-x"};
    const char *bad[] = {"/", "/a", "a/", "..", "../a", "a/../b", "./a", "a//b", ".git", "a/.GIT/x",
                         "git~1", "a\\b", "a\nb", "\xff"};
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_ok(wh_giturl_subdir_check(good[i], &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_giturl_subdir_check(bad[i], &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_string_equal(err.code, "path_invalid");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XI1 hostile repository addresses", test_hostile),
        UNIT("XI1 addresses that people have", test_good),
        UNIT("what was pushed to the server itself has one address", test_pushed),
        UNIT("XI1 local repositories lie below their root, or nowhere", test_local),
        UNIT("XI6 directories in a repository", test_subdirs),
    };

    return UNIT_RUN(tests);
}
