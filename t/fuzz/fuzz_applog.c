/* The files of an app's log, whatever is in them. The first byte says what the rest is: 'p' a
 * packed segment, 's' one that is not packed, 't' a text that is packed and read back. Reading goes
 * page by page in both ways, and comes to an end: numbers rise, or fall, from page to page, and no
 * more is unpacked than a segment can have. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_logpack.h"
#include "libwh/wh_logread.h"
#include "t/fuzz/fuzz.h"

#define PAGE 7
#define PAGES_MAX 200000

static char dir[64];

static void drop(void)
{
    static const char *const names[] = {"0000000000000001.seg", "0000000000000001.seg.zst"};
    char path[128];

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
}

static void end(void)
{
    drop();
    (void)rmdir(dir);
}

static void put_file(const void *data, size_t n, int packed)
{
    wh_logread_file_t file = {.first = 1, .packed = packed};
    apr_pool_t *p;
    int fd;

    if (dir[0] == '\0') {
        const char *tmp = getenv("TMPDIR");

        snprintf(dir, sizeof(dir), "%.40s/wh-fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
        fuzz_must(mkdtemp(dir) != NULL && atexit(end) == 0);
    }
    drop();
    apr_pool_create(&p, NULL);
    fd = open(wh_logread_path(p, dir, &file), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_must(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    close(fd);
    apr_pool_destroy(p);
}

/* All pages; returns how many lines. */
static int read_all(apr_pool_t *p, wh_logread_query_t q)
{
    apr_pool_t *own;
    int lines = 0, pages = 0;
    apr_int64_t reached;

    apr_pool_create(&own, p);
    do {
        wh_logread_result_t result;
        wh_err_t err = WH_ERR_INIT;
        apr_int64_t edge = q.forward ? q.after : q.before, last = 0;

        apr_pool_clear(own);
        fuzz_must(wh_logread(own, &q, &result, &err) == APR_SUCCESS);
        fuzz_must(result.lines->nelts <= q.limit);
        for (int i = 0; i < result.lines->nelts; i++) {
            const wh_logread_line_t *l = &APR_ARRAY_IDX(result.lines, i, wh_logread_line_t);

            fuzz_must(l->n > last && (q.forward ? l->n > edge : edge == 0 || l->n < edge));
            fuzz_must(strchr(l->text, '\n') == NULL);
            last = l->n;
        }
        lines += result.lines->nelts;
        reached = result.reached;
        fuzz_must(reached == 0 || (q.forward ? reached > edge : edge == 0 || reached < edge));
        if (q.forward)
            q.after = reached;
        else
            q.before = reached;
        fuzz_must(++pages < PAGES_MAX);
    } while (reached != 0);
    apr_pool_destroy(own);
    return lines;
}

static void read_ways(apr_pool_t *p)
{
    wh_logread_query_t q = {
        .dir = dir, .limit = PAGE, .bytes = 4096, .budget = 16 * (apr_int64_t)WH_MIB};

    (void)read_all(p, q);
    q.forward = 1;
    (void)read_all(p, q);
    q.text = "Er";
    q.kinds = WH_LOGPACK_KIND(WH_STREAM_ERR);
    q.budget = 1; /* as small as can be: still it goes on */
    (void)read_all(p, q);
}

static void lines_of(const char *text, size_t n)
{
    const char *nl;

    for (; n > 0 && (nl = memchr(text, '\n', n)) != NULL;
         n -= (size_t)(nl - text) + 1, text = nl + 1) {
        size_t len = (size_t)(nl - text);
        wh_logline_t line;
        wh_logline_source_t source;
        char head[WH_LOGLINE_HEAD];

        if (wh_logline_parse(text, len, &line)) {
            fuzz_must(line.text >= text && line.text + line.len == nl);
            fuzz_must(wh_logline_head(head, &line) < WH_LOGLINE_HEAD);
        } else if (wh_logline_source(text, len, &source)) {
            fuzz_must(source.container + source.container_n == nl);
        }
    }
}

static void pack_and_read(apr_pool_t *p, const char *text, size_t n)
{
    size_t len = 0, sum = 0;
    int blocks = 0;
    char *packed = wh_logpack_make(p, text, n, &len);
    size_t index = packed != NULL && len > 8 ? wh_logpack_index_len(packed + len - 8) : 0;
    wh_logpack_block_t *all;

    if (packed == NULL)
        return;
    fuzz_must(index > 0 && index <= len);
    all = wh_logpack_index(p, packed + len - index, index, &blocks);
    for (int i = 0; all != NULL && i < blocks; i++) {
        char *out = apr_palloc(p, all[i].n + 1);

        fuzz_must(all[i].at + all[i].packed <= len - index);
        fuzz_must(wh_logpack_open(&all[i], packed + all[i].at, out));
        sum += all[i].n;
    }
    fuzz_must(all == NULL || sum >= n);
    put_file(packed, len, 1);
    read_ways(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    const char *text = (const char *)data + 1;

    if (n < 2)
        return 0;
    if (data[0] == 'p' || data[0] == 's') {
        put_file(text, n - 1, data[0] == 'p');
        read_ways(p);
    } else if (data[0] == 't') {
        lines_of(text, n - 1);
        pack_and_read(p, text, n - 1);
    }
    return 0;
}
