/* Drains of logs: what running apps print goes to others, too. Runs in the database thread; HTTP
 * goes out by httpout, syslog by a thread for each drain.
 *
 * A line is copied for each drain that takes it when it is stored, into a queue of bounded size.
 * What does not fit there is lost and counted, and said in the drain itself once it takes lines
 * again; nothing else ever waits for a drain, but for an orderly end of the scheduler, which gives
 * what waits WH_LOGDRAINS_END_US to go out. What is left then is lost, and counted. */
#ifndef WH_LOGDRAINS_H
#define WH_LOGDRAINS_H

#include "libwh/wh_clock.h"
#include "libwh/wh_logdrain.h"

#define WH_LOGDRAINS_MAX 16                  /* enabled ones */
#define WH_LOGDRAINS_BYTES ((size_t)1048576) /* of a queue */
#define WH_LOGDRAINS_LINES 5000              /* of a batch */
#define WH_LOGDRAINS_END_US APR_INT64_C(3000000)

struct wh_core_t;
typedef struct wh_logdrains_t wh_logdrains_t;

/* A line that was stored. For wh_applog_on_line: baton is the core. */
void wh_logdrains_take(void *baton, const char *app, const wh_logdrain_line_t *line);

/* Reads which drains there are, sends what waits, writes what is counted. */
apr_status_t wh_logdrains_look(struct wh_core_t *core, apr_pool_t *p, int poked, wh_mono_t mono,
                               wh_err_t *err) WH_MUST_CHECK;

/* 1 while a batch is under way, or could go out now: a drain that failed and is to be tried later
 * is not waited for. */
int wh_logdrains_busy(const struct wh_core_t *core, wh_mono_t mono);

/* At the end, after the last look: what waits is lost, and written so. */
apr_status_t wh_logdrains_leave(struct wh_core_t *core, apr_pool_t *p,
                                wh_err_t *err) WH_MUST_CHECK;

/* After httpout's end. */
void wh_logdrains_end(struct wh_core_t *core);

#endif
