#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>
#include "libwh/wh_mime.h"
#include "libwh/wh_types.h"
#include "wh-agent/compress.h"

#define GAIN_MIN 32
#define HOPELESS_MIN 4096 /* in less brotli's own dictionary may find what gzip does not */
#define BROTLI_WINDOW 22
#define GZIP_WINDOW (15 + 16) /* with gzip's head and end */
#define GZIP_MEMORY 9
#define ZSTD_WINDOW 23 /* 8 MiB: no browser takes a larger one (RFC 9659) */

static const int levels[WH_COMPRESS_TIERS][WH_CODINGS] = {
    [WH_COMPRESS_BEST] = {[WH_CODING_BR] = 11, [WH_CODING_ZSTD] = 19, [WH_CODING_GZIP] = 9},
    [WH_COMPRESS_GOOD] = {[WH_CODING_BR] = 6, [WH_CODING_ZSTD] = 12, [WH_CODING_GZIP] = 9},
    [WH_COMPRESS_FAST] = {[WH_CODING_BR] = 4, [WH_CODING_ZSTD] = 3, [WH_CODING_GZIP] = 4},
};

int wh_compress_wanted(const char *type, apr_int64_t size)
{
    return size >= WH_COMPRESS_MIN && size <= WH_COMPRESS_MAX && wh_mime_compressible(type);
}

wh_compress_tier_e wh_compress_tier(apr_int64_t size, apr_interval_time_t used_us)
{
    if (used_us < WH_COMPRESS_BEST_US && size <= WH_COMPRESS_SMALL)
        return WH_COMPRESS_BEST;
    if (used_us < WH_COMPRESS_GOOD_US)
        return WH_COMPRESS_GOOD;
    return used_us < WH_COMPRESS_FAST_US ? WH_COMPRESS_FAST : WH_COMPRESS_TIERS;
}

/* Each takes the room there is and gives the bytes written, 0 = it does not fit. */
static size_t brotli(int level, const char *data, size_t n, char *out, size_t room)
{
    size_t written = room;

    return BrotliEncoderCompress(level, BROTLI_WINDOW, BROTLI_MODE_TEXT, n,
                                 (const unsigned char *)data, &written, (unsigned char *)out)
               ? written
               : 0;
}

static size_t zstd(int level, const char *data, size_t n, char *out, size_t room)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    size_t written = 0;

    if (ctx == NULL)
        return 0;
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level);
    if (n > (size_t)1 << ZSTD_WINDOW)
        (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, ZSTD_WINDOW);
    written = ZSTD_compress2(ctx, out, room, data, n);
    ZSTD_freeCCtx(ctx);
    return ZSTD_isError(written) ? 0 : written;
}

static size_t gzip(int level, const char *data, size_t n, char *out, size_t room)
{
    z_stream z = {.next_out = (unsigned char *)out, .avail_out = (unsigned)room};
    size_t written = 0;

    if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)n;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END)
        written = z.total_out;
    (void)deflateEnd(&z);
    return written;
}

static size_t (*const encoders[WH_CODINGS])(int, const char *, size_t, char *, size_t) = {
    [WH_CODING_BR] = brotli, [WH_CODING_ZSTD] = zstd, [WH_CODING_GZIP] = gzip};

apr_status_t wh_compress(wh_coding_e coding, wh_compress_tier_e tier, const char *data, size_t n,
                         char **out, size_t *out_n)
{
    size_t gain = n / 10 > GAIN_MIN ? n / 10 : GAIN_MIN;
    char *made;

    if (n <= gain || n > WH_COMPRESS_MAX || tier >= WH_COMPRESS_TIERS)
        return APR_NOTFOUND;
    made = malloc(n - gain);
    *out_n = made != NULL ? encoders[coding](levels[tier][coding], data, n, made, n - gain) : 0;
    if (*out_n == 0) {
        free(made);
        return APR_NOTFOUND;
    }
    *out = made;
    return APR_SUCCESS;
}

int wh_compress_hopeless(apr_int64_t size, apr_int64_t gzip)
{
    return gzip == 0 && size >= HOPELESS_MIN;
}

const char *wh_compress_libraries(apr_pool_t *p)
{
    return apr_psprintf(p, "brotli-%x,zstd-%u,zlib-%s", (unsigned)BrotliEncoderVersion(),
                        ZSTD_versionNumber(), zlibVersion());
}
