/* Which environment a branch belongs to. */
#include <string.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "t/unit/unit.h"

static void test_match(void **state)
{
    static const struct {
        const char *pattern, *branch;
        int want;
    } cases[] = {
        {"main", "main", 1},
        {"main", "Main", 0},
        {"main", "main/x", 0},
        {"main", "mai", 0},
        {"*", "main", 1},
        {"*", "a/b", 0},
        {"**", "a/b/c", 1},
        {"**", "main", 1},
        {"release/*", "release/1.2", 1},
        {"release/*", "release/1/2", 0},
        {"release/*", "release", 0},
        {"release/**", "release/1/2", 1},
        {"release/**", "release/1", 1},
        {"release/**", "release", 0},
        {"**/fix", "a/fix", 1},
        {"**/fix", "a/b/fix", 1},
        {"**/fix", "fix", 0},
        {"**/fix", "a/fix/b", 0},
        {"a/**/z", "a/z", 0},
        {"a/**/z", "a/b/z", 1},
        {"a/**/z", "a/b/c/z", 1},
        {"a/**/z", "a/z/b/z", 1},
        {"**/a/**", "x/a/y", 1},
        {"**/a/**", "a/a/a", 1},
        {"**/a/**", "a/a", 0},
        {"fix-*", "fix-", 1},
        {"fix-*-b", "fix-a-b-b", 1},
        {"fix-*-b", "fix-a-c", 0},
        {"*a*b*", "xaxbx", 1},
        {"*a*b*", "xbxax", 0},
        {"a**b", "axxb", 1},
        {"a**b", "ax/xb", 0},
        {"***", "abc", 1},
        {"v[0-9]", "v1", 0}, /* not a class: no branch can match it */
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        if (wh_branch_match(cases[i].pattern, cases[i].branch) != cases[i].want)
            fail_msg("%s %s", cases[i].pattern, cases[i].branch);
    }
}

static void test_pattern(void **state)
{
    static const char *const good[] = {"main", "*", "**", "release/*", "a/**/b", "v*.*", "ö*"};
    static const char *const bad[] = {"",      "-x",    "/a",   "a/",    "a//b", "a b", "a..b",
                                      "a?",    "[a]",   "a~",   "x.lock", "@",    "a\\b", "\x01",
                                      "a/.b", "HEAD", "a:b",  "\xff"};
    char *longest = memset(apr_pcalloc(*state, 300), 'a', 256);

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_int_equal(wh_branch_pattern_check(good[i], NULL), APR_SUCCESS);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_err_t err = WH_ERR_INIT;

        assert_code(wh_branch_pattern_check(bad[i], &err), &err, "pattern_invalid");
        assert_string_equal(err.pointer, "/pattern");
    }
    assert_int_not_equal(wh_branch_pattern_check(longest, NULL), APR_SUCCESS);
    longest[255] = '\0';
    assert_int_equal(wh_branch_pattern_check(longest, NULL), APR_SUCCESS);
}

/* The worst that a pattern can do is bounded. */
static void test_time(void **state)
{
    char pattern[256], branch[256];

    (void)state;
    for (int i = 0; i < 127; i++) {
        memcpy(pattern + i * 2, "*a", 3);
        memcpy(branch + i * 2, "aa", 3);
    }
    branch[253] = 'b';
    assert_false(wh_branch_match(pattern, branch));
    for (int i = 0; i < 63; i++) {
        memcpy(pattern + i * 4, "**/a", 5);
        memcpy(branch + i * 4, "a/a/", 5);
        pattern[i * 4 + 3] = i % 2 ? 'a' : 'b';
    }
    assert_false(wh_branch_match("**/a/**/a/**/a/**/a/**/a/**/b", branch));
}

static void test_preview(void **state)
{
    static const char *const branches[] = {"fix", "feature/Log-In", "ÖÄÜ", "a",
                                           "a-very-long-branch-name/that-goes-on", "1", "__x__"};

    for (size_t i = 0; i < WH_ARRAY_LEN(branches); i++) {
        const char *env = wh_branch_preview(*state, branches[i]);

        assert_int_equal(wh_host_env_check(env, NULL), APR_SUCCESS);
        assert_true(wh_branch_is_preview(env));
    }
    assert_string_equal(wh_branch_preview(*state, "feature/Log-In"),
                        "preview-feature-log-in-424b3b0");
    assert_string_not_equal(wh_branch_preview(*state, "fix/a"), wh_branch_preview(*state, "fix-a"));
    assert_false(wh_branch_is_preview("production"));
}

static void test_environment(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *rules = apr_array_make(p, 4, sizeof(wh_branch_rule_t));
    const char *env;

    APR_ARRAY_PUSH(rules, wh_branch_rule_t) =
        (wh_branch_rule_t){.environment = "staging", .pattern = "develop"};
    APR_ARRAY_PUSH(rules, wh_branch_rule_t) =
        (wh_branch_rule_t){.environment = "qa", .pattern = "release/*"};
    APR_ARRAY_PUSH(rules, wh_branch_rule_t) =
        (wh_branch_rule_t){.environment = "late", .pattern = "release/**"};
    assert_string_equal(wh_branch_environment(p, "main", "main", rules, 1), "production");
    assert_string_equal(wh_branch_environment(p, "develop", "main", rules, 1), "staging");
    assert_string_equal(wh_branch_environment(p, "release/1", "main", rules, 1), "qa");
    assert_string_equal(wh_branch_environment(p, "release/1/b", "main", rules, 1), "late");
    assert_string_equal(wh_branch_environment(p, "develop", "develop", rules, 1), "production");
    assert_null(wh_branch_environment(p, "fix", "main", rules, 0));
    env = wh_branch_environment(p, "fix", "main", rules, 1);
    assert_true(wh_branch_is_preview(env));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("patterns match segment by segment", test_match),
        UNIT("a pattern is a branch with stars", test_pattern),
        UNIT("no pattern takes long", test_time),
        UNIT("F191 the environment of a preview is one, and its branch's alone", test_preview),
        UNIT("F190 F191 own branch, patterns in order, preview, nothing", test_environment),
    };

    return UNIT_RUN(tests);
}
