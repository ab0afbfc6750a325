/* The logs of deployments: logs/<deployment id>/000001.seg … of at most 1 MiB each and 16 in all,
 * lines
 * "<seq> <time_us> <stream> <text>\n". The module reads them, scheduler up or down.
 *
 * A line is stored once: what does not lie above the last stored number is dropped (an agent sends
 * again what was not acknowledged). A torn last line, from a crash, is cut off when the log is next
 * opened. Only a few logs are held open; nothing is kept of the others. Written through to the page
 * cache, not to the disk: a crash of the scheduler loses nothing, one of the machine perhaps the
 * last seconds. Belongs to the database thread.
 */
#ifndef WH_LOGSEG_H
#define WH_LOGSEG_H

#include <apr_tables.h>

#include "libwh/wh_bucket.h"
#include "libwh/wh_proto_msg.h"

#define WH_LOGSEG_SEGMENT_BYTES WH_MIB
#define WH_LOGSEG_SEGMENTS 16
#define WH_LOGSEG_OPEN 16 /* logs held open at once */

typedef struct wh_logseg_t wh_logseg_t;

/* One open log. Valid until the next call that opens or closes one. */
typedef struct wh_logseg_log_t {
    char deployment[32];
    char job[32]; /* what was last checked to be allowed to write here */
    apr_int64_t epoch, worker;
    apr_int64_t last;    /* highest number that need not come again, 0 = none */
    apr_int64_t stored;  /* highest number in the files */
    wh_bucket_t bucket;  /* R12: one noisy app cannot take the whole connection */
    apr_int64_t refused; /* lines left out, by us or by the agent, not yet told in the log */
    int fd;
    int segment;
    apr_int64_t bytes; /* of the segment in hand */
    apr_int64_t lost;  /* lines that found the log full */
    apr_uint64_t used; /* for finding the one to close */
} wh_logseg_log_t;

/* dir must exist. Everything is closed with p. */
wh_logseg_t *wh_logseg_make(apr_pool_t *p, const char *dir);

/* The log of a deployment, opened (and made) when need be. Errors: log_unwritable. */
apr_status_t wh_logseg_open(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment,
                            wh_mono_t now, wh_logseg_log_t **out, wh_err_t *err) WH_MUST_CHECK;

/* The open log that this job of this worker was last allowed to write to; NULL = none. */
wh_logseg_log_t *wh_logseg_of_job(wh_logseg_t *logs, const char *job, apr_int64_t epoch,
                                  apr_int64_t worker);

/* Stores the lines (wh_msg_line_t) above log->last, cleaned; those at or below are skipped. With
 * allow = 0 (over the limit of rate) they are counted, not stored. log->last is then the last line
 * that need not be sent again. Errors: log_unwritable (nothing may be acknowledged). */
apr_status_t wh_logseg_append(wh_logseg_log_t *log, wh_logseg_t *logs, apr_pool_t *ptemp,
                              const apr_array_header_t *lines, int allow,
                              wh_err_t *err) WH_MUST_CHECK;

/* Appends one line of our own ("sys") with the next number. Only for a log that its agent writes no
 * more, else the agent's next line would have the same number. Also tells what was lost. The log is
 * closed. Failures are logged only. */
void wh_logseg_finish(wh_logseg_t *logs, apr_pool_t *ptemp, const char *deployment, apr_time_t at,
                      const char *text);

#endif
