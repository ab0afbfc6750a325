/* Lines of the log that a worker can cause: a measure for each worker, kept while its connections
 * come and go, so that none can fill the disk or bury what others have to say. Each thread has
 * its own. */
#ifndef WH_SAY_H
#define WH_SAY_H

#include "libwh/wh_bucket.h"
#include "libwh/wh_log.h"

#define WH_SAY_RATE 1 /* lines a second */
#define WH_SAY_BURST 100
#define WH_SAY_SLOTS 512 /* workers whose ids are this far apart share a measure */

typedef struct wh_says_t {
    struct {
        wh_bucket_t lines;
        apr_int64_t unsaid; /* since the last that was said */
    } slot[WH_SAY_SLOTS];
} wh_says_t;

/* 1 = a line about this worker may be logged; before it is said how many were left out. 0 = it is
 * counted. Zeroed memory is a good start. */
int wh_say_may(wh_says_t *says, apr_int64_t worker, wh_mono_t now);

#endif
