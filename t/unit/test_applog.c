/* What running apps print: sources, numbers, gaps, rolling, crashes, fairness. */
#include "t/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libwh/wh_clock.h"
#include "libwh/wh_seq.h"
#include "wh-scheduler/applog.h"
#include "wh-scheduler/applog_file.h"

#define APP "01j0000000000000000000000a"
#define APP2 "01j0000000000000000000000b"
#define DEP "01j0000000000000000000000d"
#define S APR_INT64_C(1000000)

typedef struct world_t {
    apr_pool_t *p, *life;
    const char *dir;
    wh_applog_t *logs;
    wh_applog_limits_t limits;
    apr_time_t at; /* of the lines that are said */
} world_t;

static void boot(world_t *w)
{
    apr_pool_create(&w->life, w->p);
    w->logs = wh_applog_make(w->life, w->dir, wh_segment_make(w->life), &w->limits);
}

static world_t *world(apr_pool_t *p)
{
    world_t *w = apr_pcalloc(p, sizeof(*w));
    char *dir = apr_pstrdup(p, "/tmp/wh-applog-XXXXXX");

    assert_non_null(mkdtemp(dir));
    w->p = p;
    w->dir = dir;
    w->at = 100;
    w->limits = (wh_applog_limits_t){.bytes = 64 * WH_MIB, .age_s = 3600};
    boot(w);
    return w;
}

/* As a kill does it: nothing is told, nothing written. */
static void crash(world_t *w)
{
    wh_applog_wait(w->logs);
    boot(w);
}

static void over(world_t *w)
{
    wh_applog_remove(w->logs, w->p, APP);
    wh_applog_remove(w->logs, w->p, APP2);
    rmdir(apr_pstrcat(w->p, w->dir, "/apps", NULL));
    assert_int_equal(rmdir(w->dir), 0);
}

static void say(world_t *w, const char *app, const char *container, apr_int64_t from, int n,
                apr_int64_t dropped, const wh_lograte_now_t *rate)
{
    wh_msg_runtime_log_t m = {
        .app = app, .deployment = DEP, .container = container, .dropped = dropped};
    wh_err_t err = WH_ERR_INIT;

    m.lines = apr_array_make(w->p, n > 0 ? n : 1, sizeof(wh_msg_line_t));
    for (int i = 0; i < n; i++) {
        APR_ARRAY_PUSH(m.lines, wh_msg_line_t) = (wh_msg_line_t){
            .seq = from + i, .at = w->at, .stream = WH_STREAM_OUT, .text = "\033[1mx"};
    }
    assert_ok(wh_applog_append(w->logs, w->p, &m, rate, (wh_mono_t){0}, &err), &err);
}

static apr_array_header_t *files_of(const world_t *w, const char *app)
{
    apr_array_header_t *files;
    wh_err_t err = WH_ERR_INIT;

    wh_applog_wait(w->logs);
    assert_ok(wh_logread_list(w->p, apr_pstrcat(w->p, w->dir, "/apps/", app, NULL), &files, &err),
              &err);
    return files;
}

/* All segments of an app that are not packed, one after the other. */
static char *slurp(const world_t *w, const char *app)
{
    const char *dir = apr_pstrcat(w->p, w->dir, "/apps/", app, NULL);
    apr_array_header_t *files = files_of(w, app);
    char *all = apr_pstrdup(w->p, "");

    for (int i = 0; i < files->nelts; i++) {
        const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i, wh_logread_file_t);
        char *text = apr_pcalloc(w->p, 2 * WH_MIB);
        int fd = open(wh_logread_path(w->p, dir, file), O_RDONLY);

        assert_true(fd >= 0 && read(fd, text, 2 * WH_MIB - 1) >= 0);
        close(fd);
        all = file->packed ? all : apr_pstrcat(w->p, all, text, NULL);
    }
    return all;
}

