/* The hashes of tables, by figures that others made: SipHash-1-3 of 00 01 02 ... under the key 00
 * to 0f as in its reference, and under no key as Python 3.11 with PYTHONHASHSEED=0 has it. */
#include <string.h>

#include "libwh/wh_hash.h"
#include "t/unit/unit.h"

static void test_keyed(void **state)
{
    static const wh_hash_key_t key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    static const struct {
        size_t n;
        uint64_t hash;
    } cases[] = {
        {0, UINT64_C(0xabac0158050fc4dc)},  {1, UINT64_C(0xc9f49bf37d57ca93)},
        {7, UINT64_C(0xd3927d989bb11140)},  {8, UINT64_C(0x369095118d299a8e)},
        {9, UINT64_C(0x25a48eb36c063de4)},  {15, UINT64_C(0xd320d86d2a519956)},
        {16, UINT64_C(0xcc4fdd1a7d908b66)}, {63, UINT64_C(0x9d199062b7bbb3a8)},
    };
    char bytes[64];

    (void)state;
    for (int i = 0; i < 64; i++)
        bytes[i] = (char)i;
    for (size_t c = 0; c < WH_ARRAY_LEN(cases); c++) {
        for (size_t cut = 0; cut <= cases[c].n; cut++)
            assert_true(wh_hash_keyed(&key, bytes, cut, bytes + cut, cases[c].n - cut) ==
                        cases[c].hash);
    }
}

static void test_no_key(void **state)
{
    static const wh_hash_key_t none = {0, 0};
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {
        {"a", UINT64_C(0x407448d2b89b1813)},
        {"index.html", UINT64_C(0x7ba89c7d58c7a3f0)},
        {"0123456789abcdef", UINT64_C(0x1d42b30f7e060c24)},
        {"docs/index.html", UINT64_C(0xc18a7ca31f89e06a)},
    };

    (void)state;
    for (size_t c = 0; c < WH_ARRAY_LEN(cases); c++)
        assert_true(wh_hash_keyed(&none, cases[c].text, strlen(cases[c].text), "", 0) ==
                    cases[c].hash);
}

static void test_plain(void **state)
{
    (void)state;
    assert_true(wh_hash_plain(WH_HASH_PLAIN, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(wh_hash_plain(WH_HASH_PLAIN, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(wh_hash_plain(wh_hash_plain(WH_HASH_PLAIN, "foo", 3), "bar", 3) ==
                UINT64_C(0x85944171f73967e8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("SipHash-1-3, in one part or two", test_keyed),
        UNIT("the same without a key", test_no_key),
        UNIT("FNV-1a, 64 bits", test_plain),
    };

    return UNIT_RUN(tests);
}
