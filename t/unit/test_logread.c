/* Apps' logs: levels, packed segments, reading with filters. */
#include "t/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libwh/wh_logpack.h"
#include "libwh/wh_logread.h"

#define DEP "01j0000000000000000000000d"
#define DEP2 "01j0000000000000000000000e"

static void test_level(void **state)
{
    static const struct {
        const char *text;
        wh_level_e level;
    } table[] = {
        {"", WH_LEVEL_NONE},
        {"GET / 200 1ms", WH_LEVEL_NONE},
        {"{\"level\":\"error\",\"msg\":\"x\"}", WH_LEVEL_ERROR},
        {"{\"time\":1,\"level\": 30,\"msg\":\"x\"}", WH_LEVEL_INFO},
        {"{\"level\":60}", WH_LEVEL_FATAL},
        {"{\"level\":600}", WH_LEVEL_NONE},
        {"{\"severity\":\"WARNING\"}", WH_LEVEL_WARN},
        {"ts=1 lvl=dbg msg=x", WH_LEVEL_DEBUG},
        {"time=\"now\" level=warn msg=x", WH_LEVEL_WARN},
        {"sealevel=error", WH_LEVEL_NONE},
        {"<3>disk gone", WH_LEVEL_ERROR},
        {"<165>notice", WH_LEVEL_INFO},
        {"<p>error</p>", WH_LEVEL_NONE},
        {"E0102 15:04:05.000000 1 main.go:1] x", WH_LEVEL_ERROR},
        {"2026-01-01 00:00:00 ERROR app: x", WH_LEVEL_ERROR},
        {"[warn] slow", WH_LEVEL_WARN},
        {"error: no such file", WH_LEVEL_ERROR},
        {"panic: runtime error", WH_LEVEL_FATAL},
        {"there was no error here", WH_LEVEL_NONE},
        {"INFO:     Started server process [1]", WH_LEVEL_INFO},
        {"GET /ERROR.html 200", WH_LEVEL_NONE},
        {"DEBUG=1 npm start", WH_LEVEL_NONE},
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(table); i++)
        if (wh_level_of(table[i].text, strlen(table[i].text)) != table[i].level)
            fail_msg("%s: %s", table[i].text,
                     wh_level_text(wh_level_of(table[i].text, strlen(table[i].text))));
    assert_int_equal(wh_level_named("warn", 4), WH_LEVEL_WARN);
    assert_int_equal(wh_level_named("warning", 7), WH_LEVEL_NONE);
    assert_int_equal(wh_level_named("", 0), WH_LEVEL_NONE);
}

static void test_line(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1 2 out 1:1",
                                      "x 2 out 1:1 t",
                                      "1 2 oops 1:1 t",
                                      "1 2 outx 1:1 t",
                                      "1 2 out 0:1 t",
                                      "1 2 out 33:1 t",
                                      "1 2 out 1 t",
                                      "99999999999999999999 2 out 1:1 t",
                                      "@1 2 out 1:1 t"};
    wh_logline_source_t s;
    wh_logline_t l;
    char head[WH_LOGLINE_HEAD];

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_false(wh_logline_parse(bad[i], strlen(bad[i]), &l));
    assert_true(wh_logline_parse("7 8 err.fatal 32:9 a b", 22, &l));
    assert_int_equal(l.n, 7);
    assert_int_equal(l.at, 8);
    assert_int_equal(l.stream, WH_STREAM_ERR);
    assert_int_equal(l.level, WH_LEVEL_FATAL);
    assert_int_equal(l.k, 32);
    assert_int_equal(l.seq, 9);
    assert_memory_equal(l.text, "a b", l.len);
    assert_int_equal(wh_logline_head(head, &l), 19);
    assert_string_equal(head, "7 8 err.fatal 32:9 ");
    assert_true(wh_logline_parse("7 8 sys 1:9 ", 12, &l));
    assert_int_equal(l.len, 0);
    assert_true(wh_logline_source("@2 5 dep con tainer", 19, &s));
    assert_int_equal(s.k, 2);
    assert_int_equal(s.deployment_n, 3);
    assert_memory_equal(s.container, "con tainer", s.container_n);
    assert_false(wh_logline_source("@2 5 dep", 8, &s));
}

