#include "t/unit/unit.h"
#include "libwh/wh_authz.h"

#define MINE "01hzx0000000000000000000aa"
#define OTHERS "01hzx0000000000000000000bb"

static wh_actor_t actor(apr_pool_t *p, wh_actor_kind_e kind, unsigned scopes, int named)
{
    wh_actor_t a = {.kind = kind, .id = "me", .worker_id = 7, .scopes = scopes};

    if (named) {
        apr_array_header_t *apps = apr_array_make(p, 1, sizeof(const char *));
        APR_ARRAY_PUSH(apps, const char *) = MINE;
        a.apps = apps;
    }
    return a;
}

static void test_anonymous(void **state)
{
    wh_actor_t anon = {.kind = WH_ACTOR_ANON};
    int open = 0;

    (void)state;
    for (int i = 0; i < WH_ACT_COUNT; i++) {
        wh_verdict_e v = wh_authz(&anon, (wh_action_e)i, NULL);

        open += v == WH_ALLOW;
        assert_true(v == WH_ALLOW || v == WH_DENY_401);
    }
    assert_int_equal(open, 3);
    assert_int_equal(wh_authz(&anon, WH_ACT_HEALTH, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&anon, WH_ACT_LOGIN, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&anon, WH_ACT_OPENAPI, NULL), WH_ALLOW);
}

/* Every kind of caller with every action: what the table does not name is refused. */
static void test_kinds(void **state)
{
    const struct {
        wh_actor_kind_e kind;
        wh_action_e may[6];
        int n;
    } cases[] = {
        {WH_ACTOR_CONTROL, {WH_ACT_WORKER_REGISTER, WH_ACT_STATS}, 2},
        {WH_ACTOR_ENROLMENT, {WH_ACT_WORKER_REGISTER}, 1},
        {WH_ACTOR_WORKER_KEY,
         {WH_ACT_WORKER_REFRESH, WH_ACT_WORKER_CONNECT, WH_ACT_WORKER_ROTATE,
          WH_ACT_TRAEFIK_WORKER},
         4},
        {WH_ACTOR_WORKER,
         {WH_ACT_WORKER_CONNECT, WH_ACT_AGENT_RELEASE, WH_ACT_AGENT_OBJECT, WH_ACT_AGENT_COMMIT,
          WH_ACT_AGENT_SOURCE, WH_ACT_TRAEFIK_WORKER},
         6},
        {WH_ACTOR_PROXY, {WH_ACT_TRAEFIK_PROXY}, 1},
        {WH_ACTOR_HOOK, {WH_ACT_HOOK_DELIVER}, 1},
    };

    for (size_t c = 0; c < WH_ARRAY_LEN(cases); c++) {
        wh_actor_t a = actor(*state, cases[c].kind, WH_SCOPE_ALL, 0);

        for (int i = 0; i < WH_ACT_COUNT; i++) {
            int may = wh_authz_action_takes((wh_action_e)i, WH_ACTOR_ANON);

            for (int k = 0; k < cases[c].n; k++)
                may = may || cases[c].may[k] == (wh_action_e)i;
            assert_int_equal(wh_authz(&a, (wh_action_e)i, NULL), may ? WH_ALLOW : WH_DENY_403);
        }
    }
}

/* Every action of a token with every single scope, on its own and on a foreign app. */
static void test_tokens(void **state)
{
    const unsigned scopes[] = {0, WH_SCOPE_READ, WH_SCOPE_DEPLOY, WH_SCOPE_WRITE, WH_SCOPE_ADMIN};
    const wh_object_t mine = {.exists = 1, .app_id = MINE};
    const wh_object_t others = {.exists = 1, .app_id = OTHERS};
    const wh_object_t gone = {.exists = 0, .app_id = MINE};
    const wh_action_e on_apps[] = {WH_ACT_APP_READ, WH_ACT_APP_UPDATE, WH_ACT_APP_DELETE,
                                   WH_ACT_DEPLOYMENT_LIST, WH_ACT_DEPLOYMENT_CREATE,
                                   WH_ACT_DEPLOYMENT_READ, WH_ACT_DEPLOYMENT_CANCEL,
                                   WH_ACT_LOG_READ, WH_ACT_HOOK_APP_LIST, WH_ACT_HOOK_CREATE,
                                   WH_ACT_HOOK_DELETE};

    for (size_t s = 0; s < WH_ARRAY_LEN(scopes); s++) {
        wh_actor_t named = actor(*state, WH_ACTOR_TOKEN, scopes[s], 1);
        wh_actor_t all = actor(*state, WH_ACTOR_TOKEN, scopes[s], 0);

        for (size_t i = 0; i < WH_ARRAY_LEN(on_apps); i++) {
            wh_verdict_e want = scopes[s] == WH_SCOPE_ADMIN ||
                                        scopes[s] == wh_authz_action_scope(on_apps[i])
                                    ? WH_ALLOW
                                    : WH_DENY_403;

            assert_int_equal(wh_authz(&named, on_apps[i], &mine), want);
            assert_int_equal(wh_authz(&named, on_apps[i], &others), WH_DENY_404);
            assert_int_equal(wh_authz(&named, on_apps[i], &gone), WH_DENY_404);
            assert_int_equal(wh_authz(&named, on_apps[i], NULL), want);
            assert_int_equal(wh_authz(&all, on_apps[i], &others), want);
        }
    }
}

