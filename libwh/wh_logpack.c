#include "libwh/wh_logpack.h"

#include <string.h>
#include <apr_strings.h>
#include <zstd.h>

#define LEVEL 1             /* logs go by, and each is packed once */
#define SKIPPED 0x184D2A5EU /* a frame that zstd skips */
#define MARK 0x584C4857U    /* "WHLX" */
#define ENTRY (8 + 4 + 4 + 8 * 4 + 4 + WH_LOGPACK_BITS / 8)
#define FRAME_HEAD 8

/* ---- numbers, little endian ---- */

static void put(char **at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*at)++ = (char)(v >> (8 * i));
}

static uint64_t get(const char **at, int bytes)
{
    uint64_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)*(*at)++ << (8 * i);
    return v;
}

/* ---- what stands next to each other ---- */

static unsigned char lower(unsigned char c)
{
    return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c + 32) : c;
}

void wh_logpack_lower(char *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (char)lower((unsigned char)s[i]);
}

static uint32_t place(uint32_t three)
{
    return (three * 2654435761U) >> (32 - 15);
}

static void add_near(wh_logpack_sum_t *sum, const char *s, size_t n)
{
    uint32_t three = 0;

    for (size_t i = 0; i < n; i++) {
        three = ((three << 8) | lower((unsigned char)s[i])) & 0xffffff;
        if (i >= 2) {
            uint32_t bit = place(three);

            sum->near[bit >> 3] |= (uint8_t)(1U << (bit & 7));
        }
    }
}

int wh_logpack_may_have(const wh_logpack_sum_t *sum, const char *s, size_t n)
{
    uint32_t three = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bit;

        three = ((three << 8) | (unsigned char)s[i]) & 0xffffff;
        bit = place(three);
        if (i >= 2 && (sum->near[bit >> 3] & (1U << (bit & 7))) == 0)
            return 0;
    }
    return 1;
}

static void add_line(wh_logpack_sum_t *sum, const wh_logline_t *line)
{
    if (sum->first == 0) {
        sum->first = line->n;
        sum->at_first = sum->at_last = line->at;
    }
    sum->last = line->n;
    sum->at_first = line->at < sum->at_first ? line->at : sum->at_first;
    sum->at_last = line->at > sum->at_last ? line->at : sum->at_last;
    sum->kinds |= WH_LOGPACK_KIND(line->stream) | WH_LOGPACK_LEVEL(line->level);
    add_near(sum, line->text, line->len);
}

/* ---- packing ---- */

/* The text of one block: sources that it takes over from those before it, then its own lines. */
typedef struct packer_t {
    apr_pool_t *p;
    const char *text;
    size_t n, at;
    const char *source[WH_LOGLINE_SOURCES]; /* the newest @ line of each */
    size_t source_n[WH_LOGLINE_SOURCES];
    char *out;
    size_t out_n, out_room, index_room;
    apr_array_header_t *blocks; /* wh_logpack_block_t * */
    ZSTD_CCtx *zstd;
} packer_t;

static size_t line_len(const packer_t *k, size_t at)
{
    const char *end = memchr(k->text + at, '\n', k->n - at);

    return end != NULL ? (size_t)(end - k->text) - at + 1 : k->n - at;
}

static size_t copy_sources(const packer_t *k, char *to)
{
    size_t n = 0;

    for (int i = 0; i < WH_LOGLINE_SOURCES; i++) {
        if (k->source[i] == NULL)
            continue;
        memcpy(to + n, k->source[i], k->source_n[i]);
        n += k->source_n[i];
    }
    return n;
}

/* Lines from k->at on, until the block is full. Returns where they end. */
static size_t gather(packer_t *k, wh_logpack_sum_t *sum)
{
    size_t at = k->at;

    while (at < k->n && at - k->at < WH_LOGPACK_BLOCK) {
        size_t len = line_len(k, at);
        wh_logline_source_t source;
        wh_logline_t line;

        if (wh_logline_parse(k->text + at, len - 1, &line)) {
            add_line(sum, &line);
        } else if (wh_logline_source(k->text + at, len - 1, &source)) {
            k->source[source.k - 1] = k->text + at;
            k->source_n[source.k - 1] = len;
        }
        at += len;
    }
    return at;
}

static size_t sources_len(const packer_t *k)
{
    size_t n = 0;

    for (int i = 0; i < WH_LOGLINE_SOURCES; i++)
        n += k->source[i] != NULL ? k->source_n[i] : 0;
    return n;
}

static int pack_block(packer_t *k)
{
    wh_logpack_block_t *block = apr_pcalloc(k->p, sizeof(*block));
    size_t head = sources_len(k), end, packed;
    char *from = apr_palloc(k->p, head + WH_LOGPACK_BLOCK + 2 * 16384);

    head = copy_sources(k, from);
    end = gather(k, &block->sum);
    if (end - k->at > WH_LOGPACK_BLOCK + 2 * 16384)
        return 0; /* no line is as long */
    memcpy(from + head, k->text + k->at, end - k->at);
    block->n = (uint32_t)(head + end - k->at);
    block->at = k->out_n;
    packed = ZSTD_compress2(k->zstd, k->out + k->out_n, k->out_room - k->index_room - k->out_n,
                            from, block->n);
    if (ZSTD_isError(packed))
        return 0;
    block->packed = (uint32_t)packed;
    k->out_n += packed;
    k->at = end;
    APR_ARRAY_PUSH(k->blocks, wh_logpack_block_t *) = block;
    return 1;
}

