/* What is said to forges, byte by byte, and what their answers mean. */
#include <stdio.h>
#include <stdlib.h>
#include "t/unit/unit.h"

#include "libwh/wh_forge.h"

static const char *const actions[WH_FORGE_ACTIONS] = {
    [WH_FORGE_HOOK_ADD] = "hook_add",       [WH_FORGE_HOOK_SET] = "hook_set",
    [WH_FORGE_HOOK_REMOVE] = "hook_remove", [WH_FORGE_HOOK_FIND] = "hook_find",
    [WH_FORGE_STATUS] = "status",           [WH_FORGE_COMMENT_ADD] = "comment_add",
    [WH_FORGE_COMMENT_SET] = "comment_set", [WH_FORGE_COMMENT_FIND] = "comment_find",
};

static const char *slurp(apr_pool_t *p, const char *name)
{
    const char *top = getenv("top_srcdir");
    char *buf = apr_pcalloc(p, 20000);
    FILE *f = fopen(apr_pstrcat(p, top ? top : ".", "/t/data/forges/", name, ".txt", NULL), "r");

    if (!f)
        fail_msg("%s", name);
    buf[fread(buf, 1, 19999, f)] = 0;
    fclose(f);
    return buf;
}

static const char *as_text(apr_pool_t *p, wh_forge_action_e action, const wh_forge_call_t *call)
{
    const char *text = apr_psprintf(p, "== %s\n%s %s\n", actions[action], call->method, call->url);

    for (size_t i = 0; i < WH_ARRAY_LEN(call->headers) && call->headers[i][0]; i++)
        text = apr_pstrcat(p, text, call->headers[i][0], ": ", call->headers[i][1], "\n", NULL);
    return call->body ? apr_pstrcat(p, text, "\n", call->body, "\n", NULL) : text;
}

static void test_calls(void **state)
{
    static const struct {
        const char *provider, *url, *id;
    } forges[] = {{"github", "https://github.com/owner/site.git", "42"},
                  {"gitea", "https://codeberg.org/owner/site", "42"},
                  {"gitlab", "https://gitlab.com/group/sub/site.git", "42"},
                  {"bitbucket", "https://bitbucket.org/owner/site", "{5d94-1}"}};
    apr_pool_t *p = *state;

    for (size_t i = 0; i < WH_ARRAY_LEN(forges); i++) {
        const wh_forge_t *forge = wh_forge_of(forges[i].provider);
        wh_forge_vars_t vars = {.token = "t0ken",
                                .id = forges[i].id,
                                .url = "https://deploy.example.org/v1/webhooks/x/01h",
                                .secret = "s3cret",
                                .sha = "9fceb02d0ae598e95dc970b74767f19372d61af8",
                                .target = "https://site-1.example.org",
                                .description = "Deployed",
                                .context = "wisehost/site",
                                .state = WH_FORGE_SUCCESS,
                                .number = "7",
                                .text = "<!-- m -->\nReady: \"x\" \\"};
        wh_err_t err = WH_ERR_INIT;
        const char *all = "";

        assert_ok(wh_forge_place(p, forge, forges[i].url, &vars.api, &vars.repository, &err), &err);
        for (int a = 0; a < WH_FORGE_ACTIONS; a++) {
            wh_forge_call_t call;

            wh_forge_call(p, forge, (wh_forge_action_e)a, &vars, &call);
            all = apr_pstrcat(p, all, as_text(p, (wh_forge_action_e)a, &call), NULL);
        }
        assert_string_equal(all, slurp(p, forges[i].provider));
    }
}

static void test_place(void **state)
{
    static const struct {
        const char *provider, *url, *api, *repository;
    } good[] = {
        {"github", "https://git.corp.example/a/b.git", "https://git.corp.example/api/v3", "a/b"},
        {"forgejo", "https://git.example:3000/a/b/", "https://git.example:3000/api/v1", "a/b"},
        {"codeberg", "https://codeberg.org/a/b", "https://codeberg.org/api/v1", "a/b"},
        {"gitlab", "https://gitlab.com/a/b", "https://gitlab.com/api/v4", "a/b"},
        {"github", "git@github.com:a/b.git", "https://api.github.com", "a/b"},
        {"gitea", "ssh://git@git.example:2222/a/b", "https://git.example/api/v1", "a/b"},
    };
    static const char *const bad[] = {"hub:",
                                      "/srv/repos/a",
                                      "https://github.com/a",
                                      "https://github.com/a/b/c",
                                      "ssh://git@github.com/a"};
    wh_err_t err = WH_ERR_INIT;
    const char *api, *repository;

    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++) {
        assert_ok(wh_forge_place(*state, wh_forge_of(good[i].provider), good[i].url, &api,
                                 &repository, &err),
                  &err);
        assert_string_equal(api, good[i].api);
        assert_string_equal(repository, good[i].repository);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_forge_place(*state, wh_forge_of("github"), bad[i], &api, &repository, &err),
                    &err, "forge_unknown");
    assert_null(wh_forge_of("azure"));
    assert_null(wh_forge_of("generic"));
    assert_null(wh_forge_of("github-actions"));
    assert_null(wh_forge_of(""));
    assert_true(wh_forge_api_ok(*state, "http://127.0.0.1:3000/api/v1"));
    assert_false(wh_forge_api_ok(*state, "https://a.example/api/"));
    assert_false(wh_forge_api_ok(*state, "https://a.example?x"));
    assert_false(wh_forge_api_ok(*state, ""));
    assert_true(wh_forge_token_ok("ghp_x"));
    assert_false(wh_forge_token_ok("a b"));
    assert_false(wh_forge_token_ok("a\r\nX: y"));
}

