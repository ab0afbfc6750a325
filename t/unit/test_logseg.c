/* Log segments: numbers, duplicates, torn lines, rolling, the end. */
#include "t/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wh-scheduler/logseg.h"

#define DEPLOYMENT "01j0000000000000000000000a"

static const char *make_dir(apr_pool_t *p)
{
    char *dir = apr_pstrdup(p, "/tmp/wh-logseg-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static char *slurp(apr_pool_t *p, const char *dir, int segment)
{
    const char *path = apr_psprintf(p, "%s/" DEPLOYMENT "/%06d.seg", dir, segment);
    int fd = open(path, O_RDONLY);
    char *text = apr_pcalloc(p, 2 * 1024 * 1024);

    if (fd < 0) {
        return NULL;
    }
    assert_true(read(fd, text, 2 * 1024 * 1024 - 1) >= 0);
    close(fd);
    return text;
}

static void drop_dir(apr_pool_t *p, const char *dir)
{
    for (int i = 1; i <= WH_LOGSEG_SEGMENTS + 1; i++) {
        unlink(apr_psprintf(p, "%s/" DEPLOYMENT "/%06d.seg", dir, i));
    }
    rmdir(apr_pstrcat(p, dir, "/" DEPLOYMENT, NULL));
    assert_int_equal(rmdir(dir), 0);
}

static apr_array_header_t *lines(apr_pool_t *p, apr_int64_t from, int n, const char *text)
{
    apr_array_header_t *all = apr_array_make(p, n, sizeof(wh_msg_line_t));

    for (int i = 0; i < n; i++) {
        APR_ARRAY_PUSH(all, wh_msg_line_t) = (wh_msg_line_t){
            .seq = from + i, .at = 100 + from + i, .stream = WH_STREAM_OUT, .text = text};
    }
    return all;
}

static wh_logseg_log_t *open_log(wh_logseg_t *logs, apr_pool_t *p)
{
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_logseg_open(logs, p, DEPLOYMENT, (wh_mono_t){0}, &log, &err), &err);
    return log;
}

static void test_once(void **state)
{
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p);
    wh_logseg_t *logs;
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;
    int fd;

    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir);
    log = open_log(logs, p);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 1, 3, "one"), 1, &err), &err);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 2, 3, "two"), 1, &err), &err);
    assert_int_equal(log->last, 4);
    assert_string_equal(slurp(p, dir, 1),
                        "1 101 out one\n2 102 out one\n3 103 out one\n4 104 out two\n");
    apr_pool_destroy(life);
    /* a crash in the middle of a line */
    fd = open(apr_pstrcat(p, dir, "/" DEPLOYMENT "/000001.seg", NULL), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "5 105 ou", 8), 8);
    close(fd);
    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir);
    log = open_log(logs, p);
    assert_int_equal(log->last, 4);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 4, 2, "new"), 1, &err), &err);
    wh_logseg_finish(logs, p, DEPLOYMENT, 999, "deployment succeeded");
    assert_string_equal(slurp(p, dir, 1),
                        "1 101 out one\n2 102 out one\n3 103 out one\n4 104 out two\n"
                        "5 105 out new\n6 999 sys deployment succeeded\n");
    apr_pool_destroy(life);
    drop_dir(p, dir);
}

static void test_left_out(void **state)
{
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p);
    wh_logseg_t *logs;
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;

    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir);
    log = open_log(logs, p);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 1, 1, "a"), 1, &err), &err);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 2, 7, "b"), 0, &err), &err);
    assert_int_equal(log->last, 8);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 9, 1, "c"), 1, &err), &err);
    log->refused =
        2; /* the agent's own, without a gap in the numbers: told when there is a number free */
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 10, 1, "d"), 1, &err), &err);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 13, 1, "e"), 1, &err), &err);
    assert_string_equal(
        slurp(p, dir, 1),
        "1 101 out a\n8 109 sys 7 lines were left out: too many at once\n9 109 out c\n"
        "10 110 out d\n12 113 sys 2 lines were left out: too many at once\n13 113 out e\n");
    apr_pool_destroy(life);
    drop_dir(p, dir);
}

