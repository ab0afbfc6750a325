/* httpd's file of requests, as the scheduler reads it: taken whole or not at all, no sum that is
 * read makes a figure out of range, and what was taken is taken again when it is written anew. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "libwh/wh_meter_file.h"
#include "t/fuzz/fuzz.h"

#define NOW APR_INT64_C(1700000000000000)
#define MOST APR_UINT64_C(1000000000000)

/* A file that says an app twice may say more of it than one line can. */
static int is_sayable(const wh_meter_sum_t *sum)
{
    for (int i = 0; i < WH_METERS; i++)
        if (sum->of[i] >= MOST)
            return 0;
    for (int i = 0; i < WH_METER_BUCKETS; i++)
        if (sum->took[i] >= MOST)
            return 0;
    return 1;
}

static void check_app(const char *app, const wh_meter_sum_t *sum)
{
    apr_int64_t us = wh_meter_quantile_us(sum, 0.95);
    apr_uint64_t all = 0;

    fuzz_must(wh_id_ok(app));
    for (int i = 0; i < WH_METERS; i++)
        fuzz_must((all += sum->of[i]) < (apr_uint64_t)1 << 62);
    fuzz_must((us >= 0) == (wh_meter_timed(sum) > 0));
    fuzz_must(us <= wh_meter_bounds_us[WH_METER_BUCKETS - 2]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    const char *text = apr_pstrmemdup(p, (const char *)data, n);
    apr_hash_t *into = apr_hash_make(p), *again = apr_hash_make(p);
    char *out, *at;
    int apps, sayable = 1;

    if (!wh_meter_file_read(into, text, NOW)) {
        fuzz_must(apr_hash_count(into) == 0);
        return 0;
    }
    apps = (int)apr_hash_count(into);
    at = out = apr_palloc(p, (size_t)(apps + 2) * WH_METER_FILE_LINE);
    at += wh_meter_file_head(at, NOW);
    for (apr_hash_index_t *i = apr_hash_first(p, into); i != NULL; i = apr_hash_next(i)) {
        const char *app = apr_hash_this_key(i);
        const wh_meter_sum_t *sum = apr_hash_this_val(i);
        size_t len;

        check_app(app, sum);
        sayable &= is_sayable(sum);
        len = wh_meter_file_app(at, app, sum);
        fuzz_must(len < WH_METER_FILE_LINE);
        at += len;
    }
    at += wh_meter_file_end(at, apps);
    *at = '\0';
    fuzz_must(wh_meter_file_read(again, out, NOW) == sayable);
    fuzz_must(!sayable || (int)apr_hash_count(again) == apps);
    return 0;
}
