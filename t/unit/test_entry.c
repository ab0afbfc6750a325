/* Names and links of archives that were sent. */
#include <string.h>

#include "libwh/wh_entry.h"
#include "t/unit/unit.h"

static void names(void **state)
{
    static const struct {
        const char *name, *out;
        wh_entry_e want;
    } rows[] = {
        {"index.html", "index.html", WH_ENTRY_TAKEN},
        {"./a//b/./c", "a/b/c", WH_ENTRY_TAKEN},
        {"a/", "a", WH_ENTRY_TAKEN},
        {"..a/b..", "..a/b..", WH_ENTRY_TAKEN},
        {"...", "...", WH_ENTRY_TAKEN},
        {"caf\xc3\xa9", "caf\xc3\xa9", WH_ENTRY_TAKEN},
        {".gitignore", ".gitignore", WH_ENTRY_TAKEN},
        {"", "", WH_ENTRY_LEFT_OUT},
        {"./", "", WH_ENTRY_LEFT_OUT},
        {".git/config", NULL, WH_ENTRY_LEFT_OUT},
        {"a/.GIT", NULL, WH_ENTRY_LEFT_OUT},
        {"/etc/passwd", NULL, WH_ENTRY_REFUSED},
        {"//etc/passwd", NULL, WH_ENTRY_REFUSED},
        {"..", NULL, WH_ENTRY_REFUSED},
        {"../x", NULL, WH_ENTRY_REFUSED},
        {"a/../../x", NULL, WH_ENTRY_REFUSED},
        {"a/..", NULL, WH_ENTRY_REFUSED},
        {"a\\..\\b", NULL, WH_ENTRY_REFUSED},
        {"a\nM 100644 inline b", NULL, WH_ENTRY_REFUSED},
        {"a\x7f", NULL, WH_ENTRY_REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        char out[WH_ENTRY_PATH_MAX + 1];
        const char *why = NULL;

        assert_int_equal(wh_entry_path(rows[i].name, out, &why), rows[i].want);
        assert_int_equal(why != NULL, rows[i].want == WH_ENTRY_REFUSED);
        if (rows[i].out != NULL) {
            assert_string_equal(out, rows[i].out);
        }
    }
}

static void lengths(void **state)
{
    char name[2100], out[WH_ENTRY_PATH_MAX + 1];
    const char *why;

    (void)state;
    memset(name, 'a', sizeof(name));
    name[WH_ENTRY_NAME_MAX] = '\0';
    assert_int_equal(wh_entry_path(name, out, &why), WH_ENTRY_TAKEN);
    name[WH_ENTRY_NAME_MAX] = 'a';
    name[WH_ENTRY_NAME_MAX + 1] = '\0';
    assert_int_equal(wh_entry_path(name, out, &why), WH_ENTRY_REFUSED);
    for (size_t i = 0; i < sizeof(name) - 1; i++) {
        name[i] = i % 2 ? '/' : 'a';
    }
    name[2 * WH_ENTRY_DEPTH_MAX - 1] = '\0';
    assert_int_equal(wh_entry_path(name, out, &why), WH_ENTRY_TAKEN);
    name[2 * WH_ENTRY_DEPTH_MAX - 1] = '/';
    name[2 * WH_ENTRY_DEPTH_MAX + 1] = '\0';
    assert_int_equal(wh_entry_path(name, out, &why), WH_ENTRY_REFUSED);
    for (size_t i = 0; i < 1200; i++) {
        name[i] = i % 200 == 199 ? '/' : 'a';
    }
    name[1200] = '\0';
    assert_int_equal(wh_entry_path(name, out, &why), WH_ENTRY_REFUSED);
}

static void links(void **state)
{
    static const struct {
        const char *path, *target;
        wh_entry_e want;
    } rows[] = {
        {"a", "b", WH_ENTRY_TAKEN},
        {"a/b", "../c", WH_ENTRY_TAKEN},
        {"a/b", "./c//d", WH_ENTRY_TAKEN},
        {"a/b", "x/../../c", WH_ENTRY_TAKEN},
        {"a", "../c", WH_ENTRY_REFUSED},
        {"a/b", "../../c", WH_ENTRY_REFUSED},
        {"a/b", "x/../../../a/c", WH_ENTRY_REFUSED},
        {"a", "/etc/passwd", WH_ENTRY_REFUSED},
        {"a", "", WH_ENTRY_REFUSED},
        {"a", "b\nc", WH_ENTRY_REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        const char *why = NULL;

        assert_int_equal(wh_entry_link(rows[i].path, rows[i].target, &why), rows[i].want);
        assert_int_equal(why != NULL, rows[i].want == WH_ENTRY_REFUSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("names below the top, and those that are not", names),
        UNIT("how long a name may be", lengths),
        UNIT("links within, and those that lead out", links),
    };

    return UNIT_RUN(tests);
}