static void test_gaps(void **state)
{
    world_t *w = world(*state);
    wh_bucket_t dry = {0};
    const wh_lograte_now_t none = {.connection = &dry};
    apr_int64_t stored, left_out;

    say(w, APP, "one", 1, 2, 0, NULL);
    say(w, APP, "two", 1, 1, 0, NULL);
    say(w, APP, "one", 5, 1, 2, NULL);  /* 3 and 4 are missing, and the agent says it too */
    say(w, APP, "one", 6, 1, 3, NULL);  /* an agent that does not number what it leaves out */
    say(w, APP, "one", 7, 3, 0, &none); /* over the rate */
    say(w, APP, "one", 10, 1, 0, NULL);
    say(w, APP, "two", 2, 2, 0, &none);
    w->at = 101;
    say(w, APP, "two", 2, 1, 0, NULL); /* begins anew, its first line is missing */
    say(w, APP, "two", 3, 1, 0, &none);
    say(w, APP, "one", 0, 0, 4, NULL);
    wh_applog_tell(w->logs, w->p, 500);
    wh_applog_tell(w->logs, w->p, 501);
    assert_string_equal(slurp(w, APP), "@1 0 " DEP " one\n"
                                       "1 100 out 1:1 x\n"
                                       "2 100 out 1:2 x\n"
                                       "@2 0 " DEP " two\n"
                                       "3 100 out 2:1 x\n"
                                       "4 100 sys 1:4 2 lines were left out: too many at once\n"
                                       "5 100 out 1:5 x\n"
                                       "6 100 sys 1:5 3 lines were left out: too many at once\n"
                                       "7 100 out 1:6 x\n"
                                       "8 100 sys 1:9 3 lines were left out: too many at once\n"
                                       "9 100 out 1:10 x\n"
                                       "10 101 sys 2:3 2 lines were left out: too many at once\n"
                                       "11 101 sys 2:1 1 lines were left out: too many at once\n"
                                       "12 101 out 2:2 x\n"
                                       "13 500 sys 1:10 4 lines were left out: too many at once\n"
                                       "14 500 sys 2:3 1 lines were left out: too many at once\n");
    wh_applog_sums(w->logs, &stored, &left_out);
    assert_int_equal(stored, 7);
    assert_int_equal(left_out, 16);
    over(w);
}

static void test_crash(void **state)
{
    world_t *w = world(*state);
    wh_bucket_t dry = {0};
    const wh_lograte_now_t none = {.connection = &dry};
    const char *path;
    char *text;
    int fd;

    say(w, APP, "one", 1, 3, 0, NULL);
    say(w, APP, "two", 1, 1, 0, NULL);
    say(w, APP, "one", 4, 2, 0, &none);
    crash(w); /* a note was due: the next number shows the gap */
    path = wh_applog_file_path(w->p, apr_pstrcat(w->p, w->dir, "/apps/" APP, NULL), 1);
    fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "5 100 out 1:4 ha", 16), 16);
    close(fd);
    say(w, APP, "one", 8, 1, 0, NULL);
    text = slurp(w, APP);
    assert_non_null(strstr(text, "\n4 100 out 2:1 x\n"
                                 "5 100 sys 1:7 4 lines were left out: too many at once\n"
                                 "6 100 out 1:8 x\n"));
    assert_null(strstr(text, "ha"));
    /* killed between making a segment and writing it */
    path = wh_applog_file_path(w->p, apr_pstrcat(w->p, w->dir, "/apps/" APP, NULL), 7);
    fd = open(path, O_WRONLY | O_CREAT, 0640);
    close(fd);
    crash(w);
    say(w, APP, "two", 3, 1, 0, NULL);
    assert_non_null(strstr(slurp(w, APP), "@1 8 " DEP " one\n@2 1 " DEP " two\n"
                                          "7 100 sys 2:2 1 lines were left out: too many at once\n"
                                          "8 100 out 2:3 x\n"));
    over(w);
}

static void test_roll(void **state)
{
    world_t *w = world(*state);
    wh_msg_runtime_log_t m = {.app = APP, .deployment = DEP, .container = "one"};
    char *text = apr_pcalloc(w->p, 8001);
    apr_array_header_t *files;
    wh_err_t err = WH_ERR_INIT;
    apr_pool_t *scratch;
    apr_int64_t seq = 1, sum = 0;
    const char *dir;
    struct stat st;

    w->limits.bytes = 128 * WH_KIB;
    crash(w);
    memset(text, 'y', 8000);
    apr_pool_create(&scratch, w->p);
    say(w, APP, "two", 1, 4, 0, NULL);
    for (int round = 0; round < 12; round++) {
        m.lines = apr_array_make(scratch, 100, sizeof(wh_msg_line_t));
        for (int i = 0; i < 100; i++) {
            APR_ARRAY_PUSH(m.lines, wh_msg_line_t) =
                (wh_msg_line_t){.seq = seq++, .at = 1, .stream = WH_STREAM_ERR, .text = text};
        }
        assert_ok(wh_applog_append(w->logs, scratch, &m, NULL, (wh_mono_t){0}, &err), &err);
        apr_pool_clear(scratch);
    }
    dir = apr_pstrcat(w->p, w->dir, "/apps/" APP, NULL);
    files = files_of(w, APP);
    assert_in_range(files->nelts, 3, 9);
    assert_true(APR_ARRAY_IDX(files, 0, wh_logread_file_t).first > 1);
    for (int i = 0; i < files->nelts; i++) {
        const wh_logread_file_t *file = &APR_ARRAY_IDX(files, i, wh_logread_file_t);

        assert_int_equal(file->packed, i + 1 < files->nelts);
        assert_int_equal(stat(wh_logread_path(w->p, dir, file), &st), 0);
        assert_true(st.st_size <= WH_APPLOG_SEGMENT_BYTES);
        sum += st.st_size;
    }
    assert_true(sum <= w->limits.bytes + WH_APPLOG_SEGMENT_BYTES);
    /* killed between packing and removing: both are there */
    {
        wh_logread_file_t twice = APR_ARRAY_IDX(files, 0, wh_logread_file_t);

        twice.packed = 0;
        close(open(wh_logread_path(w->p, dir, &twice), O_WRONLY | O_CREAT, 0640));
        crash(w);
    }
    /* one segment is enough to go on: also for the source that was silent all the while */
    crash(w);
    say(w, APP, "two", 6, 1, 0, NULL);
    assert_non_null(strstr(slurp(w, APP), "sys 1:5 1 lines were left out"));
    over(w);
}