/* ---- a log in files: lines 1…n, one segment for each `each` of them ---- */

typedef struct log_t {
    apr_pool_t *p;
    const char *dir;
} log_t;

static void put_file(const log_t *log, apr_int64_t first, int packed, const char *text, size_t n)
{
    wh_logread_file_t file = {.first = first, .packed = packed};
    int fd = open(wh_logread_path(log->p, log->dir, &file), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
}

static log_t make_log(apr_pool_t *p, int lines, int each)
{
    log_t log = {p, mkdtemp(apr_pstrdup(p, "/tmp/wh-logread-XXXXXX"))};
    char *text = apr_palloc(p, (size_t)each * 160 + 200);
    static const char *const streams[] = {"out", "err.error", "out.info", "sys"};

    for (int first = 1; first <= lines; first += each) {
        size_t n = (size_t)sprintf(text, "@1 0 " DEP " one\n@2 0 " DEP2 " two\n"), len = 0;
        int last = first + each <= lines ? first + each - 1 : lines;
        char *packed;

        for (int i = first; i <= last; i++)
            n += (size_t)sprintf(text + n, "%d %d000000 %s %d:%d line %d says %s\n", i, i,
                                 streams[i % 4], 1 + i % 2, i, i, i == 7 ? "Needle <b>" : "hay");
        if (last == lines) {
            put_file(&log, first, 0, text, n);
            continue;
        }
        packed = wh_logpack_make(p, text, n, &len);
        assert_non_null(packed);
        put_file(&log, first, 1, packed, len);
    }
    return log;
}

static void remove_log(const log_t *log)
{
    apr_array_header_t *files;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_logread_list(log->p, log->dir, &files, &err), &err);
    for (int i = 0; i < files->nelts; i++)
        unlink(wh_logread_path(log->p, log->dir, &APR_ARRAY_IDX(files, i, wh_logread_file_t)));
    assert_int_equal(rmdir(log->dir), 0);
}

/* "first..last (how many) @reached" */
static const char *ask(const log_t *log, wh_logread_query_t q)
{
    wh_logread_result_t result;
    wh_err_t err = WH_ERR_INIT;
    int n;

    q.dir = log->dir;
    q.limit = q.limit != 0 ? q.limit : 5;
    q.bytes = q.bytes != 0 ? q.bytes : WH_MIB;
    q.budget = q.budget != 0 ? q.budget : 1024 * (apr_int64_t)WH_MIB;
    assert_ok(wh_logread(log->p, &q, &result, &err), &err);
    n = result.lines->nelts;
    for (int i = 1; i < n; i++)
        assert_true(APR_ARRAY_IDX(result.lines, i - 1, wh_logread_line_t).n <
                    APR_ARRAY_IDX(result.lines, i, wh_logread_line_t).n);
    return apr_psprintf(
        log->p, "%" APR_INT64_T_FMT "..%" APR_INT64_T_FMT " (%d) @%" APR_INT64_T_FMT,
        n > 0 ? APR_ARRAY_IDX(result.lines, 0, wh_logread_line_t).n : 0,
        n > 0 ? APR_ARRAY_IDX(result.lines, n - 1, wh_logread_line_t).n : 0, n, result.reached);
}

static int only_two(void *baton, const char *deployment, const char *container)
{
    (void)baton;
    return strcmp(deployment, DEP2) == 0 && strcmp(container, "two") == 0;
}

