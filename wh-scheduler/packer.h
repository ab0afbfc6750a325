/* Closed segments are packed by a thread of its own: flushing one to a busy disk takes as long as
 * it takes, and the database thread has other apps' lines to store meanwhile. */
#ifndef WH_PACKER_H
#define WH_PACKER_H

#include "wh-scheduler/applog_file.h"

typedef struct wh_packer_t wh_packer_t;

/* The thread comes with the first segment and goes with p; what waits then is packed when the log
 * is next opened. */
wh_packer_t *wh_packer_make(apr_pool_t *p, const wh_applog_limits_t *limits);

/* Packs a segment of dir soon, and prunes the directory after it. */
void wh_packer_add(wh_packer_t *packer, const char *dir, apr_int64_t first);

/* Waits until nothing is left to do. */
void wh_packer_wait(wh_packer_t *packer);

#endif
