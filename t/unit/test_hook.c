#include <stdio.h>
#include <stdlib.h>
#include "t/unit/unit.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

#define SHA "9fceb02d0ae598e95dc970b74767f19372d61af8"
#define ZERO "0000000000000000000000000000000000000000"

static char *slurp(apr_pool_t *p, const char *name, size_t *n)
{
    const char *top = getenv("top_srcdir");
    char *buf = apr_palloc(p, 100000);
    FILE *f = fopen(apr_pstrcat(p, top ? top : ".", "/t/data/github/", name, NULL), "r");

    assert_non_null(f);
    *n = fread(buf, 1, 99999, f);
    buf[*n] = '\0';
    fclose(f);
    return buf;
}

static void push_of(apr_pool_t *p, const char *name, wh_hook_push_t *push)
{
    wh_err_t err = WH_ERR_INIT;
    size_t n;
    char *body = slurp(p, name, &n);

    assert_ok(wh_hook_provider("github")->push(p, body, n, push, &err), &err);
}

static void test_push(void **state)
{
    wh_hook_push_t push;

    push_of(*state, "push.json", &push);
    assert_string_equal(push.ref, "refs/heads/main");
    assert_string_equal(push.branch, "main");
    assert_string_equal(push.after, SHA);
    assert_string_equal(push.message, "Say hello to everybody");
    assert_string_equal(push.author, "Ada Example");
    assert_int_equal(push.timestamp, apr_time_from_sec(APR_INT64_C(1767225600)));
    assert_string_equal(push.clone_url, "https://github.com/example-org/hello-static.git");
    assert_string_equal(push.full_name, "example-org/hello-static");
    assert_false(push.deleted || push.tag || push.skip);
    assert_null(wh_hook_decide(WH_HOOK_PUSH, &push, "main"));
    assert_string_equal(wh_hook_decide(WH_HOOK_PUSH, &push, "master"), "other_branch");
}

static void test_ignored(void **state)
{
    const char *cases[][2] = {
        {"push-other-branch.json", "other_branch"}, {"push-branch-delete.json", "branch_delete"},
        {"push-tag.json", "tag"},                   {"push-tag-delete.json", "tag"},
        {"push-skip-ci.json", "skip_requested"},
    };
    wh_hook_push_t push;

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        push_of(*state, cases[i][0], &push);
        assert_string_equal(wh_hook_decide(WH_HOOK_PUSH, &push, "main"), cases[i][1]);
    }
    assert_string_equal(wh_hook_decide(WH_HOOK_PING, NULL, "main"), "ping");
    assert_string_equal(wh_hook_decide(WH_HOOK_UNKNOWN, NULL, "main"), "unknown_event");
    assert_string_equal(wh_hook_decide(WH_HOOK_PUSH, NULL, "main"), "unknown_event");
    assert_int_equal(wh_hook_event("push"), WH_HOOK_PUSH);
    assert_int_equal(wh_hook_event("ping"), WH_HOOK_PING);
    assert_int_equal(wh_hook_event("Push"), WH_HOOK_UNKNOWN);
    assert_int_equal(wh_hook_event(NULL), WH_HOOK_UNKNOWN);
}

static void test_message(void **state)
{
    wh_hook_push_t push;

    push_of(*state, "push-hostile-message.json", &push);
    assert_string_equal(push.message, "<script>alert(1)</script> {{7*7}} @everyone");
    assert_true(wh_text_plain(push.message, strlen(push.message)));
    assert_null(wh_hook_decide(WH_HOOK_PUSH, &push, "main"));
}

static char *body_of(apr_pool_t *p, const char *ref, const char *after, const char *rest)
{
    return apr_pstrcat(p, "{\"ref\":\"", ref, "\",\"after\":\"", after, "\",\"repository\":{}", rest,
                       "}", NULL);
}

static void test_unusable(void **state)
{
    apr_pool_t *p = *state;
    const char *main_ref = "refs/heads/main";
    const char *bodies[] = {
        "", "{", "[]", "null", "{}", "{\"ref\":7}",
        body_of(p, "main", SHA, ""),
        body_of(p, "refs/heads/", SHA, ""),
        body_of(p, "refs/heads/--upload-pack=x", SHA, ""),
        body_of(p, "refs/heads/main\\nid", SHA, ""),
        body_of(p, "refs/heads/a b", SHA, ""),
        body_of(p, "refs/tags/..", SHA, ""),
        body_of(p, "refs/heads/\\u0000", SHA, ""),
        body_of(p, main_ref, "HEAD", ""),
        body_of(p, main_ref, "-x", ""),
        body_of(p, main_ref, "", ""),
        body_of(p, main_ref, "9fceb02d0ae598e95dc970b74767f19372d61af", ""),
        body_of(p, main_ref, "9fceb02d0ae598e95dc970b74767f19372d61af8f", ""),
        body_of(p, main_ref, SHA, ",\"deleted\":true"),
        body_of(p, main_ref, SHA, ",\"deleted\":1"),
        body_of(p, main_ref, SHA, ",\"head_commit\":[]"),
        body_of(p, main_ref, SHA, ",\"head_commit\":{\"id\":\"" ZERO "\"}"),
        body_of(p, main_ref, SHA, ",\"ref\":\"refs/heads/x\""),
        "{\"ref\":\"refs/heads/main\",\"after\":\"" SHA "\"}",
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(bodies); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_hook_push_t push;

        if (wh_hook_github_push(p, bodies[i], strlen(bodies[i]), &push, &err) == APR_SUCCESS)
            fail_msg("passed: %s", bodies[i]);
        assert_string_equal(err.code, "payload_invalid");
        assert_int_equal(err.http, 422);
    }
}

