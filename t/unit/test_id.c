#include "t/unit/unit.h"
#include "libwh/wh_id.h"

static apr_status_t fill_byte(void *baton, void *buf, size_t n)
{
    memset(buf, *(unsigned char *)baton, n);
    return APR_SUCCESS;
}

static void test_known(void **state)
{
    unsigned char byte = 0;
    wh_rand_t rnd = {.fill = fill_byte, .baton = &byte};

    assert_string_equal(wh_id_make(*state, 0, &rnd), "00000000000000000000000000");
    byte = 0xff;
    assert_string_equal(wh_id_make(*state, -5, &rnd), "0000000000zzzzzzzzzzzzzzzz");
    /* The time of the ULID specification's example: 1469918176385 ms is 01ARYZ6S41. */
    assert_memory_equal(wh_id_make(*state, INT64_C(1469918176385999), &rnd), "01aryz6s41", 10);
    assert_int_equal(wh_id_time("01aryz6s410000000000000000"), INT64_C(1469918176385000));
    /* The last time that fits: 48 bits of milliseconds. */
    assert_memory_equal(wh_id_make(*state, ((INT64_C(1) << 48) - 1) * 1000, &rnd), "7zzzzzzzzz",
                        10);
}

static void test_of_text(void **state)
{
    const char *id = wh_id_of(*state, INT64_C(1469918176385000), "this");

    assert_true(wh_id_ok(id));
    assert_memory_equal(id, "01aryz6s41", 10);
    assert_string_equal(id, wh_id_of(*state, INT64_C(1469918176385000), "this"));
    assert_string_not_equal(id, wh_id_of(*state, INT64_C(1469918176385000), "that"));
}

static void test_order(void **state)
{
    wh_rand_fake_t fake;
    const char *last = "";

    wh_rand_fake_init(&fake, 1);
    for (apr_time_t now = 0; now < APR_USEC_PER_SEC; now += 1000) {
        const char *id = wh_id_make(*state, now * 7919, &fake.rnd);

        assert_true(wh_id_ok(id));
        assert_true(strcmp(last, id) < 0);
        last = id;
    }
    fake.fail_after = 0;
    assert_null(wh_id_make(*state, 0, &fake.rnd));
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "01aryz6s41000000000000000",   /* short */
        "01aryz6s4100000000000000000", /* long */
        "81aryz6s410000000000000000",  /* over 128 bits */
        "01ARYZ6S410000000000000000",  /* capitals */
        "01aryz6s41000000000000000i",  /* letters that are not in it */
        "01aryz6s41000000000000000u",
        "01aryz6s41000000000000000/",
        "../../../../../../../../..",
        "01aryz6s410000000000000\xc3\xa9 ",
    };

    (void)state;
    assert_false(wh_id_ok(NULL));
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_false(wh_id_ok(bad[i]));
        assert_int_equal(wh_id_time(bad[i]), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("an id is a ULID in lower case", test_known),
        UNIT("an id follows from a text", test_of_text),
        UNIT("ids sort by time of making", test_order),
        UNIT("what is no id is refused", test_refused),
    };

    return UNIT_RUN(tests);
}
