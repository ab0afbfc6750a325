/* Logging through one sink. The library never writes anywhere by itself: the module plugs ap_log
 * in, the daemons stderr, tests an array. A line is at most WH_LOG_MAX bytes, and control bytes of
 * what was printed into it come out as \xHH, so a hostile name cannot forge a line.
 *
 * Warnings and errors carry a tag "WHnnnn" that is unique in the source and never used again.
 * The sink and the level are set at start-up, before threads; wh_log may then be called by any
 * thread.
 */
#ifndef WH_LOG_H
#define WH_LOG_H

#include <stdarg.h>
#include "libwh/wh_types.h"
#include "libwh/wh_clock.h"

#define WH_LOG_MAX 1024

enum { WH_LOG_ERROR = 0, WH_LOG_WARN = 1, WH_LOG_INFO = 2, WH_LOG_DEBUG = 3 };

/* line has no line end and is valid only during the call; tag is "" when there is none. */
typedef void wh_log_sink_fn(void *baton, int level, const char *tag, const char *line);

/* NULL sink = drop everything (the state at start). The baton must live as long as the sink is set.
 */
void wh_log_set_sink(wh_log_sink_fn *sink, void *baton);

/* What is more detailed than this is dropped. WH_LOG_INFO at start. */
void wh_log_set_level(int level);

/* True when a line of that level would be printed; saves building costly arguments. */
int wh_log_would(int level);

/* tag may be NULL for INFO and DEBUG. errno is preserved. */
void wh_log(int level, const char *tag, const char *fmt, ...) WH_PRINTF(3, 4);
void wh_logv(int level, const char *tag, const char *fmt, va_list ap) WH_PRINTF(3, 0);

/* A ready sink: "<time> <level> <tag> <line>\n" to stderr in one write. baton is a wh_clock_t, or
 * NULL for lines without a time (journald has its own). */
void wh_log_stderr(void *baton, int level, const char *tag, const char *line);

/* "error", "warn", "info" or "debug" to its level; -1 for anything else. */
int wh_log_level_of(const char *name);
const char *wh_log_level_name(int level);

#endif