static void test_edges(void **state)
{
    apr_pool_t *p = *state;
    const char *sha64 = SHA "9fceb02d0ae598e95dc970b7";
    char *long_ref = apr_palloc(p, 4097);
    wh_err_t err = WH_ERR_INIT;
    wh_hook_push_t push;
    const char *b;

    b = body_of(p, "refs/heads/main", SHA, ",\"head_commit\":null");
    assert_ok(wh_hook_github_push(p, b, strlen(b), &push, &err), &err);
    assert_string_equal(wh_hook_decide(WH_HOOK_PUSH, &push, "main"), "empty_commit");
    b = body_of(p, "refs/heads/main", ZERO, "");
    assert_ok(wh_hook_github_push(p, b, strlen(b), &push, &err), &err);
    assert_string_equal(wh_hook_decide(WH_HOOK_PUSH, &push, "main"), "empty_commit");
    b = body_of(p, "refs/heads/main", sha64,
                apr_pstrcat(p, ",\"head_commit\":{\"id\":\"", sha64, "\",\"timestamp\":\"x\"}", NULL));
    assert_ok(wh_hook_github_push(p, b, strlen(b), &push, &err), &err);
    assert_null(wh_hook_decide(WH_HOOK_PUSH, &push, "main"));
    assert_int_equal(push.timestamp, 0);
    assert_string_equal(push.message, "");
    b = body_of(p, "refs/pull/1/head", SHA, "");
    assert_ok(wh_hook_github_push(p, b, strlen(b), &push, &err), &err);
    assert_null(push.branch);
    assert_string_equal(wh_hook_decide(WH_HOOK_PUSH, &push, "pull/1/head"), "other_branch");
    memset(long_ref, 'a', 4096);
    long_ref[4096] = '\0';
    memcpy(long_ref, "refs/heads/", 11);
    b = body_of(p, long_ref, SHA, "");
    assert_code(wh_hook_github_push(p, b, strlen(b), &push, &err), &err, "payload_invalid");
}

static void test_signatures(void **state)
{
    apr_pool_t *p = *state;
    const char *secret = "It's a Secret to Everybody", *body = "Hello, World!";
    /* The example of GitHub's own documentation. */
    const char *hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const char *bad[] = {NULL, "", "sha256=", hex, apr_pstrcat(p, "sha1=", hex, NULL),
                         apr_pstrcat(p, "SHA256=", hex, NULL),
                         apr_pstrcat(p, "sha256=", hex, "0", NULL),
                         apr_pstrcat(p, "sha256= ", hex, NULL),
                         apr_pstrcat(p, "sha256=", hex + 1, NULL),
                         apr_pstrcat(p, "sha256=g", hex + 1, NULL),
                         apr_pstrcat(p, "sha256=0", hex + 1, NULL),
                         "sha1=d3b07384d113edec49eaa6238ad5ff00d3b07384"};
    wh_err_t err = WH_ERR_INIT;
    char *upper = apr_pstrcat(p, "sha256=", hex, NULL);

    assert_ok(wh_hook_verify(secret, body, 13, upper, &err), &err);
    for (char *s = upper + 7; *s; s++)
        *s = *s >= 'a' ? (char)(*s - 32) : *s;
    assert_ok(wh_hook_verify(secret, body, 13, upper, &err), &err);
    assert_code(wh_hook_verify(secret, body, 12, upper, &err), &err, "bad_signature");
    assert_code(wh_hook_verify("another", body, 13, upper, &err), &err, "bad_signature");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_code(wh_hook_verify(secret, body, 13, bad[i], &err), &err, "bad_signature");
        assert_int_equal(err.http, 401);
    }
}

static void test_provider(void **state)
{
    (void)state;
    assert_string_equal(wh_hook_provider("github")->signature_header, "X-Hub-Signature-256");
    assert_null(wh_hook_provider("GitHub"));
    assert_null(wh_hook_provider(""));
    assert_null(wh_hook_provider(NULL));
    assert_true(wh_hook_delivery_ok("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    assert_false(wh_hook_delivery_ok(""));
    assert_false(wh_hook_delivery_ok(NULL));
    assert_false(wh_hook_delivery_ok("a b"));
    assert_false(wh_hook_delivery_ok("12345678901234567890123456789012345678901234567890"
                                     "123456789012345"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F213 F178 a GitHub push names branch, commit and its first line", test_push),
        UNIT("F253 R22 R7 what starts no deployment, with its reason", test_ignored),
        UNIT("XC23 a hostile commit message is cleaned", test_message),
        UNIT("XC16 XC17 a signed but unusable push is told so", test_unusable),
        UNIT("F262 R22 empty commits, pull requests, SHA-256 repositories", test_edges),
        UNIT("F15 XC1 XC2 XC3 the signature over the raw body", test_signatures),
        UNIT("XC4 each provider has its own headers", test_provider),
    };

    return UNIT_RUN(tests);
}
