#include <stdio.h>
#include <stdlib.h>
#include "t/unit/unit.h"
#include "libwh/wh_branch.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

#define SHA "9fceb02d0ae598e95dc970b74767f19372d61af8"
#define SHA_B "28e1879d029cb852e4844d9c718537df08844e03"
#define SHA_C "bffeb74224043ba2feb48d137756c8a9331c449a"
#define ZERO "0000000000000000000000000000000000000000"
#define SECRET "5f3a9c0e7d1b48a6f2c4e8b0913d7a65c1e0f9b8a7d6c5e4f3a2b1c0d9e8f7a6"

static char *slurp(apr_pool_t *p, const char *dir, const char *name, size_t *n)
{
    const char *top = getenv("top_srcdir");
    char *buf = apr_palloc(p, 200000);
    const char *path = apr_pstrcat(p, top ? top : ".", "/t/data/", dir, name, NULL);
    FILE *f = fopen(path, "r");

    if (!f)
        fail_msg("%s", path);
    *n = fread(buf, 1, 199999, f);
    buf[*n] = '\0';
    fclose(f);
    return buf;
}

static apr_array_header_t *rules_of(apr_pool_t *p)
{
    apr_array_header_t *rules = apr_array_make(p, 1, sizeof(wh_branch_rule_t));

    APR_ARRAY_PUSH(rules, wh_branch_rule_t) =
        (wh_branch_rule_t){.environment = "staging", .pattern = "staging"};
    return rules;
}

static wh_hook_want_t want_of(apr_pool_t *p, int previews, const char *watch)
{
    wh_hook_want_t want = {.branch = "main", .rules = rules_of(p), .previews = previews};
    apr_array_header_t *patterns;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_hook_watch_parse(p, watch, &patterns, &err), &err);
    want.watch = patterns;
    return want;
}

static void decode(apr_pool_t *p, const char *provider, const char *event, const char *body,
                   size_t n, wh_hook_decoded_t *out)
{
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_hook_decode(p, wh_hook_provider(provider), event, body, n, out, &err), &err);
}

static const wh_hook_event_t *nth(const wh_hook_decoded_t *out, int i)
{
    assert_true(i < out->events->nelts);
    return &APR_ARRAY_IDX(out->events, i, wh_hook_event_t);
}

static const char *reason_of(apr_pool_t *p, const wh_hook_event_t *event,
                             const wh_hook_want_t *want)
{
    wh_hook_plan_t plan;

    wh_hook_plan(p, event, want, &plan);
    return plan.reason;
}

/* ---- all deliveries ------------------------------------------------------------------------- */

typedef struct case_t {
    const char *provider, *file, *event;
    wh_hook_kind_e kind;
    const char *branch, *sha, *message;
    const char *plain;    /* reason without previews, NULL = deployed */
    const char *previews; /* with previews: the reason, or the environment's beginning */
} case_t;

#define SAY "Say hello to everybody"
#define OTHER "Another history"
#define TITLE "Greet in French"
#define FR "feature/french"
#define PREVIEW "+preview-feature-french-"
#define FORK "?preview-pull-7-"

