/* Between follow.c (the thread, the streams) and follow_queue.c (lines that wait). */
#ifndef WH_AGENT_FOLLOW_INT_H
#define WH_AGENT_FOLLOW_INT_H

#include <apr_thread_mutex.h>
#include <curl/curl.h>
#include "libwh/wh_id.h"
#include "libwh/wh_lograte.h"
#include "libwh/wh_text.h"
#include "wh-agent/follow.h"
#include "wh-agent/tail.h"

typedef struct wh_follow_line_t wh_follow_line_t;
struct wh_follow_line_t {
    wh_follow_line_t *next;
    apr_int64_t seq;
    apr_time_t at;
    wh_stream_e stream;
    size_t n;
    char text[];
};

typedef struct wh_follow_source_t wh_follow_source_t;
struct wh_follow_source_t {
    wh_follow_source_t *next;
    wh_follow_t *follow;
    char app[WH_ID_LEN + 1], deployment[WH_ID_LEN + 1];
    char *container;
    /* said by the link's thread, under the lock */
    char *secrets; /* names of variables, "" = none */
    int listed, running;
    int open; /* a stream of it is */
    int news; /* it was seen running, or down, since the thread last looked */
    /* the thread's own */
    apr_pool_t *p; /* of the mask; NULL = not yet asked for */
    const wh_mask_t *mask;
    CURL *easy; /* NULL = no stream */
    wh_mono_t opened, due;
    apr_interval_time_t pause;
    int over; /* it is down and read to its end */
    wh_tail_t tail;
    wh_tail_pos_t pos, mark[2]; /* now; half a minute, and up to a minute ago */
    apr_time_t last_at;
    apr_int64_t read;              /* the highest number read in this life */
    apr_int64_t second, in_second; /* bytes read in this second */
    int paused;
    wh_lograte_t rate;
    wh_follow_line_t *spare; /* the last that was left out since one was kept */
    wh_mono_t spare_at;
    /* under the lock */
    wh_follow_line_t *first, *last;
    apr_int64_t bytes;
};

struct wh_follow_t {
    wh_follow_opts_t opts;
    apr_thread_mutex_t *lock;
    CURLM *multi;
    const char *path;
    apr_pool_t *scratch; /* the thread's */
    int stop;            /* atomic */
    int online, was_online;
    wh_follow_source_t *sources;
    wh_follow_source_t *turn; /* whose lines are taken next; the link's thread */
    wh_bucket_t bucket;
    wh_mono_t mark_at;
    apr_int64_t bytes; /* of all queues */
    int streams;
    int pushed; /* since the link's thread was last woken */
    int full_said;
    apr_int64_t read; /* bytes, in this turn */
    int soon;         /* something is due before long */
};

/* A line out of the tail, on the thread: cleaned, masked and kept, or left out. */
void wh_follow_line(void *source, const wh_tail_line_t *line);

/* What was left out last is sent after all, when nothing came since. */
void wh_follow_spare(wh_follow_source_t *source, wh_mono_t now);

/* Forget what waits; under the lock. */
void wh_follow_empty(wh_follow_source_t *source);

#endif
