/* A line of an app's log as it stands in a segment (wh-scheduler/applog.h):
 *
 *     <n> <time_us> <stream>[.<level>] <k>:<seq> <text>
 *     @<k> <seq> <deployment id> <container>
 *
 * Pure; what is read points into the text. */
#ifndef WH_LOGLINE_H
#define WH_LOGLINE_H

#include "libwh/wh_level.h"
#include "libwh/wh_model.h"

#define WH_LOGLINE_SOURCES 32
#define WH_LOGLINE_HEAD 128 /* bytes in front of a text, at most */

typedef struct wh_logline_t {
    apr_int64_t n, at, seq;
    wh_stream_e stream;
    wh_level_e level;
    int k; /* from 1 */
    const char *text;
    size_t len;
} wh_logline_t;

/* 1 = it is one. line has n bytes, without its line feed. */
int wh_logline_parse(const char *line, size_t n, wh_logline_t *out);

/* The head of one, up to the text; returns its length. */
int wh_logline_head(char out[WH_LOGLINE_HEAD], const wh_logline_t *line);

/* The lines with @: which container is which k. */
typedef struct wh_logline_source_t {
    const char *deployment, *container; /* not terminated */
    size_t deployment_n, container_n;
    apr_int64_t seq;
    int k;
} wh_logline_source_t;

int wh_logline_source(const char *line, size_t n, wh_logline_source_t *out);

#endif
