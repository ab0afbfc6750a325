#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>
#include "t/unit/unit.h"
#include "libwh/wh_sys.h"
#include "wh-agent/proc.h"
#include "wh-agent/thread.h"

typedef struct got_t {
    size_t n;
    char text[4096];
    size_t stop_at;
} got_t;

static int take(void *baton, const char *buf, size_t n)
{
    got_t *got = baton;

    for (size_t i = 0; i < n && got->n < sizeof(got->text) - 1; i++)
        got->text[got->n++] = buf[i];
    return got->stop_at > 0 && got->n >= got->stop_at;
}

static const char *const env[] = {"PATH=/usr/bin:/bin", "WH_TEST_MARK=unit", NULL};

static wh_proc_opts_t opts_of(const char *const *argv, got_t *got)
{
    return (wh_proc_opts_t){.argv = argv,
                            .env = env,
                            .in_fd = -1,
                            .out = got != NULL ? take : NULL,
                            .out_baton = got,
                            .deadline =
                                wh_mono_add(wh_clock_mono(wh_sys_clock()), 10 * APR_USEC_PER_SEC),
                            .clock = wh_sys_clock()};
}

static apr_interval_time_t now_us(void)
{
    return wh_clock_mono(wh_sys_clock()).us;
}

static void test_exit(void **state)
{
    static const char *const argv[] = {
        "/usr/bin/perl",
        "-e",
        "print join ',', @ARGV, sort keys %ENV; print STDERR 'oops'; exit 3",
        "--",
        "$(id);x",
        NULL};
    apr_pool_t *p = *state;
    got_t got = {.n = 0};
    wh_proc_opts_t opts = opts_of(argv, &got);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_EXITED);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.errors, "oops");
    /* D1: a value is one argument, and nothing of our environment comes along. */
    assert_string_equal(got.text, "$(id);x,PATH,WH_TEST_MARK");
}

static void test_missing(void **state)
{
    static const char *const argv[] = {"/nonexistent/program", NULL};
    apr_pool_t *p = *state;
    wh_proc_opts_t opts = opts_of(argv, NULL);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;

    if (getenv("WH_TEST_VALGRIND") != NULL) {
        /* valgrind makes a fork of posix_spawn's vfork: that exec failed is heard at the end. */
        assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
        assert_int_equal(result.status, 127);
        return;
    }
    assert_code(wh_proc_run(p, &opts, &result, &err), &err, "internal");
}

static void test_descriptors(void **state)
{
    static const char *const argv[] = {"/bin/ls", "/proc/self/fd", NULL};
    apr_pool_t *p = *state;
    got_t got = {.n = 0};
    wh_proc_opts_t opts = opts_of(argv, &got);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;
    int fd = open("/etc/passwd", O_RDONLY); /* without O_CLOEXEC on purpose */

    assert_true(fd >= 0);
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    /* 0, 1, 2 and the one that ls opens. */
    assert_string_equal(got.text, "0\n1\n2\n3\n");
    close(fd);
}

/* No such process, or nothing of it but the entry that somebody has yet to collect. */
static int is_gone(apr_pool_t *p, pid_t pid)
{
    FILE *f = fopen(apr_psprintf(p, "/proc/%d/stat", (int)pid), "r");
    char line[256] = "";
    const char *name_end;

    if (f == NULL)
        return 1;
    if (fgets(line, sizeof(line), f) == NULL)
        line[0] = '\0';
    fclose(f);
    name_end = strrchr(line, ')');
    return name_end == NULL || name_end[1] == '\0' || name_end[2] == 'Z';
}

