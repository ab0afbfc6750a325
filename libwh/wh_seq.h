/* wh_seq: the replay window of one direction of one connection (F86, ruling R4).
 *
 * Sequence numbers start at 1. A number is taken once; one seen before, or more than 256 behind
 * the highest, is refused; a jump of more than 1024 ahead of the highest is an error. At most 1024
 * numbers are remembered, as bits. A connection has its own nonces in the MAC, so a window never
 * outlives its connection.
 *
 * Pure; a window belongs to one thread.
 */
#ifndef WH_SEQ_H
#define WH_SEQ_H

#include <apr.h>

#define WH_SEQ_BEHIND 256   /* the furthest that a late number may lie behind the highest */
#define WH_SEQ_AHEAD 1024   /* the furthest that a number may jump ahead; also what is remembered */
#define WH_SEQ_MAX 9007199254740991 /* 2^53 - 1: every JSON reader keeps it exactly */

typedef struct wh_seq_t {
    apr_uint64_t high;                    /* highest number taken, 0 = none yet */
    apr_uint64_t bits[WH_SEQ_AHEAD / 64]; /* ring: bit n % 1024 says that n was taken */
} wh_seq_t;

typedef enum wh_seq_verdict_e {
    WH_SEQ_OK,
    WH_SEQ_RANGE,  /* below 1 or above WH_SEQ_MAX */
    WH_SEQ_REPLAY, /* taken before */
    WH_SEQ_OLD,    /* more than WH_SEQ_BEHIND behind */
    WH_SEQ_JUMP    /* more than WH_SEQ_AHEAD ahead */
} wh_seq_verdict_e;

/* Empties the window. A zeroed wh_seq_t is an empty window too. */
void wh_seq_init(wh_seq_t *seq);

/* What wh_seq_take would say; changes nothing. */
wh_seq_verdict_e wh_seq_check(const wh_seq_t *seq, apr_int64_t n);

/* Takes n: WH_SEQ_OK and remembered, or a refusal that changes nothing. */
wh_seq_verdict_e wh_seq_take(wh_seq_t *seq, apr_int64_t n);

#endif
