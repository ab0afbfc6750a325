#include "t/unit/unit.h"
#include <errno.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("the level and the sink decide what is printed", test_levels),
        UNIT("a hostile name cannot forge a log line, which is bounded", test_forging),
        UNIT("levels have names", test_names),
    };

    return UNIT_RUN(tests);
}
