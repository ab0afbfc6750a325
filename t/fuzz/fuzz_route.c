/* Records of the route table: as they are, and with a checksum that is right. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_route.h"
#include "t/fuzz/fuzz.h"

#define KEY "hello.localhost"

static void check(apr_pool_t *p, const unsigned char *data, size_t n)
{
    wh_route_t r;
    size_t again;
    void *buf;

    if (wh_route_decode(p, KEY, data, n, &r, NULL) != APR_SUCCESS)
        return;
    fuzz_must(r.n_upstreams >= 0 && r.n_upstreams <= WH_ROUTE_UPSTREAMS_MAX);
    for (int i = 0; i < r.n_upstreams; i++)
        fuzz_must(r.upstreams[i].address[0] && r.upstreams[i].port > 0);
    /* There is one way to write a record, so it comes out byte by byte the same. */
    fuzz_must(wh_route_encode(p, KEY, &r, &buf, &again, NULL) == APR_SUCCESS);
    fuzz_must(again == n && memcmp(buf, data, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const unsigned char zero[4];
    apr_pool_t *p = fuzz_pool();
    unsigned char *copy;
    uint32_t crc;

    check(p, data, n);
    if (n < 32)
        return 0;
    copy = apr_pmemdup(p, data, n);
    for (int i = 0; i < 4; i++)
        copy[12 + i] = (unsigned char)(n >> (8 * i));
    crc = wh_route_crc32c(0, KEY, sizeof(KEY));
    crc = wh_route_crc32c(crc, copy, 28);
    crc = wh_route_crc32c(crc, zero, 4);
    crc = wh_route_crc32c(crc, copy + 32, n - 32);
    for (int i = 0; i < 4; i++)
        copy[28 + i] = (unsigned char)(crc >> (8 * i));
    check(p, copy, n);
    return 0;
}
