/* Which assigned jobs a worker is still to be told of on its connection. Jobs go out in windows: so
 * many frames or bytes, and the next ones when the event loop says that those have been written
 * (WH_WORK_ROOM). So a worker with a thousand jobs (R11) never fills its own queue. Only names are
 * kept here; the rows are read when their turn has come. In the database thread.
 */
#ifndef WH_OFFERS_H
#define WH_OFFERS_H

#include <stddef.h>
#include <apr.h>

#include "libwh/wh_id.h"

#define WH_OFFERS_FRAMES 64
#define WH_OFFERS_BYTES (1024 * 1024) /* the last one of a window may go beyond */

typedef struct wh_offer_t {
    char job[WH_ID_LEN + 1];
    apr_int64_t epoch;
} wh_offer_t;

/* All zero = nothing waits, and the window is open. */
typedef struct wh_offers_t {
    wh_offer_t *list; /* on the heap: first … n, oldest first */
    size_t first, n, size;
    int frames; /* of this window, and their bytes */
    size_t bytes;
    int asked; /* the event loop will say when the window has been written */
} wh_offers_t;

/* True when the window has room for one more. */
int wh_offers_open(const wh_offers_t *offers);
/* One has gone out. */
void wh_offers_sent(wh_offers_t *offers, size_t bytes);
/* What was sent has been written: a new window. */
void wh_offers_renew(wh_offers_t *offers);

/* Behind the others, unless it is there already. 0, or -1 when memory ran out. */
int wh_offers_later(wh_offers_t *offers, const char *job, apr_int64_t epoch);
/* The next that waits, NULL = none; drop takes it off. */
const wh_offer_t *wh_offers_next(const wh_offers_t *offers);
/* How many wait, and the i-th of them: 0 <= i < waiting. */
int wh_offers_waiting(const wh_offers_t *offers);
const wh_offer_t *wh_offers_at(const wh_offers_t *offers, int i);
void wh_offers_drop(wh_offers_t *offers);

void wh_offers_free(wh_offers_t *offers);

#endif
