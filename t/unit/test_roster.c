/* The table of workers in memory: look-ups by id and by key hash, what removed and revoked mean. */
#include "t/unit/unit.h"

#include <stdlib.h>

#include "libwh/wh_sign.h"
#include "wh-scheduler/roster.h"

#define MANY 5000

static void hash_of(apr_int64_t id, unsigned char out[WH_KEY_LEN])
{
    wh_sign_sha256(&id, sizeof(id), out);
}

static wh_roster_t *many(size_t n, wh_roster_row_t *rows)
{
    for (size_t i = 0; i < n; i++) {
        rows[i] = (wh_roster_row_t){.id = (apr_int64_t)i * 3 + 1};
        hash_of(rows[i].id, rows[i].key_hash);
    }
    return wh_roster_make(rows, n);
}

static void test_find(void **state)
{
    wh_roster_row_t *rows = calloc(MANY, sizeof(*rows));
    wh_roster_t *r = many(MANY, rows);
    unsigned char hash[WH_KEY_LEN];

    (void)state;
    assert_int_equal(wh_roster_count(r), MANY);
    for (size_t i = 0; i < MANY; i++) {
        const wh_roster_row_t *row = wh_roster_by_id(r, rows[i].id);

        assert_non_null(row);
        assert_int_equal(row->id, rows[i].id);
        assert_ptr_equal(wh_roster_by_key(r, rows[i].key_hash), row);
        assert_null(wh_roster_by_id(r, rows[i].id + 1));
        hash_of(rows[i].id + 1, hash);
        assert_null(wh_roster_by_key(r, hash));
    }
    wh_roster_free(r);
    free(rows);
}

static void test_empty(void **state)
{
    unsigned char hash[WH_KEY_LEN] = {0};
    wh_roster_t *r = wh_roster_make(NULL, 0);

    (void)state;
    assert_non_null(r);
    assert_null(wh_roster_by_id(r, 1));
    assert_null(wh_roster_by_key(r, hash));
    assert_null(wh_roster_by_id(NULL, 1));
    assert_null(wh_roster_by_key(NULL, hash));
    assert_int_equal(wh_roster_count(NULL), 0);
    wh_roster_free(r);
}

/* XD8: their keys open nothing, but they are known. */
static void test_removed(void **state)
{
    wh_roster_row_t rows[3] = {
        {.id = 1}, {.id = 2, .state = WH_ROSTER_REMOVED}, {.id = 3, .state = WH_ROSTER_REVOKED}};
    wh_roster_t *r;

    (void)state;
    for (int i = 0; i < 3; i++) {
        hash_of(i, rows[i].key_hash);
    }
    r = wh_roster_make(rows, 3);
    assert_non_null(wh_roster_by_key(r, rows[0].key_hash));
    assert_null(wh_roster_by_key(r, rows[1].key_hash));
    assert_null(wh_roster_by_key(r, rows[2].key_hash));
    assert_int_equal(wh_roster_by_id(r, 2)->state, WH_ROSTER_REMOVED);
    assert_int_equal(wh_roster_by_id(r, 3)->state, WH_ROSTER_REVOKED);
    wh_roster_free(r);
}

static void test_same(void **state)
{
    wh_roster_row_t rows[8];
    wh_roster_t *a = many(8, rows), *b = many(8, rows), *c, *d, *e;

    (void)state;
    rows[5].state = WH_ROSTER_REVOKED;
    c = wh_roster_make(rows, 8);
    rows[5].state = WH_ROSTER_GOOD;
    rows[7].key_hash[31] ^= 1;
    d = wh_roster_make(rows, 8);
    e = wh_roster_make(rows, 7);
    assert_true(wh_roster_same(a, b));
    assert_false(wh_roster_same(a, c));
    assert_false(wh_roster_same(a, d));
    assert_false(wh_roster_same(a, e));
    assert_false(wh_roster_same(a, NULL));
    assert_true(wh_roster_same(NULL, NULL));
    wh_roster_free(a);
    wh_roster_free(b);
    wh_roster_free(c);
    wh_roster_free(d);
    wh_roster_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("every worker is found by id and by key, nobody else is", test_find),
        UNIT("an empty roster, and none", test_empty),
        UNIT("XD8 removed and revoked: known by id, their keys are not", test_removed),
        UNIT("two rosters are compared in all that they say", test_same),
    };

    return UNIT_RUN(tests);
}
