#include "libwh/wh_logread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

#include "libwh/wh_logpack.h"

#define DIGITS 16
#define STREAMS 0xffU
#define LEVELS 0xff00U

/* ---- the files ---- */

static int by_first(const void *a, const void *b)
{
    const wh_logread_file_t *x = a, *y = b;

    return x->first != y->first ? (x->first < y->first ? -1 : 1) : x->packed - y->packed;
}

apr_status_t wh_logread_list(apr_pool_t *p, const char *dir, apr_array_header_t **out,
                             wh_err_t *err)
{
    DIR *handle = opendir(dir);
    const struct dirent *entry;
    wh_logread_file_t *files;
    int n = 0;

    *out = apr_array_make(p, 16, sizeof(wh_logread_file_t));
    if (handle == NULL)
        return errno == ENOENT ? APR_SUCCESS
                               : wh_err_wrap(err, errno, 500, "log_unreadable", "%s", dir);
    while ((entry = readdir(handle)) != NULL) {
        char *end;
        apr_int64_t first = apr_strtoi64(entry->d_name, &end, 10);
        int packed = strcmp(end, ".seg" WH_LOGPACK_NAME) == 0;

        if (end - entry->d_name == DIGITS && first > 0 && (packed || strcmp(end, ".seg") == 0))
            APR_ARRAY_PUSH(*out, wh_logread_file_t) =
                (wh_logread_file_t){.first = first, .packed = packed};
    }
    closedir(handle);
    files = (wh_logread_file_t *)(void *)(*out)->elts;
    qsort(files, (size_t)(*out)->nelts, sizeof(*files), by_first);
    for (int i = 0; i < (*out)->nelts; i++) /* just packed: both are there, and say the same */
        if (i == 0 || files[i].first != files[n - 1].first)
            files[n++] = files[i];
    (*out)->nelts = n;
    return APR_SUCCESS;
}

const char *wh_logread_path(apr_pool_t *p, const char *dir, const wh_logread_file_t *file)
{
    return apr_psprintf(p, "%s/%016" APR_INT64_T_FMT ".seg%s", dir, file->first,
                        file->packed ? WH_LOGPACK_NAME : "");
}

/* ---- a block ---- */

typedef struct reader_t {
    apr_pool_t *p, *scratch;
    const wh_logread_query_t *q;
    const char *lower; /* what is looked for */
    size_t lower_n;
    apr_array_header_t *found; /* wh_logread_line_t; backward: the newest first */
    apr_size_t bytes;
    apr_int64_t budget;
    apr_int64_t reached;
    apr_int64_t taken; /* the line taken last */
    int full;
    int short_of; /* the budget ended within a segment */
} reader_t;

/* The sources of the block in hand. */
typedef struct sources_t {
    wh_logline_source_t of[WH_LOGLINE_SOURCES];
    signed char wanted[WH_LOGLINE_SOURCES]; /* -1 = not asked */
} sources_t;

static int is_wanted(const reader_t *rd, sources_t *all, int k)
{
    const wh_logline_source_t *s = &all->of[k - 1];

    if (rd->q->wants == NULL)
        return 1;
    if (s->k == 0)
        return 0;
    if (all->wanted[k - 1] < 0)
        all->wanted[k - 1] =
            rd->q->wants(rd->q->baton, apr_pstrmemdup(rd->scratch, s->deployment, s->deployment_n),
                         apr_pstrmemdup(rd->scratch, s->container, s->container_n)) != 0;
    return all->wanted[k - 1];
}

static int is_in_range(const wh_logread_query_t *q, apr_int64_t n)
{
    return q->forward ? n > q->after : q->before == 0 || n < q->before;
}

static int is_of_kind(const wh_logread_query_t *q, unsigned kinds)
{
    return ((q->kinds & STREAMS) == 0 || (q->kinds & kinds & STREAMS) != 0) &&
           ((q->kinds & LEVELS) == 0 || (q->kinds & kinds & LEVELS) != 0);
}

static int matches(const reader_t *rd, sources_t *sources, const wh_logline_t *line,
                   const char *lower)
{
    const wh_logread_query_t *q = rd->q;

    return is_in_range(q, line->n) && (q->from == 0 || line->at >= q->from) &&
           (q->to == 0 || line->at < q->to) &&
           is_of_kind(q, WH_LOGPACK_KIND(line->stream) | WH_LOGPACK_LEVEL(line->level)) &&
           (rd->lower == NULL || memmem(lower, line->len, rd->lower, rd->lower_n) != NULL) &&
           is_wanted(rd, sources, line->k) &&
           (q->wants_line == NULL || q->wants_line(q->baton, line->text, line->len));
}

