#include "wh-scheduler/gzip.h"

#include <stdint.h>
#include <zlib.h>

#define WINDOW (15 + 16) /* with gzip's head and end */
#define MEMORY 8

const char *wh_gzip(apr_pool_t *p, const char *data, apr_size_t n, apr_size_t *len)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (unsigned)n};
    char *out = NULL;
    unsigned long room;
    int whole;

    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }
    room = deflateBound(&z, n);
    out = apr_palloc(p, room);
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)room;
    whole = deflate(&z, Z_FINISH) == Z_STREAM_END;
    *len = z.total_out;
    (void)deflateEnd(&z);
    return whole ? out : NULL;
}
