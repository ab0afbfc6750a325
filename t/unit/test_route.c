#include "t/unit/unit.h"
#include "libwh/wh_route.h"

#define KEY "blog.apps.example.com"

static wh_route_t sample(void)
{
    return (wh_route_t){
        .kind = WH_ROUTE_PROXY,
        .flags = WH_ROUTE_SPA,
        .generation = APR_UINT64_C(0x0102030405060708),
        .app_id = "01hzx0000000000000000000aa",
        .slug = "blog",
        .environment = "production",
        .deployment_id = "01hzx0000000000000000000dd",
        .release_id = "",
        .n_upstreams = 2,
        .upstreams = {{.address = "127.0.0.1", .port = 41234, .weight = 100},
                      {.address = "fd00::1", .port = 1, .weight = 1}},
    };
}

static void test_table_record(void **state)
{
    wh_route_table_t in = {.count = 100000, .generation = APR_UINT64_C(0x0102030405060708)}, out;
    unsigned char buf[WH_ROUTE_TABLE_BYTES];

    (void)state;
    wh_route_table_encode(&in, buf);
    assert_true(wh_route_table_decode(buf, sizeof(buf), &out));
    assert_true(out.count == in.count && out.generation == in.generation);
    assert_false(wh_route_table_decode(buf, sizeof(buf) - 1, &out));
    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] ^= 1;
        assert_false(wh_route_table_decode(buf, sizeof(buf), &out));
        buf[i] ^= 1;
    }
}

static void test_round_trip(void **state)
{
    apr_pool_t *p = *state;
    wh_route_t in = sample(), out;
    wh_err_t err = WH_ERR_INIT;
    size_t n;
    void *buf;

    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
    assert_ok(wh_route_decode(p, KEY, buf, n, &out, &err), &err);
    assert_int_equal(out.kind, WH_ROUTE_PROXY);
    assert_int_equal(out.flags, WH_ROUTE_SPA);
    assert_true(out.generation == in.generation);
    assert_string_equal(out.app_id, in.app_id);
    assert_string_equal(out.slug, "blog");
    assert_string_equal(out.environment, "production");
    assert_string_equal(out.deployment_id, in.deployment_id);
    assert_string_equal(out.release_id, "");
    assert_int_equal(out.n_upstreams, 2);
    assert_string_equal(out.upstreams[0].address, "127.0.0.1");
    assert_int_equal(out.upstreams[0].port, 41234);
    assert_int_equal(out.upstreams[1].weight, 1);
    memset(buf, 0, n); /* nothing of it is needed any more */
    assert_string_equal(out.upstreams[1].address, "fd00::1");

    in = (wh_route_t){.kind = WH_ROUTE_STATIC, .release_id = "abc", .generation = 1};
    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
    assert_ok(wh_route_decode(p, KEY, buf, n, &out, &err), &err);
    assert_string_equal(out.release_id, "abc");
    assert_string_equal(out.app_id, "");
    in = (wh_route_t){.kind = WH_ROUTE_MAINTENANCE};
    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
}

static void test_serving(void **state)
{
    apr_pool_t *p = *state;
    wh_route_t in = sample(), out;
    wh_err_t err = WH_ERR_INIT;
    size_t n;
    void *buf;

    in.flags = WH_ROUTE_FLAGS;
    in.n_upstreams = 0; /* it is waited for */
    in.timeout_s = WH_ROUTE_TIMEOUT_MAX;
    in.hold_s = WH_ROUTE_HOLD_MAX;
    in.previous_release = "before";
    in.previous_until = APR_INT64_C(0x7fffffffffffffff);
    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
    assert_ok(wh_route_decode(p, KEY, buf, n, &out, &err), &err);
    assert_int_equal(out.flags, WH_ROUTE_FLAGS);
    assert_int_equal(out.timeout_s, WH_ROUTE_TIMEOUT_MAX);
    assert_int_equal(out.hold_s, WH_ROUTE_HOLD_MAX);
    assert_string_equal(out.previous_release, "before");
    assert_true(out.previous_until == in.previous_until);
    assert_string_equal(out.redirect, "");

    in = (wh_route_t){
        .kind = WH_ROUTE_REDIRECT, .redirect = "https://example.com", .redirect_code = 308};
    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
    assert_ok(wh_route_decode(p, KEY, buf, n, &out, &err), &err);
    assert_string_equal(out.redirect, "https://example.com");
    assert_int_equal(out.redirect_code, 308);
}

static void test_damage(void **state)
{
    apr_pool_t *p = *state, *sub;
    wh_route_t in = sample(), out = {.slug = "untouched"};
    wh_err_t err = WH_ERR_INIT;
    unsigned char *b;
    size_t n;
    void *buf;

    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
    b = buf;
    apr_pool_create(&sub, p);
    for (size_t i = 0; i < n * 8; i++) {
        b[i / 8] ^= (unsigned char)(1 << (i % 8));
        assert_code(wh_route_decode(sub, KEY, b, n, &out, &err), &err, "route_corrupt");
        b[i / 8] ^= (unsigned char)(1 << (i % 8));
        apr_pool_clear(sub);
    }
    for (size_t i = 0; i < n; i++) {
        assert_code(wh_route_decode(sub, KEY, b, i, &out, &err), &err, "route_corrupt");
        apr_pool_clear(sub);
    }
    assert_int_equal(err.http, 503);
    assert_string_equal(out.slug, "untouched");
    /* Another name's record, whole as it is, is not this name's. */
    assert_code(wh_route_decode(p, "shop.apps.example.com", b, n, &out, &err), &err,
                "route_corrupt");
    assert_code(wh_route_decode(p, "blog.apps.example.co", b, n, &out, &err), &err,
                "route_corrupt");
    assert_ok(wh_route_decode(p, KEY, b, n, &out, &err), &err);
}

