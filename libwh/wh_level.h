/* How serious a line of a log is, as far as the line says it: a field of JSON or logfmt ("level",
 * "lvl", "severity", "loglevel"; names, or the numbers of pino and bunyan), the number of syslog in
 * front, the letter of klog, or a word as it is usually set (ERROR, [warn], "panic: "). Only the
 * first bytes are looked at. Pure. */
#ifndef WH_LEVEL_H
#define WH_LEVEL_H

#include "libwh/wh_types.h"

typedef enum wh_level_e {
    WH_LEVEL_NONE, /* it does not say */
    WH_LEVEL_DEBUG,
    WH_LEVEL_INFO,
    WH_LEVEL_WARN,
    WH_LEVEL_ERROR,
    WH_LEVEL_FATAL,
    WH_LEVEL_COUNT
} wh_level_e;

wh_level_e wh_level_of(const char *text, size_t n);

/* "" for NONE, else "debug", "info", "warn", "error", "fatal". */
const char *wh_level_text(wh_level_e level);

/* The level of such a name of n bytes, NONE when it is none. */
wh_level_e wh_level_named(const char *name, size_t n);

#endif
