#include "wh-scheduler/say.h"

int wh_say_may(wh_says_t *says, apr_int64_t worker, wh_mono_t now)
{
    size_t at = (size_t)((apr_uint64_t)worker % WH_SAY_SLOTS);
    wh_bucket_t *lines = &says->slot[at].lines;
    apr_int64_t unsaid = says->slot[at].unsaid;

    if (lines->burst == 0) {
        wh_bucket_init(lines, WH_SAY_RATE, WH_SAY_BURST, now);
    }
    if (!wh_bucket_take(lines, 1, now)) {
        says->slot[at].unsaid++;
        return 0;
    }
    if (unsaid > 0) {
        says->slot[at].unsaid = 0;
        wh_log(WH_LOG_WARN, "WH0428",
               "worker %" APR_INT64_T_FMT ": %" APR_INT64_T_FMT " more lines about it were left out",
               worker, unsaid);
    }
    return 1;
}
