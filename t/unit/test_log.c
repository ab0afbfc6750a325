#include "t/unit/unit.h"
#include <errno.h>
#include <unistd.h>
#include "libwh/wh_log.h"

typedef struct seen_t {
    int count, level;
    char tag[16], line[WH_LOG_MAX + 1];
} seen_t;

static void sink(void *baton, int level, const char *tag, const char *line)
{
    seen_t *seen = baton;

    seen->count++;
    seen->level = level;
    apr_cpystrn(seen->tag, tag, sizeof(seen->tag));
    apr_cpystrn(seen->line, line, sizeof(seen->line));
    errno = 0;
}

static void test_levels(void **state)
{
    seen_t seen = {.count = 0};

    (void)state;
    wh_log(WH_LOG_ERROR, "WH9999", "nobody listens");
    wh_log_set_sink(sink, &seen);
    wh_log_set_level(WH_LOG_WARN);
    wh_log(WH_LOG_INFO, NULL, "too detailed");
    assert_int_equal(seen.count, 0);
    assert_false(wh_log_would(WH_LOG_INFO));
    errno = ENOENT;
    wh_log(WH_LOG_WARN, "WH9998", "job %s is %d", "x", 3);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.level, WH_LOG_WARN);
    assert_string_equal(seen.tag, "WH9998");
    assert_string_equal(seen.line, "job x is 3");
    wh_log_set_sink(NULL, NULL);
    wh_log(WH_LOG_ERROR, "WH9998", "gone");
    assert_int_equal(seen.count, 1);
}

static void test_forging(void **state)
{
    seen_t seen = {.count = 0};
    char big[3000];

    (void)state;
    wh_log_set_sink(sink, &seen);
    wh_log_set_level(WH_LOG_DEBUG);
    wh_log(WH_LOG_DEBUG, NULL, "name %s", "a\nerror WH0001 forged\x1b[2J\x7f\xff");
    assert_string_equal(seen.line, "name a\\x0aerror WH0001 forged\\x1b[2J\\x7f\\xff");
    assert_string_equal(seen.tag, "");
    memset(big, '\n', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    wh_log(WH_LOG_DEBUG, NULL, "%s", big);
    assert_true(strlen(seen.line) <= WH_LOG_MAX);
    assert_int_equal(strlen(seen.line) % 4, 0);
    wh_log_set_sink(NULL, NULL);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(wh_log_level_of("error"), WH_LOG_ERROR);
    assert_int_equal(wh_log_level_of("debug"), WH_LOG_DEBUG);
    assert_int_equal(wh_log_level_of("Debug"), -1);
    assert_int_equal(wh_log_level_of(""), -1);
    assert_string_equal(wh_log_level_name(WH_LOG_INFO), "info");
    assert_string_equal(wh_log_level_name(9), "?");
}

/* What the ready sink writes, read back through a pipe in the place of stderr. */
static const char *stderr_line(apr_pool_t *p, void *clock, const char *tag, const char *line)
{
    char buf[2048];
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    wh_log_stderr(clock, WH_LOG_WARN, tag, line);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    n = read(ends[0], buf, sizeof(buf));
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_true(n > 0);
    return apr_pstrmemdup(p, buf, (size_t)n);
}

static void test_stderr(void **state)
{
    wh_clock_fake_t fake;
    char *big = apr_palloc(*state, WH_LOG_MAX + 1);

    wh_clock_fake_init(&fake, INT64_C(1767323045678901));
    assert_string_equal(stderr_line(*state, &fake.clock, "WH9998", "x"),
                        "2026-01-02T03:04:05.678901Z warn WH9998 x\n");
    assert_string_equal(stderr_line(*state, NULL, "", "x"), "warn x\n");
    memset(big, 'x', WH_LOG_MAX);
    big[WH_LOG_MAX] = '\0';
    assert_string_equal(stderr_line(*state, NULL, "WH9998", big),
                        apr_pstrcat(*state, "warn WH9998 ", big, "\n", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the level and the sink decide what is printed", test_levels),
        UNIT("a hostile name cannot forge a log line, which is bounded", test_forging),
        UNIT("the ready sink writes time, level, tag and line at once", test_stderr),
        UNIT("levels have names", test_names),
    };

    return UNIT_RUN(tests);
}
