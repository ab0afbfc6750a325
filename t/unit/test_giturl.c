#include "t/unit/unit.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_types.h"

static const char *hostile[] = {
    "", " ", "--upload-pack=touch x", "-oProxyCommand=x", "ext::sh -c id", "fd::17",
    "file:///etc", "file://localhost/etc", "ssh://-oProxyCommand=x/y", "ssh://git@-oProxyCommand=x/y",
    "ssh://-oProxyCommand=x@h/y", "-oProxyCommand=x@h:y", "git@-oProxyCommand=x:y", "ssh://h/x", "h:x", "h:/x",
    "ssh://git@h", "ssh://git@h/", "ssh://git:pw@h/x", "ssh://git@h:0/x", "ssh://git@h:22:22/x", "ssh://@h/x",
    "ssh://git@h/-x", "ssh://git@h/%2dx", "ssh://git@h/../x", "ssh://git@h/a//b", "ssh://git@h/$(id)", "ssh://git@[::1]/x",
    "git@h:", "git@h:/", "git@h:-x", "git@h:/-x", "git@h:../x", "git@h:a b", "git@h:a%41", "git@h:`id`", "git@h/x:y",
    "g;t@h:x", "git@h:x\ny", "git@h::x", "git@ext::sh", "git@:x", "a@b@h:x", "ssh+git://git@h/x", "SSH://git@h/x", "git://h/x", "http://h/x", "HTTPS://h/x", "https:/h/x", "https://",
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

typedef struct ssh_t {
    const char *url, *user, *host, *port, *path, *site;
} ssh_t;

static void test_ssh(void **state)
{
    static const ssh_t good[] = {
        {"git@github.com:owner/name.git", "git", "github.com", "22", "owner/name.git", "github.com"},
        {"git@GitHub.com:/srv/git/x", "git", "github.com", "22", "/srv/git/x", "github.com"},
        {"git@h:22/x", "git", "h", "22", "22/x", "h"},
        {"ssh://git@h/owner/name.git", "git", "h", "22", "/owner/name.git", "h"},
        {"ssh://git@h:2222/~me/x/", "git", "h", "2222", "/~me/x/", "h:2222"},
        {"ssh://a.b-c_d@10.0.0.1:22/x", "a.b-c_d", "10.0.0.1", "22", "/x", "10.0.0.1"},
        {"https://H.example:8443/g/p", "", "h.example", "8443", "/g/p", "h.example:8443"},
        {"https://h:443/g", "", "h", "443", "/g", "h"},
    };
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        const ssh_t *g = &good[i];
        wh_giturl_parts_t parts;

        assert_ok(wh_giturl_check(*state, g->url, NULL, &err), &err);
        assert_int_equal(wh_giturl_kind(g->url), i < 6 ? WH_GITURL_SSH : WH_GITURL_HTTPS);
        wh_giturl_parts(*state, g->url, &parts);
        assert_string_equal(parts.user, g->user);
        assert_string_equal(parts.host, g->host);
        assert_string_equal(parts.port, g->port);
        assert_string_equal(parts.path, g->path);
        assert_string_equal(wh_giturl_site(*state, g->url), g->site);
    }
    assert_string_equal(wh_giturl_site(*state, "/srv/git/x"), "");
    assert_string_equal(wh_giturl_site(*state, WH_GITURL_PUSHED), "");
}

typedef struct sub_t {
    const char *base, *said, *url; /* NULL = refused */
} sub_t;

static void test_submodules(void **state)
{
    static const sub_t subs[] = {
        {"https://h/o/a.git", "../b.git", "https://h/o/b.git"},
        {"https://h/o/a.git/", "../b", "https://h/o/b"},
        {"https://h/o/a.git", "./b", "https://h/o/a.git/b"},
        {"https://h/o/a", "../../x/b", "https://h/x/b"},
        {"https://h/o/a", "../../../b", NULL},
        {"https://h:8443/a", "../b", "https://h:8443/b"},
        {"https://h/a", "../.././../b", NULL},
        {"https://h/a", "../", NULL},
        {"https://h/a", "../..", NULL},
        {"https://h/a", "./../b", "https://h/b"},
        {"git@h:o/a.git", "../b.git", "git@h:o/b.git"},
        {"git@h:a.git", "../b.git", "git@h:b.git"},
        {"git@h:a.git", "../../b.git", NULL},
        {"git@h:/srv/a", "../b", "git@h:/srv/b"},
        {"git@h:/a", "../../b", NULL},
        {"git@h:a", "../-b", NULL},
        {"ssh://git@h:2222/o/a", "../../p/b", "ssh://git@h:2222/p/b"},
        {"ssh://git@h/a", "../../evil/b", NULL},
        {"/srv/git/a", "../b", "/srv/git/b"},
        {"/srv/git/a", "../../b", NULL},
        {"/srv/git/a", "/srv/git/b", "/srv/git/b"},
        {"/srv/git/a", "https://h/b", "https://h/b"},
        {"https://h/a", "/srv/git/b", NULL},
        {"https://h/a", "hub:", NULL},
        {"https://h/a", "ext::sh -c id", NULL},
        {"https://h/a", "file:///srv/git/b", NULL},
        {"https://h/a", "--upload-pack=x", NULL},
        {"https://h/a", "-oProxyCommand=x", NULL},
        {"https://h/a", "git@g:b", "git@g:b"},
        {"https://h/a", "../b?x", NULL},
        {"https://h/a", "../b\n", NULL},
        {"https://h/a", "http://h/b", NULL},
        {"https://h/a", "https://u:p@h/b", NULL},
        {"hub:", "../b", NULL},
        {"hub:", "hub:", NULL},
        {"hub:", "https://h/b", "https://h/b"},
    };
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(subs); i++) {
        const sub_t *s = &subs[i];
        const char *url = NULL;
        apr_status_t rv = wh_giturl_submodule(*state, s->base, s->said, "/srv/git", &url, &err);

        if ((rv == APR_SUCCESS) != (s->url != NULL) || (s->url && strcmp(url, s->url) != 0))
            fail_msg("%s at %s: %s", s->said, s->base, rv ? err.text : url);
        if (rv != APR_SUCCESS)
            assert_string_equal(err.code, "repository_refused");
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
        UNIT("F216 addresses over ssh, and their parts", test_ssh),
        UNIT("XI1 submodules are held to the same rules", test_submodules),
        UNIT("what was pushed to the server itself has one address", test_pushed),
        UNIT("XI1 local repositories lie below their root, or nowhere", test_local),
        UNIT("XI6 directories in a repository", test_subdirs),
    };

    return UNIT_RUN(tests);
}