static const case_t cases[] = {
    {"github", "push", "push", WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"github", "push-tag", "push", WH_HOOK_TAG, NULL, SHA, SAY, "tag", "tag"},
    {"github", "branch-delete", "push", WH_HOOK_DELETE, "feature/login", ZERO, "", "branch_delete",
     "branch_delete"},
    {"github", "force-push", "push", WH_HOOK_PUSH, "main", SHA_C, OTHER, NULL, "+production"},
    {"github", "push-skip-ci", "push", WH_HOOK_PUSH, "main", SHA, "Only words [skip ci]",
     "skip_requested", "skip_requested"},
    {"github", "ping", "ping", WH_HOOK_PING, NULL, "", "", "ping", "ping"},
    {"github", "request-open", "pull_request", WH_HOOK_REQUEST_OPEN, FR, SHA, TITLE,
     "previews_off", PREVIEW},
    {"github", "request-sync", "pull_request", WH_HOOK_REQUEST_SYNC, FR, SHA_C, TITLE,
     "previews_off", PREVIEW},
    {"github", "request-close", "pull_request", WH_HOOK_REQUEST_CLOSE, FR, SHA_C, TITLE,
     "request_closed", "request_closed"},
    {"github", "request-open-fork", "pull_request", WH_HOOK_REQUEST_OPEN, FR, SHA, TITLE,
     "previews_off", FORK},

    {"codeberg", "push", "push", WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"forgejo", "push-tag", "push", WH_HOOK_TAG, NULL, SHA, SAY, "tag", "tag"},
    {"gitea", "branch-delete", "delete", WH_HOOK_DELETE, "feature/login", ZERO, "",
     "branch_delete", "branch_delete"},
    {"gitea", "force-push", "push", WH_HOOK_PUSH, "main", SHA_C, OTHER, NULL, "+production"},
    {"gitea", "push-skip-ci", "push", WH_HOOK_PUSH, "main", SHA, "Only words [ci skip]",
     "skip_requested", "skip_requested"},
    {"gitea", "ping", "push", WH_HOOK_PUSH, "main", SHA, SAY, "no_change", "no_change"},
    {"gitea", "request-open", "pull_request", WH_HOOK_REQUEST_OPEN, FR, SHA, TITLE,
     "previews_off", PREVIEW},
    {"gitea", "request-sync", "pull_request_sync", WH_HOOK_REQUEST_SYNC, FR, SHA_C, TITLE,
     "previews_off", PREVIEW},
    {"gitea", "request-close", "pull_request", WH_HOOK_REQUEST_CLOSE, FR, SHA_C, TITLE,
     "request_closed", "request_closed"},
    {"gitea", "request-open-fork", "pull_request", WH_HOOK_REQUEST_OPEN, FR, SHA, TITLE,
     "previews_off", FORK},

    {"gitlab", "push", "Push Hook", WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"gitlab", "push-cut", "Push Hook", WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"gitlab", "push-tag", "Tag Push Hook", WH_HOOK_TAG, NULL, SHA, SAY, "tag", "tag"},
    {"gitlab", "branch-delete", "Push Hook", WH_HOOK_DELETE, "feature/login", ZERO, "",
     "branch_delete", "branch_delete"},
    {"gitlab", "force-push", "Push Hook", WH_HOOK_PUSH, "main", SHA_C, OTHER, NULL, "+production"},
    {"gitlab", "push-skip-ci", "Push Hook", WH_HOOK_PUSH, "main", SHA, "Only words [skip ci]",
     "skip_requested", "skip_requested"},
    {"gitlab", "request-open", "Merge Request Hook", WH_HOOK_REQUEST_OPEN, FR, SHA, "Bonjour",
     "previews_off", PREVIEW},
    {"gitlab", "request-sync", "Merge Request Hook", WH_HOOK_REQUEST_SYNC, FR, SHA_C, "Bonjour",
     "previews_off", PREVIEW},
    {"gitlab", "request-close", "Merge Request Hook", WH_HOOK_REQUEST_CLOSE, FR, SHA_C, "Bonjour",
     "request_closed", "request_closed"},
    {"gitlab", "request-open-fork", "Merge Request Hook", WH_HOOK_REQUEST_OPEN, FR, SHA, "Bonjour",
     "previews_off", "?preview-merge-requests-7-"},

    {"bitbucket", "push", "repo:push", WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"bitbucket", "push-tag", "repo:push", WH_HOOK_TAG, NULL, SHA, SAY, "tag", "tag"},
    {"bitbucket", "branch-delete", "repo:push", WH_HOOK_DELETE, "feature/login", ZERO, "",
     "branch_delete", "branch_delete"},
    {"bitbucket", "force-push", "repo:push", WH_HOOK_PUSH, "main", SHA_C, OTHER, NULL,
     "+production"},
    {"bitbucket", "push-skip-ci", "repo:push", WH_HOOK_PUSH, "main", SHA, "Only words [skip ci]",
     "skip_requested", "skip_requested"},
    {"bitbucket", "push-two", "repo:push", WH_HOOK_PUSH, FR, SHA_C, "Bonjour", "other_branch",
     PREVIEW},
    {"bitbucket", "ping", "diagnostics:ping", WH_HOOK_PING, NULL, "", "", "ping", "ping"},
    {"bitbucket", "request-open", "pullrequest:created", WH_HOOK_REQUEST_OPEN, FR, "", TITLE,
     "previews_off", PREVIEW},
    {"bitbucket", "request-sync", "pullrequest:updated", WH_HOOK_REQUEST_SYNC, FR, "", TITLE,
     "previews_off", PREVIEW},
    {"bitbucket", "request-close", "pullrequest:fulfilled", WH_HOOK_REQUEST_CLOSE, FR, "", TITLE,
     "request_closed", "request_closed"},
    {"bitbucket", "request-open-fork", "pullrequest:created", WH_HOOK_REQUEST_OPEN, FR, "", TITLE,
     "previews_off", "fork_not_fetchable"},

    {"azure", "push", NULL, WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"azure", "push-tag", NULL, WH_HOOK_TAG, NULL, SHA, "", "tag", "tag"},
    {"azure", "branch-delete", NULL, WH_HOOK_DELETE, "feature/login", ZERO, "", "branch_delete",
     "branch_delete"},
    {"azure", "force-push", NULL, WH_HOOK_PUSH, "main", SHA_C, OTHER, NULL, "+production"},
    {"azure", "push-skip-ci", NULL, WH_HOOK_PUSH, "main", SHA, "Only words [skip ci]",
     "skip_requested", "skip_requested"},
    {"azure", "push-two", NULL, WH_HOOK_PUSH, FR, SHA_C, "Bonjour", "other_branch", PREVIEW},
    {"azure", "ping", NULL, WH_HOOK_OTHER, NULL, "", "", "unknown_event", "unknown_event"},
    {"azure", "request-open", NULL, WH_HOOK_REQUEST_OPEN, FR, SHA, TITLE, "previews_off", PREVIEW},
    {"azure", "request-sync", NULL, WH_HOOK_REQUEST_SYNC, FR, SHA_C, TITLE, "previews_off",
     PREVIEW},
    {"azure", "request-close", NULL, WH_HOOK_REQUEST_CLOSE, FR, SHA_C, TITLE, "request_closed",
     "request_closed"},
    {"azure", "request-open-fork", NULL, WH_HOOK_REQUEST_OPEN, FR, SHA, TITLE, "previews_off",
     FORK},

    {"generic", "push", NULL, WH_HOOK_PUSH, "main", SHA, SAY, NULL, "+production"},
    {"generic", "push-branch", NULL, WH_HOOK_PUSH, "main", "", "", NULL, "+production"},
    {"generic", "push-empty", NULL, WH_HOOK_PUSH, NULL, "", "", NULL, "+production"},
    {"generic", "push-tag", NULL, WH_HOOK_TAG, NULL, SHA, "", "tag", "tag"},
    {"generic", "branch-delete", NULL, WH_HOOK_DELETE, "feature/login", ZERO, "", "branch_delete",
     "branch_delete"},
    {"generic", "push-skip-ci", NULL, WH_HOOK_PUSH, "main", SHA, "Only words [skip ci]",
     "skip_requested", "skip_requested"},
    {"generic", "ping", "ping", WH_HOOK_PING, NULL, "", "", "ping", "ping"},
};

