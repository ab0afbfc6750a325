/* What a git push may bring, its options, and what is read of a commit. */
#include "libwh/wh_commit.h"
#include "libwh/wh_push.h"
#include "t/unit/unit.h"

static wh_push_opts_t none(void)
{
    return (wh_push_opts_t){.environment = "", .kind = ""};
}

static void test_options(void **state)
{
    static const char *const bad[] = {
        "",
        "Preview",
        "strict ",
        "strict=1",
        "environment",
        "environment=",
        "environment=A",
        "environment=-",
        "environment=preview-x",
        "kind=",
        "kind=compose",
        "\033[31m",
        "--upload-pack=x",
        "$(id)",
        "no_wait",
    };
    apr_pool_t *p = *state;
    wh_push_opts_t o = none();
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_push_option(p, "preview", &o, &err), &err);
    assert_ok(wh_push_option(p, "no-wait", &o, &err), &err);
    assert_ok(wh_push_option(p, "kind=container", &o, &err), &err);
    assert_true(o.preview && o.no_wait && !o.strict && !o.no_deploy);
    assert_string_equal(o.kind, "container");
    assert_ok(wh_push_options_check(&o, &err), &err);
    o = none();
    assert_ok(wh_push_option(p, "environment=staging", &o, &err), &err);
    assert_ok(wh_push_option(p, "strict", &o, &err), &err);
    assert_string_equal(o.environment, "staging");
    assert_ok(wh_push_options_check(&o, &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        o = none();
        if (wh_push_option(p, bad[i], &o, &err) == APR_SUCCESS)
            fail_msg("\"%s\" passed", bad[i]);
        assert_int_equal(err.http, 400);
        assert_null(strchr(err.text, '\033'));
    }
}

static void test_contradictions(void **state)
{
    static const wh_push_opts_t bad[] = {
        {.environment = "qa", .kind = "", .preview = 1},
        {.environment = "", .kind = "", .strict = 1, .no_wait = 1},
        {.environment = "", .kind = "", .strict = 1, .no_deploy = 1},
    };
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_push_options_check(&bad[i], &err), &err, "push_option");
}

static void test_refs(void **state)
{
    static const char *const bad[] = {
        "refs/tags/v1",    "refs/notes/commits", "refs/heads/",        "refs/heads/-x", "HEAD",
        "refs/heads/a..b", "refs/heads/a b",     "refs/for/main",      "main",          "",
        "refs/heads/a\nb", "refs/heads/x.lock",  "refs/heads/../../x",
    };
    const char *branch;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_push_branch(*state, "refs/heads/main", &branch, &err), &err);
    assert_string_equal(branch, "main");
    assert_ok(wh_push_branch(*state, "refs/heads/fix/$(id)", &branch, &err), &err);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_push_branch(*state, bad[i], &branch, &err), &err, "push_ref");
    assert_true(wh_push_none("0000000000000000000000000000000000000000"));
    assert_false(wh_push_none("0000000000000000000000000000000000000001"));
}

static void test_own_branch(void **state)
{
    static const struct {
        const char *branches[3], *want;
    } cases[] = {
        {{"trunk"}, "trunk"},
        {{"a", "main", "master"}, "main"},
        {{"a", "master"}, "master"},
        {{"b", "a"}, "b"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        apr_array_header_t *list = apr_array_make(*state, 3, sizeof(const char *));

        for (int b = 0; b < 3 && cases[i].branches[b] != NULL; b++)
            APR_ARRAY_PUSH(list, const char *) = cases[i].branches[b];
        assert_string_equal(wh_push_own_branch(list), cases[i].want);
    }
}

static void test_commit(void **state)
{
    wh_commit_t c;

    wh_commit_parse(*state,
                    "tree 0123\nauthor A. <B> <a@b> 1795231683 +0100\ncommitter X <x@y> 1 +0000\n\n"
                    "one \033[31mred\n\ntwo\n\n",
                    &c);
    assert_string_equal(c.author, "A.");
    assert_int_equal(apr_time_sec(c.at), 1795231683);
    assert_string_equal(c.message, "one red\n\ntwo");
    assert_true(wh_commit_skips("a\n\n[Skip CI]") && wh_commit_skips("[x] [ci skip]"));
    assert_false(wh_commit_skips("skip ci") || wh_commit_skips("[skip"));
    wh_commit_parse(*state, "author nobody", &c);
    assert_string_equal(c.author, "");
    assert_string_equal(c.message, "");
    wh_commit_parse(*state, "", &c);
    assert_int_equal(c.at, 0);
    wh_commit_parse(*state, "author x <y> 99999999999999999999 +0\n\nm", &c);
    assert_int_equal(c.at, 0);
    assert_string_equal(c.message, "m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("push options", test_options),
        UNIT("push options that do not go together", test_contradictions),
        UNIT("R22 only branches are taken, XI2 by one grammar", test_refs),
        UNIT("which branch a new app is deployed from", test_own_branch),
        UNIT("F178 a commit's author and message, cleaned", test_commit),
    };

    return UNIT_RUN(tests);
}
