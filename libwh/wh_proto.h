/* wh_proto: the signed envelope of the link between agent and hub (docs/protocol.md, F85-F88).
 *
 * One frame is one text message of at most 2 MiB:
 *   {"t":"<type>","i":"<32 hex>","s":<sequence>,"ts":<unix ms>,"p":{...},"h":"<64 hex>"}
 * "h" is the last member: the MAC over version, direction, both nonces and every byte before
 * ',"h":'. The receiver checks bytes first and parses afterwards, so no canonical JSON is needed.
 * Order of checks: size, MAC, clock, sequence; type and payload are the caller's (wh_proto_msg.h).
 *
 * Pure: the key, both nonces and the time are given. A link belongs to one thread.
 */
#ifndef WH_PROTO_H
#define WH_PROTO_H

#include <apr_pools.h>
#include <apr_time.h>
#include <jansson.h>

#include "libwh/wh_err.h"
#include "libwh/wh_seq.h"

#define WH_PROTO_SUBPROTOCOL "wisehost.v1"
#define WH_PROTO_MAX_BYTES ((size_t)2 * 1024 * 1024) /* after reassembly */
#define WH_PROTO_SKEW_US APR_INT64_C(300000000) /* 5 minutes, this much exactly is still fine */
#define WH_PROTO_NONCE_HEX 32
#define WH_PROTO_ID_HEX 32

/* WH_PROTO_BOTH stands in tables only; a frame always has one of the first two. */
typedef enum wh_proto_dir_e { WH_PROTO_A2H, WH_PROTO_H2A, WH_PROTO_BOTH } wh_proto_dir_e;

typedef enum wh_msg_e {
    WH_MSG_UNKNOWN, /* not known, or not in this direction: answer `unknown_type` (F95) */
#define WH_MSG_DEF(sym, name, dir) WH_MSG_##sym,
#include "libwh/wh_proto_msg.def"
#undef WH_MSG_DEF
    WH_MSG_COUNT
} wh_msg_e;

/* One end of one connection. Zero it, fill key and nonces and `out`, then seal and open. */
typedef struct wh_proto_link_t {
    unsigned char key[32];                    /* wh_keys_worker_mac */
    char hub_nonce[WH_PROTO_NONCE_HEX + 1];   /* 32 hex digits each, as in the handshake */
    char agent_nonce[WH_PROTO_NONCE_HEX + 1];
    wh_proto_dir_e out;                       /* what this end sends: agent A2H, hub H2A */
    apr_uint64_t out_seq;                     /* last number sent; 0 = none */
    wh_seq_t in;                              /* what came from the other end */
} wh_proto_link_t;

typedef struct wh_proto_msg_t {
    wh_msg_e type;
    const char *type_name; /* as it came; not shown without wh_text_log_escape */
    const char *id;        /* 32 lower-case hex digits */
    apr_int64_t seq;
    apr_time_t ts;         /* microseconds, millisecond grain */
    json_t *p;             /* an object; borrowed: released with the pool */
} wh_proto_msg_t;

/* The name of a type ("job_ack"), or "unknown". */
const char *wh_proto_type_name(wh_msg_e type);

/* The type of this name when it may travel in direction dir, else WH_MSG_UNKNOWN. */
wh_msg_e wh_proto_type_of(const char *name, wh_proto_dir_e dir);

/* Makes the next frame of this end: a NUL-terminated text in p, its length in *len (may be NULL).
 * id is 32 lower-case hex digits (random; for a reply a new one); payload is borrowed. Bumps
 * link->out_seq only when a frame was made. NULL when the payload is no object, the id or a nonce
 * is malformed, the frame would pass WH_PROTO_MAX_BYTES or memory ran out: a frame that cannot be
 * made is a mistake of the caller, who must split what he sends. */
char *wh_proto_seal(apr_pool_t *p, wh_proto_link_t *link, const char *type, const char *id,
                    apr_time_t now, json_t *payload, size_t *len)
    WH_MUST_CHECK;

/* Verifies and parses one frame of the other end. On failure err->code is one of
 *   too_big       longer than WH_PROTO_MAX_BYTES
 *   bad_mac       MAC missing, malformed or wrong (also: other direction, other connection)
 *   bad_frame     signed, but not the six members with their types
 *   clock_skew    the time is more than WH_PROTO_SKEW_US away from now: answer `error`, keep going
 *   bad_sequence  replayed, too old, a jump, or out of range
 * and the window is unchanged. The sequence is taken only when everything before it was right. */
apr_status_t wh_proto_open(apr_pool_t *p, wh_proto_link_t *link, const char *text, size_t n,
                           apr_time_t now, wh_proto_msg_t *out, wh_err_t *err)
    WH_MUST_CHECK;

/* The WebSocket close code for a code of wh_proto_open; 0 = do not close, answer an `error`. */
int wh_proto_close_code(const char *code);

#define WH_CLOSE_MAC 4001
#define WH_CLOSE_FRAME 4002
#define WH_CLOSE_NOT_YOURS 4003
#define WH_CLOSE_SLOW 4008
#define WH_CLOSE_REPLACED 4009
#define WH_CLOSE_REVOKED 4010
#define WH_CLOSE_TOO_BIG 1009
#define WH_CLOSE_RESTART 1012

#endif
