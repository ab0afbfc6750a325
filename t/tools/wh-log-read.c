/* wh-log-read DIR: the lines of an app's log, "<n> <time> <stream> - <text>".
 * wh-log-read DIR LINES: a log of that many lines in DIR, packed as the scheduler packs it, then
 * how long it takes to search and to show its end: "VALUE <what> <ms> ms". Run by
 * t/integration/661-log-search.t. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "libwh/wh_logpack.h"
#include "libwh/wh_logread.h"

#define SEGMENT 1048576
#define DEPLOYMENT "01hz0000000000000000000dp1"

static const char *dir;
static char text[SEGMENT + 1024];

static void fail(const char *what)
{
    fprintf(stderr, "wh-log-read: %s\n", what);
    exit(1);
}

static long store(apr_pool_t *p, apr_int64_t first, size_t n, int packed)
{
    wh_logread_file_t file = {.first = first, .packed = packed};
    const char *from = text;
    int fd = open(wh_logread_path(p, dir, &file), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (packed)
        from = wh_logpack_make(p, text, n, &n);
    if (fd < 0 || from == NULL || write(fd, from, n) != (ssize_t)n)
        fail("cannot write");
    close(fd);
    return (long)n;
}

/* Lines as a web application prints them: no two alike. */
static size_t line(char *to, int i)
{
    static const char *const level[] = {"INFO", "INFO", "INFO", "DEBUG", "WARN"};
    static const char *const path[] = {"/api/orders", "/api/users", "/static/app.js", "/health",
                                       "/"};
    unsigned x = (unsigned)i * 2654435761U;

    if (i == 1000)
        return (size_t)sprintf(to, "%d %lld out.error 1:%d ERROR the needle is here\n", i,
                               1700000000000000LL + i * 1000LL, i);
    return (size_t)sprintf(
        to, "%d %lld out.info 1:%d %s request id=%08x%08x GET %s/%u status=%d took=%ums\n", i,
        1700000000000000LL + i * 1000LL, i, level[x % 5], x, x * 40503U, path[x / 7 % 5],
        x % 100000, x % 50 ? 200 : 500, x / 11 % 900);
}

static void make(apr_pool_t *pool, int lines)
{
    size_t n = 0;
    long bytes = 0, raw = 0;
    apr_int64_t first = 1;
    apr_pool_t *p;

    apr_pool_create(&p, pool);
    for (int i = 1; i <= lines; i++) {
        if (n == 0)
            n = (size_t)sprintf(text, "@1 0 " DEPLOYMENT " c1\n");
        n += line(text + n, i);
        if (n > SEGMENT - 512 || i == lines) {
            raw += (long)n;
            bytes += store(p, first, n, i != lines);
            apr_pool_clear(p);
            n = 0;
            first = i + 1;
        }
    }
    printf("VALUE text %.1f MiB\nVALUE stored %.1f MiB\n", (double)raw / 1048576,
           (double)bytes / 1048576);
}

static void ask(apr_pool_t *pool, const char *what, wh_logread_query_t q, int expected)
{
    apr_time_t best = 0;

    q.dir = dir;
    q.bytes = 1048576;
    q.budget = 1024 * (apr_int64_t)1048576;
    for (int i = 0; i < 5; i++) {
        wh_logread_result_t result;
        wh_err_t err = WH_ERR_INIT;
        apr_time_t begin = apr_time_now(), took;
        apr_pool_t *p;

        apr_pool_create(&p, pool);
        if (wh_logread(p, &q, &result, &err) != APR_SUCCESS)
            fail(err.text);
        took = apr_time_now() - begin;
        best = best == 0 || took < best ? took : best;
        if (result.lines->nelts != expected)
            fail(apr_psprintf(p, "%s: %d lines", what, result.lines->nelts));
        apr_pool_destroy(p);
    }
    printf("VALUE %s %.1f ms\n", what, (double)best / 1000);
}

static void print(apr_pool_t *pool)
{
    wh_logread_query_t q = {
        .dir = dir, .forward = 1, .limit = 1000, .bytes = 16777216, .budget = 1LL << 40};
    wh_logread_result_t result;
    wh_err_t err = WH_ERR_INIT;

    do {
        apr_pool_t *p;

        apr_pool_create(&p, pool);
        if (wh_logread(p, &q, &result, &err) != APR_SUCCESS)
            fail(err.text);
        for (int i = 0; i < result.lines->nelts; i++) {
            const wh_logread_line_t *l = &APR_ARRAY_IDX(result.lines, i, wh_logread_line_t);

            printf("%" APR_INT64_T_FMT " %" APR_TIME_T_FMT " %s - %s\n", l->n, l->at,
                   wh_model_stream_text(l->stream), l->text);
        }
        q.after = result.reached;
        apr_pool_destroy(p);
    } while (result.reached != 0);
}

int main(int argc, char **argv)
{
    apr_pool_t *p;

    if (argc < 2 || argc > 3 || apr_initialize() != APR_SUCCESS ||
        apr_pool_create(&p, NULL) != APR_SUCCESS)
        fail("usage: wh-log-read DIR [LINES]");
    dir = argv[1];
    if (argc == 2) {
        print(p);
        return 0;
    }
    make(p, atoi(argv[2]));
    ask(p, "search_oldest", (wh_logread_query_t){.text = "the NEEDLE is", .limit = 100}, 1);
    ask(p, "search_short", (wh_logread_query_t){.text = "~~", .limit = 100}, 0);
    ask(p, "search_level",
        (wh_logread_query_t){.kinds = WH_LOGPACK_LEVEL(WH_LEVEL_ERROR), .limit = 100}, 1);
    ask(p, "tail_100", (wh_logread_query_t){.limit = 100}, 100);
    ask(p, "middle_100", (wh_logread_query_t){.limit = 100, .forward = 1, .after = 1500}, 100);
    apr_pool_destroy(p);
    apr_terminate();
    return 0;
}