/* An agent that cannot know what has come reads on from where it was half a minute ago. */
static void test_again(void **state)
{
    world_t *w = world(*state);

    say(w, APP, "one", 1, 5, 0, NULL);
    say(w, APP, "one", 3, 4, 0, NULL); /* 3..5 came before */
    crash(w);
    say(w, APP, "one", 2, 3, 0, NULL);
    say(w, APP, "one", 5, 4, 0, NULL);
    assert_string_equal(slurp(w, APP), "@1 0 " DEP " one\n"
                                       "1 100 out 1:1 x\n"
                                       "2 100 out 1:2 x\n"
                                       "3 100 out 1:3 x\n"
                                       "4 100 out 1:4 x\n"
                                       "5 100 out 1:5 x\n"
                                       "6 100 out 1:6 x\n"
                                       "7 100 out 1:7 x\n"
                                       "8 100 out 1:8 x\n");
    /* It lost its state and counts anew, from some lines that are here on. */
    say(w, APP, "one", 1, 2, 0, NULL);
    w->at = 200;
    say(w, APP, "one", 3, 2, 0, NULL);
    assert_non_null(strstr(slurp(w, APP), "8 100 out 1:8 x\n9 200 out 1:3 x\n10 200 out 1:4 x\n"));
    over(w);
}

/* Too old: the lines go, the numbers go on. */
static void test_age(void **state)
{
    world_t *w = world(*state);
    apr_array_header_t *files;
    struct stat st;

    say(w, APP, "one", 1, 3, 0, NULL);
    wh_applog_tell(w->logs, w->p, apr_time_now());
    assert_int_not_equal(strlen(slurp(w, APP)), 0);
    wh_applog_tell(w->logs, w->p, apr_time_now() + 2 * WH_APPLOG_SWEEP_US);
    wh_applog_tell(w->logs, w->p, apr_time_now() + 2 * WH_APPLOG_SWEEP_US + S);
    files = files_of(w, APP);
    assert_int_equal(files->nelts, 1);
    assert_int_equal(stat(wh_logread_path(w->p, apr_pstrcat(w->p, w->dir, "/apps/" APP, NULL),
                                          &APR_ARRAY_IDX(files, 0, wh_logread_file_t)),
                          &st),
                     0);
    assert_int_equal(st.st_size, 0);
    say(w, APP, "one", 4, 1, 0, NULL);
    assert_non_null(strstr(slurp(w, APP), "\n5 100 out 1:4 x\n")); /* 4: what it cannot know of */
    over(w);
}

static void test_sources(void **state)
{
    world_t *w = world(*state);
    char name[129];

    for (int i = 0; i < 3 * WH_APPLOG_SOURCES; i++) {
        snprintf(name, sizeof(name), "c%0127d", i);
        say(w, APP, name, 1, 1, 0, NULL);
        if (i % 7 == 0) {
            crash(w);
        }
    }
    snprintf(name, sizeof(name), "c%0127d", 3 * WH_APPLOG_SOURCES - 1);
    say(w, APP, name, 2, 1, 0, NULL);
    assert_null(strstr(slurp(w, APP), "left out"));
    assert_non_null(strstr(slurp(w, APP),
                           apr_psprintf(w->p, "\n%d 100 out 32:2 x\n", 3 * WH_APPLOG_SOURCES + 1)));
    over(w);
}