static void test_limits(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_route_t r;
    size_t n;
    void *buf;
    char *longer = apr_pcalloc(p, 257);

    memset(longer, 'a', 256);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        r = sample();                                                                              \
        change;                                                                                    \
        assert_code(wh_route_encode(p, KEY, &r, &buf, &n, &err), &err, "route_invalid");           \
    } while (0)
    REFUSED(r.kind = (wh_route_kind_e)0);
    REFUSED(r.kind = (wh_route_kind_e)5);
    REFUSED(r.kind = WH_ROUTE_REDIRECT);
    REFUSED(r.redirect = "https://example.com");
    REFUSED(r.redirect_code = 301);
    REFUSED((r.n_upstreams = 0, r.kind = WH_ROUTE_REDIRECT, r.redirect = "https://example.com",
             r.redirect_code = 303));
    REFUSED(r.flags = WH_ROUTE_FLAGS + 1);
    REFUSED(r.timeout_s = WH_ROUTE_TIMEOUT_MAX + 1);
    REFUSED(r.hold_s = WH_ROUTE_HOLD_MAX + 1);
    REFUSED(r.previous_until = -1);
    REFUSED(r.kind = WH_ROUTE_STATIC);
    REFUSED(r.n_upstreams = 0);
    REFUSED(r.n_upstreams = -1);
    REFUSED(r.n_upstreams = WH_ROUTE_UPSTREAMS_MAX + 1);
    REFUSED(r.upstreams[0].port = 0);
    REFUSED(r.upstreams[0].port = 65536);
    REFUSED(r.upstreams[0].weight = 0);
    REFUSED(r.upstreams[1].address = "");
    REFUSED(r.slug = longer);
    r = sample();
    assert_code(wh_route_encode(p, "", &r, &buf, &n, &err), &err, "route_invalid");
    r.n_upstreams = WH_ROUTE_UPSTREAMS_MAX;
    for (int i = 0; i < WH_ROUTE_UPSTREAMS_MAX; i++)
        r.upstreams[i] =
            (wh_route_upstream_t){.address = longer + 1, .port = 65535, .weight = 1000};
    r.slug = r.app_id = r.environment = r.release_id = r.deployment_id = longer + 1;
    r.previous_release = longer + 1;
    assert_ok(wh_route_encode(p, KEY, &r, &buf, &n, &err), &err);
    assert_true(n <= WH_ROUTE_MAX_BYTES);
    assert_ok(wh_route_decode(p, KEY, buf, n, &r, &err), &err);
}

/* Encoded again it is the same, when what it was made of and what was copied are gone. */
static void test_flat(void **state)
{
    apr_pool_t *p = *state;
    wh_route_t in = sample(), out;
    wh_route_t *flat, *copy;
    wh_err_t err = WH_ERR_INIT;
    size_t n, size, n_again;
    void *buf, *again;
    const void *from;

    assert_ok(wh_route_encode(p, KEY, &in, &buf, &n, &err), &err);
    assert_ok(wh_route_decode(p, KEY, buf, n, &out, &err), &err);
    flat = wh_route_flat(p, &out, &size);
    memset((void *)(uintptr_t)(out.app_id - 2), 'x', 10);
    memset(&out, 0, sizeof(out));
    assert_ok(wh_route_encode(p, KEY, flat, &again, &n_again, &err), &err);
    assert_int_equal(n_again, n);
    assert_memory_equal(again, buf, n);
    copy = apr_pmemdup(p, flat, size);
    from = flat;
    memset(flat, 'x', size);
    wh_route_moved(copy, from);
    assert_ok(wh_route_encode(p, KEY, copy, &again, &n_again, &err), &err);
    assert_int_equal(n_again, n);
    assert_memory_equal(again, buf, n);
}

static void test_crc(void **state)
{
    unsigned char zeros[32] = {0};

    (void)state;
    assert_int_equal(wh_route_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(wh_route_crc32c(0, zeros, 32), 0x8a9136aau);
    assert_int_equal(wh_route_crc32c(wh_route_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a route comes back as it was written", test_round_trip),
        UNIT("so do holding, earlier assets and redirects", test_serving),
        UNIT("a flipped bit, a cut, or another name's record is no route", test_damage),
        UNIT("what no route can hold is refused, the fullest one fits", test_limits),
        UNIT("the record of the table: count and generation, no bit changed", test_table_record),
        UNIT("in one piece, and moved", test_flat),
        UNIT("CRC-32C agrees with RFC 3720", test_crc),
    };

    return UNIT_RUN(tests);
}
