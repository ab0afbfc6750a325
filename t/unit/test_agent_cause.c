#include <arpa/inet.h>
#include <netinet/in.h>
#include "t/unit/unit.h"
#include "wh-agent/cause.h"
#include "wh-agent/netguard.h"
#include "wh-agent/probe.h"

static void test_not_ready(void **state)
{
    wh_cause_probe_t probe = {.port = 8080, .path = "/health", .waited_s = 60};
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    assert_code(wh_cause_not_ready(&err, &probe), &err, "not_listening");
    assert_string_equal(err.text, "nothing listened on port 8080 within 60 s");
    probe.connected = 1;
    assert_code(wh_cause_not_ready(&err, &probe), &err, "unhealthy");
    assert_string_equal(err.text,
                        "port 8080 took connections but gave no HTTP answer to GET /health "
                        "within 60 s");
    probe.last_status = 503;
    assert_code(wh_cause_not_ready(&err, &probe), &err, "unhealthy");
    assert_string_equal(err.text, "GET /health still answered 503 after 60 s");
}

static void test_exited(void **state)
{
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    assert_code(wh_cause_exited(&err, 3, 0, 1234567), &err, "container_exited");
    assert_string_equal(err.text, "the container exited with status 3 after 1.2 s");
    (void)wh_cause_exited(&err, 0, 0, 0);
    assert_string_equal(err.text, "the container exited with status 0 after 0.0 s");
    (void)wh_cause_exited(&err, 139, 0, 2000000);
    assert_string_equal(err.text, "the container exited by signal 11 after 2.0 s");
    (void)wh_cause_exited(&err, -1, 0, -5);
    assert_string_equal(err.text, "the container exited after 0.0 s");
    (void)wh_cause_exited(&err, 137, 1, 900000);
    assert_string_equal(
        err.text,
        "the container was killed after 0.9 s because it needed more memory than it may have");
}

static void test_settle(void **state)
{
    static const char *const codes[][2] = {
        {"clone_failed", "clone_failed"}, {"ref_invalid", "ref_not_found"},
        {"engine_error", "start_failed"}, {"server_unreachable", "upload_failed"},
        {"state_unwritable", "internal"}, {"something_new", "internal"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        wh_err_t err = WH_ERR_INIT;

        (void)wh_err_set(&err, 500, codes[i][0], "why");
        wh_cause_settle(&err);
        assert_string_equal(err.code, codes[i][1]);
        assert_string_equal(err.text, "why");
    }
}

static void test_pause(void **state)
{
    apr_interval_time_t last = 0;

    (void)state;
    assert_int_equal(wh_probe_pause(0), 50000);
    for (unsigned n = 0; n < 100; n++) {
        apr_interval_time_t us = wh_probe_pause(n);

        assert_true(us >= last && us <= 2000000);
        last = us;
    }
    assert_int_equal(last, 2000000);
}

static int is_public(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return wh_netguard_is_public((struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return wh_netguard_is_public((struct sockaddr *)&in6);
}

static void test_netguard(void **state)
{
    static const char *const inner[] = {
        "0.0.0.0",     "0.1.2.3",        "10.0.0.1",         "100.64.0.1",      "100.127.255.255",
        "127.0.0.1",   "127.1.2.3",      "169.254.169.254",  "172.16.0.1",      "172.31.255.255",
        "192.0.0.8",   "192.0.2.1",      "192.168.1.1",      "198.18.0.1",      "198.51.100.7",
        "203.0.113.9", "224.0.0.1",      "240.0.0.1",        "255.255.255.255", "::",
        "::1",         "::ffff:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1",    "2002:808:808::1",
        "2001::1",     "2001:db8::1",    "fc00::1",          "fd12::1",         "fe80::1",
        "fec0::1",     "ff02::1",        "100::1",
    };
    static const char *const outer[] = {"8.8.8.8",         "1.1.1.1",     "100.63.255.255",
                                        "100.128.0.1",     "172.15.0.1",  "172.32.0.1",
                                        "223.255.255.255", "192.0.1.1",   "2606:4700::1111",
                                        "2a00:1450::1",    "2001:4860::1"};

    (void)state;
    for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++)
        if (is_public(inner[i]))
            fail_msg("%s counts as public", inner[i]);
    for (size_t i = 0; i < sizeof(outer) / sizeof(outer[0]); i++)
        if (!is_public(outer[i]))
            fail_msg("%s does not count as public", outer[i]);
}

static void test_pin(void **state)
{
    apr_pool_t *p = *state;
    const char *pin = "";
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_netguard_pin(p, "https://127.0.0.1:8443/r.git", 1, &pin, &err), &err);
    assert_string_equal(pin, "127.0.0.1:8443:127.0.0.1");
    assert_ok(wh_netguard_address(p, "127.0.0.1", 1, &pin, &err), &err);
    assert_string_equal(pin, "127.0.0.1");
    assert_ok(wh_netguard_address(p, "::1", 1, &pin, &err), &err);
    assert_string_equal(pin, "::1");
    assert_code(wh_netguard_address(p, "::1", 0, &pin, &err), &err, "repository_refused");
    assert_code(wh_netguard_pin(p, "https://127.0.0.1/r.git", 0, &pin, &err), &err,
                "repository_refused");
    assert_code(wh_netguard_pin(p, "https://2130706433/r", 0, &pin, &err), &err,
                "repository_refused");
    assert_code(wh_netguard_pin(p, "https://0x7f.1/r", 0, &pin, &err), &err, "repository_refused");
    assert_code(wh_netguard_pin(p, "https://name.invalid/r", 0, &pin, &err), &err, "clone_failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F219 not ready: one sentence for each way", test_not_ready),
        UNIT("F219 an exit is told with its status and time", test_exited),
        UNIT("every failure has a code that people are told", test_settle),
        UNIT("R15 probes begin at 50 ms and back off to 2 s", test_pause),
        UNIT("D9 only global addresses are public", test_netguard),
        UNIT("XK1 a host is looked up once and pinned", test_pin),
    };
    return UNIT_RUN(tests);
}
