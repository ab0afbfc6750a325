/* Streams of events (text/event-stream): many at once, and nobody of httpd waits for them.
 *
 * A handler that begins one sends the head of the answer in the usual way, so that other modules
 * have their say; then the connection is taken over: its socket is duplicated, its TLS session (if
 * it has one) kept by a reference, and to httpd it looks like one whose client has gone. So the
 * worker is free at once, and the MPM counts no connection. One thread of the child, which is there
 * from the first stream on, writes to all of them and never waits: who does not take what is sent
 * is left alone until the socket is free again, and goes after half a minute. What is read of a log
 * is read once for all that look on (wh_mod_feed).
 *
 * A stream of HTTP/2 is part of a connection that others use, and holds a thread of mod_http2:
 * there are WH_MOD_STREAMS_HELD of those in a child at most. All streams of one token:
 * WiseHostStreams, in all children. A stream lives for WH_MOD_STREAM_LIFE, and ends with its child;
 * who comes again with Last-Event-ID goes on where it ended, and is asked for the token again. So
 * the thread asks no database: what it would have to ask for (the environment of a deployment that
 * is new) ends the stream, and the client, which is told to come at once, brings the answer. */
#ifndef WH_MOD_STREAM_H
#define WH_MOD_STREAM_H

#include <apr_hash.h>

#include "mod_wisehost/wh_h_applog.h"
#include "mod_wisehost/wh_mod_feed.h"

#define WH_MOD_STREAMS_HELD 8
#define WH_MOD_STREAMS 4096 /* in a child */
#define WH_MOD_STREAM_LIFE ((apr_interval_time_t)600 * APR_USEC_PER_SEC)
#define WH_MOD_STREAM_SILENCE ((apr_interval_time_t)15 * APR_USEC_PER_SEC) /* then a comment */
#define WH_MOD_STREAM_STUCK ((apr_interval_time_t)30 * APR_USEC_PER_SEC)

/* What a stream shows. */
typedef struct wh_stream_of_t wh_stream_of_t;
struct wh_stream_of_t {
    const char *dir; /* of segments */
    wh_feed_format_fn *format;
    unsigned kinds;         /* as in wh_logread_query_t */
    const char *text;       /* NULL = any */
    const char *deployment; /* NULL = any */
    /* Whether a deployment's lines are shown: id -> "" for those of no interest; what is not in it
     * was not there when line map_to was the newest. NULL = all. */
    apr_hash_t *map;
    apr_int64_t map_to;
    /* Whether a line is shown, asked last; NULL = every one. */
    int (*wants)(const wh_stream_of_t *of, const char *text, apr_size_t n);
    const char *app;                /* for wants: of this app, NULL = of any */
    const apr_array_header_t *apps; /* of these (const char *), NULL = of all there are */
    unsigned types;                 /* wh_news_types(), 0 = any */
    const char *hello;              /* events to begin with, NULL = none */
    apr_int64_t after;              /* the number of the line that the client has */
    int build;       /* dir is that of a deployment's log; of the others only after counts */
    const char *end; /* of a build: what it ends with, NULL = the file "end" in dir says it */
};

/* The id of a build's last event: who comes again with it has all. */
#define WH_STREAM_END "end"

/* That event; in p. NULL = there is no memory. */
const char *wh_mod_stream_build_end(apr_pool_t *p, const json_t *what);

/* Whether the call asks for a stream. */
int wh_mod_stream_wanted(wh_call_t *c);

/* The number in Last-Event-ID, -1 = there is none. */
apr_int64_t wh_mod_stream_last_id(wh_call_t *c);

/* The number of the newest line in a directory of segments, 0 = there is none. */
apr_int64_t wh_mod_stream_newest(apr_pool_t *p, const char *dir);

/* Where a client goes on that has line `had`: of->after. When that is not there any more, or never
 * was, of->hello tells it: event "missed", data {"after": had, "oldest"} or {"after", "newest"}. */
void wh_mod_stream_resume(wh_call_t *c, wh_stream_of_t *of, apr_int64_t had);

/* Where one begins that has nothing yet: of->after, by the query that a page would be read with.
 * With from: at that time; else with the newest q->limit lines, 0 = with what comes. Errors:
 * log_unreadable. */
apr_status_t wh_mod_stream_begin_at(wh_call_t *c, wh_stream_of_t *of,
                                    const wh_logread_query_t *q) WH_MUST_CHECK;

/* Begins it, and ends the call. Errors: 429 too_many_streams, 503 no_stream. */
apr_status_t wh_mod_stream_begin(wh_call_t *c, const wh_stream_of_t *of) WH_MUST_CHECK;

void wh_mod_stream_register(void);
void wh_mod_stream_post_config(server_rec *s);
void wh_mod_stream_child_init(apr_pool_t *pchild);

#endif
