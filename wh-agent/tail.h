/* The log of one container as an engine streams it: frames (frames.h), each a time and a piece of
 * text. Out come lines with numbers that are the same however often the log is read: a line's
 * number is its place in the log, and where a reader was is said by the second that the engine gave
 * the last line and how many lines of that second were read. Read again from that second on, as
 * many are passed over; where they are gone, a line of the stream sys says so. Pure; no thread, no
 * clock. */
#ifndef WH_AGENT_TAIL_H
#define WH_AGENT_TAIL_H

#include "libwh/wh_mask.h"
#include "wh-agent/frames.h"

/* After the last line that was read. {0} = at the beginning. */
typedef struct wh_tail_pos_t {
    apr_int64_t sec;  /* of its time */
    apr_int64_t same; /* lines read that are not older than that second */
    apr_int64_t seq;  /* its number */
} wh_tail_pos_t;

typedef struct wh_tail_line_t {
    apr_int64_t seq;
    apr_time_t at;
    int coarse; /* the engine tells the time in whole seconds */
    wh_stream_e stream;
    wh_mask_state_t *mask; /* of its stream */
    const char *text;      /* raw, at most WH_MSG_LINE_BYTES, no NUL behind it */
    size_t n;
} wh_tail_line_t;

typedef void wh_tail_fn(void *baton, const wh_tail_line_t *line);

typedef struct wh_tail_half_t {
    char *buf; /* on the heap while a line has no end yet */
    size_t n;
    int after_cr;
    wh_mask_state_t mask;
} wh_tail_half_t;

typedef struct wh_tail_t {
    wh_frames_t frames;
    wh_tail_fn *fn;
    void *baton;
    wh_tail_pos_t pos;
    apr_int64_t skip; /* lines of pos.sec that were read before */
    apr_time_t at;    /* of the frame in hand */
    int coarse;
    char stamp[48];
    size_t stamp_n;
    int in_stamp;
    int broken;
    wh_tail_half_t out, err;
} wh_tail_t;

/* The engine is asked for everything from pos.sec on. */
void wh_tail_begin(wh_tail_t *tail, const wh_tail_pos_t *from, wh_tail_fn *fn, void *baton);

/* More bytes: 0, or -1 once they are no log (nothing more is taken then). */
int wh_tail_feed(void *tail, const char *buf, size_t n);

/* The stream has ended: what has no end of line is a line. Frees. */
void wh_tail_end(wh_tail_t *tail);

/* The same without a line. */
void wh_tail_drop(wh_tail_t *tail);

#endif
