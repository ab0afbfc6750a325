/* The event log: logs/events/<number of the first line, 16 digits>.seg, segments as those of an
 * app's log (applog.h), packed and removed by the same rules. A line is an event (libwh/wh_news.h);
 * its number is the id by which a stream goes on, its seq and k are the row of event_outbox that it
 * came from and which of that row's events it is.
 *
 * A row is deleted once its lines are written. Killed in between, we meet it again: the lines
 * written last are remembered, and read back at the start, so nothing is told twice. Belongs to the
 * database thread. */
#ifndef WH_EVENTLOG_H
#define WH_EVENTLOG_H

#include "libwh/wh_news.h"
#include "wh-scheduler/applog_file.h"
#include "wh-scheduler/segment.h"

#define WH_EVENTLOG_SEGMENT_BYTES WH_MIB
#define WH_EVENTLOG_ROWS 500 /* at most, between two deletions of rows */

typedef struct wh_eventlog_t wh_eventlog_t;

/* dir is that of the logs; writer is shared with others. */
wh_eventlog_t *wh_eventlog_make(apr_pool_t *p, const char *dir, wh_segment_t *writer,
                                const wh_applog_limits_t *limits);

/* Writes the events of these rows (wh_news_row_t, WH_EVENTLOG_ROWS at most), but those that are
 * there already. Before the next call the rows must have been deleted, or come again. Errors:
 * log_unwritable; the same rows may be given again. *written (may be NULL) = how many lines. */
apr_status_t wh_eventlog_append(wh_eventlog_t *log, apr_pool_t *ptemp,
                                const apr_array_header_t *rows, int *written,
                                wh_err_t *err) WH_MUST_CHECK;

/* Removes what is too old. Call it now and then. */
void wh_eventlog_prune(wh_eventlog_t *log, apr_pool_t *ptemp, apr_time_t now);

/* Until what is full is packed. */
void wh_eventlog_wait(wh_eventlog_t *log);

#endif
