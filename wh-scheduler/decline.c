#include "wh-scheduler/decline.h"

#include <string.h>
#include <apr_strings.h>

static int fresh(const wh_decline_t *d, wh_mono_t now)
{
    return d->times > 0 && wh_mono_diff(now, d->last) < WH_DECLINE_KEEP_US;
}

int wh_decline_note(wh_declines_t *declines, const char *job, apr_int64_t epoch, apr_int64_t worker,
                    wh_mono_t now)
{
    wh_decline_t *slot = &declines->list[0];

    for (int i = 0; i < WH_DECLINE_MAX; i++) {
        wh_decline_t *d = &declines->list[i];

        if (d->times > 0 && d->worker == worker && strcmp(d->job, job) == 0) {
            slot = d;
            break;
        }
        if (d->times == 0 || (slot->times > 0 && d->last.us < slot->last.us)) {
            slot = d;
        }
    }
    if (slot->worker != worker || slot->epoch != epoch || strcmp(slot->job, job) != 0) {
        slot->times = 0;
    }
    apr_cpystrn(slot->job, job, sizeof(slot->job));
    slot->worker = worker;
    slot->epoch = epoch;
    slot->last = now;
    return ++slot->times;
}

void wh_decline_list(const wh_declines_t *declines, apr_pool_t *p, wh_mono_t now, wh_sched_in_t *in)
{
    wh_sched_avoid_t *avoid = apr_pcalloc(p, sizeof(*avoid) * WH_DECLINE_MAX);

    in->n_avoid = 0;
    in->avoid = avoid;
    for (int i = 0; i < WH_DECLINE_MAX; i++) {
        const wh_decline_t *d = &declines->list[i];

        if (fresh(d, now)) {
            avoid[in->n_avoid++] =
                (wh_sched_avoid_t){.job_id = apr_pstrdup(p, d->job), .worker_id = d->worker};
        }
    }
}
