/* What running apps print: logs/apps/<app id>/<number of the first line, 16 digits>.seg, at most
 * 1 MiB each, and packed once the next has begun (….seg.zst: wh_logpack.h). The oldest go by what
 * an app's log may take, and by age. Lines are
 *
 *     <n> <time_us> <stream>[.<level>] <k>:<seq> <text>\n
 *     @<k> <seq> <deployment id> <container>\n
 *
 * (wh_logline.h). n is the log's own number, rising without a gap. k is a source, a container;
 * which one, is said by an @ line in the same segment before the first line of it. seq is the
 * agent's number. It numbers every line of a container, also one that is left out, so a gap is a
 * loss, and the log says how great it was in a line of its own ("sys") that bears the last number
 * which is missing. A number that does not rise is of a line that came before, when its time does
 * not rise either: an agent reads again what it cannot know to be here. Else a new count begins (it
 * knows nothing any more). A new segment begins with the @ lines of every source with its number
 * then: one segment alone is enough to go on after a crash.
 *
 * Nothing is acknowledged here; what a broken link or a killed scheduler loses shows as a gap and
 * is counted too. Memory: some 300 bytes a log among the WH_APPLOG_KNOWN last used. Belongs to the
 * database thread. */
#ifndef WH_APPLOG_H
#define WH_APPLOG_H

#include "libwh/wh_proto_msg.h"
#include "libwh/wh_logdrain.h"
#include "libwh/wh_lograte.h"
#include "wh-scheduler/applog_file.h"
#include "wh-scheduler/segment.h"

#define WH_APPLOG_SEGMENT_BYTES WH_MIB
#define WH_APPLOG_KNOWN 4096
#define WH_APPLOG_SOURCES WH_LOGLINE_SOURCES /* of one app: replicas, old and new */
#define WH_APPLOG_SWEEP_US ((apr_interval_time_t)3600 * APR_USEC_PER_SEC) /* old lines go */

typedef struct wh_applog_t wh_applog_t;

/* dir must exist; dir/apps is made. writer is shared with other logs. */
wh_applog_t *wh_applog_make(apr_pool_t *p, const char *dir, wh_segment_t *writer,
                            const wh_applog_limits_t *limits);

/* Stores the lines of one frame that the rate lets through, cleaned; what is missing before them,
 * by their numbers or by what the agent says it left out, is noted first. rate NULL = all. The app
 * and the deployment must have been checked to be the worker's. Errors: log_unwritable; nothing of
 * the frame, or its beginning, is stored then, and the rest shows as a gap. */
apr_status_t wh_applog_append(wh_applog_t *logs, apr_pool_t *ptemp, const wh_msg_runtime_log_t *m,
                              const wh_lograte_now_t *rate, wh_mono_t now,
                              wh_err_t *err) WH_MUST_CHECK;

/* Called with every line that was put, its notes too, in the order of the log. The line's app and
 * environment are not filled in. */
void wh_applog_on_line(wh_applog_t *logs,
                       void (*fn)(void *baton, const char *app, const wh_logdrain_line_t *line),
                       void *baton);

/* Writes the notes that are due in any log, and once an hour, some apps at a time, removes what is
 * too old: call it once a second. Failures are logged and tried
 * again. */
void wh_applog_tell(wh_applog_t *logs, apr_pool_t *ptemp, apr_time_t at);

/* Removes what an app has printed. */
void wh_applog_remove(wh_applog_t *logs, apr_pool_t *ptemp, const char *app);

/* Until every segment that is full is packed (packer.h). */
void wh_applog_wait(wh_applog_t *logs);

/* How many lines were stored and left out since the start. */
void wh_applog_sums(const wh_applog_t *logs, apr_int64_t *stored, apr_int64_t *left_out);

#endif
