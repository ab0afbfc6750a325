/* Texts that are kept: freshness at its edge, one maker at a time, the last good one, bounds. */
#include "t/unit/unit.h"

#include "libwh/wh_recent.h"

#define S APR_INT64_C(1000000)
#define FRESH (5 * S)

static wh_mono_t at(apr_int64_t us)
{
    return (wh_mono_t){.us = 99 * S + us};
}

static wh_recent_doc_t put(wh_recent_t *r, const char *key, const char *text, apr_int64_t us)
{
    wh_recent_doc_t doc;

    wh_recent_put(r, key, text, strlen(text), at(us), &doc);
    return doc;
}

static void test_fresh(void **state)
{
    wh_recent_t *r = wh_recent_make(*state, 4, 100, FRESH);
    wh_recent_doc_t doc;

    assert_int_equal(wh_recent_find(r, "a", at(0), &doc), WH_RECENT_MAKE);
    assert_null(doc.text);
    doc = put(r, "a", "one", 0);
    assert_string_equal(doc.text, "one");
    assert_int_equal(doc.age_us, 0);
    assert_string_equal(doc.etag,
                        "\"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed\"");
    assert_int_equal(wh_recent_find(r, "a", at(FRESH - 1), &doc), WH_RECENT_FRESH);
    assert_int_equal(doc.len, 3);
    assert_int_equal(doc.age_us, FRESH - 1);
    assert_int_equal(wh_recent_find(r, "a", at(FRESH), &doc), WH_RECENT_MAKE);
    assert_string_equal(doc.text, "one");
    assert_int_equal(wh_recent_find(r, "b", at(0), &doc), WH_RECENT_MAKE);
    assert_null(doc.text);
}

static void test_one_maker(void **state)
{
    wh_recent_t *r = wh_recent_make(*state, 4, 100, FRESH);
    wh_recent_doc_t doc;

    put(r, "a", "one", 0);
    assert_int_equal(wh_recent_find(r, "a", at(FRESH), &doc), WH_RECENT_MAKE);
    assert_int_equal(wh_recent_find(r, "a", at(FRESH + 1), &doc), WH_RECENT_FRESH);
    assert_string_equal(doc.text, "one");
    /* One that never came back is not waited for. */
    assert_int_equal(wh_recent_find(r, "a", at(2 * FRESH), &doc), WH_RECENT_MAKE);
    put(r, "a", "two", 2 * FRESH);
    assert_int_equal(wh_recent_find(r, "a", at(2 * FRESH + 1), &doc), WH_RECENT_FRESH);
    assert_string_equal(doc.text, "two");
}

static void test_last_good(void **state)
{
    wh_recent_t *r = wh_recent_make(*state, 4, 100, FRESH);
    wh_recent_doc_t doc;

    wh_recent_failed(r, "a", at(0), &doc);
    assert_null(doc.text);
    put(r, "a", "one", 0);
    assert_int_equal(wh_recent_find(r, "a", at(3600 * S), &doc), WH_RECENT_MAKE);
    wh_recent_failed(r, "a", at(3600 * S), &doc);
    assert_string_equal(doc.text, "one");
    assert_int_equal(doc.age_us, 3600 * S);
    assert_int_equal(wh_recent_find(r, "a", at(3600 * S), &doc), WH_RECENT_MAKE);
}

static void test_bounds(void **state)
{
    wh_recent_t *r = wh_recent_make(*state, 3, 10, FRESH);
    wh_recent_doc_t doc;

    for (int i = 0; i < 4; i++)
        put(r, apr_psprintf(*state, "k%d", i), "12", 0);
    assert_int_equal(wh_recent_find(r, "k0", at(0), &doc), WH_RECENT_MAKE);
    assert_int_equal(wh_recent_find(r, "k1", at(0), &doc), WH_RECENT_FRESH);
    put(r, "big", "12345678", 0); /* with one of two bytes: the bound */
    assert_int_equal(wh_recent_find(r, "k3", at(0), &doc), WH_RECENT_MAKE);
    assert_int_equal(wh_recent_find(r, "k1", at(0), &doc), WH_RECENT_FRESH);
    put(r, "big", "1234567890", 0);
    assert_int_equal(wh_recent_find(r, "k1", at(0), &doc), WH_RECENT_MAKE);
    assert_int_equal(wh_recent_find(r, "big", at(0), &doc), WH_RECENT_FRESH);
    /* What is too large is answered all the same, and is not kept. */
    doc = put(r, "big", "12345678901", 0);
    assert_string_equal(doc.text, "12345678901");
    assert_null(doc.etag);
    assert_int_equal(wh_recent_find(r, "big", at(0), &doc), WH_RECENT_MAKE);
    assert_null(doc.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F117 fresh until its time is over, to the microsecond", test_fresh),
        UNIT("F117 one makes it anew, the others get the last one", test_one_maker),
        UNIT("R23 the last good one, with its age", test_last_good),
        UNIT("bounded in number and bytes", test_bounds),
    };
    return UNIT_RUN(tests);
}