static void test_read(void **state)
{
    log_t log = make_log(*state, 20000, 6000);
    wh_logread_result_t result;
    wh_err_t err = WH_ERR_INIT;
    wh_logread_query_t q = {.dir = log.dir, .limit = 1, .bytes = 1000, .budget = 1, .forward = 1};

    assert_string_equal(ask(&log, (wh_logread_query_t){0}), "19996..20000 (5) @19996");
    assert_string_equal(ask(&log, (wh_logread_query_t){.before = 12003}),
                        "11998..12002 (5) @11998");
    assert_string_equal(ask(&log, (wh_logread_query_t){.before = 4}), "1..3 (3) @0");
    assert_string_equal(ask(&log, (wh_logread_query_t){.forward = 1}), "1..5 (5) @5");
    assert_string_equal(ask(&log, (wh_logread_query_t){.forward = 1, .after = 5999}),
                        "6000..6004 (5) @6004");
    assert_string_equal(ask(&log, (wh_logread_query_t){.forward = 1, .after = 19998}),
                        "19999..20000 (2) @0");
    assert_string_equal(ask(&log, (wh_logread_query_t){.forward = 1, .after = 20000}),
                        "0..0 (0) @0");
    /* text, in any case of letters; only in the oldest segment */
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "nEEdle <B"}), "7..7 (1) @0");
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "ne"}), "19996..20000 (5) @19996");
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "7:7"}), "0..0 (0) @0");
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "line 7 says"}), "7..7 (1) @0");
    /* kinds, times, sources */
    assert_string_equal(
        ask(&log, (wh_logread_query_t){.kinds = WH_LOGPACK_KIND(WH_STREAM_SYS), .limit = 2}),
        "19995..19999 (2) @19995");
    assert_string_equal(ask(&log, (wh_logread_query_t){.kinds = WH_LOGPACK_LEVEL(WH_LEVEL_ERROR) |
                                                                WH_LOGPACK_LEVEL(WH_LEVEL_FATAL),
                                                       .forward = 1}),
                        "1..17 (5) @17");
    assert_string_equal(
        ask(&log, (wh_logread_query_t){.from = APR_INT64_C(8000000000), .forward = 1}),
        "8000..8004 (5) @8004");
    assert_string_equal(ask(&log, (wh_logread_query_t){.to = APR_INT64_C(8000000000)}),
                        "7995..7999 (5) @7995");
    assert_string_equal(ask(&log, (wh_logread_query_t){.wants = only_two}),
                        "19991..19999 (5) @19991");
    /* bounds */
    assert_string_equal(ask(&log, (wh_logread_query_t){.bytes = 300}), "19998..20000 (3) @19998");
    assert_ok(wh_logread(log.p, &q, &result, &err), &err);
    assert_int_equal(result.lines->nelts, 1);
    q.text = "nowhere";
    assert_ok(wh_logread(log.p, &q, &result, &err), &err);
    assert_int_equal(result.lines->nelts, 0);
    remove_log(&log);
    assert_string_equal(ask(&log, (wh_logread_query_t){0}), "0..0 (0) @0");
}

/* Segments that nobody has packed yet, and less to be looked through than there is: whoever goes on
 * where it ended misses nothing, in both ways. */
static void test_budget(void **state)
{
    apr_pool_t *p = *state;
    log_t log = {p, mkdtemp(apr_pstrdup(p, "/tmp/wh-logread-XXXXXX"))};
    static const char one[] = "@1 0 " DEP " c\n1 5 out 1:1 a\n2 6 out 1:2 b\n";
    static const char two[] = "@1 0 " DEP " c\n3 5 out 1:3 a\n4 6 out 1:4 b\n";
    static const char three[] = "@1 0 " DEP " c\n5 5 out 1:5 a\n6 6 out 1:6 b\n";
    char *text = apr_palloc(p, WH_MIB), *packed;
    size_t n = 0, len;

    put_file(&log, 1, 0, one, sizeof(one) - 1);
    put_file(&log, 3, 0, two, sizeof(two) - 1);
    put_file(&log, 5, 0, three, sizeof(three) - 1);
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "zz", .forward = 1, .budget = 1}),
                        "0..0 (0) @2");
    assert_string_equal(
        ask(&log, (wh_logread_query_t){.text = "zz", .forward = 1, .after = 2, .budget = 1}),
        "0..0 (0) @4");
    assert_string_equal(
        ask(&log, (wh_logread_query_t){.text = "zz", .forward = 1, .after = 4, .budget = 1}),
        "0..0 (0) @0");
    remove_log(&log);
    log.dir = mkdtemp(apr_pstrdup(p, "/tmp/wh-logread-XXXXXX"));
    for (int i = 1; i <= 20000; i++)
        n += (size_t)sprintf(text + n, "%d %d out 1:%d some words %d\n", i, i, i, i % 10);
    packed = wh_logpack_make(p, text, n, &len);
    put_file(&log, 1, 1, packed, len);
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "ds", .before = 3}), "1..2 (2) @0");
    assert_string_equal(ask(&log, (wh_logread_query_t){.text = "xy", .budget = 1}),
                        "0..0 (0) @15072");
    remove_log(&log);
}