static void put_index(packer_t *k)
{
    char *at = k->out + k->out_n;

    put(&at, SKIPPED, 4);
    put(&at, (uint64_t)k->blocks->nelts * ENTRY + 8, 4);
    for (int i = 0; i < k->blocks->nelts; i++) {
        const wh_logpack_block_t *b = APR_ARRAY_IDX(k->blocks, i, wh_logpack_block_t *);

        put(&at, b->at, 8);
        put(&at, b->packed, 4);
        put(&at, b->n, 4);
        put(&at, (uint64_t)b->sum.first, 8);
        put(&at, (uint64_t)b->sum.last, 8);
        put(&at, (uint64_t)b->sum.at_first, 8);
        put(&at, (uint64_t)b->sum.at_last, 8);
        put(&at, b->sum.kinds, 4);
        memcpy(at, b->sum.near, sizeof(b->sum.near));
        at += sizeof(b->sum.near);
    }
    put(&at, (uint64_t)k->blocks->nelts * ENTRY + 8, 4);
    put(&at, MARK, 4);
    k->out_n = (size_t)(at - k->out);
}

char *wh_logpack_make(apr_pool_t *p, const char *text, size_t n, size_t *len)
{
    size_t blocks = n / WH_LOGPACK_BLOCK + 1;
    packer_t k = {.p = p, .text = text, .n = n};
    int good = 1;

    /* Each block begins with the sources once more. */
    k.index_room = blocks * ENTRY + FRAME_HEAD + 8;
    k.out_room = ZSTD_compressBound(n) + blocks * 65536 + k.index_room;
    k.out = apr_palloc(p, k.out_room);
    k.blocks = apr_array_make(p, (int)blocks, sizeof(wh_logpack_block_t *));
    k.zstd = ZSTD_createCCtx();
    if (k.out == NULL || k.zstd == NULL)
        return NULL;
    (void)ZSTD_CCtx_setParameter(k.zstd, ZSTD_c_compressionLevel, LEVEL);
    (void)ZSTD_CCtx_setParameter(k.zstd, ZSTD_c_checksumFlag, 1);
    while (good && k.at < n)
        good = pack_block(&k);
    (void)ZSTD_freeCCtx(k.zstd);
    if (!good)
        return NULL;
    put_index(&k);
    *len = k.out_n;
    return k.out;
}

/* ---- reading ---- */

size_t wh_logpack_index_len(const char tail[8])
{
    const char *at = tail;
    size_t n = get(&at, 4);

    if (get(&at, 4) != MARK || n < 8 || n > WH_LOGPACK_MAX || (n - 8) % ENTRY != 0)
        return 0;
    return n;
}

/* Whether a block is one that make() would have put behind the one before it: behind it in the
 * file, its numbers higher, and all of them no more text than a segment has. Who reads page by page
 * would else never come to an end, and unpack the same bytes over and over. */
static int follows(const wh_logpack_block_t *b, const wh_logpack_block_t *before,
                   apr_int64_t *last, size_t *unpacked)
{
    *unpacked += b->n;
    if (b->n > WH_LOGPACK_MAX || b->packed > WH_LOGPACK_MAX || b->at > (uint64_t)APR_INT32_MAX ||
        *unpacked > WH_LOGPACK_MAX || (before != NULL && b->at < before->at + before->packed))
        return 0;
    if (b->sum.first == 0)
        return 1;
    if (b->sum.first <= *last || b->sum.last < b->sum.first)
        return 0;
    *last = b->sum.last;
    return 1;
}

wh_logpack_block_t *wh_logpack_index(apr_pool_t *p, const char *index, size_t n, int *blocks)
{
    wh_logpack_block_t *all;
    apr_int64_t last = 0;
    size_t unpacked = 0;

    if (n < 8 || wh_logpack_index_len(index + n - 8) != n)
        return NULL;
    *blocks = (int)((n - 8) / ENTRY);
    all = apr_palloc(p, (size_t)*blocks * sizeof(*all) + 1);
    for (int i = 0; i < *blocks; i++) {
        wh_logpack_block_t *b = &all[i];

        b->at = get(&index, 8);
        b->packed = (uint32_t)get(&index, 4);
        b->n = (uint32_t)get(&index, 4);
        b->sum.first = (apr_int64_t)get(&index, 8);
        b->sum.last = (apr_int64_t)get(&index, 8);
        b->sum.at_first = (apr_time_t)get(&index, 8);
        b->sum.at_last = (apr_time_t)get(&index, 8);
        b->sum.kinds = (uint32_t)get(&index, 4);
        memcpy(b->sum.near, index, sizeof(b->sum.near));
        index += sizeof(b->sum.near);
        if (!follows(b, i > 0 ? b - 1 : NULL, &last, &unpacked))
            return NULL;
    }
    return all;
}

int wh_logpack_open(const wh_logpack_block_t *block, const char *packed, char *out)
{
    size_t n = ZSTD_decompress(out, block->n, packed, block->packed);

    return !ZSTD_isError(n) && n == block->n;
}
