#include <string.h>
#include "wh-agent/frames.h"

void wh_frames_init(wh_frames_t *frames, wh_frames_fn *fn, void *baton)
{
    memset(frames, 0, sizeof(*frames));
    frames->fn = fn;
    frames->baton = baton;
}

static int header_done(wh_frames_t *f)
{
    const unsigned char *h = f->header;

    if (h[0] > 2 || h[1] != 0 || h[2] != 0 || h[3] != 0)
        return -1;
    f->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
    return 0;
}

int wh_frames_feed(void *baton, const char *buf, size_t n)
{
    wh_frames_t *f = baton;

    while (n > 0 && !f->broken) {
        if (f->have < sizeof(f->header)) {
            f->header[f->have++] = (unsigned char)*buf++;
            n--;
            if (f->have == sizeof(f->header) && header_done(f) != 0)
                f->broken = 1;
            else if (f->have == sizeof(f->header) && f->begin != NULL)
                f->begin(f->baton);
        } else {
            size_t take = n < f->left ? n : f->left;

            if (take > 0)
                f->fn(f->baton, f->header[0] == 2 ? WH_STREAM_ERR : WH_STREAM_OUT, buf, take);
            buf += take;
            n -= take;
            f->left -= (uint32_t)take;
        }
        if (f->have == sizeof(f->header) && f->left == 0)
            f->have = 0;
    }
    return f->broken ? -1 : 0;
}