/* Numbers that do not rise are damage on the disk: each is answered once. */
static void test_numbers_back(void **state)
{
    apr_pool_t *p = *state;
    log_t log = {p, mkdtemp(apr_pstrdup(p, "/tmp/wh-logread-XXXXXX"))};
    static const char text[] = "@1 0 " DEP " c\n0 1 out 1:1 a\n7 2 out 1:2 b\n7 3 out 1:3 c\n"
                               "6 4 out 1:4 d\n9 5 out 1:5 e\n";

    put_file(&log, 1, 0, text, sizeof(text) - 1);
    assert_string_equal(ask(&log, (wh_logread_query_t){0}), "6..9 (2) @0");
    assert_string_equal(ask(&log, (wh_logread_query_t){.forward = 1}), "7..9 (2) @0");
    remove_log(&log);
}

/* A last line without its end is not there yet. */
static void test_torn(void **state)
{
    apr_pool_t *p = *state;
    log_t log = {p, mkdtemp(apr_pstrdup(p, "/tmp/wh-logread-XXXXXX"))};
    static const char text[] =
        "@1 0 " DEP " c\n1 5 out 1:1 a\nrubbish\n2 6 out 1:2 b\n3 7 out 1:3 c";

    put_file(&log, 1, 0, text, sizeof(text) - 1);
    assert_string_equal(ask(&log, (wh_logread_query_t){0}), "1..2 (2) @0");
    remove_log(&log);
}

/* Whatever the bytes, nothing is read that is not there. */
static void test_damaged(void **state)
{
    apr_pool_t *p = *state;
    log_t log = {p, mkdtemp(apr_pstrdup(p, "/tmp/wh-logread-XXXXXX"))};
    char *text = apr_palloc(p, WH_MIB), *packed, *bad;
    size_t n = 0, len;

    for (int i = 1; i <= 9000; i++)
        n += (size_t)sprintf(text + n, "%d %d out 1:%d some words %d\n", i, i, i, i * 7919 % 9000);
    packed = wh_logpack_make(p, text, n, &len);
    for (int round = 0; round < 300; round++) {
        size_t cut = round < 100 ? len * (size_t)round / 100 : len;

        bad = apr_pmemdup(p, packed, len);
        for (int i = 0; i < round % 7; i++)
            bad[(size_t)(round * 7919 + i * 104729) % len] ^= (char)(1 << (round % 8));
        if (round > 200) /* the end is where the index is found */
            bad[len - 1 - (size_t)(round % 12)] ^= 0x55;
        put_file(&log, 1, 1, bad, cut);
        (void)ask(&log, (wh_logread_query_t){.text = "words", .limit = 100});
        (void)ask(&log, (wh_logread_query_t){.forward = 1});
    }
    put_file(&log, 1, 1, packed, len);
    assert_string_equal(ask(&log, (wh_logread_query_t){0}), "8996..9000 (5) @8996");
    remove_log(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the level of a line, as far as it says it", test_level),
        UNIT("lines as they stand in a segment, and what is none", test_line),
        UNIT("a log of many segments: pages, text, kinds, times, sources, bounds", test_read),
        UNIT("less to be looked through than there is", test_budget),
        UNIT("numbers that do not rise", test_numbers_back),
        UNIT("what is being written", test_torn),
        UNIT("damaged files", test_damaged),
    };

    return UNIT_RUN(tests);
}
