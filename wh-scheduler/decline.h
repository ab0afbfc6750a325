/* Who would not take which job (busy for long, below a floor): remembered in memory for a minute,
 * so that the planner asks another worker first. Bounded; what is forgotten costs one more offer.
 */
#ifndef WH_DECLINE_H
#define WH_DECLINE_H

#include "libwh/wh_clock.h"
#include "libwh/wh_sched.h"

#define WH_DECLINE_MAX 64
#define WH_DECLINE_TIMES 5 /* so often in a row, and the job is not its any more */
#define WH_DECLINE_KEEP_US APR_INT64_C(60000000)

typedef struct wh_decline_t {
    char job[32];
    apr_int64_t worker, epoch;
    int times;
    wh_mono_t last;
} wh_decline_t;

typedef struct wh_declines_t {
    wh_decline_t list[WH_DECLINE_MAX];
} wh_declines_t;

/* One more refusal; how many in a row at this epoch. */
int wh_decline_note(wh_declines_t *declines, const char *job, apr_int64_t epoch, apr_int64_t worker,
                    wh_mono_t now);

/* Those of the last minute, for the planner, in p. */
void wh_decline_list(const wh_declines_t *declines, apr_pool_t *p, wh_mono_t now,
                     wh_sched_in_t *in);

#endif
