/* wh_batch: many small objects in one request body. Each is a line and its bytes, nothing between
 * them:
 *
 *   <sha256, 64 lower-case hex digits> <size, decimal, no leading zeros>\n<size bytes>
 *
 * The reader is fed the body as it comes and holds nothing of it but a line that is not whole; what
 * the bytes are worth (announced, hash) is the sink's business. A reader belongs to one thread. */
#ifndef WH_BATCH_H
#define WH_BATCH_H

#include "libwh/wh_err.h"

#define WH_BATCH_BODY_MAX (2 * 1024 * 1024) /* bytes, lines and contents together */
#define WH_BATCH_OBJECT_MAX (256 * 1024)    /* a larger one travels alone */
#define WH_BATCH_OBJECTS_MAX 1000
#define WH_BATCH_LINE_MAX 72 /* hash, space, 6 digits, line end */

/* What a reader calls, in this order for each object; data never for an empty one. An error of the
 * sink ends the reading and is what feed returns. */
typedef struct wh_batch_sink_t {
    apr_status_t (*begin)(void *baton, const char *sha256, apr_off_t size, wh_err_t *err);
    apr_status_t (*data)(void *baton, const char *data, size_t n, wh_err_t *err);
    apr_status_t (*end)(void *baton, wh_err_t *err);
} wh_batch_sink_t;

/* Begin with {.sink = …, .baton = …}; the rest is the reader's own. */
typedef struct wh_batch_t {
    const wh_batch_sink_t *sink;
    void *baton;
    char line[WH_BATCH_LINE_MAX + 1];
    size_t have;    /* of line */
    apr_off_t left; /* of the object whose bytes come */
    int inside;     /* an object is begun and not ended */
    int objects;
} wh_batch_t;

/* Takes the next piece, cut anywhere. Errors: bad_batch 400, too_large 413 (an object),
 * too_many_objects 413, the sink's. */
apr_status_t wh_batch_feed(wh_batch_t *b, const char *data, size_t n, wh_err_t *err) WH_MUST_CHECK;

/* The body is at its end. bad_batch 400 in the middle of an object, or when there was none. */
apr_status_t wh_batch_end(const wh_batch_t *b, wh_err_t *err) WH_MUST_CHECK;

/* The line before the bytes of an object that is not too large, not terminated: its length. */
size_t wh_batch_line(char out[WH_BATCH_LINE_MAX + 1], const char *sha256, apr_off_t size);

#endif
