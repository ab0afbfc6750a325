#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "libwh/wh_log.h"
#include "libwh/wh_text.h"
#include "libwh/wh_time.h"

static wh_log_sink_fn *log_sink;
static void *log_baton;
static int log_level = WH_LOG_INFO;

static const char *const level_names[] = {
    [WH_LOG_ERROR] = "error",
    [WH_LOG_WARN] = "warn",
    [WH_LOG_INFO] = "info",
    [WH_LOG_DEBUG] = "debug",
};

void wh_log_set_sink(wh_log_sink_fn *sink, void *baton)
{
    log_sink = sink;
    log_baton = baton;
}

void wh_log_set_level(int level)
{
    log_level = level;
}

int wh_log_would(int level)
{
    return log_sink != NULL && level <= log_level;
}

void wh_logv(int level, const char *tag, const char *fmt, va_list ap)
{
    char raw[WH_LOG_MAX + 1];
    char line[WH_LOG_MAX + 1];
    int saved = errno;
    int n;

    if (!wh_log_would(level))
        return;
    n = vsnprintf(raw, sizeof(raw), fmt, ap);
    if (n >= 0) {
        size_t len = (size_t)n < sizeof(raw) ? (size_t)n : wh_text_utf8_floor(raw, sizeof(raw) - 1);

        wh_text_log_escape_buf(line, sizeof(line), raw, len);
        log_sink(log_baton, level, tag != NULL ? tag : "", line);
    }
    errno = saved;
}

void wh_log(int level, const char *tag, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    wh_logv(level, tag, fmt, ap);
    va_end(ap);
}

void wh_log_stderr(void *baton, int level, const char *tag, const char *line)
{
    const wh_clock_t *clock = baton;
    char when[WH_TIME_RFC3339_SIZE + 1] = "";
    char out[WH_LOG_MAX + 96];
    ssize_t done;
    int n;

    if (clock != NULL) {
        wh_time_rfc3339_buf(when, wh_clock_now(clock));
        strncat(when, " ", sizeof(when) - strlen(when) - 1);
    }
    n = snprintf(out, sizeof(out), "%s%s%s%s %s\n", when, wh_log_level_name(level),
                 tag[0] != '\0' ? " " : "", tag, line);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof(out))
        n = (int)sizeof(out) - 1;
    /* One write, so that lines of several threads do not mix; a log that cannot be written is lost.
     */
    do
        done = write(STDERR_FILENO, out, (size_t)n);
    while (done < 0 && errno == EINTR);
}

int wh_log_level_of(const char *name)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(level_names); i++)
        if (strcmp(level_names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *wh_log_level_name(int level)
{
    if (level < WH_LOG_ERROR || level > WH_LOG_DEBUG)
        return "?";
    return level_names[level];
}
