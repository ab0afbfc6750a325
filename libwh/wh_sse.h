/* wh_sse: the reading end of text/event-stream. Bytes in, in any pieces; events out. Line ends are
 * LF, CR LF or CR; comments and unknown fields are passed over, as the standard says. What a server
 * sends is not trusted: an event of more than WH_SSE_EVENT_MAX bytes is refused. One thread. */
#ifndef WH_SSE_H
#define WH_SSE_H

#include "libwh/wh_types.h"

#define WH_SSE_EVENT_MAX ((size_t)1024 * 1024)
#define WH_SSE_ID_MAX 64
#define WH_SSE_RETRY_MAX 60000 /* ms: a longer wait is not heeded */

/* type "message" when the event names none. 0 = go on. */
typedef int wh_sse_fn(void *baton, const char *type, const char *data);

typedef struct wh_sse_t {
    wh_sse_fn *fn;
    void *baton;
    char id[WH_SSE_ID_MAX]; /* of the event that was told last; for Last-Event-ID */
    int retry_ms;           /* as the server asked, -1 = it did not */
    /* own */
    char next_id[WH_SSE_ID_MAX], type[64];
    char *line, *data;
    size_t line_n, line_room, data_n, data_room;
    int has_data, after_cr;
} wh_sse_t;

void wh_sse_init(wh_sse_t *sse, wh_sse_fn *fn, void *baton);

/* 0 = go on; else what fn returned, or -1 for an event that is too large. */
int wh_sse_feed(wh_sse_t *sse, const char *bytes, size_t n) WH_MUST_CHECK;

/* The connection has ended: what was not told as a whole is dropped; id and retry_ms stay. */
void wh_sse_cut(wh_sse_t *sse);

void wh_sse_free(wh_sse_t *sse);

#endif
