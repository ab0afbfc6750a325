/* One connection of a worker, without the library that carries it: its state, what has come in so
 * far of a message, and what waits to go out. Belongs to the event loop's thread.
 *
 *   keying --accept--> open --close--> closing          any --close--> closing
 *
 * keying: the upgrade was authorised, the database thread looks the worker's key up; nothing is
 * read. open: frames go both ways. closing: the close code is to be sent; whatever else comes is
 * dropped.
 */
#ifndef WH_HUB_CONN_H
#define WH_HUB_CONN_H

#include "libwh/wh_bucket.h"
#include "libwh/wh_clock.h"
#include "libwh/wh_idmap.h"
#include "libwh/wh_proto.h"

#define WH_HUB_CONN_OUT_BYTES (4 * 1024 * 1024) /* R14, XE9 */
/* XE9, beside those that hand out jobs: a go or a cancel for each of 1024 is no sign of a slow
 * reader, and job frames come in windows (offers.h). Bytes bound them all. */
#define WH_HUB_CONN_OUT_FRAMES 256
#define WH_HUB_CONN_OUT_WAIT_US APR_INT64_C(5000000) /* F87 */
#define WH_HUB_CONN_PENDING 64 /* frames a connection may have with the database thread at once */
#define WH_HUB_CONN_PENDING_BYTES (4 * 1024 * 1024)

/* What a peer may say: this many messages a second, more at once; then it is not read for a while.
 * A piece of a message smaller than this counts as one. */
#define WH_HUB_CONN_RATE 500
#define WH_HUB_CONN_BURST 2000
#define WH_HUB_CONN_SMALL 256
/* Pings and pongs never come to us one by one: what shows is that the library answered them, or
 * that there is always more to read and never a message. So many seconds of it are a flood (XE7).
 */
#define WH_HUB_CONN_ODD_MAX 50
#define WH_HUB_CONN_STRIKES 3
#define WH_HUB_CONN_BLOCKED_S 10 /* F63: the library holds bytes that the peer does not take */

typedef enum wh_hub_conn_state_e {
    WH_HUB_CONN_KEYING,
    WH_HUB_CONN_OPEN,
    WH_HUB_CONN_CLOSING
} wh_hub_conn_state_e;

typedef enum wh_hub_pause_e {
    WH_HUB_PAUSE_KEY = 1, /* its key is not known yet */
    WH_HUB_PAUSE_DB = 2,  /* its share of the mailbox is full */
    WH_HUB_PAUSE_PACE = 4 /* it says too much at once */
} wh_hub_pause_e;

typedef struct wh_hub_out_t {
    struct wh_hub_out_t *next;
    size_t len;
    wh_mono_t since;
    int handed;          /* wh_hub_conn_handed */
    int report;          /* the database thread waits for this one to be written */
    unsigned char *data; /* WH_HUB_CONN_HEADROOM writable bytes lie before it */
} wh_hub_out_t;

#define WH_HUB_CONN_HEADROOM 16 /* ≥ LWS_PRE, checked in hub.c */

typedef struct wh_hub_conn_t {
    struct wh_hub_conn_t *next, **at; /* list of all; *at is this one */
    wh_idmap_link_t by_id, by_worker;
    wh_hub_conn_state_e state;
    apr_uint64_t id;    /* never used again */
    apr_int64_t worker; /* from the assertion or the bearer */
    void *wsi;          /* the library's */
    int way;            /* wh_hub_way_e */
    wh_proto_link_t link;
    int established, announced; /* the upgrade is through; the database thread knows of it */
    unsigned paused;            /* wh_hub_pause_e: why reading is stopped; 0 = it is not */
    unsigned char key_hash[32]; /* what the link was keyed with */
    int close_code;             /* WH_HUB_CONN_CLOSING */
    char *in;                   /* message under way */
    size_t in_len, in_size;
    wh_hub_out_t *out, **out_end, *out_last; /* out_last: NULL when out is */
    size_t out_bytes;
    int out_frames, out_handed; /* all; of these, those that hand out jobs */
    int pending;                /* frames handed to the database thread since it last caught up */
    size_t pending_bytes;
    wh_bucket_t pace;
    int weight;              /* of the message that was looked at last */
    apr_int64_t refused;     /* frames that were answered by an error here */
    int asked;               /* to write: the library will call */
    int odd, heard, strikes; /* of this second: calls nobody asked for; messages; see _flood */
    int blocked_s;           /* seconds for which the library could not send */
} wh_hub_conn_t;

/* On the heap; NULL when out of memory. The nonces are 32 hex digits. */
wh_hub_conn_t *wh_hub_conn_make(apr_uint64_t id, apr_int64_t worker, const char *hub_nonce,
                                const char *agent_nonce);
void wh_hub_conn_free(wh_hub_conn_t *conn);

typedef enum wh_hub_rx_e {
    WH_HUB_RX_MORE,    /* not yet whole */
    WH_HUB_RX_WHOLE,   /* conn->in, conn->in_len; call wh_hub_conn_rx_done when it is used */
    WH_HUB_RX_TOO_BIG, /* over WH_PROTO_MAX_BYTES: close 1009 */
    WH_HUB_RX_MEMORY
} wh_hub_rx_e;

/* Joins the pieces of a message. */
wh_hub_rx_e wh_hub_conn_rx(wh_hub_conn_t *conn, const void *data, size_t n, int last);
void wh_hub_conn_rx_done(wh_hub_conn_t *conn);

/* Puts a frame into the queue. 0, or the close code when it does not fit (the frame is dropped). */
int wh_hub_conn_queue(wh_hub_conn_t *conn, const char *text, size_t len, wh_mono_t now);

/* The frame that was queued last hands out a job: it does not count among
 * WH_HUB_CONN_OUT_FRAMES. */
void wh_hub_conn_handed(wh_hub_conn_t *conn);

/* The frame to write next, NULL = none; wh_hub_conn_sent takes it off, and is 1 when that was the
 * last one before a wh_hub_conn_report. */
wh_hub_out_t *wh_hub_conn_next(wh_hub_conn_t *conn);
int wh_hub_conn_sent(wh_hub_conn_t *conn);

/* 1 = all has been written already; 0 = wh_hub_conn_sent will say when it has. */
int wh_hub_conn_report(wh_hub_conn_t *conn);

/* A piece of a message has come. 1 = it may be taken and the next as well; 0 = it may be taken, and
 * then nothing is read until wh_hub_conn_rested. */
int wh_hub_conn_pace(wh_hub_conn_t *conn, size_t n, int last, wh_mono_t now);
int wh_hub_conn_rested(wh_hub_conn_t *conn, wh_mono_t now);
/* The message was one of n others' weight. 0 = as above. */
int wh_hub_conn_weigh(wh_hub_conn_t *conn, apr_int64_t n, wh_mono_t now);

/* Once a second, with whether there are bytes that nobody has read although nothing held us back.
 * True when all of the last seconds were a flood of control frames. */
int wh_hub_conn_flood(wh_hub_conn_t *conn, int unread);

/* True when the oldest frame has waited longer than a connection may make us wait. */
int wh_hub_conn_stuck(const wh_hub_conn_t *conn, wh_mono_t now);

/* To closing, unless it is there already (the first reason counts). Returns 1 when it changed. */
int wh_hub_conn_close(wh_hub_conn_t *conn, int code);

#endif