static void test_deadline(void **state)
{
    /* A child that ignores SIGTERM, with a grandchild: both must be gone. */
    static const char *const argv[] = {
        "/usr/bin/perl", "-e",
        "$| = 1; $SIG{TERM} = 'IGNORE'; my $k = fork; if (!$k) { sleep 60; exit }"
        " print \"$k\\n\"; sleep 60",
        NULL};
    apr_pool_t *p = *state;
    got_t got = {.n = 0};
    wh_proc_opts_t opts = opts_of(argv, &got);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;
    apr_interval_time_t begin = now_us();
    int gone = 0;

    opts.deadline = wh_mono_add(wh_clock_mono(wh_sys_clock()), 300000);
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_DEADLINE);
    assert_true(now_us() - begin < 5 * APR_USEC_PER_SEC);
    for (int i = 0; i < 100 && !gone; i++) {
        gone = is_gone(p, (pid_t)apr_atoi64(got.text));
        if (!gone)
            usleep(10000);
    }
    assert_true(gone);
}

static void set_later(void *data)
{
    (void)wh_cancel_wait(NULL, 100000);
    wh_cancel_set(data);
}

static void test_cancel(void **state)
{
    static const char *const argv[] = {"/bin/sleep", "60", NULL};
    apr_pool_t *p = *state;
    wh_cancel_t *cancel = apr_pcalloc(p, sizeof(*cancel)); /* closed with the pool */
    wh_proc_opts_t opts = opts_of(argv, NULL);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;
    apr_interval_time_t begin = now_us();

    assert_ok(wh_cancel_init(p, cancel, &err), &err);
    opts.cancel = cancel;
    assert_ok(wh_thread_start(set_later, cancel, &err), &err);
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_CANCELED);
    assert_true(now_us() - begin < 2 * APR_USEC_PER_SEC);
}

static int too_much(void *baton)
{
    return ++*(int *)baton > 1;
}

static void test_watch(void **state)
{
    static const char *const sleeper[] = {"/bin/sleep", "60", NULL};
    static const char *const talker[] = {"/usr/bin/yes", NULL};
    apr_pool_t *p = *state;
    int looks = 0;
    got_t got = {.stop_at = 100};
    wh_proc_opts_t opts = opts_of(sleeper, NULL);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;

    opts.watch = too_much;
    opts.watch_baton = &looks;
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_WATCHED);
    opts = opts_of(talker, &got);
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_REFUSED);
}

static void test_closed_output(void **state)
{
    /* It closes its output and stays: the deadline holds all the same. */
    static const char *const argv[] = {"/usr/bin/perl", "-e", "close STDOUT; sleep 60", NULL};
    apr_pool_t *p = *state;
    wh_proc_opts_t opts = opts_of(argv, NULL);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;

    opts.deadline = wh_mono_add(wh_clock_mono(wh_sys_clock()), 300000);
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_DEADLINE);
}

static void test_errors_bounded(void **state)
{
    static const char *const argv[] = {"/usr/bin/perl", "-e", "print STDERR 'x' x 1000000", NULL};
    apr_pool_t *p = *state;
    wh_proc_opts_t opts = opts_of(argv, NULL);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.status, 0);
    assert_int_equal(strlen(result.errors), 8192);
}

static void test_file_limit(void **state)
{
    apr_pool_t *p = *state;
    const char *path = apr_psprintf(p, "/tmp/wh-proc-%d", (int)getpid());
    const char *argv[] = {
        "/usr/bin/perl", "-e",
        "select undef, undef, undef, 0.2; open my $f, '>', $ARGV[0]; print {$f} 'x' x 4096"
        " for 1 .. 100; close $f",
        path, NULL};
    wh_proc_opts_t opts = opts_of(argv, NULL);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;

    opts.file_max_bytes = 65536;
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.end, WH_PROC_SIGNALED);
    assert_int_equal(result.status, SIGXFSZ);
    unlink(path);
}

