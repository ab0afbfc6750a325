/* What a push asks for, at the head of its request. */
#include <stdio.h>
#include <string.h>

#include "libwh/wh_pktlist.h"
#include "t/unit/unit.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define A64 A "111111111111111111111111"

static size_t put(char *to, const char *line, size_t n)
{
    int head = sprintf(to, "%04zx", n + 4);

    memcpy(to + head, line, n);
    return (size_t)head + n;
}

/* In pieces of `step` bytes. */
static void feed(wh_pktlist_t *list, const char *data, size_t n, size_t step)
{
    wh_pktlist_init(list);
    for (size_t at = 0; at < n; at += step)
        (void)wh_pktlist_feed(list, data + at, n - at < step ? n - at : step);
}

typedef struct row_t {
    const char *line;
    size_t n;
    int good, commands;
} row_t;

#define LINE(text, good, commands)                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, good, commands                                                     \
    }

static const row_t rows[] = {
    LINE(A " " B " refs/heads/main", 1, 1),
    LINE(A " " B " refs/heads/main\n", 1, 1),
    LINE(A " " B " refs/heads/main\0 report-status side-band-64k agent=x", 1, 1),
    LINE(A " " B " refs/heads/main\0 report-status\n", 1, 1),
    LINE(A64 " " A64 " refs/heads/main", 1, 1),
    LINE(A " " B " refs/heads/b\xc3\xa4r`x`$(y)", 1, 1), /* the grammar of branches is another's */
    LINE("shallow " A, 1, 0),
    LINE("shallow " A " x", 0, 0),
    LINE("shallow ", 0, 0),
    LINE(A " " B " refs/heads/a\n" A " " B " refs/heads/main", 0, 0),
    LINE(A " " B " refs/heads/a\n\0caps", 0, 0),
    LINE(A " " B " refs/heads/a\n\n", 0, 0),
    LINE(A " " B " refs/heads/a\tb", 0, 0),
    LINE(A " " B " refs/heads/a\x7f", 0, 0),
    LINE(A " " B " refs/heads/a\r", 0, 0),
    LINE(A " " B " ", 0, 0),
    LINE(A " " B " \0caps", 0, 0),
    LINE(A " " B, 0, 0),
    LINE(A "  " B " refs/heads/main", 0, 0),
    LINE(A " HEAD refs/heads/main", 0, 0),
    LINE("push-cert\0x", 0, 0),
    LINE("\0" A " " B " refs/heads/main", 0, 0),
    LINE("x", 0, 0),
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step < 300; step += 37) {
            char buf[1024];
            wh_pktlist_t list;
            size_t n = put(buf, rows[i].line, rows[i].n);

            memcpy(buf + n, "0000PACK", 8);
            feed(&list, buf, n + 8, step);
            if (list.bad == rows[i].good || list.commands != rows[i].commands)
                fail_msg("row %zu in steps of %zu: bad %d, %d commands", i, step, list.bad,
                         list.commands);
            assert_int_equal(list.done, rows[i].good);
        }
    }
}

static void test_frames(void **state)
{
    static const struct {
        const char *data;
        int bad, done;
    } all[] = {{"0000", 0, 1},      {"0000xyz", 0, 1},  {"0001", 1, 0}, {"0004", 1, 0},
               {"0003", 1, 0},      {"zzzz", 1, 0},     {"+001", 1, 0}, {"ffff", 1, 0},
               {"1001", 1, 0},      {"00", 0, 0},       {"", 0, 0},     {"00ffgarbage", 0, 0},
               {"0005\n0000", 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        wh_pktlist_t list;

        feed(&list, all[i].data, strlen(all[i].data), 3);
        if (list.bad != all[i].bad || list.done != all[i].done)
            fail_msg("frame %zu (%s): bad %d, done %d", i, all[i].data, list.bad, list.done);
    }
}

/* Many are counted; a list that has no end has one. */
static void test_many(void **state)
{
    const char line[] = A " " B " refs/heads/main";
    char buf[256];
    size_t n = put(buf, line, sizeof(line) - 1);
    wh_pktlist_t list;
    int rc = 0, given = 0;

    (void)state;
    wh_pktlist_init(&list);
    for (; rc == 0 && given < 100000; given++)
        rc = wh_pktlist_feed(&list, buf, n);
    assert_int_equal(rc, -1);
    assert_in_range(list.commands, WH_PKTLIST_MAX / n - 1, WH_PKTLIST_MAX / n + 1);
    assert_int_equal(wh_pktlist_feed(&list, "0000", 4), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XI2 a name that git would not have is refused before git has it", test_lines),
        UNIT("what is no list of pkt-lines is none", test_frames),
        UNIT("names are counted, and there is an end of them", test_many),
    };

    return UNIT_RUN(tests);
}