static void test_roll(void **state)
{
    apr_pool_t *p = *state, *life, *scratch;
    const char *dir = make_dir(p);
    wh_logseg_t *logs;
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;
    char *text = apr_pcalloc(p, 8001), *end;
    apr_int64_t seq = 1;
    struct stat st;

    memset(text, 'x', 8000);
    apr_pool_create(&life, p);
    apr_pool_create(&scratch, p);
    logs = wh_logseg_make(life, dir);
    log = open_log(logs, p);
    for (int i = 0; i < 22; i++, seq += 100) {
        apr_pool_clear(scratch);
        assert_ok(wh_logseg_append(log, logs, scratch, lines(scratch, seq, 100, text), 1, &err),
                  &err);
    }
    assert_int_equal(log->segment, WH_LOGSEG_SEGMENTS);
    assert_int_equal(log->last, seq - 1);
    assert_true(log->lost > 0);
    for (int i = 1; i <= WH_LOGSEG_SEGMENTS; i++) {
        assert_int_equal(stat(apr_psprintf(p, "%s/" DEPLOYMENT "/%06d.seg", dir, i), &st), 0);
        assert_true(st.st_size <= WH_LOGSEG_SEGMENT_BYTES);
    }
    assert_null(slurp(p, dir, WH_LOGSEG_SEGMENTS + 1));
    wh_logseg_finish(logs, p, DEPLOYMENT, 1, "over");
    end = strstr(slurp(p, dir, WH_LOGSEG_SEGMENTS), " sys ");
    assert_non_null(end);
    assert_non_null(strstr(end, "over (the log was full: "));
    apr_pool_destroy(life);
    drop_dir(p, dir);
}

static void test_hostile(void **state)
{
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p);
    wh_logseg_t *logs;
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;

    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir);
    assert_code(wh_logseg_open(logs, p, "../../etc", (wh_mono_t){0}, &log, &err), &err,
                "log_unwritable");
    log = open_log(logs, p);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 1, 1, "a\n2 1 out forged"), 1, &err), &err);
    assert_string_equal(slurp(p, dir, 1), "1 101 out a 2 1 out forged\n");
    assert_null(wh_logseg_of_job(logs, "x", 1, 1));
    apr_pool_destroy(life);
    drop_dir(p, dir);
}

static void test_many(void **state)
{
    apr_pool_t *p = *state, *life;
    const char *dir = make_dir(p);
    wh_logseg_t *logs;
    wh_err_t err = WH_ERR_INIT;

    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3 * WH_LOGSEG_OPEN; i++) {
            wh_logseg_log_t *log;
            const char *id = apr_psprintf(p, "01j00000000000000000000%03d", i);

            assert_ok(wh_logseg_open(logs, p, id, (wh_mono_t){0}, &log, &err), &err);
            assert_int_equal(log->last, round);
            assert_ok(wh_logseg_append(log, logs, p, lines(p, round + 1, 1, "x"), 1, &err), &err);
        }
    }
    apr_pool_destroy(life);
    for (int i = 0; i < 3 * WH_LOGSEG_OPEN; i++) {
        unlink(apr_psprintf(p, "%s/01j00000000000000000000%03d/000001.seg", dir, i));
        rmdir(apr_psprintf(p, "%s/01j00000000000000000000%03d", dir, i));
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a line is stored once, a torn one is cut off", test_once),
        UNIT("R12 what was left out is told under a free number", test_left_out),
        UNIT("segments roll at 1 MiB, sixteen of them, and the last line always fits", test_roll),
        UNIT("XE17 a line cannot forge another, an id cannot leave the directory", test_hostile),
        UNIT("more logs than are held open", test_many),
    };

    return UNIT_RUN(tests);
}