static void test_key(void **state)
{
    const wh_forge_t *forge = wh_forge_of("bitbucket");
    wh_forge_vars_t vars = {.api = "https://a.example",
                            .repository = "a/b",
                            .token = "t",
                            .sha = "1",
                            .context = "wisehost/a-name-of-forty-bytes-is-the-longest/production"};
    wh_forge_call_t call;
    const char *key;

    wh_forge_call(*state, forge, WH_FORGE_STATUS, &vars, &call);
    key = strstr(call.body, "\"key\":\"") + 7;
    assert_int_equal(strcspn(key, "\""), 40);
}

static void test_answers(void **state)
{
    static const char list[] = "[{\"id\":1,\"config\":{\"url\":\"https://a/x\"}},"
                               "{\"id\":22,\"config\":{\"url\":\"https://a/y\"}}]";
    static const char comments[] = "{\"values\":[{\"id\":3,\"content\":{\"raw\":\"hello\"}},"
                                   "{\"id\":4,\"content\":{\"raw\":\"<!-- m --> x\"}}]}";
    static const char odd[] = "{\"id\":\"a b\"}";
    /* What would be another place than one of these below the list. */
    static const char *const paths[] = {"{\"id\":\"..\"}", "{\"id\":\".\"}", "{\"id\":\"\"}"};
    const wh_forge_t *github = wh_forge_of("github"), *bitbucket = wh_forge_of("bitbucket");

    assert_string_equal(wh_forge_id(*state, github, "{\"id\":17}", 9), "17");
    assert_string_equal(wh_forge_id(*state, bitbucket, "{\"uuid\":\"{1}\"}", 14), "{1}");
    assert_string_equal(wh_forge_id(*state, bitbucket, "{\"id\":5}", 8), "5");
    assert_null(wh_forge_id(*state, github, "x", 1));
    assert_null(wh_forge_id(*state, github, odd, sizeof(odd) - 1));
    for (size_t i = 0; i < WH_ARRAY_LEN(paths); i++)
        assert_null(wh_forge_id(*state, github, paths[i], strlen(paths[i])));
    assert_string_equal(
        wh_forge_find(*state, github, WH_FORGE_HOOK_FIND, "https://a/y", list, sizeof(list) - 1),
        "22");
    assert_null(
        wh_forge_find(*state, github, WH_FORGE_HOOK_FIND, "https://a/", list, sizeof(list) - 1));
    assert_string_equal(wh_forge_find(*state, bitbucket, WH_FORGE_COMMENT_FIND, "<!-- m -->",
                                      comments, sizeof(comments) - 1),
                        "4");
    assert_null(wh_forge_find(*state, bitbucket, WH_FORGE_COMMENT_FIND, "m", "[]", 2));
}

static void test_verdicts(void **state)
{
    static const struct {
        wh_forge_action_e action;
        int status, waits;
        wh_forge_verdict_e verdict;
    } all[] = {{WH_FORGE_STATUS, 201, 0, WH_FORGE_DONE},
               {WH_FORGE_STATUS, 0, 0, WH_FORGE_AGAIN},
               {WH_FORGE_STATUS, 429, 0, WH_FORGE_AGAIN},
               {WH_FORGE_STATUS, 503, 0, WH_FORGE_AGAIN},
               {WH_FORGE_STATUS, 403, 1, WH_FORGE_AGAIN},
               {WH_FORGE_STATUS, 403, 0, WH_FORGE_STOP},
               {WH_FORGE_STATUS, 401, 0, WH_FORGE_STOP},
               {WH_FORGE_STATUS, 404, 0, WH_FORGE_NO},
               {WH_FORGE_STATUS, 422, 0, WH_FORGE_NO},
               {WH_FORGE_STATUS, 302, 0, WH_FORGE_NO},
               {WH_FORGE_HOOK_FIND, 404, 0, WH_FORGE_STOP},
               {WH_FORGE_HOOK_ADD, 404, 0, WH_FORGE_STOP},
               {WH_FORGE_HOOK_SET, 404, 0, WH_FORGE_GONE},
               {WH_FORGE_HOOK_REMOVE, 404, 0, WH_FORGE_DONE},
               {WH_FORGE_COMMENT_SET, 404, 0, WH_FORGE_GONE},
               {WH_FORGE_COMMENT_SET, 410, 0, WH_FORGE_GONE},
               {WH_FORGE_COMMENT_SET, 403, 0, WH_FORGE_GONE}, /* somebody else's, with our mark */
               {WH_FORGE_COMMENT_SET, 403, 1, WH_FORGE_AGAIN},
               {WH_FORGE_COMMENT_SET, 401, 0, WH_FORGE_STOP},
               {WH_FORGE_COMMENT_ADD, 403, 0, WH_FORGE_STOP},
               {WH_FORGE_COMMENT_ADD, 404, 0, WH_FORGE_NO}};

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(all); i++)
        assert_int_equal(wh_forge_verdict(all[i].action, all[i].status, all[i].waits),
                         all[i].verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("each forge's calls, as its documentation has them", test_calls),
        UNIT("where an API is, and how a repository is called there", test_place),
        UNIT("a build's key has 40 bytes at most", test_key),
        UNIT("ids in answers, and what is looked for in lists", test_answers),
        UNIT("what is tried again, made anew, given up, and what ends it all", test_verdicts),
    };
    return UNIT_RUN(tests);
}