static void same_text(const char *what, const case_t *c, const char *got, const char *want)
{
    if ((got == NULL) != (want == NULL) || (got && strcmp(got, want) != 0))
        fail_msg("%s/%s: %s is %s, not %s", c->provider, c->file, what, got ? got : "(none)",
                 want ? want : "(none)");
}

static void check_plan(apr_pool_t *p, const case_t *c, const wh_hook_event_t *event)
{
    wh_hook_want_t want = want_of(p, 0, "");
    wh_hook_plan_t plan;
    int deploys = *c->previews == '+' || *c->previews == '?';

    same_text("the reason", c, reason_of(p, event, &want), c->plain);
    want = want_of(p, 1, "");
    wh_hook_plan(p, event, &want, &plan);
    same_text("the reason with previews", c, plan.reason, deploys ? NULL : c->previews);
    if (!deploys)
        return;
    if (strncmp(plan.environment, c->previews + 1, strlen(c->previews + 1)) != 0)
        same_text("the environment", c, plan.environment, c->previews + 1);
    assert_int_equal(plan.hold, *c->previews == '?');
    assert_int_equal(plan.hold, event->fork);
    if (event->fork)
        assert_true(strchr(plan.ref, '/') && strstr(plan.ref, "/7"));
}

/* What is remembered of it says the same. */
static void check_log(apr_pool_t *p, const case_t *c, const wh_hook_event_t *event)
{
    char *text = wh_json_text(p, wh_json_own(p, wh_hook_event_json(event)), NULL);
    wh_hook_event_t back;
    wh_err_t err = WH_ERR_INIT;

    assert_non_null(text);
    assert_ok(wh_hook_event_load(p, text, &back, &err), &err);
    assert_int_equal(back.kind, event->kind);
    assert_int_equal(back.paths ? back.paths->nelts : -1, event->paths ? event->paths->nelts : -1);
    check_plan(p, c, &back);
    assert_string_equal(wh_json_text(p, wh_json_own(p, wh_hook_event_json(&back)), NULL), text);
}