typedef struct hit_t {
    wh_logline_t line;
    wh_logline_source_t source;
} hit_t;

/* All lines of a block that match. */
static apr_array_header_t *hits_of(reader_t *rd, const char *text, size_t n)
{
    apr_array_header_t *hits = apr_array_make(rd->scratch, 64, sizeof(hit_t));
    char *lower = rd->lower != NULL ? apr_palloc(rd->scratch, n + 1) : NULL;
    const char *next = NULL, *end;
    sources_t sources = {0};

    memset(sources.wanted, -1, sizeof(sources.wanted));
    if (lower != NULL)
        wh_logpack_lower(lower, text, n);
    for (size_t at = 0; at < n && (end = memchr(text + at, '\n', n - at)) != NULL;
         at = (size_t)(end - text) + 1) {
        size_t len = (size_t)(end - text) - at;
        wh_logline_source_t source;
        wh_logline_t line;

        if (len > 0 && text[at] == '@') {
            if (wh_logline_source(text + at, len, &source)) {
                sources.of[source.k - 1] = source;
                sources.wanted[source.k - 1] = -1;
            }
            continue;
        }
        if (lower != NULL) {
            if (next == NULL || next < lower + at)
                next = memmem(lower + at, n - at, rd->lower, rd->lower_n);
            if (next == NULL)
                break;
            if (next >= lower + at + len)
                continue;
        }
        if (wh_logline_parse(text + at, len, &line) &&
            matches(rd, &sources, &line, lower != NULL ? lower + (line.text - text) : NULL))
            APR_ARRAY_PUSH(hits, hit_t) = (hit_t){line, sources.of[line.k - 1]};
    }
    return hits;
}

static void take(reader_t *rd, const hit_t *hit)
{
    const wh_logline_source_t *s = &hit->source;
    int goes_on = rd->q->forward ? hit->line.n > rd->taken : hit->line.n < rd->taken;

    if (rd->taken != 0 && !goes_on)
        return; /* only a damaged file has it */
    if (rd->found->nelts >= rd->q->limit || rd->bytes > rd->q->bytes) {
        rd->full = 1;
        return;
    }
    rd->bytes += hit->line.len + WH_LOGLINE_HEAD;
    rd->reached = rd->taken = hit->line.n;
    APR_ARRAY_PUSH(rd->found, wh_logread_line_t) = (wh_logread_line_t){
        .n = hit->line.n,
        .seq = hit->line.seq,
        .k = hit->line.k,
        .at = hit->line.at,
        .stream = hit->line.stream,
        .level = hit->line.level,
        .text = apr_pstrmemdup(rd->p, hit->line.text, hit->line.len),
        .deployment = s->k != 0 ? apr_pstrmemdup(rd->p, s->deployment, s->deployment_n) : "",
        .container = s->k != 0 ? apr_pstrmemdup(rd->p, s->container, s->container_n) : ""};
}

static void look_through(reader_t *rd, const char *text, size_t n)
{
    const apr_array_header_t *hits;

    rd->budget -= (apr_int64_t)n;
    hits = hits_of(rd, text, n);
    for (int i = 0; i < hits->nelts && !rd->full; i++)
        take(rd, &APR_ARRAY_IDX(hits, rd->q->forward ? i : hits->nelts - 1 - i, hit_t));
}

/* ---- a segment ---- */

static int read_at(int fd, char *to, size_t n, apr_int64_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        to += got;
        n -= (size_t)got;
        at += got;
    }
    return 1;
}

static void read_plain(reader_t *rd, int fd, apr_int64_t size)
{
    char *text;

    if (size <= 0 || size > (apr_int64_t)WH_LOGPACK_MAX)
        return;
    text = apr_palloc(rd->scratch, (apr_size_t)size);
    if (read_at(fd, text, (size_t)size, 0))
        look_through(rd, text, (size_t)size);
}

/* Whether anything in a block can match. */
static int may_match(const reader_t *rd, const wh_logpack_sum_t *sum)
{
    const wh_logread_query_t *q = rd->q;

    return sum->first != 0 &&
           (q->forward ? sum->last > q->after : q->before == 0 || sum->first < q->before) &&
           (q->from == 0 || sum->at_last >= q->from) && (q->to == 0 || sum->at_first < q->to) &&
           is_of_kind(q, sum->kinds) &&
           (rd->lower == NULL || wh_logpack_may_have(sum, rd->lower, rd->lower_n));
}

static void read_block(reader_t *rd, int fd, const wh_logpack_block_t *block)
{
    char *packed, *text;

    if (!may_match(rd, &block->sum))
        return;
    packed = apr_palloc(rd->scratch, block->packed + 1);
    text = apr_palloc(rd->scratch, block->n + 1);
    if (read_at(fd, packed, block->packed, (apr_int64_t)block->at) &&
        wh_logpack_open(block, packed, text))
        look_through(rd, text, block->n);
}

