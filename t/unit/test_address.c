#include "t/unit/unit.h"
#include "libwh/wh_address.h"

static void assert_all(const char *const *texts, size_t n, wh_address_e want)
{
    for (size_t i = 0; i < n; i++) {
        if (wh_address_of(texts[i]) != want)
            fail_msg("\"%s\" is %d, not %d", texts[i], (int)wh_address_of(texts[i]), (int)want);
    }
}

static void test_hosts(void **state)
{
    static const char *const texts[] = {
        "10.0.0.7", "192.168.1.1",    "223.255.255.255", "169.253.1.1", "170.254.1.1",
        "1.2.3.4",  "fd00:1::2",      "1:2:3:4:5:6:7:8", "2001:db8::1", "::ffff:a00:1",
        "fec0::1",  "64:ff9b::a00:1", "2002:a00:1::"};

    (void)state;
    assert_all(texts, WH_ARRAY_LEN(texts), WH_ADDRESS_HOST);
}

static void test_loopback(void **state)
{
    static const char *const texts[] = {"127.0.0.1",       "127.255.0.3",   "::1",
                                        "0:0:0:0:0:0:0:1", "::ffff:7f00:1", "64:ff9b::7f00:1",
                                        "2002:7f00:1::"};

    (void)state;
    assert_all(texts, WH_ARRAY_LEN(texts), WH_ADDRESS_LOOPBACK);
}

static void test_refused(void **state)
{
    static const char *const texts[] = {"0.0.0.0",
                                        "0.1.2.3",
                                        "169.254.0.1",
                                        "169.254.169.254",
                                        "224.0.0.1",
                                        "239.1.1.1",
                                        "240.0.0.1",
                                        "255.255.255.255",
                                        "::",
                                        "::2",
                                        "::a9fe:a9fe",
                                        "fe80::1",
                                        "febf::1",
                                        "ff02::1",
                                        "::ffff:a9fe:a9fe",
                                        "::ffff:0:0",
                                        "64:ff9b::e000:1",
                                        "2002:a9fe:a9fe::"};

    (void)state;
    assert_all(texts, WH_ARRAY_LEN(texts), WH_ADDRESS_REFUSED);
}

static void test_none(void **state)
{
    static const char *const bad[] = {"",
                                      "h",
                                      "a.b",
                                      "w1.example.org",
                                      "localhost",
                                      "a.localhost",
                                      "1.2.3.256",
                                      "1.2.3.4.5",
                                      "1.2.3",
                                      "01.2.3.4",
                                      "1.2.3.4 ",
                                      "a b",
                                      "A.b",
                                      "a..b",
                                      "-a",
                                      ":1",
                                      "1:",
                                      ":::",
                                      "1::2::3",
                                      "12345::",
                                      "::g",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1:2:3:4:5:6:7::8",
                                      "fe80::1%eth0",
                                      "::127.0.0.1",
                                      "[::1]",
                                      "2130706433",
                                      "0x7f000001",
                                      "0x7f.1",
                                      "a.0x1",
                                      "127.1",
                                      "a.7"};

    (void)state;
    assert_all(bad, WH_ARRAY_LEN(bad), WH_ADDRESS_BAD);
}

static void test_public(void **state)
{
    static const char *const own[] = {
        "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
        "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255",
        /* RFC 6890 */
        "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
        "fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1", "::1", "::", "2001:db8::1",
        "3fff::1", "100::1", "1::1", "4000::1",
        /* an IPv4 address within: mapped, translated, NAT64 of a network's own, 6to4, Teredo */
        "::ffff:a00:1", "::ffff:0:a00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1",
        "2002:c0a8:101::1", "2001::f5ff:fffe", "x", "2130706433", "0x7f.1", "127.1"};
    static const char *const all[] = {
        "9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "192.167.1.1", "100.63.0.1",
        "100.128.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "1.1.1.1", "2600::1",
        "2001:200::1", "2a00:1450::1", "::ffff:801:101", "64:ff9b::808:808", "2002:808:808::1"};

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(own); i++) {
        if (wh_address_public(own[i]))
            fail_msg("%s", own[i]);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(all); i++) {
        if (!wh_address_public(all[i]))
            fail_msg("%s", all[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("addresses that another machine may have", test_hosts),
        UNIT("loopback in all its forms", test_loopback),
        UNIT("unspecified, multicast, link-local and reserved ones are refused", test_refused),
        UNIT("XK1 what all the world can reach", test_public),
        UNIT("names are none, nor is what a resolver reads in two ways", test_none),
    };

    return UNIT_RUN(tests);
}
