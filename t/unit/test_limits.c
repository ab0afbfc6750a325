#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/unit/unit.h"
#include "libwh/wh_limits.h"

static const char *const reader[] = {"/bin/cat", "/proc/self/limits", NULL};

/* What a child started with these arguments, and nothing else, says of its limits. */
static const char *said(apr_pool_t *p, const char *const *argv)
{
    char *text = apr_pcalloc(p, 8192);
    size_t n = 0;
    int ends[2], status = -1;
    ssize_t got;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + n, 8191 - n)) > 0)
        n += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return text;
}

static void limit_is(const char *text, const char *name, const char *want)
{
    const char *at = strstr(text, name);
    char soft[32], hard[32];

    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(name), "%31s %31s", soft, hard), 2);
    assert_string_equal(soft, want);
    assert_string_equal(hard, want);
}

static void test_from_the_start(void **state)
{
    const wh_limits_t limits = {
        .file_bytes = 1 << 20, .data_bytes = 1 << 30, .space_bytes = INT64_C(1) << 32};
    apr_pool_t *p = *state;
    const char *text = said(p, wh_limits_argv(p, &limits, reader));

    limit_is(text, "Max file size", "1048576");
    limit_is(text, "Max data size", "1073741824");
    limit_is(text, "Max address space", "4294967296");
    limit_is(text, "Max core file size", "0");
}

static void test_lower_stays(void **state)
{
    const wh_limits_t limits = {.file_bytes = 1 << 30};
    const struct rlimit low = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    apr_pool_t *p = *state;
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (setrlimit(RLIMIT_FSIZE, &low) != 0)
            _exit(1);
        limit_is(said(p, wh_limits_argv(p, &limits, reader)), "Max file size", "1048576");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_arguments(void **state)
{
    const char *const argv[] = {"/bin/true", "--core=1", "--", "a b", NULL};
    const char *const want[] = {WH_LIMITS_PROGRAM, "--core=0:0", "--", "/bin/true",
                                "--core=1",        "--",         "a b"};
    const char *const *got = wh_limits_argv(*state, &(wh_limits_t){.file_bytes = 0}, argv);

    for (size_t i = 0; i < WH_ARRAY_LEN(want); i++)
        assert_string_equal(got[i], want[i]);
    assert_null(got[WH_ARRAY_LEN(want)]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XI7 a child has its limits before its first instruction", test_from_the_start),
        UNIT("a lower limit of our own stays", test_lower_stays),
        UNIT("D1 the arguments are handed on as they are", test_arguments),
    };

    return UNIT_RUN(tests);
}
