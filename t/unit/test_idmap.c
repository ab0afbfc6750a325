/* The hash table of connections and peers. */
#include "t/unit/unit.h"

#include <stdlib.h>

#include "libwh/wh_idmap.h"

typedef struct thing_t {
    int value;
    wh_idmap_link_t link;
} thing_t;

static const thing_t *thing(wh_idmap_link_t *link)
{
    static const thing_t none = {.value = -1};
    const thing_t *found = WH_IDMAP_OF(link, thing_t, link);

    return found != NULL ? found : &none;
}

static void test_many(void **state)
{
    apr_pool_t *p = *state;
    thing_t *things = calloc(8000, sizeof(*things));
    wh_idmap_t map;

    wh_idmap_init(&map, p, 1000); /* fuller than it was made for */
    for (int i = 0; i < 8000; i++) {
        things[i].value = i;
        wh_idmap_put(&map, &things[i].link, (apr_uint64_t)i * 1024 + 7);
    }
    for (int i = 0; i < 8000; i += 2) {
        wh_idmap_drop(&map, &things[i].link);
        wh_idmap_drop(&map, &things[i].link); /* twice is once */
    }
    for (int i = 0; i < 8000; i++) {
        const thing_t *found = thing(wh_idmap_find(&map, (apr_uint64_t)i * 1024 + 7));

        assert_int_equal(found->value, i % 2 != 0 ? i : -1);
    }
    assert_null(wh_idmap_find(&map, 8));
    free(things);
}

static void test_same(void **state)
{
    apr_pool_t *p = *state;
    thing_t a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    wh_idmap_t map;

    wh_idmap_init(&map, p, 1);
    wh_idmap_put(&map, &a.link, 5);
    wh_idmap_put(&map, &c.link, 6);
    wh_idmap_put(&map, &b.link, 5);
    assert_int_equal(thing(wh_idmap_find(&map, 5))->value, 2);
    assert_int_equal(thing(wh_idmap_older(wh_idmap_find(&map, 5)))->value, 1);
    assert_null(wh_idmap_older(&a.link));
    wh_idmap_drop(&map, &b.link);
    assert_int_equal(thing(wh_idmap_find(&map, 5))->value, 1);
    wh_idmap_drop(&map, &a.link);
    assert_null(wh_idmap_find(&map, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("entries are found, and gone when they were dropped", test_many),
        UNIT("of several with one number the newest comes first", test_same),
    };

    return UNIT_RUN(tests);
}