static const char *dir_of(apr_pool_t *p, const char *provider)
{
    return apr_pstrcat(p, "hooks/", wh_hook_provider(provider)->name, "/", NULL);
}

static void test_deliveries(void **state)
{
    apr_pool_t *p = *state;

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        const case_t *c = &cases[i];
        wh_hook_decoded_t out;
        const wh_hook_event_t *event;
        size_t n;
        char *body = slurp(p, dir_of(p, c->provider), apr_pstrcat(p, c->file, ".json", NULL), &n);

        decode(p, c->provider, c->event, body, n, &out);
        event = nth(&out, 0);
        same_text("the kind", c, wh_hook_kind_text(event->kind), wh_hook_kind_text(c->kind));
        same_text("the branch", c, event->branch, c->branch);
        same_text("the commit", c, event->sha, c->sha);
        same_text("the message", c, event->message, c->message);
        if (event->number && *event->number)
            assert_string_equal(event->number, "7");
        if (strcmp(c->provider, "azure") == 0)
            assert_true(wh_hook_delivery_ok(out.delivery));
        check_plan(p, c, event);
        check_log(p, c, event);
    }
}

static void test_details(void **state)
{
    static const char *const files[][3] = {{"github", "push", "push"},
                                           {"gitea", "push", "push"},
                                           {"gitlab", "push", "Push Hook"},
                                           {"bitbucket", "push", "repo:push"},
                                           {"azure", "push", NULL}};
    apr_pool_t *p = *state;
    wh_hook_decoded_t out;
    char *body;
    size_t n;

    for (size_t i = 0; i < WH_ARRAY_LEN(files); i++) {
        const wh_hook_event_t *event;

        body = slurp(p, dir_of(p, files[i][0]), apr_pstrcat(p, files[i][1], ".json", NULL), &n);
        decode(p, files[i][0], files[i][2], body, n, &out);
        event = nth(&out, 0);
        assert_string_equal(event->ref, "refs/heads/main");
        assert_string_equal(event->before, SHA_B);
        assert_string_equal(event->author, "Ada Example");
        assert_int_equal(event->at, apr_time_from_sec(APR_INT64_C(1767225600)));
        assert_true(strstr(event->clone_url, "hello-static") != NULL);
        assert_int_equal(event->has_commit, 1);
    }
    body = slurp(p, "hooks/bitbucket/", "push-two.json", &n);
    decode(p, "bitbucket", "repo:push", body, n, &out);
    assert_int_equal(out.events->nelts, 2);
    assert_string_equal(nth(&out, 1)->branch, "main");
    body = slurp(p, "hooks/azure/", "push-two.json", &n);
    decode(p, "azure", NULL, body, n, &out);
    assert_string_equal(nth(&out, 1)->message, SAY);
    assert_string_equal(out.event, "git.push");
    body = slurp(p, "hooks/bitbucket/", "request-sync.json", &n);
    decode(p, "bitbucket", "pullrequest:updated", body, n, &out);
    assert_string_equal(nth(&out, 0)->short_sha, "bffeb7422404");
    assert_true(nth(&out, 0)->head);
}

