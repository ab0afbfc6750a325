#include "t/unit/unit.h"

#include <stdlib.h>

#include "libwh/wh_lru.h"

typedef struct thing_t {
    wh_lru_item_t item;
    char key[16];
} thing_t;

static int dropped;
static char last_dropped[16];

static void drop(void *baton, wh_lru_item_t *item)
{
    assert_ptr_equal(baton, &dropped);
    dropped++;
    memcpy(last_dropped, item->key, sizeof(last_dropped));
    free(item);
}

static void add(wh_lru_t *lru, int n)
{
    thing_t *thing = calloc(1, sizeof(*thing));

    snprintf(thing->key, sizeof(thing->key), "k%d", n);
    thing->item.key = thing->key;
    wh_lru_add(lru, &thing->item);
}

static void test_oldest_goes(void **state)
{
    apr_pool_t *p;
    wh_lru_t *lru;

    apr_pool_create(&p, *state);
    dropped = 0;
    lru = wh_lru_make(p, 3, drop, &dropped);
    assert_null(wh_lru_find(lru, "k1"));
    assert_null(wh_lru_next(lru, NULL));
    for (int i = 1; i <= 3; i++) {
        add(lru, i);
    }
    assert_non_null(wh_lru_find(lru, "k1")); /* used: k2 is the oldest now */
    add(lru, 4);
    assert_int_equal(dropped, 1);
    assert_string_equal(last_dropped, "k2");
    assert_null(wh_lru_find(lru, "k2"));
    assert_string_equal(wh_lru_next(lru, NULL)->key, "k4");
    wh_lru_remove(lru, wh_lru_find(lru, "k1"));
    assert_int_equal(wh_lru_count(lru), 2);
    assert_string_equal(wh_lru_next(lru, wh_lru_next(lru, NULL))->key, "k3");
    apr_pool_destroy(p);
    assert_int_equal(dropped, 4);
}

static void test_many(void **state)
{
    apr_pool_t *p;
    wh_lru_t *lru;
    char key[16];

    apr_pool_create(&p, *state);
    dropped = 0;
    lru = wh_lru_make(p, 1000, drop, &dropped);
    for (int i = 0; i < 5000; i++) {
        add(lru, i);
    }
    assert_int_equal(wh_lru_count(lru), 1000);
    assert_int_equal(dropped, 4000);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(wh_lru_find(lru, key) != NULL, i >= 4000);
    }
    wh_lru_clear(lru);
    assert_int_equal(dropped, 5000);
    apr_pool_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the least recently used goes first", test_oldest_goes),
        UNIT("many keys, bounded", test_many),
    };

    return UNIT_RUN(tests);
}
