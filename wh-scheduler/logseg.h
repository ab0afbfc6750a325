/* The logs of deployments: logs/<deployment id>/000001.seg … of at most 1 MiB each and 16 in all,
 * lines "<seq> <time_us> <stream> <text>\n". The module reads them, scheduler up or down.
 *
 * Every line of a build has a number, also one that is left out, by the agent or by us; so a gap in
 * the numbers is a loss, and the log says how great it was in a line of its own ("sys") under the
 * number before the next line. A line is stored once: what does not lie above the last stored
 * number is dropped (an agent sends again what was not acknowledged). Acknowledged is what is in
 * the files, as a line or in a note, and nothing else: so a crash at any moment loses no line that
 * is not counted. A torn last line is cut off when the log is next opened.
 *
 * A log costs some 200 bytes of memory while it is among the WH_LOGSEG_KNOWN last used, and no
 * descriptor. Belongs to the database thread. */
#ifndef WH_LOGSEG_H
#define WH_LOGSEG_H

#include <apr_tables.h>

#include "libwh/wh_id.h"
#include "libwh/wh_lru.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_lograte.h"
#include "wh-scheduler/segment.h"

#define WH_LOGSEG_SEGMENT_BYTES WH_MIB
#define WH_LOGSEG_SEGMENTS 16
#define WH_LOGSEG_KNOWN 4096

typedef struct wh_logseg_t wh_logseg_t;

/* One log. Valid until the next call that opens or finishes one. */
typedef struct wh_logseg_log_t {
    wh_lru_item_t item; /* first */
    char deployment[WH_ID_LEN + 1];
    char job[WH_ID_LEN + 1]; /* who writes it, for acknowledging a note */
    apr_int64_t worker;
    apr_int64_t last;   /* highest number taken in hand, 0 = none */
    apr_int64_t stored; /* highest number in the files: this may be acknowledged */
    wh_lograte_t rate;
    int segment;
    apr_int64_t bytes; /* where the segment's whole lines end, -1 = nothing is torn */
    int full;
} wh_logseg_log_t;

/* dir must exist; writer is shared with other logs. */
wh_logseg_t *wh_logseg_make(apr_pool_t *p, const char *dir, wh_segment_t *writer);

/* The log of a deployment, made when need be. Errors: log_unwritable. */
apr_status_t wh_logseg_open(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment,
                            wh_mono_t now, wh_logseg_log_t **out, wh_err_t *err) WH_MUST_CHECK;

/* Stores the lines (wh_msg_line_t) above log->last that the rate lets through, cleaned; those at or
 * below are skipped. rate NULL = all. Errors: log_unwritable (what is in log->stored holds). */
apr_status_t wh_logseg_append(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *ptemp,
                              const apr_array_header_t *lines, const wh_lograte_now_t *rate,
                              wh_err_t *err) WH_MUST_CHECK;

/* Writes the notes that are due in any log, at most one a second each: call it once a second. For
 * each log whose log->stored has risen by it, told() is called, for an acknowledgement. Failures
 * are logged and tried again. */
typedef void wh_logseg_told_fn(void *baton, const wh_logseg_log_t *log);
void wh_logseg_tell(wh_logseg_t *logs, apr_pool_t *ptemp, apr_time_t at, wh_logseg_told_fn *told,
                    void *baton);

/* Appends one line of our own ("sys") with the next number. Only for a log that its agent writes no
 * more, else the agent's next line would have the same number. The log is forgotten. Failures are
 * logged only. */
void wh_logseg_finish(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment, apr_time_t at,
                      const char *text);

/* How many lines were stored and left out since the start. */
void wh_logseg_sums(const wh_logseg_t *logs, apr_int64_t *stored, apr_int64_t *left_out);

#endif
