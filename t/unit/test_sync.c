#include "t/unit/unit.h"
#include "libwh/wh_sync.h"
#include "wh-scheduler/lsremote.h"

#define T(s) ((apr_time_t)1767225600000000 + apr_time_from_sec(s))
#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"

static wh_sync_t fresh(void)
{
    wh_sync_t s;

    wh_sync_none(&s, "app");
    return s;
}

/* F252, F260: Syncing, then Success or Failed; a failure is stated, a success clears it. */
static void test_states(void **state)
{
    wh_sync_t s = fresh();

    (void)state;
    assert_int_equal(s.status, WH_SYNC_UNKNOWN);
    wh_sync_begin(&s, WH_TRIGGER_POLL, T(0));
    assert_int_equal(s.status, WH_SYNC_SYNCING);
    assert_string_equal(s.trigger, "poll");
    assert_int_equal(s.next_at, T(0) + WH_SYNC_LEASE_US);
    wh_sync_failed(&s, "ref_not_found", "There is no branch main.", 60, T(1), 0);
    assert_int_equal(s.status, WH_SYNC_FAILED);
    assert_string_equal(s.cause_code, "ref_not_found");
    assert_int_equal(s.failures, 1);
    wh_sync_begin(&s, WH_TRIGGER_POLL, T(61));
    assert_string_equal(s.cause_code, "");
    wh_sync_done(&s, A, "main", 60, T(62));
    assert_int_equal(s.status, WH_SYNC_SUCCESS);
    assert_int_equal(s.failures, 0);
    assert_int_equal(s.next_at, T(122));
    assert_int_equal(s.synced_at, T(62));
    assert_string_equal(s.commit_sha, A);
}

/* The wait doubles with each failure, to an hour, and is never below the interval. */
static void test_backoff(void **state)
{
    static const apr_int64_t low[] = {60, 60, 120, 240, 480, 960, 1800, 1800};
    static const apr_int64_t high[] = {60, 120, 240, 480, 960, 1920, 3600, 3600};
    wh_sync_t a = fresh(), b = fresh(), slow = fresh(), hand = fresh();

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(low); i++) {
        wh_sync_failed(&a, "x", "", 60, T(0), 0);
        wh_sync_failed(&b, "x", "", 60, T(0), UINT32_MAX);
        assert_int_equal(a.next_at, T(low[i]));
        assert_true(b.next_at <= T(high[i]) && b.next_at > T(high[i]) - 10);
    }
    for (int i = 0; i < 70; i++)
        wh_sync_failed(&slow, "x", "", 86400, T(0), 0);
    assert_int_equal(slow.next_at, T(86400));
    wh_sync_failed(&hand, "x", "", 0, T(0), 0);
    assert_int_equal(hand.next_at, 0);
}

/* What was asked for while a look was under way gets a look of its own. */
static void test_wishes(void **state)
{
    wh_sync_t s = fresh();

    (void)state;
    s.asked_at = T(0);
    wh_sync_begin(&s, WH_TRIGGER_MANUAL, T(1));
    wh_sync_done(&s, A, "main", 0, T(2));
    assert_int_equal(s.asked_at, 0);
    wh_sync_begin(&s, WH_TRIGGER_POLL, T(3));
    s.asked_at = T(4);
    wh_sync_done(&s, A, "main", 60, T(5));
    assert_int_equal(s.asked_at, T(4));
    assert_int_equal(s.next_at, 0);
    s.asked_at = T(1000);
    wh_sync_begin(&s, WH_TRIGGER_MANUAL, T(6));
    wh_sync_failed(&s, "x", "", 60, T(7), 0);
    assert_int_equal(s.asked_at, 0);
}

/* F253, R22: a commit makes one deployment, whoever came first; by hand a failed one is tried
 * again. */
static void test_deploys(void **state)
{
    const wh_deployment_t failed = {.commit_sha = B, .conclusion = WH_CONCLUSION_FAILED};
    const wh_deployment_t good = {.commit_sha = B, .conclusion = WH_CONCLUSION_SUCCEEDED};
    const wh_deployment_t other = {.commit_sha = A, .conclusion = WH_CONCLUSION_SUCCEEDED};
    wh_sync_t s = fresh();

    (void)state;
    assert_true(wh_sync_deploys(&s, B, NULL));
    assert_true(wh_sync_deploys(&s, B, &other));
    assert_false(wh_sync_deploys(&s, "", NULL));
    assert_false(wh_sync_deploys(&s, B, &good));
    assert_false(wh_sync_deploys(&s, B, &failed));
    s.asked_at = T(0);
    assert_true(wh_sync_deploys(&s, B, &failed));
    assert_false(wh_sync_deploys(&s, B, &good));
    s.commit_sha = B;
    assert_false(wh_sync_deploys(&s, B, &other)); /* somebody went back to A by hand */
    assert_true(wh_sync_deploys(&s, A, &good));
}

/* F255-F258: what became of the deployment is the app's. */
static void test_app(void **state)
{
    wh_deployment_t d = {.commit_sha = A, .conclusion = WH_CONCLUSION_NONE};
    wh_sync_t s = fresh();

    (void)state;
    assert_int_equal(wh_sync_app(&s, NULL), WH_APP_SYNC_UNKNOWN);
    s.commit_sha = A;
    assert_int_equal(wh_sync_app(&s, NULL), WH_APP_SYNC_OUT);
    assert_int_equal(wh_sync_app(&s, &d), WH_APP_SYNC_SYNCING);
    d.conclusion = WH_CONCLUSION_SUCCEEDED;
    assert_int_equal(wh_sync_app(&s, &d), WH_APP_SYNC_SYNCED);
    d.conclusion = WH_CONCLUSION_FAILED;
    assert_int_equal(wh_sync_app(&s, &d), WH_APP_SYNC_OUT);
    d.commit_sha = B;
    d.conclusion = WH_CONCLUSION_SUCCEEDED;
    assert_int_equal(wh_sync_app(&s, &d), WH_APP_SYNC_OUT);
}

/* Only the branch itself, as a whole line, and only a commit. */
static void test_found(void **state)
{
    char sha[WH_LSREMOTE_SHA];

    (void)state;
    assert_true(wh_lsremote_find(A "\trefs/heads/main\n", "main", sha));
    assert_string_equal(sha, A);
    assert_true(
        wh_lsremote_find(A "\trefs/heads/a/refs/heads/main\n" B "\trefs/heads/main", "main", sha));
    assert_string_equal(sha, B);
    assert_false(wh_lsremote_find(A "\trefs/heads/main2\n", "main", sha));
    assert_false(wh_lsremote_find(A "\trefs/tags/main\n", "main", sha));
    assert_false(wh_lsremote_find("0000000000000000000000000000000000000000\trefs/heads/main\n",
                                  "main", sha));
    assert_false(wh_lsremote_find("1234\trefs/heads/main\n", "main", sha));
    assert_false(wh_lsremote_find(A A "\trefs/heads/main\n", "main", sha));
    assert_false(wh_lsremote_find("", "main", sha));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F252 a sync goes through syncing to success or failed", test_states),
        UNIT("waits double after failures and end at an hour", test_backoff),
        UNIT("a wish that comes meanwhile is not lost", test_wishes),
        UNIT("F253 a commit makes one deployment", test_deploys),
        UNIT("F255 what became of it is the app's", test_app),
        UNIT("the commit of a branch is found among git's lines", test_found),
    };

    return UNIT_RUN(tests);
}
