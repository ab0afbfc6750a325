/* Appending to a segment of a log, as a whole or not at all.
 *
 * One writer serves all logs in turn: begin() opens the file and cuts off what a crash left after
 * its known end; put() gathers lines in a buffer of 64 KiB; end() writes the rest and closes. A
 * failure anywhere takes the file back to where it was at begin(), so that what the caller keeps of
 * the log stays true. No descriptor is held between two calls: an open and a close cost some
 * microseconds, a thousand open files cost a limit.
 *
 * Into the page cache, not to the disk: a crash of the scheduler loses nothing, one of the machine
 * perhaps the last seconds. Belongs to the database thread. */
#ifndef WH_SEGMENT_H
#define WH_SEGMENT_H

#include "libwh/wh_err.h"

typedef struct wh_segment_t wh_segment_t;

wh_segment_t *wh_segment_make(apr_pool_t *p);

/* path must live until end(). bytes is the known length, -1 = take what is there. Errors here and
 * below: log_unwritable; the file is closed then, and as it was. */
apr_status_t wh_segment_begin(wh_segment_t *seg, const char *path, apr_int64_t bytes,
                              wh_err_t *err) WH_MUST_CHECK;

/* "<head><text>\n"; text has no line feed. */
apr_status_t wh_segment_put(wh_segment_t *seg, const char *head, apr_size_t head_n,
                            const char *text, apr_size_t text_n, wh_err_t *err) WH_MUST_CHECK;

/* *bytes is the new length. */
apr_status_t wh_segment_end(wh_segment_t *seg, apr_int64_t *bytes, wh_err_t *err) WH_MUST_CHECK;

/* Gives up what was put since begin(); without a begin() it does nothing. */
void wh_segment_cancel(wh_segment_t *seg);

/* The length that end() would give now. */
apr_int64_t wh_segment_bytes(const wh_segment_t *seg);

#endif
