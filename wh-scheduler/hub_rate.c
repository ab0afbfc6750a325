#include "wh-scheduler/hub_rate.h"

#include <stdint.h>
#include <string.h>

#include "libwh/wh_sign.h"

#define WAYS 4
#define MINUTE 60 /* buckets count whole units a second; each time costs 60 of them */

typedef struct entry_t {
    unsigned char id[16]; /* of a keyed hash; all zero = free */
    wh_bucket_t bucket;
} entry_t;

struct wh_hub_rate_t {
    wh_hub_rate_opt_t opt;
    unsigned char key[WH_SHA256_LEN]; /* so that nobody can aim addresses at one row */
    size_t rows;
    entry_t (*entry)[WAYS];
};

wh_hub_rate_t *wh_hub_rate_make(apr_pool_t *p, const wh_rand_t *rnd, wh_hub_rate_opt_t opt)
{
    wh_hub_rate_t *rate = apr_pcalloc(p, sizeof(*rate));

    rate->opt = opt;
    rate->rows = ((size_t)opt.entries + WAYS - 1) / WAYS;
    rate->entry = apr_pcalloc(p, rate->rows * sizeof(*rate->entry));
    return wh_rand_fill(rnd, rate->key, sizeof(rate->key)) == APR_SUCCESS ? rate : NULL;
}

static int is_mapped(const unsigned char address[16])
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(address, prefix, sizeof(prefix)) == 0;
}

/* Its own entry, a free one, or the one that was used longest ago. */
static wh_bucket_t *bucket_of(wh_hub_rate_t *rate, const void *whose, size_t len, wh_mono_t now)
{
    static const unsigned char none[16];
    unsigned char id[WH_SHA256_LEN];
    uint32_t at;
    entry_t *row, *chosen;

    wh_sign_hmac(rate->key, sizeof(rate->key), whose, len, id);
    memcpy(&at, id + sizeof(row->id), sizeof(at));
    row = rate->entry[at % rate->rows];
    chosen = row;
    for (int i = 0; i < WAYS; i++) {
        if (memcmp(row[i].id, id, sizeof(row[i].id)) == 0) {
            return &row[i].bucket;
        }
        if (memcmp(chosen->id, none, sizeof(none)) != 0 &&
            (memcmp(row[i].id, none, sizeof(none)) == 0 ||
             row[i].bucket.last.us < chosen->bucket.last.us)) {
            chosen = &row[i];
        }
    }
    memcpy(chosen->id, id, sizeof(chosen->id));
    wh_bucket_init(&chosen->bucket, rate->opt.per_minute, (apr_int64_t)rate->opt.burst * MINUTE,
                   now);
    return &chosen->bucket;
}

static int take(wh_hub_rate_t *rate, const void *whose, size_t len, wh_mono_t now)
{
    wh_bucket_t *bucket = bucket_of(rate, whose, len, now);

    if (wh_bucket_take(bucket, MINUTE, now)) {
        return 0;
    }
    return (int)(wh_bucket_wait(bucket, MINUTE, now) / APR_USEC_PER_SEC) + 1;
}

int wh_hub_rate_failed(wh_hub_rate_t *rate, const unsigned char address[16], wh_mono_t now)
{
    return take(rate, address, is_mapped(address) ? 16 : 8, now);
}

int wh_hub_rate_came(wh_hub_rate_t *rate, apr_int64_t worker, wh_mono_t now)
{
    return take(rate, &worker, sizeof(worker), now);
}
