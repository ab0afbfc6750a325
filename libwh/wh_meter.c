#include "libwh/wh_meter.h"

#include <string.h>

#define MS 1000
#define S APR_INT64_C(1000000)
#define DECADE(unit) (unit), 2 * (unit), 3 * (unit), 5 * (unit), 7 * (unit)

const apr_int64_t wh_meter_bounds_us[WH_METER_BUCKETS - 1] = {
    DECADE(100), DECADE(MS), DECADE(10 * MS), DECADE(100 * MS), DECADE(S), DECADE(10 * S), 100 * S};

static const char is_wide[WH_METERS] = {
#define KIND_WIDE 1
#define KIND_COUNT 0
#define WH_METER(width, name, field) KIND_##width,
#include "libwh/wh_meter.def"
#undef WH_METER
};

int wh_meter_bucket(apr_int64_t us)
{
    int low = 0;
    int high = WH_METER_BUCKETS - 1;

    if (us <= wh_meter_bounds_us[0]) {
        return 0; /* files from memory */
    }
    while (low < high) {
        int mid = (low + high) / 2;

        if (us <= wh_meter_bounds_us[mid]) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

wh_meter_e wh_meter_class(int status)
{
    static const wh_meter_e classes[] = {WH_METER_1XX, WH_METER_2XX, WH_METER_3XX, WH_METER_4XX,
                                         WH_METER_5XX};

    return status >= 100 && status < 600 ? classes[status / 100 - 1] : WH_METER_5XX;
}

apr_uint64_t wh_meter_requests(const wh_meter_sum_t *sum)
{
    return sum->of[WH_METER_1XX] + sum->of[WH_METER_2XX] + sum->of[WH_METER_3XX] +
           sum->of[WH_METER_4XX] + sum->of[WH_METER_5XX];
}

/* What grew; figures of a row that changed hands may look as if they had shrunk. */
static apr_uint64_t more(apr_uint64_t now, apr_uint64_t before)
{
    return now > before ? now - before : 0;
}

static void add_count(apr_uint32_t *to, apr_uint64_t n)
{
    *to = n > UINT32_MAX - *to ? UINT32_MAX : *to + (apr_uint32_t)n;
}

void wh_meter_note(wh_meter_slot_t *slot, apr_uint32_t stamp, const wh_meter_sum_t *now,
                   const wh_meter_sum_t *before)
{
    int wide = 0;

    if (slot->stamp != stamp) {
        memset(slot, 0, sizeof(*slot));
        slot->stamp = stamp;
    }
    for (int i = 0; i < WH_METERS; i++) {
        if (is_wide[i]) {
            slot->wide[wide++] += more(now->of[i], before->of[i]);
        } else {
            add_count(&slot->n[i], more(now->of[i], before->of[i]));
        }
    }
    for (int i = 0; i < WH_METER_BUCKETS; i++) {
        add_count(&slot->took[i], more(now->took[i], before->took[i]));
    }
}

int wh_meter_add(wh_meter_sum_t *sum, const wh_meter_slot_t *slot, apr_uint32_t stamp)
{
    int wide = 0;

    if (slot->stamp != stamp) {
        return 0;
    }
    for (int i = 0; i < WH_METERS; i++) {
        sum->of[i] += is_wide[i] ? slot->wide[wide++] : slot->n[i];
    }
    for (int i = 0; i < WH_METER_BUCKETS; i++) {
        sum->took[i] += slot->took[i];
    }
    return 1;
}

void wh_meter_between(wh_meter_sum_t *out, const wh_meter_sum_t *now, const wh_meter_sum_t *before)
{
    for (int i = 0; i < WH_METERS; i++) {
        out->of[i] = more(now->of[i], before->of[i]);
    }
    for (int i = 0; i < WH_METER_BUCKETS; i++) {
        out->took[i] = more(now->took[i], before->took[i]);
    }
}

apr_uint64_t wh_meter_timed(const wh_meter_sum_t *sum)
{
    apr_uint64_t n = 0;

    for (int i = 0; i < WH_METER_BUCKETS; i++) {
        n += sum->took[i];
    }
    return n;
}

apr_int64_t wh_meter_quantile_us(const wh_meter_sum_t *sum, double q)
{
    double want = q * (double)wh_meter_timed(sum);
    double below = 0;
    int i = 0;

    if (wh_meter_timed(sum) == 0) {
        return -1;
    }
    while (i < WH_METER_BUCKETS - 1 && below + (double)sum->took[i] < want) {
        below += (double)sum->took[i++];
    }
    while (i < WH_METER_BUCKETS - 1 && sum->took[i] == 0) {
        i++; /* q = 0: where the first lies */
    }
    if (i == WH_METER_BUCKETS - 1) {
        return wh_meter_bounds_us[WH_METER_BUCKETS - 2];
    }
    {
        apr_int64_t from = i > 0 ? wh_meter_bounds_us[i - 1] : 0;
        double part = (want - below) / (double)sum->took[i];

        return from + (apr_int64_t)(part * (double)(wh_meter_bounds_us[i] - from));
    }
}
