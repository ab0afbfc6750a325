/* New lines of a log as they are written, each made into an event once, however many look on. A
 * feed reads the newest segment from where it was; its ring holds the last events. One thread, but
 * for the functions that say so. */
#ifndef WH_MOD_FEED_H
#define WH_MOD_FEED_H

#include <apr_pools.h>

#include "libwh/wh_logread.h"

#define WH_FEED_RING 2048
#define WH_FEED_BYTES (2 * WH_MIB) /* of the ring's texts */

typedef struct wh_feed_item_t {
    apr_int64_t n;
    unsigned kinds;         /* as in wh_logread_query_t */
    wh_logread_line_t line; /* what is_wanted looks at; its texts live as long as the item */
    char *event;            /* as it is sent; NULL = nobody may see it */
    apr_size_t len;
} wh_feed_item_t;

/* A line as an event, allocated by malloc; NULL = it is none. Any thread. */
typedef char *wh_feed_format_fn(apr_pool_t *p, const wh_logread_line_t *line, apr_size_t *len);

/* Lines of apps: "id: <n>", "event: run_logs" or "run_error" (F281, F282), "data: {…}". */
wh_feed_format_fn wh_feed_log_event;

typedef struct wh_feed_t wh_feed_t;

/* Of a directory of segments; it begins at the end. NULL = no memory. */
wh_feed_t *wh_feed_make(const char *dir, wh_feed_format_fn *format);
void wh_feed_free(wh_feed_t *feed);

const char *wh_feed_dir(const wh_feed_t *feed);

/* Reads what is new. p is a scratch pool. 1 = something was. */
int wh_feed_poll(wh_feed_t *feed, apr_pool_t *p);

/* The number of the newest line, and of the oldest that the ring has (0 = it is empty). */
apr_int64_t wh_feed_last(const wh_feed_t *feed);
apr_int64_t wh_feed_first(const wh_feed_t *feed);

/* The first item above n, and the next; NULL = there is none. */
const wh_feed_item_t *wh_feed_after(const wh_feed_t *feed, apr_int64_t n, int *at);
const wh_feed_item_t *wh_feed_next(const wh_feed_t *feed, int *at);

#endif
