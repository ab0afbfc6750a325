/* The build log of one job on its way to the hub: lines are added by the thread that works, taken
 * by the thread of the link, and kept until the hub says that it stored them, so that a new
 * connection sends the rest again. What comes too fast (F66, F67) or does not fit is counted, not
 * kept.
 *
 * Numbers run from 1 over every line, also what is not kept: a gap is a loss, and the hub says so
 * in the log. */
#ifndef WH_AGENT_LOGS_H
#define WH_AGENT_LOGS_H

#include <apr_thread_mutex.h>
#include "libwh/wh_bucket.h"
#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_mask.h"
#include "libwh/wh_proto_msg.h"

#define WH_LOGS_KEPT_MAX (2 * WH_MIB) /* of lines that the hub has not acknowledged */
#define WH_LOGS_OWN_MAX (64 * WH_KIB) /* more, for lines of the agent's own */
#define WH_LOGS_BATCH_MAX (192 * WH_KIB)

typedef struct wh_logs_t wh_logs_t;

/* Something is there to be taken. Called on the adding thread, without the lock held. */
typedef void wh_logs_wake_fn(void *baton);

typedef struct wh_logs_opts_t {
    const wh_clock_t *clock;
    wh_logs_wake_fn *wake; /* may be NULL */
    void *wake_baton;
} wh_logs_opts_t;

/* Make it in p; the lines themselves are on the heap, freed with p. Errors: internal. */
apr_status_t wh_logs_make(apr_pool_t *p, const wh_logs_opts_t *opts, wh_logs_t **logs,
                          wh_err_t *err) WH_MUST_CHECK;

/* From now on what the mask hides is hidden in every line (NULL: nothing is). It must live until it
 * is taken away again. Any thread. */
void wh_logs_mask(wh_logs_t *logs, const wh_mask_t *mask);

/* One line of any bytes; it is cleaned and cut to 8 KiB here (F5-F7, F92, F93). Any thread. */
void wh_logs_add(wh_logs_t *logs, wh_stream_e stream, const char *text, size_t n);

/* A line of the agent's own (stream sys); never dropped for coming too fast. */
void wh_logs_say(wh_logs_t *logs, const char *fmt, ...) WH_PRINTF(2, 3);

/* Bytes of a stream in pieces of any size: whole lines are added as they are complete; `half` keeps
 * the rest between calls (zero it first). Ends of line are LF, CR or both. */
typedef struct wh_logs_half_t {
    size_t n;
    int after_cr;
    wh_mask_state_t mask; /* a secret may go on in the next line */
    char buf[WH_MSG_LINE_BYTES];
} wh_logs_half_t;
void wh_logs_feed(wh_logs_t *logs, wh_stream_e stream, wh_logs_half_t *half, const char *buf,
                  size_t n);
/* What is left without an end of line. */
void wh_logs_flush(wh_logs_t *logs, wh_stream_e stream, wh_logs_half_t *half);

/* The next lines that were not yet handed out, as an array of wh_msg_line_t in p, at most
 * WH_LOGS_BATCH_MAX bytes; NULL when there are none. *dropped: lines lost since the last batch. */
apr_array_header_t *wh_logs_take(wh_logs_t *logs, apr_pool_t *p, apr_int64_t *dropped);

/* True when wh_logs_take would give something. */
int wh_logs_pending(wh_logs_t *logs);

/* The hub has stored everything up to seq: forget it. Numbers that were never sent are ignored. */
void wh_logs_acked(wh_logs_t *logs, apr_int64_t seq);

/* A new connection: hand out again what is not acknowledged. */
void wh_logs_rewind(wh_logs_t *logs);

#endif
