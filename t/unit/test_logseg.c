/* Log segments: numbers, duplicates, torn lines, rolling, the end. */
#include "t/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wh-scheduler/logseg.h"

#define LOGS 16
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
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    log = open_log(logs, p);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 1, 3, "one"), NULL, &err), &err);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 2, 3, "two"), NULL, &err), &err);
    assert_int_equal(log->last, 4);
    assert_string_equal(slurp(p, dir, 1),
                        "1 101 out one\n2 102 out one\n3 103 out one\n4 104 out two\n");
    apr_pool_destroy(life);
    /* a crash in the middle of a line */
    fd = open(apr_pstrcat(p, dir, "/" DEPLOYMENT "/000001.seg", NULL), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "5 105 ou", 8), 8);
    close(fd);
    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    log = open_log(logs, p);
    assert_int_equal(log->last, 4);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 4, 2, "new"), NULL, &err), &err);
    wh_logseg_finish(logs, p, DEPLOYMENT, 999, "deployment succeeded");
    assert_string_equal(slurp(p, dir, 1),
                        "1 101 out one\n2 102 out one\n3 103 out one\n4 104 out two\n"
                        "5 105 out new\n6 999 sys deployment succeeded\n");
    apr_pool_destroy(life);
    drop_dir(p, dir);
}

static void on_told(void *baton, const wh_logseg_log_t *log)
{
    *(apr_int64_t *)baton = log->stored;
}

static void test_left_out(void **state)
{
    apr_pool_t *p = *state, *life;
    wh_bucket_t dry = {0};
    const wh_lograte_now_t none = {.connection = &dry};
    apr_int64_t told = 0, stored, left_out;
    const char *dir = make_dir(p);
    wh_logseg_t *logs;
    wh_logseg_log_t *log;
    wh_err_t err = WH_ERR_INIT;

    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    log = open_log(logs, p);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 1, 1, "a"), NULL, &err), &err);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 2, 7, "b"), &none, &err), &err);
    assert_int_equal(log->last, 8);
    assert_int_equal(log->stored, 1); /* nothing is acknowledged that is in no file */
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 9, 1, "c"), NULL, &err), &err);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 10, 1, "d"), NULL, &err), &err);
    /* the agent's own: it numbers what it leaves out */
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 13, 1, "e"), NULL, &err), &err);
    /* nothing comes after it: told once a second */
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 14, 2, "f"), &none, &err), &err);
    wh_logseg_tell(logs, p, 500, on_told, &told);
    assert_int_equal(told, 15);
    told = 0;
    wh_logseg_tell(logs, p, 501, on_told, &told);
    assert_int_equal(told, 0);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 16, 1, "g"), &none, &err), &err);
    wh_logseg_finish(logs, p, DEPLOYMENT, 502, "over");
    assert_string_equal(
        slurp(p, dir, 1),
        "1 101 out a\n8 109 sys 7 lines were left out: too many at once\n9 109 out c\n"
        "10 110 out d\n12 113 sys 2 lines were left out: too many at once\n13 113 out e\n"
        "15 500 sys 2 lines were left out: too many at once\n"
        "16 502 sys 1 lines were left out: too many at once\n17 502 sys over\n");
    wh_logseg_sums(logs, &stored, &left_out);
    assert_int_equal(stored, 4);
    assert_int_equal(left_out, 12);
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
    apr_int64_t seq = 1, lost;
    struct stat st;

    memset(text, 'x', 8000);
    apr_pool_create(&life, p);
    apr_pool_create(&scratch, p);
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    log = open_log(logs, p);
    for (int i = 0; i < 22; i++, seq += 100) {
        apr_pool_clear(scratch);
        assert_ok(wh_logseg_append(log, logs, scratch, lines(scratch, seq, 100, text), NULL, &err),
                  &err);
    }
    assert_int_equal(log->segment, WH_LOGSEG_SEGMENTS);
    assert_int_equal(log->last, seq - 1);
    assert_int_equal(log->full, 1);
    lost = log->last - log->stored;
    assert_true(lost > 0);
    for (int i = 1; i <= WH_LOGSEG_SEGMENTS; i++) {
        assert_int_equal(stat(apr_psprintf(p, "%s/" DEPLOYMENT "/%06d.seg", dir, i), &st), 0);
        assert_true(st.st_size <= WH_LOGSEG_SEGMENT_BYTES);
    }
    /* acknowledged, so it must survive a crash: a new process finds the note, not the lines */
    wh_logseg_tell(logs, p, 7, NULL, NULL);
    assert_int_equal(log->stored, seq - 1);
    apr_pool_destroy(life);
    apr_pool_create(&life, p);
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    log = open_log(logs, p);
    assert_int_equal(log->stored, seq - 1);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, seq, 1, text), NULL, &err), &err);
    assert_int_equal(log->full, 1);
    assert_null(slurp(p, dir, WH_LOGSEG_SEGMENTS + 1));
    wh_logseg_finish(logs, p, DEPLOYMENT, 1, "over");
    end = strstr(slurp(p, dir, WH_LOGSEG_SEGMENTS), " sys ");
    assert_non_null(end);
    assert_non_null(
        strstr(end, apr_psprintf(p, "%d lines were left out: the log is full\n", (int)lost)));
    assert_non_null(strstr(end, " 1 lines were left out: the log is full\n"));
    assert_non_null(strstr(end, " sys over\n"));
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
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    assert_code(wh_logseg_open(logs, p, "../../etc", (wh_mono_t){0}, &log, &err), &err,
                "log_unwritable");
    log = open_log(logs, p);
    assert_ok(wh_logseg_append(log, logs, p, lines(p, 1, 1, "a\n2 1 out forged"), NULL, &err),
              &err);
    assert_string_equal(slurp(p, dir, 1), "1 101 out a 2 1 out forged\n");
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
    logs = wh_logseg_make(life, dir, wh_segment_make(life));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3 * LOGS; i++) {
            wh_logseg_log_t *log;
            const char *id = apr_psprintf(p, "01j00000000000000000000%03d", i);

            assert_ok(wh_logseg_open(logs, p, id, (wh_mono_t){0}, &log, &err), &err);
            assert_int_equal(log->last, round);
            assert_ok(wh_logseg_append(log, logs, p, lines(p, round + 1, 1, "x"), NULL, &err),
                      &err);
        }
    }
    apr_pool_destroy(life);
    for (int i = 0; i < 3 * LOGS; i++) {
        unlink(apr_psprintf(p, "%s/01j00000000000000000000%03d/000001.seg", dir, i));
        rmdir(apr_psprintf(p, "%s/01j00000000000000000000%03d", dir, i));
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a line is stored once, a torn one is cut off", test_once),
        UNIT("R12 what was left out is told under a free number, and counted exactly",
             test_left_out),
        UNIT("segments roll at 1 MiB, sixteen of them, and the last line always fits", test_roll),
        UNIT("XE17 a line cannot forge another, an id cannot leave the directory", test_hostile),
        UNIT("many logs in turn", test_many),
    };

    return UNIT_RUN(tests);
}
