#include "libwh/wh_lograte.h"

void wh_lograte_init(wh_lograte_t *rate, wh_mono_t now)
{
    wh_bucket_init(&rate->quiet, WH_LOGRATE_QUIET_RATE, WH_LOGRATE_QUIET_BURST, now);
}

int wh_lograte_take(wh_lograte_t *rate, const wh_lograte_now_t *now, apr_int64_t n)
{
    if (now == NULL) {
        return 1;
    }
    if (!wh_bucket_take(&rate->quiet, n, now->now) &&
        wh_bucket_wait(now->connection, n + WH_LOGRATE_KEPT, now->now) != 0) {
        return 0;
    }
    return wh_bucket_take(now->connection, n, now->now);
}