/* ---- watched paths -------------------------------------------------------------------------- */

static void watch_case(apr_pool_t *p, const char *provider, const char *file, const char *event,
                       const char *watch, const char *reason)
{
    const case_t c = {.provider = provider, .file = file};
    wh_hook_want_t want = want_of(p, 0, watch);
    wh_hook_decoded_t out;
    size_t n;
    char *body = slurp(p, dir_of(p, provider), apr_pstrcat(p, file, ".json", NULL), &n);

    decode(p, provider, event, body, n, &out);
    same_text(watch, &c, reason_of(p, nth(&out, 0), &want), reason);
}

static void test_watch(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *patterns;
    wh_err_t err = WH_ERR_INIT;
    char *many = apr_pstrdup(p, "a");

    watch_case(p, "github", "push", "push", "web/**", NULL);
    watch_case(p, "github", "push", "push", "web/", NULL);
    watch_case(p, "github", "push", "push", "*.md", NULL);
    watch_case(p, "github", "push", "push", "api/**\nlib/**", "unwatched");
    watch_case(p, "github", "push", "push", "web", "unwatched");
    watch_case(p, "gitea", "push", "push", "api/**", "unwatched");
    watch_case(p, "gitlab", "push", "Push Hook", "api/**", "unwatched");
    /* Not known is not unchanged. */
    watch_case(p, "github", "force-push", "push", "api/**", NULL);
    watch_case(p, "gitlab", "push-cut", "Push Hook", "api/**", NULL);
    watch_case(p, "bitbucket", "push", "repo:push", "api/**", NULL);
    watch_case(p, "azure", "push", NULL, "api/**", NULL);
    assert_ok(wh_hook_watch_parse(p, ".github/**\n\nweb/a b.html\n", &patterns, &err), &err);
    assert_int_equal(patterns->nelts, 2);
    assert_code(wh_hook_watch_parse(p, "/web/**", &patterns, &err), &err, "watch_invalid");
    assert_code(wh_hook_watch_parse(p, "a\tb", &patterns, &err), &err, "watch_invalid");
    for (int i = 0; i < WH_HOOK_WATCH_MAX; i++)
        many = apr_pstrcat(p, many, "\na", NULL);
    assert_code(wh_hook_watch_parse(p, many, &patterns, &err), &err, "watch_invalid");
}

/* ---- what goes where ------------------------------------------------------------------------ */