static void read_packed(reader_t *rd, int fd, apr_int64_t size)
{
    wh_logpack_block_t *blocks;
    char tail[8], *index;
    apr_pool_t *whole = rd->scratch;
    size_t len;
    int n = 0;

    if (size < 8 || !read_at(fd, tail, sizeof(tail), size - 8) ||
        (len = wh_logpack_index_len(tail)) == 0 || (apr_int64_t)len > size)
        return;
    index = apr_palloc(whole, len);
    if (!read_at(fd, index, len, size - (apr_int64_t)len) ||
        (blocks = wh_logpack_index(whole, index, len, &n)) == NULL)
        return;
    apr_pool_create(&rd->scratch, whole);
    for (int i = 0; i < n && !rd->full; i++) {
        const wh_logpack_block_t *b = &blocks[rd->q->forward ? i : n - 1 - i];

        if (rd->budget <= 0) {
            rd->short_of = 1;
            break;
        }
        read_block(rd, fd, b);
        if (!rd->full && b->sum.first != 0)
            rd->reached = rd->q->forward ? b->sum.last : b->sum.first;
        apr_pool_clear(rd->scratch);
    }
    apr_pool_destroy(rd->scratch);
    rd->scratch = whole;
}

static void read_segment(reader_t *rd, const wh_logread_file_t *file)
{
    wh_logread_file_t now = *file;
    int fd =
        open(wh_logread_path(rd->scratch, rd->q->dir, &now), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 && !now.packed) { /* it was packed meanwhile */
        now.packed = 1;
        fd =
            open(wh_logread_path(rd->scratch, rd->q->dir, &now), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && now.packed)
        read_packed(rd, fd, (apr_int64_t)st.st_size);
    else if (st.st_size > 0)
        read_plain(rd, fd, (apr_int64_t)st.st_size);
    close(fd);
}

/* ---- the log ---- */

/* Whether the segment of files[i] can hold lines that are asked for. */
static int concerns(const wh_logread_query_t *q, const apr_array_header_t *files, int i)
{
    const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i, wh_logread_file_t);

    if (!q->forward)
        return q->before == 0 || file->first < q->before;
    return i + 1 == files->nelts ||
           APR_ARRAY_IDX(files, i + 1, wh_logread_file_t).first > q->after + 1;
}

/* How far was looked when the segment of files[i] was looked through. */
static apr_int64_t edge_of(const wh_logread_query_t *q, const apr_array_header_t *files, int i,
                           apr_int64_t otherwise)
{
    if (!q->forward)
        return APR_ARRAY_IDX(files, i, wh_logread_file_t).first;
    return i + 1 < files->nelts ? APR_ARRAY_IDX(files, i + 1, wh_logread_file_t).first - 1
                                : otherwise;
}

static void reverse(apr_array_header_t *lines)
{
    wh_logread_line_t *all = (wh_logread_line_t *)(void *)lines->elts;

    for (int i = 0, j = lines->nelts - 1; i < j; i++, j--) {
        wh_logread_line_t kept = all[i];

        all[i] = all[j];
        all[j] = kept;
    }
}

apr_status_t wh_logread(apr_pool_t *p, const wh_logread_query_t *q, wh_logread_result_t *result,
                        wh_err_t *err)
{
    reader_t rd = {.p = p, .q = q, .budget = q->budget};
    apr_array_header_t *files;
    apr_pool_t *sub;
    apr_status_t rv = wh_logread_list(p, q->dir, &files, err);
    int i = 0;

    result->lines = rd.found = apr_array_make(p, 64, sizeof(wh_logread_line_t));
    result->reached = 0;
    if (rv != APR_SUCCESS)
        return rv;
    if (q->text != NULL && q->text[0] != '\0') {
        char *lower = apr_pstrdup(p, q->text);

        rd.lower_n = strlen(lower);
        wh_logpack_lower(lower, lower, rd.lower_n);
        rd.lower = lower;
    }
    apr_pool_create(&sub, p);
    for (; i < files->nelts && !rd.full && rd.budget > 0; i++) {
        int at = q->forward ? i : files->nelts - 1 - i;

        rd.scratch = sub;
        if (concerns(q, files, at)) {
            read_segment(&rd, &APR_ARRAY_IDX(files, at, wh_logread_file_t));
            if (!rd.full && !rd.short_of)
                rd.reached = edge_of(q, files, at, rd.reached);
        }
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    if (rd.full || rd.short_of || i < files->nelts)
        result->reached = rd.reached;
    if (!q->forward)
        reverse(rd.found);
    return APR_SUCCESS;
}