/* G23 in short: two apps print ten times what the connection may, a third says little. */
static void test_fair(void **state)
{
    apr_pool_t *p = *state;
    wh_lograte_t loud[2], quiet;
    wh_bucket_t connection;
    wh_mono_t now = {7};
    wh_lograte_now_t at = {.connection = &connection, .now = now};
    apr_int64_t stored = 0, quiet_lost = 0;

    (void)p;
    wh_bucket_init(&connection, WH_BUCKET_LOG_RATE, WH_BUCKET_LOG_BURST, now);
    wh_lograte_init(&loud[0], now);
    wh_lograte_init(&loud[1], now);
    wh_lograte_init(&quiet, now);
    for (int ms = 0; ms < 60000; ms += 10) {
        at.now = wh_mono_add(now, ms * APR_INT64_C(1000));
        for (int i = 0; i < 26; i++) { /* 1.3 MiB a second each */
            stored += 512 * wh_lograte_take(&loud[0], &at, 512);
            stored += 512 * wh_lograte_take(&loud[1], &at, 512);
        }
        if (ms % 100 == 0) { /* 10 KiB a second */
            int took = wh_lograte_take(&quiet, &at, 1024);

            quiet_lost += !took;
            stored += 1024 * took;
        }
    }
    assert_int_equal(quiet_lost, 0);
    assert_true(stored <= 60 * WH_BUCKET_LOG_RATE + WH_BUCKET_LOG_BURST);
    assert_true(stored >= 59 * WH_BUCKET_LOG_RATE);
}

static void test_alone(void **state)
{
    wh_bucket_t connection;
    wh_lograte_t only;
    wh_mono_t now = {7};
    wh_lograte_now_t at = {.connection = &connection, .now = now};
    apr_int64_t took = 0;

    (void)state;
    wh_bucket_init(&connection, WH_BUCKET_LOG_RATE, WH_BUCKET_LOG_BURST, now);
    wh_lograte_init(&only, now);
    while (wh_lograte_take(&only, &at, 1024)) {
        took += 1024;
    }
    assert_int_equal(took, WH_BUCKET_LOG_BURST - WH_LOGRATE_KEPT);
    assert_int_equal(wh_lograte_take(&only, NULL, 1024), 1);
}

static void test_hostile(void **state)
{
    world_t *w = world(*state);
    wh_msg_runtime_log_t m = {.app = "../../etc", .deployment = DEP, .container = "c"};
    wh_err_t err = WH_ERR_INIT;

    m.lines = apr_array_make(w->p, 1, sizeof(wh_msg_line_t));
    assert_code(wh_applog_append(w->logs, w->p, &m, NULL, (wh_mono_t){0}, &err), &err,
                "log_unwritable");
    m.app = APP2;
    APR_ARRAY_PUSH(m.lines, wh_msg_line_t) =
        (wh_msg_line_t){.seq = 1,
                        .at = 1,
                        .stream = WH_STREAM_OUT,
                        .text = "a\r\n@1 9 forged\n2 1 out 1:2 b\033[31m"};
    assert_ok(wh_applog_append(w->logs, w->p, &m, NULL, (wh_mono_t){0}, &err), &err);
    assert_string_equal(slurp(w, APP2),
                        "@1 0 " DEP " c\n1 1 out 1:1 a @1 9 forged 2 1 out 1:2 b\n");
    over(w);
}

/* A worker that says of its app what cannot be: sums of it stay in range. */
static void test_boasting(void **state)
{
    world_t *w = world(*state);
    apr_int64_t stored, left_out;

    for (int i = 0; i < 1100; i++) {
        say(w, APP, "one", 0, 0, WH_SEQ_MAX, NULL);
    }
    wh_applog_tell(w->logs, w->p, 500);
    for (int i = 1; i < 1100; i++) {
        w->at = 1000 + i;
        say(w, APP, "one", i % 2 ? WH_SEQ_MAX : 1, 1, WH_SEQ_MAX, NULL);
    }
    wh_applog_tell(w->logs, w->p, 501);
    wh_applog_sums(w->logs, &stored, &left_out);
    assert_int_equal(stored, 1099);
    assert_true(left_out == WH_SEQ_MAX);
    assert_null(strstr(slurp(w, APP), " -"));
    over(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a worker that boasts", test_boasting),
        UNIT("F103 R12 lines sent are lines stored and lines counted", test_gaps),
        UNIT("a scheduler killed at any moment goes on, and counts what was lost", test_crash),
        UNIT("segments of 1 MiB, packed when they end, the oldest go; each is enough to go on from",
             test_roll),
        UNIT("what an agent reads again is stored once", test_again),
        UNIT("lines that are too old go, their numbers do not come again", test_age),
        UNIT("more containers than a log remembers", test_sources),
        UNIT("G23 R12 however loud two apps are, the third loses nothing (F66, F67)", test_fair),
        UNIT("R12 an app alone has nearly all of its connection", test_alone),
        UNIT("XE17 a line cannot forge another, an id cannot leave the directory", test_hostile),
    };

    return UNIT_RUN(tests);
}