static void test_plan(void **state)
{
    apr_pool_t *p = *state;
    wh_hook_want_t want = want_of(p, 1, "");
    wh_hook_event_t event = {.kind = WH_HOOK_REQUEST_OPEN,
                             .branch = "staging",
                             .sha = SHA,
                             .before = "",
                             .request_ref = "pull/7"};
    wh_hook_plan_t plan;

    assert_string_equal(reason_of(p, &event, &want), "has_environment");
    event.branch = "main";
    assert_string_equal(reason_of(p, &event, &want), "has_environment");
    event.fork = 1;
    wh_hook_plan(p, &event, &want, &plan);
    assert_null(plan.reason);
    assert_true(plan.hold);
    assert_string_equal(plan.ref, "pull/7");
    assert_string_equal(plan.environment, wh_branch_preview(p, "pull/7"));
    event.kind = WH_HOOK_REQUEST_CLOSE;
    wh_hook_plan(p, &event, &want, &plan);
    assert_string_equal(plan.close, wh_branch_preview(p, "pull/7"));
    event = (wh_hook_event_t){.kind = WH_HOOK_DELETE, .branch = "x", .request_ref = ""};
    wh_hook_plan(p, &event, &want, &plan);
    assert_string_equal(plan.close, wh_branch_preview(p, "x"));
    want.previews = 0;
    wh_hook_plan(p, &event, &want, &plan);
    assert_null(plan.close);
}

/* ---- bad content ---------------------------------------------------------------------------- */

static void test_message(void **state)
{
    wh_hook_decoded_t out;
    wh_hook_want_t want = want_of(*state, 0, "");
    size_t n;
    char *body = slurp(*state, "github/", "push-hostile-message.json", &n);

    decode(*state, "github", "push", body, n, &out);
    assert_string_equal(nth(&out, 0)->message, "<script>alert(1)</script> {{7*7}} @everyone");
    assert_true(wh_text_plain(nth(&out, 0)->message, strlen(nth(&out, 0)->message)));
    assert_null(reason_of(*state, nth(&out, 0), &want));
}

static char *body_of(apr_pool_t *p, const char *ref, const char *after, const char *rest)
{
    return apr_pstrcat(p, "{\"ref\":\"", ref, "\",\"after\":\"", after, "\",\"repository\":{}", rest,
                       "}", NULL);
}

static void refused(apr_pool_t *p, const char *provider, const char *event, const char *body)
{
    wh_err_t err = WH_ERR_INIT;
    wh_hook_decoded_t out;

    if (wh_hook_decode(p, wh_hook_provider(provider), event, body, strlen(body), &out, &err) ==
        APR_SUCCESS)
        fail_msg("%s passed: %s", provider, body);
    assert_string_equal(err.code, "payload_invalid");
    assert_int_equal(err.http, 422);
}

static void test_unusable(void **state)
{
    apr_pool_t *p = *state;
    const char *main_ref = "refs/heads/main";
    char *long_ref = apr_palloc(p, 4097);
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
        body_of(p, main_ref, SHA, ",\"commits\":{}"),
        body_of(p, main_ref, SHA, ",\"head_commit\":{\"id\":\"" ZERO "\"}"),
        body_of(p, main_ref, SHA, ",\"ref\":\"refs/heads/x\""),
        "{\"ref\":\"refs/heads/main\",\"after\":\"" SHA "\"}",
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(bodies); i++)
        refused(p, "github", "push", bodies[i]);
    memset(long_ref, 'a', 4096);
    long_ref[4096] = '\0';
    memcpy(long_ref, "refs/heads/", 11);
    refused(p, "github", "push", body_of(p, long_ref, SHA, ""));
    refused(p, "github", "pull_request", "{\"action\":\"opened\",\"repository\":{}}");
    refused(p, "gitlab", "Push Hook", body_of(p, main_ref, SHA, ""));
    refused(p, "bitbucket", "repo:push", "{\"push\":{\"changes\":[7]},\"repository\":{}}");
    refused(p, "bitbucket", "repo:push", "{\"push\":{},\"repository\":{}}");
    refused(p, "bitbucket", "repo:push",
            "{\"push\":{\"changes\":[{\"new\":{\"type\":\"branch\",\"name\":\"-x\"}}]},"
            "\"repository\":{}}");
    refused(p, "azure", NULL, "{");
    refused(p, "azure", NULL, "{\"eventType\":\"git.push\"}");
    refused(p, "generic", NULL, "{\"commit\":\"abc123\"}");
    refused(p, "generic", NULL, "{\"ref\":\"main\"}");
    refused(p, "generic", NULL, "[]");
}

