/* A container's log as engines stream it: lines, numbers, and reading on. */
#include "t/unit/unit.h"

#include <stdio.h>
#include "wh-agent/tail.h"

typedef struct got_t {
    apr_pool_t *p;
    char *all;
} got_t;

static void take(void *baton, const wh_tail_line_t *line)
{
    got_t *got = baton;

    got->all = apr_psprintf(got->p, "%s%" APR_INT64_T_FMT " %" APR_TIME_T_FMT " %d %.*s|", got->all,
                            line->seq, line->at % (1000 * APR_USEC_PER_SEC), (int)line->stream,
                            (int)line->n, line->text);
}

typedef struct bytes_t {
    char data[65536];
    size_t n;
} bytes_t;

static void frame(bytes_t *b, int stream, const char *stamp, const char *text)
{
    size_t n = strlen(stamp) + 1 + strlen(text);
    unsigned char head[8] = {(unsigned char)stream, 0, 0, 0, 0, 0, (unsigned char)(n >> 8),
                             (unsigned char)n};

    memcpy(b->data + b->n, head, 8);
    b->n += 8;
    b->n += (size_t)sprintf(b->data + b->n, "%s %s", stamp, text);
}

/* 1000000000 s = 2001-09-09T01:46:40Z */
static bytes_t sample(void)
{
    bytes_t b = {.n = 0};

    frame(&b, 1, "2001-09-09T01:46:40Z", "one\n");
    frame(&b, 2, "2001-09-09T01:46:40Z", "two\n");
    frame(&b, 1, "2001-09-09T01:46:41Z", "half");
    frame(&b, 2, "2001-09-09T01:46:41Z", "between\n");
    frame(&b, 1, "2001-09-09T01:46:42Z", " whole\n");
    frame(&b, 1, "2001-09-09T01:46:42Z", "10%\r20%\r\n\n");
    frame(&b, 1, "2001-09-09T01:46:42Z", "end");
    return b;
}

static wh_tail_pos_t read_on(got_t *got, const bytes_t *b, size_t piece, wh_tail_pos_t from)
{
    wh_tail_t tail;

    wh_tail_begin(&tail, &from, take, got);
    for (size_t at = 0; at < b->n; at += piece)
        assert_int_equal(wh_tail_feed(&tail, b->data + at, b->n - at < piece ? b->n - at : piece),
                         0);
    wh_tail_end(&tail);
    return tail.pos;
}

static void test_lines(void **state)
{
    bytes_t b = sample();
    got_t got;

    for (size_t piece = 1; piece < 64; piece += 5) {
        got = (got_t){*state, apr_pstrdup(*state, "")};
        (void)read_on(&got, &b, piece, (wh_tail_pos_t){0});
        assert_string_equal(got.all,
                            "1 0 0 one|2 0 1 two|3 1000000 1 between|4 2000000 0 half whole|"
                            "5 2000000 0 10%|6 2000000 0 20%|7 2000000 0 |8 2000000 0 end|");
    }
}

/* From any line on, by the second it was printed in: the rest, each once, under the same numbers.
 */
static void test_resume(void **state)
{
    bytes_t b = sample(), part;
    got_t first = {*state, apr_pstrdup(*state, "")}, again;
    size_t at[8], n = 0;

    for (size_t i = 0; i < b.n; n++) {
        at[n] = i;
        i += 8 + ((size_t)(unsigned char)b.data[i + 6] << 8 | (unsigned char)b.data[i + 7]);
    }
    (void)read_on(&first, &b, 7, (wh_tail_pos_t){0});
    for (size_t i = 1; i < n; i++) {
        wh_tail_pos_t pos;
        size_t from = 0;

        again = (got_t){*state, apr_pstrdup(*state, "")};
        part = b;
        part.n = at[i];
        if (i == 3 || i == 4)
            continue; /* in the middle of a line */
        pos = read_on(&again, &part, 9, (wh_tail_pos_t){0});
        /* what the engine gives "since" that second */
        while (apr_time_sec(APR_USEC_PER_SEC * 1000000000) +
                   (apr_int64_t)(b.data[at[from] + 26] - '0') <
               pos.sec)
            from++;
        memcpy(part.data, b.data + at[from], b.n - at[from]);
        part.n = b.n - at[from];
        (void)read_on(&again, &part, 11, pos);
        assert_string_equal(again.all, first.all);
    }
}

/* The engine's file was begun anew while nobody read. */
static void test_begun_anew(void **state)
{
    const wh_tail_pos_t from = {.sec = 999999999, .same = 2, .seq = 7};
    bytes_t b = sample();
    got_t got = {*state, apr_pstrdup(*state, "")};
    wh_tail_pos_t end = read_on(&got, &b, 9, from);

    assert_non_null(strstr(got.all, "1 0 2 lines may be missing here: the engine began its file of "
                                    "this log anew|2 0 0 one|3 0 1 two|"));
    assert_int_equal(end.seq, 9);
    assert_int_equal(end.same, 5); /* as the engine counts them */
}

static void test_long(void **state)
{
    static char text[30000];
    wh_tail_t tail;
    wh_tail_pos_t from = {0};
    bytes_t b = {.n = 0};
    got_t got = {*state, apr_pstrdup(*state, "")};

    memset(text, 'x', sizeof(text) - 1);
    frame(&b, 1, "2001-09-09T01:46:40.123456789Z", text);
    wh_tail_begin(&tail, &from, take, &got);
    assert_int_equal(wh_tail_feed(&tail, b.data, b.n), 0);
    assert_int_equal(tail.pos.seq, 3); /* 8 KiB each */
    assert_int_equal(tail.coarse, 0);
    wh_tail_end(&tail);
    assert_int_equal(tail.pos.seq, 4);
}

static void test_hostile(void **state)
{
    static const char *const bad[] = {"no time here at all that anybody could read as one, surely",
                                      "yesterday text\n", "2001-13-09T01:46:40Z text\n"};

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_tail_t tail;
        wh_tail_pos_t from = {0};
        got_t got = {*state, apr_pstrdup(*state, "")};
        char head[8] = {1, 0, 0, 0, 0, 0, 0, (char)strlen(bad[i])};

        wh_tail_begin(&tail, &from, take, &got);
        (void)wh_tail_feed(&tail, head, 8);
        assert_int_equal(wh_tail_feed(&tail, bad[i], strlen(bad[i])), -1);
        assert_int_equal(wh_tail_feed(&tail, head, 8), -1);
        wh_tail_end(&tail);
        assert_string_equal(got.all, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("frames in pieces of any size become lines; CR, both streams, no end", test_lines),
        UNIT("read again from the second of any line: nothing twice, nothing lost", test_resume),
        UNIT("a file that was begun anew meanwhile: it is said", test_begun_anew),
        UNIT("F7 a line without end is cut at 8 KiB", test_long),
        UNIT("what is no log breaks it off", test_hostile),
    };

    return UNIT_RUN(tests);
}