static void test_jail(void **state)
{
    apr_pool_t *p = *state;
    const char *dir = apr_psprintf(p, "/tmp/wh-jail-%d", (int)getpid());
    const char *inside = apr_pstrcat(p, dir, "/in", NULL),
               *secret = apr_pstrcat(p, dir, "-x", NULL);
    const char *const read[] = {"/usr", "/bin", "/lib", "/lib64", "/etc", "/nonexistent", NULL};
    const char *const write[] = {dir, "/dev/null", NULL};
    const wh_jail_t jail = {.read = read, .write = write};
    const char *argv[] = {
        "/usr/bin/perl",
        "-e",
        "print open(my $a, '>', $ARGV[0]) ? 1 : 0, open(my $b, '<', '/etc/passwd') ? 1 : 0,"
        " open(my $c, '>', '/dev/null') ? 1 : 0, open(my $d, '<', $ARGV[1]) ? 1 : 0,"
        " open(my $e, '>', \"$ARGV[1]-new\") ? 1 : 0, unlink($ARGV[1]) ? 1 : 0,"
        " opendir(my $f, '/tmp') ? 1 : 0, symlink('/', \"$ARGV[0]l\") ? 1 : 0",
        inside,
        secret,
        NULL};
    got_t got = {.n = 0};
    wh_proc_opts_t opts = opts_of(argv, &got);
    wh_proc_result_t result;
    wh_err_t err = WH_ERR_INIT;
    FILE *f;

    assert_int_equal(mkdir(dir, 0700), 0);
    f = fopen(secret, "w");
    assert_non_null(f);
    fclose(f);
    opts.jail = &jail;
    assert_ok(wh_proc_run(p, &opts, &result, &err), &err);
    assert_int_equal(result.status, 0);
    /* A kernel without Landlock lets everything through; this one has it, or the test says so. */
    if (strcmp(got.text, "11111111") != 0)
        assert_string_equal(got.text, "11100001");
    else
        print_message("# this kernel has no Landlock\n");
    /* This thread itself was never shut in. */
    f = fopen(secret, "w");
    assert_non_null(f);
    fclose(f);
    unlink(secret);
    unlink(apr_pstrcat(p, secret, "-new", NULL));
    unlink(inside);
    unlink(apr_pstrcat(p, inside, "l", NULL));
    rmdir(dir);
}

static void test_marked(void **state)
{
    static const char *const argv[] = {"/bin/sleep", "60", NULL};
    apr_pool_t *p = *state;
    const char *mark = apr_psprintf(p, "WH_TEST_MARK=%d", (int)getpid());
    const char *const own[] = {mark, NULL};
    wh_proc_opts_t opts = opts_of(argv, NULL);
    wh_proc_result_t result;
    wh_proc_t proc;
    wh_err_t err = WH_ERR_INIT;
    int killed = 0;

    opts.env = own;
    assert_ok(wh_proc_start(p, &opts, &proc, &err), &err);
    assert_int_equal(wh_proc_kill_marked(p, "WH_TEST_MARK="), 0);
    /* A start is over a moment before the kernel shows the new program's environment. */
    for (int i = 0; killed == 0 && i < 500; i++) {
        killed = wh_proc_kill_marked(p, mark);
        (void)wh_cancel_wait(NULL, killed == 0 ? 10000 : 0);
    }
    assert_int_equal(killed, 1);
    wh_proc_end(p, &proc, 0, &result);
    assert_int_equal(result.end, WH_PROC_SIGNALED);
    assert_int_equal(result.status, SIGKILL);
    assert_int_equal(wh_proc_kill_marked(p, mark), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("D1 arguments and environment are exactly what was given", test_exit),
        UNIT("a program that is not there is an error", test_missing),
        UNIT("a child has three descriptors", test_descriptors),
        UNIT("XI7 a deadline ends the whole process group", test_deadline),
        UNIT("a cancel ends it at once", test_cancel),
        UNIT("a watch or a reader can end it", test_watch),
        UNIT("a closed output does not escape the deadline", test_closed_output),
        UNIT("standard error is drained and bounded", test_errors_bounded),
        UNIT("XI7 no file grows over the limit", test_file_limit),
        UNIT("D2 a jail shows a child its own files and no others", test_jail),
        UNIT("what a former life left behind is found and ended", test_marked),
    };
    return UNIT_RUN(tests);
}