static void test_edges(void **state)
{
    apr_pool_t *p = *state;
    const char *sha64 = SHA "9fceb02d0ae598e95dc970b7";
    wh_hook_want_t want = want_of(p, 0, "");
    wh_hook_decoded_t out;
    const char *b;

    b = body_of(p, "refs/heads/main", SHA, ",\"head_commit\":null");
    decode(p, "github", "push", b, strlen(b), &out);
    assert_string_equal(reason_of(p, nth(&out, 0), &want), "empty_commit");
    b = body_of(p, "refs/heads/main", ZERO, "");
    decode(p, "github", "push", b, strlen(b), &out);
    assert_string_equal(reason_of(p, nth(&out, 0), &want), "branch_delete");
    b = body_of(p, "refs/heads/main", sha64,
                apr_pstrcat(p, ",\"head_commit\":{\"id\":\"", sha64, "\",\"timestamp\":\"x\"}", NULL));
    decode(p, "github", "push", b, strlen(b), &out);
    assert_null(reason_of(p, nth(&out, 0), &want));
    assert_int_equal(nth(&out, 0)->at, 0);
    assert_string_equal(nth(&out, 0)->message, "");
    b = body_of(p, "refs/pull/1/head", SHA, "");
    decode(p, "github", "push", b, strlen(b), &out);
    assert_null(nth(&out, 0)->branch);
    assert_string_equal(reason_of(p, nth(&out, 0), &want), "other_branch");
    /* What is none of ours is not even read. */
    decode(p, "github", "issues", "{", 1, &out);
    assert_string_equal(reason_of(p, nth(&out, 0), &want), "unknown_event");
    decode(p, "github", NULL, "{}", 2, &out);
    assert_string_equal(reason_of(p, nth(&out, 0), &want), "unknown_event");
    decode(p, "github", "pull_request", "{\"action\":\"labeled\"}", 20, &out);
    assert_string_equal(reason_of(p, nth(&out, 0), &want), "unknown_event");
    decode(p, "generic", NULL, "", 0, &out);
    assert_true(nth(&out, 0)->head);
    assert_null(reason_of(p, nth(&out, 0), &want));
}

/* ---- proofs --------------------------------------------------------------------------------- */

static void test_signatures(void **state)
{
    apr_pool_t *p = *state;
    const char *secrets[] = {"former", SECRET}, *others[] = {"former", "later"};
    int lines = 0, wrong = 0;
    size_t n;
    char *line, *last, *table = slurp(p, "hooks/", "signatures.txt", &n);

    for (line = apr_strtok(table, "\n", &last); line; line = apr_strtok(NULL, "\n", &last)) {
        char *what = strchr(line, '\t'), *value = strchr(what + 1, '\t');
        int right = strncmp(what, "\tright\t", 7) == 0;
        const wh_hook_provider_t *provider;
        wh_err_t err = WH_ERR_INIT;
        char *body;

        *what = *value = '\0';
        value++;
        body = slurp(p, "hooks/", line, &n);
        provider = wh_hook_provider(apr_pstrmemdup(p, line, strcspn(line, "/")));
        assert_non_null(provider);
        if ((wh_hook_verify(provider, value, body, n, secrets, 2, &err) == APR_SUCCESS) != right)
            fail_msg("%s, %s: %s", line, what + 1, value);
        if (!right)
            assert_string_equal(err.text, "the delivery is not signed by this hook");
        assert_code(wh_hook_verify(provider, value, body, n, others, 2, &err), &err,
                    "bad_signature");
        assert_code(wh_hook_verify(provider, NULL, body, n, secrets, 2, &err), &err,
                    "bad_signature");
        lines++;
        wrong += !right;
    }
    assert_true(lines >= 7 * 50 && wrong == lines / 7 * 6);
}

