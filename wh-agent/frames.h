/* The stream of a container's log as engines send it: frames of an 8-byte header (stream, three
 * zero bytes, length big-endian) and that many bytes. Read in pieces of any size. */
#ifndef WH_AGENT_FRAMES_H
#define WH_AGENT_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include "libwh/wh_model.h"

typedef void wh_frames_fn(void *baton, wh_stream_e stream, const char *buf, size_t n);

typedef struct wh_frames_t {
    wh_frames_fn *fn;
    void (*begin)(void *baton); /* a frame begins; NULL = nobody asks */
    void *baton;
    unsigned char header[8];
    size_t have;   /* of the header */
    uint32_t left; /* of the frame's bytes */
    int broken;
} wh_frames_t;

void wh_frames_init(wh_frames_t *frames, wh_frames_fn *fn, void *baton);

/* More bytes. Returns 0, or -1 once a header is none (nothing more is taken then). */
int wh_frames_feed(void *frames, const char *buf, size_t n);

#endif
