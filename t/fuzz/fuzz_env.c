/* .env files; and a mask of the first value over the whole file, in two pieces. */
#include <string.h>
#include "libwh/wh_env.h"
#include "libwh/wh_mask.h"
#include "t/fuzz/fuzz.h"

static void mask(apr_pool_t *p, const char *value, const char *data, size_t n)
{
    wh_mask_t *m = wh_mask_make(p, &value, 1);
    wh_mask_state_t state = {0};
    const char *out;
    size_t len;

    fuzz_must((m != NULL) || strlen(value) < WH_MASK_MIN || strpbrk(value, "\r\n\t ") != NULL);
    out = wh_mask_text(p, m, NULL, data, n, &len);
    fuzz_must(len <= n || m != NULL);
    if (m != NULL && strlen(value) >= WH_MASK_MIN && strpbrk(value, "*\r\n") == NULL)
        for (size_t i = 0; i + strlen(value) <= len; i++)
            fuzz_must(memcmp(out + i, value, strlen(value)) != 0);
    (void)wh_mask_text(p, m, &state, data, n / 2, &len);
    (void)wh_mask_text(p, m, &state, data + n / 2, n - n / 2, &len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    apr_array_header_t *pairs;

    if (wh_env_parse(p, (const char *)data, n, &pairs, NULL) != APR_SUCCESS)
        return 0;
    for (int i = 0; i < pairs->nelts; i++) {
        const wh_env_pair_t *pair = &APR_ARRAY_IDX(pairs, i, wh_env_pair_t);

        fuzz_must(wh_env_name_check(pair->name, NULL) == APR_SUCCESS);
        fuzz_must(wh_env_value_check(pair->value, strlen(pair->value), NULL) == APR_SUCCESS);
        fuzz_must(pair->line >= 1);
        if (i == 0)
            mask(p, pair->value, (const char *)data, n);
    }
    return 0;
}
