#include <string.h>
#include "libwh/wh_id.h"
#include "libwh/wh_sign.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void digits(char *out, int n, uint64_t bits)
{
    while (n > 0) {
        out[--n] = alphabet[bits & 31];
        bits >>= 5;
    }
}

/* 26 digits of 5 bits hold 130 bits; the first digit carries only 3, so it is at most '7'. */
const char *wh_id_make(apr_pool_t *p, apr_time_t now, const wh_rand_t *rnd)
{
    unsigned char raw[16];
    char *out;
    uint64_t ms = now > 0 ? (uint64_t)now / 1000 : 0;
    uint64_t high = 0;
    uint64_t low = 0;

    if (wh_rand_fill(rnd, raw + 6, 10) != APR_SUCCESS)
        return NULL;
    for (int i = 0; i < 6; i++)
        raw[i] = (unsigned char)(ms >> (40 - 8 * i));
    for (int i = 0; i < 8; i++) {
        high = high << 8 | raw[i];
        low = low << 8 | raw[i + 8];
    }
    out = apr_palloc(p, WH_ID_LEN + 1);
    /* In parts of 60 bits, which need no carry. */
    digits(out + 14, 12, low);
    digits(out + 2, 12, low >> 60 | high << 4);
    digits(out, 2, high >> 56);
    out[WH_ID_LEN] = '\0';
    return out;
}

static apr_status_t fill_digest(void *baton, void *buf, size_t n)
{
    memcpy(buf, baton, n); /* 10 of its 32 bytes */
    return APR_SUCCESS;
}

const char *wh_id_of(apr_pool_t *p, apr_time_t at, const char *text)
{
    unsigned char digest[WH_SHA256_LEN];
    wh_rand_t rnd = {.fill = fill_digest, .baton = digest};

    wh_sign_sha256(text, strlen(text), digest);
    return wh_id_make(p, at, &rnd);
}

int wh_id_ok(const char *s)
{
    if (s == NULL || strnlen(s, WH_ID_LEN + 1) != WH_ID_LEN || s[0] > '7')
        return 0;
    for (int i = 0; i < WH_ID_LEN; i++)
        if (strchr(alphabet, s[i]) == NULL)
            return 0;
    return 1;
}

apr_time_t wh_id_time(const char *s)
{
    uint64_t ms = 0;

    if (!wh_id_ok(s))
        return -1;
    for (int i = 0; i < 10; i++)
        ms = ms << 5 | (uint64_t)(strchr(alphabet, s[i]) - alphabet);
    return (apr_time_t)(ms * 1000);
}
