#include "t/unit/unit.h"

#include "libwh/wh_gc.h"

#define DAY (APR_INT64_C(86400) * APR_USEC_PER_SEC)
#define NOW (100 * DAY)

static const wh_gc_policy_t policy = {.kept = 3, .kept_us = DAY};

static wh_gc_deployment_t old(const char *environment, int succeeded, int needed)
{
    return (wh_gc_deployment_t){.id = "",
                                .environment = environment,
                                .succeeded = succeeded,
                                .needed = needed,
                                .finished_at = NOW - 10 * DAY};
}

static void test_window(void **state)
{
    wh_gc_deployment_t d[] = {old("a", 1, 0), old("a", 0, 0), old("a", 1, 0), old("a", 1, 0),
                              old("a", 1, 0), old("a", 1, 1), old("a", 1, 0), old("b", 1, 0)};
    static const int gone[] = {0, 1, 0, 0, 1, 0, 1, 0};

    (void)state;
    assert_int_equal(wh_gc_retire(d, WH_ARRAY_LEN(d), 0, &policy, NOW), 3);
    for (size_t i = 0; i < WH_ARRAY_LEN(d); i++)
        assert_int_equal(d[i].retire, gone[i]);
}

static void test_previews(void **state)
{
    wh_gc_deployment_t d[] = {old("a", 1, 0),         old("preview-b", 1, 0), old("preview-b", 1, 0),
                              old("preview-c", 1, 0), old("preview-c", 1, 1), old("preview-d", 1, 0)};
    static const int gone[] = {0, 1, 1, 0, 0, 0};

    (void)state;
    d[5].finished_at = NOW - DAY + 1;
    assert_int_equal(wh_gc_retire(d, WH_ARRAY_LEN(d), 0, &policy, NOW), 2);
    for (size_t i = 0; i < WH_ARRAY_LEN(d); i++)
        assert_int_equal(d[i].retire, gone[i]);
}

static void test_time(void **state)
{
    wh_gc_policy_t none = {.kept = 1, .kept_us = DAY};
    wh_gc_deployment_t d[] = {old("a", 1, 0), old("a", 1, 0), old("a", 1, 0), old("a", 0, 0)};

    (void)state;
    d[1].finished_at = NOW - DAY + 1;
    d[2].finished_at = NOW - DAY;
    d[3].finished_at = 0; /* under way */
    assert_int_equal(wh_gc_retire(d, WH_ARRAY_LEN(d), 0, &none, NOW), 1);
    assert_true(d[2].retire);
}

static void test_deleted(void **state)
{
    wh_gc_deployment_t d[] = {old("a", 1, 0), old("a", 1, 1), old("b", 0, 0)};

    (void)state;
    assert_int_equal(wh_gc_retire(d, WH_ARRAY_LEN(d), NOW - DAY + 1, &policy, NOW), 0);
    assert_int_equal(wh_gc_retire(d, WH_ARRAY_LEN(d), NOW - DAY, &policy, NOW), 2);
    assert_false(d[1].retire); /* a container that still ends */
}

static const char *name(apr_pool_t *p, int n)
{
    return apr_psprintf(p, "%016x%048x", (unsigned)n * 2654435761u, (unsigned)n);
}

static void test_marks(void **state)
{
    apr_pool_t *p = *state;
    wh_gc_marks_t *marks = wh_gc_marks_make(p);

    for (int i = 0; i < 5000; i++)
        wh_gc_marks_add(marks, name(p, i));
    assert_int_equal(wh_gc_marks_count(marks), 5000);
    wh_gc_marks_close(marks);
    for (int i = 0; i < 10000; i += 2)
        wh_gc_marks_need(marks, name(p, i));
    for (int i = 0; i < 10000; i++)
        assert_int_equal(wh_gc_marks_needless(marks, name(p, i)), i < 5000 && i % 2 == 1);
    /* Two that begin alike: one that is needed keeps the other. */
    assert_false(
        wh_gc_marks_needless(marks, apr_pstrcat(p, apr_pstrndup(p, name(p, 2), 16),
                                                apr_pstrndup(p, name(p, 3) + 16, 48), NULL)));
}

static void test_nothing(void **state)
{
    apr_pool_t *p = *state;
    wh_gc_marks_t *marks = wh_gc_marks_make(p);

    wh_gc_marks_close(marks);
    wh_gc_marks_need(marks, name(p, 1));
    assert_false(wh_gc_marks_needless(marks, name(p, 1)));
    assert_int_equal(wh_gc_retire(NULL, 0, 0, &policy, NOW), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the newest succeeded ones of each environment stay, and what is needed", test_window),
        UNIT("a preview that is closed keeps nothing to roll back to", test_previews),
        UNIT("what ended lately stays, what is under way too", test_time),
        UNIT("nothing of a deleted app stays for longer than a day", test_deleted),
        UNIT("an object goes when it was there to go and nothing needs it", test_marks),
        UNIT("an empty store has nothing to lose", test_nothing),
    };
    return UNIT_RUN(tests);
}
