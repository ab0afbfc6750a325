/* What a build may use up, and where its steps live. */
#include <string.h>

#include "t/unit/unit.h"
#include "wh-agent/bounds.h"
#include "wh-agent/buildout.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/hold.h"

#define ID "0123456789012345678901234567890123456789012345678901234567890123"

static wh_bounds_t bounds_of(apr_int64_t disk, apr_int64_t files, apr_int64_t floor, int builds)
{
    return (wh_bounds_t){.disk_max = disk * WH_MIB, .files_max = files, .floor = floor * WH_MIB,
                         .builds = builds, .free = 10000 * WH_MIB, .nodes = 1000000, .why = ""};
}

static void test_disk(void **state)
{
    static const struct {
        apr_int64_t disk, files, floor; /* limits; MiB */
        int builds;
        apr_int64_t room, nodes; /* MiB left, files left */
        int over;
        const char *why;
    } rows[] = {
        {4096, 1000, 512, 1, 10000, 1000000, 0, ""},
        {4096, 1000, 512, 1, 5904, 1000000, 0, ""},
        {4096, 1000, 512, 1, 5903, 1000000, 1, "the build filled more than 4096 MiB of the disk"},
        {4096, 1000, 512, 2, 5903, 1000000, 0, ""},
        {4096, 1000, 512, 2, 1700, 1000000, 1, "the build filled more than 4096 MiB of the disk"},
        {4096, 1000, 512, 1, 1700, 1000000, 2, "the build filled more than 4096 MiB of the disk"},
        {4096, 1000, 512, 1, 10000, 999000, 0, ""},
        {4096, 1000, 512, 1, 10000, 998999, 1, "the build made more than 1000 files"},
        {0, 0, 512, 1, 600, 0, 0, ""},
        {0, 0, 512, 1, 511, 1000000, 2, "the disk has only 511 MiB left"},
        {0, 0, 0, 1, 0, 0, 0, ""},
        {4096, 1000, 512, 1, 12000, 1200000, 0, ""}, /* somebody tidied up meanwhile */
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        wh_bounds_t b = bounds_of(rows[i].disk, rows[i].files, rows[i].floor, rows[i].builds);
        int over = wh_bounds_judge(&b, rows[i].room * WH_MIB, rows[i].nodes);

        if (over != rows[i].over || strcmp(b.why, rows[i].why) != 0)
            fail_msg("row %zu: %d, \"%s\"", i, over, b.why);
    }
}

static void test_first_cause(void **state)
{
    wh_bounds_t b = bounds_of(4096, 0, 512, 1);

    (void)state;
    assert_int_equal(wh_bounds_judge(&b, 5000 * WH_MIB, 0), 1);
    assert_int_equal(wh_bounds_judge(&b, 100 * WH_MIB, 0), 2);
    assert_string_equal(b.why, "the build filled more than 4096 MiB of the disk");
}

static void test_cgroup(void **state)
{
    static const struct {
        const char *text, *group;
    } rows[] = {
        {"9:name=systemd:/x\n8:pids:/libpod_parent/libpod-" ID "\n7:blkio:/y\n",
         "/libpod_parent/libpod-" ID "/build"},
        {"8:pids:/a/b/libpod-" ID "\n", "/a/b/libpod-" ID "/build"},
        {"8:pids:/machine.slice/libpod-" ID ".scope\n", ""}, /* systemd's: it wants another form */
        {"8:pids:/libpod_parent/libpod-" ID "/x\n", ""},
        {"8:pids:/docker/" ID "\n", ""},
        {"0::/libpod_parent/libpod-" ID "\n", ""}, /* version 2: no group below one that is used */
        {"8:pids:/\n", ""},
        {"", ""},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++)
        assert_string_equal(wh_hold_cgroup(*state, rows[i].text, ID), rows[i].group);
    assert_string_equal(wh_hold_cgroup(*state, "8:pids:/libpod-\n", ""), "");
}

static void no_text(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    (void)baton;
    (void)stream;
    (void)buf;
    (void)n;
}

/* Podman's sentence repeats the step; what went wrong stands at its end. */
static void test_long_step(void **state)
{
    static const char end[] = "\\\": while running runtime: exit status 9\"}\n";
    wh_buildout_t *out = apr_palloc(*state, sizeof(*out));
    char line[6000] = "{\"error\":\"building at STEP \\\"RUN ";
    size_t n = strlen(line);

    memset(line + n, 'x', 5000);
    memcpy(line + n + 5000, end, sizeof(end));
    assert_int_equal(wh_buildout_init(*state, out, no_text, NULL), APR_SUCCESS);
    (void)wh_buildout_feed(out, line, strlen(line));
    assert_int_equal(strncmp(out->error, "building at STEP \"RUN xxx", 25), 0);
    assert_non_null(strstr(out->error, "x...\": while running runtime: exit status 9"));
}

static void test_fsck(void **state)
{
    assert_string_equal(
        wh_gitsays_line(*state, "error: object 12: gitmodulesUrl: disallowed submodule url: -x\n"
                                "fatal: fsck error in packed object\n"),
        "object 12: gitmodulesUrl: disallowed submodule url: -x");
    assert_string_equal(wh_gitsays_line(*state, "error: object x\nfatal: other\n"), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XJ6 what a build makes of the disk is judged by what is left", test_disk),
        UNIT("the first cause is the one that is told", test_first_cause),
        UNIT("XJ6 the group of a build's steps, where it can be named", test_cgroup),
        UNIT("a long step does not hide what went wrong", test_long_step),
        UNIT("XI6 what fsck found is what is said", test_fsck),
    };

    return UNIT_RUN(tests);
}
