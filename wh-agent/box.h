/* From the working threads to the thread of the link: each message is a function to be called
 * there, with data in a pool of its own. */
#ifndef WH_AGENT_BOX_H
#define WH_AGENT_BOX_H

#include "libwh/wh_err.h"

typedef struct wh_box_t wh_box_t;

/* Called on the link's thread; data lives until it returns. */
typedef void wh_box_fn(void *owner, void *data);

/* Wakes the link's thread; any thread. */
typedef void wh_box_wake_fn(void *baton);

/* owner is what every function gets. Errors: internal. */
apr_status_t wh_box_make(apr_pool_t *p, void *owner, wh_box_t **box, wh_err_t *err) WH_MUST_CHECK;

void wh_box_set_wake(wh_box_t *box, wh_box_wake_fn *wake, void *baton);

/* Hand over: p (from wh_pool_make, holding data) now belongs to the box. Any thread. */
void wh_box_post(wh_box_t *box, apr_pool_t *p, wh_box_fn *fn, void *data);

/* Call what has come, in order. The link's thread. */
void wh_box_empty(wh_box_t *box);

#endif
