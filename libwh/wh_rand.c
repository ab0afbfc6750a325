#include <string.h>
#include "libwh/wh_rand.h"
#include "libwh/wh_sign.h"

apr_status_t wh_rand_fill(const wh_rand_t *rnd, void *buf, size_t n)
{
    return rnd->fill(rnd->baton, buf, n);
}

char *wh_rand_hex(apr_pool_t *p, const wh_rand_t *rnd, size_t n)
{
    unsigned char *raw = apr_palloc(p, n > 0 ? n : 1);
    char *hex;

    if (wh_rand_fill(rnd, raw, n) != APR_SUCCESS)
        return NULL;
    hex = wh_sign_hex(p, raw, n);
    wh_sign_wipe(raw, n);
    return hex;
}

uint32_t wh_rand_jitter(const wh_rand_t *rnd)
{
    uint32_t bits;

    return wh_rand_fill(rnd, &bits, sizeof(bits)) == APR_SUCCESS ? bits : UINT32_C(0x80000000);
}

/* splitmix64: passes for random, and is the same everywhere. */
static uint64_t fake_next(wh_rand_fake_t *fake)
{
    uint64_t z = fake->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static apr_status_t fake_fill(void *baton, void *buf, size_t n)
{
    wh_rand_fake_t *fake = baton;
    unsigned char *out = buf;

    if (fake->fail_after == 0)
        return APR_EGENERAL;
    if (fake->fail_after > 0)
        fake->fail_after--;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(fake_next(fake) >> 56);
    return APR_SUCCESS;
}

void wh_rand_fake_init(wh_rand_fake_t *fake, uint64_t seed)
{
    fake->rnd = (wh_rand_t){.fill = fake_fill, .baton = fake};
    fake->state = seed;
    fake->fail_after = -1;
}
