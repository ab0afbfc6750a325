/* Notifications: who hears of what happened, and how it gets there. Runs in the database thread,
 * from the tick; the requests go out by httpout.
 *
 * An event of the outbox becomes one delivery for each channel that takes it, in one transaction. A
 * delivery is marked as under way before it is sent: whoever is killed in between sends it again
 * once that attempt counts as lost. So each arrives at least once, with the same id every time. */
#ifndef WH_NOTICES_H
#define WH_NOTICES_H

#include "wh-scheduler/httpout.h"
#include "libwh/wh_clock.h"

#define WH_NOTICES_EVERY_US ((apr_interval_time_t)1000000)
#define WH_NOTICES_BATCH 200  /* events that are dealt out at once */
#define WH_NOTICES_FLYING 32  /* attempts under way: no more than a share of httpout's */
#define WH_NOTICES_CHANNEL 4  /* of them to one channel */
#define WH_NOTICES_LOST_US ((apr_interval_time_t)120000000)
#define WH_NOTICES_PRUNE_US ((apr_interval_time_t)3600000000)

/* How requests go out; NULL = httpout. For tests. */
typedef struct wh_notices_way_t {
    int (*room)(void *baton);
    void (*send)(void *baton, wh_httpout_req_t *req); /* takes it */
    void *baton;
} wh_notices_way_t;

/* In wh_core_t; zeroed is a fresh one. */
typedef struct wh_notices_t {
    const wh_notices_way_t *way;
    char flying[WH_NOTICES_FLYING][32]; /* channels of the attempts under way, "" = none */
    wh_mono_t at, prune_at;
} wh_notices_t;

/* Deals out what happened and sends what is due. */
apr_status_t wh_notices_look(struct wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                             wh_err_t *err) WH_MUST_CHECK;

/* Seals up to a batch of channels anew that an older key sealed; *n = how many. */
apr_status_t wh_notices_seal_anew(struct wh_core_t *core, apr_pool_t *p, int *n,
                                  wh_err_t *err) WH_MUST_CHECK;

#endif