static void test_named_apps(void **state)
{
    wh_actor_t named = actor(*state, WH_ACTOR_TOKEN, WH_SCOPE_ALL, 1);
    wh_actor_t all = actor(*state, WH_ACTOR_TOKEN, WH_SCOPE_WRITE | WH_SCOPE_READ, 0);

    assert_int_equal(wh_authz(&named, WH_ACT_APP_CREATE, NULL), WH_DENY_403);
    assert_int_equal(wh_authz(&named, WH_ACT_WORKER_LIST, NULL), WH_DENY_403);
    assert_int_equal(wh_authz(&named, WH_ACT_APP_LIST, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&named, WH_ACT_HOOK_LIST, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&all, WH_ACT_APP_CREATE, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&all, WH_ACT_WORKER_LIST, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&all, WH_ACT_DEPLOYMENT_CREATE, NULL), WH_DENY_403);
    assert_true(wh_authz_sees_app(&named, MINE));
    assert_false(wh_authz_sees_app(&named, OTHERS));
    assert_false(wh_authz_sees_app(&named, NULL));
    assert_true(wh_authz_sees_app(&all, OTHERS));
}

/* A worker belongs to no app: a token for named apps neither sees nor changes one. */
static void test_fleet(void **state)
{
    const wh_action_e admin[] = {WH_ACT_WORKER_DRAIN, WH_ACT_WORKER_REVOKE,
                                 WH_ACT_WORKER_ASK_ROTATE, WH_ACT_WORKER_REMOVE};
    wh_actor_t reader = actor(*state, WH_ACTOR_TOKEN, WH_SCOPE_READ, 0);
    wh_actor_t boss = actor(*state, WH_ACTOR_TOKEN, WH_SCOPE_ADMIN, 0);
    wh_actor_t named = actor(*state, WH_ACTOR_TOKEN, WH_SCOPE_ALL, 1);
    wh_object_t there = {.exists = 1}, gone = {.exists = 0};

    assert_int_equal(wh_authz(&reader, WH_ACT_WORKER_READ, &there), WH_ALLOW);
    assert_int_equal(wh_authz(&reader, WH_ACT_WORKER_READ, &gone), WH_DENY_404);
    assert_int_equal(wh_authz(&named, WH_ACT_WORKER_READ, NULL), WH_DENY_403);
    assert_int_equal(wh_authz(&named, WH_ACT_STATS, NULL), WH_DENY_403);
    assert_int_equal(wh_authz(&reader, WH_ACT_STATS, NULL), WH_ALLOW);
    assert_int_equal(wh_authz(&reader, WH_ACT_WORKER_ENROL, NULL), WH_DENY_403);
    for (size_t i = 0; i < WH_ARRAY_LEN(admin); i++) {
        assert_int_equal(wh_authz(&reader, admin[i], NULL), WH_DENY_403);
        assert_int_equal(wh_authz(&named, admin[i], NULL), WH_DENY_403);
        assert_int_equal(wh_authz(&boss, admin[i], &there), WH_ALLOW);
        assert_int_equal(wh_authz(&boss, admin[i], &gone), WH_DENY_404);
    }
}

