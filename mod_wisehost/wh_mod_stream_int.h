/* Between the files of wh_mod_stream. */
#ifndef WH_MOD_STREAM_INT_H
#define WH_MOD_STREAM_INT_H

#include "mod_wisehost/wh_mod_stream.h"

#define WH_STREAM_OUT (64 * 1024) /* bytes that are sent at once */
#define WH_STREAM_HELLO "retry: 2000\n\n"

/* ---- wh_mod_stream_http.c ---- */

/* Of an answer that has no end. */
void wh_mod_stream_head(request_rec *r);

/* What each stream begins with. 0 = the client has gone. */
int wh_mod_stream_greet(request_rec *r, const wh_stream_of_t *of);

/* All of one, in the thread of its request, until it ends. */
void wh_mod_stream_hold(request_rec *r, const wh_stream_of_t *of);

/* This child is about to end. */
int wh_mod_stream_stopping(void);

/* A pool that is cleared all the time: what one round took, the next one takes. NULL = there is no
 * memory. */
apr_pool_t *wh_mod_stream_scratch(void);

/* ---- wh_mod_stream_logs.c: of the streams' thread alone ---- */

typedef struct wh_stream_log_t wh_stream_log_t; /* one that somebody looks at */
struct wh_stream_log_t {
    wh_stream_log_t *next;
    char *dir;
    wh_feed_t *feed; /* NULL = a build's: who looks on reads by himself */
    int watch;       /* of inotify, -1 = none: looked at each second */
    int dirty, users;
    int turn; /* goes up when something was written */
};

/* What to wait for (-1 = there is none), and to heed then. */
int wh_stream_logs_open(apr_pool_t *scratch);
void wh_stream_logs_heed(void);

/* Whether something was written; and what was is read. tick: a second has passed. */
int wh_stream_logs_dirty(void);
void wh_stream_logs_look(int tick);

/* One of the logs, made when need be; NULL = there is no memory. Whoever looks on counts himself in
 * users. */
wh_stream_log_t *wh_stream_log_of(const wh_stream_of_t *of);
void wh_stream_log_watch(wh_stream_log_t *log);

/* Those that nobody looks at any more go. 1 = some went. */
int wh_stream_logs_drop(void);

/* ---- wh_mod_stream_count.c ---- */

void wh_mod_stream_count_post_config(server_rec *s);

/* One more of the token, unless it has `most`. Under a lock of the caller's. */
int wh_mod_stream_count_in(apr_uint64_t token, int most);
void wh_mod_stream_count_out(apr_uint64_t token);

/* ---- wh_mod_stream_page.c ---- */

/* All of it, in p. */
void wh_mod_stream_copy(apr_pool_t *p, const wh_stream_of_t *from, wh_stream_of_t *to);

/* Whether a line of the ring is asked for; -1 = nobody here knows. p is a scratch pool. */
int wh_mod_stream_wants(const wh_stream_of_t *of, apr_pool_t *p, const wh_feed_item_t *item);

/* Events out of the files into buf, at most size bytes; *pos goes on, to end when there is nothing
 * more to be found. *ask = 1: it stands before a line of which nobody here knows whether it is
 * asked for. Returns how many bytes. */
apr_size_t wh_mod_stream_page(const wh_stream_of_t *of, apr_pool_t *p, apr_int64_t *pos,
                              apr_int64_t end, char *buf, apr_size_t size, int *ask);

/* What such a stream ends with, in buf: come again at once, behind pos. */
apr_size_t wh_mod_stream_come_again(apr_int64_t pos, char *buf, apr_size_t size);

/* ---- wh_mod_stream_build.c ---- */

typedef struct wh_build_at_t {
    int segment; /* 0 = none yet */
    apr_int64_t offset, n;
} wh_build_at_t;

typedef enum wh_build_e { WH_BUILD_MORE, WH_BUILD_ALL, WH_BUILD_OVER } wh_build_e;

/* Events of a build from *at on, which goes on, into buf. *how: there are more; that was all for
 * now; or its end was the last. Returns how many bytes. */
apr_size_t wh_mod_stream_build(const wh_stream_of_t *of, apr_pool_t *p, wh_build_at_t *at,
                               char *buf, apr_size_t size, wh_build_e *how);

/* ---- wh_mod_stream_wire.c: a connection that was taken over ---- */

typedef struct wh_wire_t {
    int fd;
    struct ssl_st *ssl; /* NULL = none */
    char *rest;         /* of what was to be sent; by malloc */
    apr_size_t rest_n, rest_at;
} wh_wire_t;

/* Notes the TLS session of a connection that begins. */
void wh_wire_register(void);

/* Takes c over; to httpd it is lost from here on. 0 = it cannot be had. The session is httpd's
 * until over is called, which is when c->pool ends; then wh_wire_own makes it ours. */
int wh_wire_take(conn_rec *c, wh_wire_t *wire, apr_status_t (*over)(void *baton), void *baton);
void wh_wire_own(wh_wire_t *wire);

/* Sends what it can without waiting, and keeps the rest; only when there is no rest of before. 0 =
 * the client has gone. */
int wh_wire_send(wh_wire_t *wire, const char *text, apr_size_t n);

/* The rest: 1 = there is none any more, 0 = there is, -1 = the client has gone. */
int wh_wire_flush(wh_wire_t *wire);

/* Ends it; in_order: the client is told. */
void wh_wire_close(wh_wire_t *wire, int in_order);

#endif