static void test_github_example(void **state)
{
    apr_pool_t *p = *state;
    const char *secrets[] = {"It's a Secret to Everybody"}, *body = "Hello, World!";
    const wh_hook_provider_t *github = wh_hook_provider("github");
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

    assert_ok(wh_hook_verify(github, upper, body, 13, secrets, 1, &err), &err);
    for (char *s = upper + 7; *s; s++)
        *s = *s >= 'a' ? (char)(*s - 32) : *s;
    assert_ok(wh_hook_verify(github, upper, body, 13, secrets, 1, &err), &err);
    assert_code(wh_hook_verify(github, upper, body, 12, secrets, 1, &err), &err, "bad_signature");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_code(wh_hook_verify(github, bad[i], body, 13, secrets, 1, &err), &err,
                    "bad_signature");
        assert_int_equal(err.http, 401);
    }
}

static void test_providers(void **state)
{
    static const char *const headers[][2] = {
        {"github", "X-Hub-Signature-256"}, {"gitea", "X-Gitea-Signature"},
        {"codeberg", "X-Gitea-Signature"}, {"forgejo", "X-Gitea-Signature"},
        {"gitlab", "X-Gitlab-Token"},      {"bitbucket", "X-Hub-Signature"},
        {"azure", "Authorization"},        {"generic", "Authorization"}};
    apr_table_t *table = apr_table_make(*state, 8);
    char *text;

    for (size_t i = 0; i < WH_ARRAY_LEN(headers); i++)
        assert_string_equal(wh_hook_provider(headers[i][0])->signature, headers[i][1]);
    assert_null(wh_hook_provider("GitHub"));
    assert_null(wh_hook_provider(""));
    assert_null(wh_hook_provider(NULL));
    assert_null(wh_hook_provider_at(99));
    assert_non_null(strstr(wh_hook_provider_names(*state), "codeberg"));
    assert_true(wh_hook_delivery_ok("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    assert_false(wh_hook_delivery_ok(""));
    assert_false(wh_hook_delivery_ok(NULL));
    assert_false(wh_hook_delivery_ok("a b"));
    assert_false(wh_hook_delivery_ok("12345678901234567890123456789012345678901234567890"
                                     "123456789012345"));
    /* What proves something is not remembered. */
    for (size_t i = 0; i < WH_ARRAY_LEN(headers); i++)
        apr_table_set(table, headers[i][1], SECRET);
    apr_table_set(table, "Cookie", SECRET);
    apr_table_set(table, "X-GitHub-Event", "push");
    apr_table_set(table, "X-Big", apr_pstrcat(*state, slurp(*state, "hooks/", "signatures.txt",
                                                            &(size_t){0}), NULL));
    text = wh_json_text(*state, wh_json_own(*state, wh_hook_headers_json(*state, table)), NULL);
    assert_null(strstr(text, SECRET "\""));
    assert_non_null(strstr(text, "\"x-github-event\":\"push\""));
    assert_true(strlen(text) < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F15-F18 F213 R7 R22 every delivery of every forge, and what becomes of it",
             test_deliveries),
        UNIT("F178 F253 refs, authors, times, several refs in one push", test_details),
        UNIT("R7 a push that changes nothing watched", test_watch),
        UNIT("where requests go, and what they close", test_plan),
        UNIT("XC23 a hostile commit message is cleaned", test_message),
        UNIT("XC16 XC17 a signed but unusable delivery is told so", test_unusable),
        UNIT("F262 R22 empty commits, pull requests, SHA-256 repositories", test_edges),
        UNIT("F15-F18 XC1-XC10 each delivery with its right and six wrong proofs",
             test_signatures),
        UNIT("F15 XC2 XC3 the example of GitHub's documentation", test_github_example),
        UNIT("XC4 each provider has its own headers", test_providers),
    };

    return UNIT_RUN(tests);
}
