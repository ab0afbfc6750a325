/* A closed segment of a log, packed: frames of zstd, each a block of whole lines (`zstdcat` reads
 * the file), and behind them, in a frame that other readers skip, what is known of each block: its
 * lines' numbers and times, their streams and levels, and which three letters stand next to each
 * other in them, so that most blocks need not be unpacked for a search. Each block begins with the
 * sources of its lines.
 *
 * Pure; buffers in, buffers out. Whoever reads may be given any bytes: nothing here trusts them. */
#ifndef WH_LOGPACK_H
#define WH_LOGPACK_H

#include <stdint.h>

#include "libwh/wh_err.h"
#include "libwh/wh_logline.h"

#define WH_LOGPACK_BLOCK ((size_t)(256 * WH_KIB)) /* of text, about */
#define WH_LOGPACK_MAX ((size_t)(4 * WH_MIB))     /* of a segment's text, and of its index */
#define WH_LOGPACK_BITS 32768
#define WH_LOGPACK_NAME ".zst"

typedef struct wh_logpack_sum_t {
    apr_int64_t first, last;      /* numbers of lines; 0 = there is none */
    apr_time_t at_first, at_last; /* the earliest and the latest time */
    uint32_t kinds;               /* a bit for each stream and each level: WH_LOGPACK_KIND */
    uint8_t near[WH_LOGPACK_BITS / 8];
} wh_logpack_sum_t;

#define WH_LOGPACK_KIND(stream) (1U << (stream))
#define WH_LOGPACK_LEVEL(level) (1U << (8 + (level)))

typedef struct wh_logpack_block_t {
    uint64_t at;        /* in the file */
    uint32_t packed, n; /* bytes packed, and as text */
    wh_logpack_sum_t sum;
} wh_logpack_block_t;

/* The whole segment, packed, in p. NULL = there is no memory. */
char *wh_logpack_make(apr_pool_t *p, const char *text, size_t n, size_t *len);

/* How many bytes of the file's end the index is: tail is its last 8 bytes. 0 = there is none. */
size_t wh_logpack_index_len(const char tail[8]);

/* The blocks, in p. NULL = these bytes are no index. */
wh_logpack_block_t *wh_logpack_index(apr_pool_t *p, const char *index, size_t n, int *blocks);

/* One block's text into out, which has room for block->n. 0 = it is damaged. */
int wh_logpack_open(const wh_logpack_block_t *block, const char *packed, char *out);

/* Whether the text may stand in a block: what is looked for in lower case, as near() takes it. */
int wh_logpack_may_have(const wh_logpack_sum_t *sum, const char *lower, size_t n);

/* ASCII letters to lower case; others stay. */
void wh_logpack_lower(char *out, const char *s, size_t n);

#endif