static void test_own_things(void **state)
{
    wh_actor_t worker = actor(*state, WH_ACTOR_WORKER, 0, 0);
    wh_actor_t hook = actor(*state, WH_ACTOR_HOOK, 0, 0);
    wh_object_t job = {.exists = 1, .worker_id = 7}, h = {.exists = 1, .hook_id = "me"};

    assert_int_equal(wh_authz(&worker, WH_ACT_AGENT_COMMIT, &job), WH_ALLOW);
    job.worker_id = 8;
    assert_int_equal(wh_authz(&worker, WH_ACT_AGENT_COMMIT, &job), WH_DENY_404);
    job.worker_id = worker.worker_id = 0;
    assert_int_equal(wh_authz(&worker, WH_ACT_AGENT_COMMIT, &job), WH_DENY_404);
    assert_int_equal(wh_authz(&hook, WH_ACT_HOOK_DELIVER, &h), WH_ALLOW);
    h.hook_id = "other";
    assert_int_equal(wh_authz(&hook, WH_ACT_HOOK_DELIVER, &h), WH_DENY_404);
    h.exists = 0;
    h.hook_id = "me";
    assert_int_equal(wh_authz(&hook, WH_ACT_HOOK_DELIVER, &h), WH_DENY_404);
}

static void test_texts(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    apr_array_header_t *apps;
    unsigned scopes;

    assert_ok(wh_authz_scopes_parse("read deploy", &scopes, &err), &err);
    assert_int_equal(scopes, WH_SCOPE_READ | WH_SCOPE_DEPLOY);
    assert_ok(wh_authz_scopes_parse("admin,write", &scopes, &err), &err);
    assert_string_equal(wh_authz_scopes_text(p, scopes), "write admin");
    assert_code(wh_authz_scopes_parse("", &scopes, &err), &err, "scopes_invalid");
    assert_code(wh_authz_scopes_parse("read  write", &scopes, &err), &err, "scopes_invalid");
    assert_code(wh_authz_scopes_parse("root", &scopes, &err), &err, "scopes_invalid");
    assert_ok(wh_authz_apps_parse(p, "*", &apps, &err), &err);
    assert_null(apps);
    assert_ok(wh_authz_apps_parse(p, MINE "," OTHERS, &apps, &err), &err);
    assert_int_equal(apps->nelts, 2);
    assert_ok(wh_authz_apps_parse(p, "", &apps, &err), &err);
    assert_int_equal(apps->nelts, 0); /* for no app at all, which is not "all" */
    assert_code(wh_authz_apps_parse(p, "*,x", &apps, &err), &err, "apps_invalid");
    assert_code(wh_authz_apps_parse(p, "a,", &apps, &err), &err, "apps_invalid");
    assert_string_equal(wh_authz_action_text(WH_ACT_WORKER_CONNECT), "worker.connect");
    assert_null(wh_authz_action_text(WH_ACT_COUNT));
    assert_code(wh_authz_err(WH_DENY_401, &err), &err, "unauthorized");
    assert_code(wh_authz_err(WH_DENY_403, &err), &err, "forbidden");
    assert_code(wh_authz_err(WH_DENY_404, &err), &err, "not_found");
    assert_int_equal(wh_authz_err(WH_ALLOW, &err), APR_SUCCESS);
}

/* What changes something is audited; a new action is, until somebody says otherwise. */
static void test_privileged(void **state)
{
    int quiet = 0;

    (void)state;
    for (int a = 0; a < WH_ACT_COUNT; a++) {
        unsigned scope = wh_authz_action_scope((wh_action_e)a);

        if (scope != 0)
            assert_int_equal(wh_authz_privileged((wh_action_e)a), scope != WH_SCOPE_READ);
        quiet += scope == 0 && !wh_authz_privileged((wh_action_e)a);
    }
    assert_int_equal(quiet, 10);
    assert_true(wh_authz_privileged(WH_ACT_LOGIN));
    assert_true(wh_authz_privileged(WH_ACT_WORKER_REGISTER));
    assert_true(wh_authz_privileged(WH_ACT_HOOK_DELIVER));
    assert_false(wh_authz_privileged(WH_ACT_COUNT));
    for (int k = 0; k < WH_ACTOR_COUNT; k++)
        assert_non_null(wh_authz_kind_text((wh_actor_kind_e)k));
    assert_null(wh_authz_kind_text(WH_ACTOR_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("what is privileged", test_privileged),
        UNIT("nobody in particular may see health, the API document and the login",
             test_anonymous),
        UNIT("F44 F45 each credential opens what it is for, and nothing else", test_kinds),
        UNIT("every scope x every action x own, foreign and missing app", test_tokens),
        UNIT("a token for named apps makes none and sees no others", test_named_apps),
        UNIT("F96 a worker and a hook act on their own things alone", test_own_things),
        UNIT("F49 workers belong to no app; what changes them wants admin", test_fleet),
        UNIT("scopes and apps as text", test_texts),
    };

    return UNIT_RUN(tests);
}
