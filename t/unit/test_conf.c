#include "t/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "libwh/wh_conf.h"

typedef struct conf_t {
    const char *state_dir, *ca_file, *name, *driver, *params;
    apr_int64_t tick_ms, max_bytes, free_number;
    int verbose;
} conf_t;

static const wh_conf_key_t keys[] = {
    {.name = "state_dir",
     .type = WH_CONF_PATH,
     .offset = offsetof(conf_t, state_dir),
     .def = "/var/lib/wisehost",
     .doc = "Where all state is."},
    {.name = "ca_file", .type = WH_CONF_PATH, .offset = offsetof(conf_t, ca_file)},
    {.name = "name", .type = WH_CONF_STRING, .offset = offsetof(conf_t, name), .max = 8},
    {.name = "db_driver",
     .type = WH_CONF_CHOICE,
     .offset = offsetof(conf_t, driver),
     .def = "sqlite3",
     .choices = "sqlite3|pgsql"},
    {.name = "db_params",
     .type = WH_CONF_STRING,
     .flags = WH_CONF_F_SECRET,
     .offset = offsetof(conf_t, params)},
    {.name = "tick_ms",
     .type = WH_CONF_INT,
     .offset = offsetof(conf_t, tick_ms),
     .min = 10,
     .max = 60000,
     .def = "1000",
     .unit = "ms",
     .doc = "Pause between two ticks."},
    {.name = "max_bytes",
     .type = WH_CONF_BYTES,
     .offset = offsetof(conf_t, max_bytes),
     .min = 1024,
     .max = 1024 * WH_GIB,
     .def = "512M",
     .unit = "bytes"},
    {.name = "free_number", .type = WH_CONF_INT, .offset = offsetof(conf_t, free_number)},
    {.name = "verbose", .type = WH_CONF_BOOL, .offset = offsetof(conf_t, verbose)},
};

static apr_status_t parse(apr_pool_t *p, const char *text, conf_t *conf, wh_err_t *err)
{
    wh_conf_text_t in = {.name = "x.conf", .text = text, .len = strlen(text)};

    return wh_conf_parse(p, &in, keys, WH_ARRAY_LEN(keys), conf, err);
}

static void test_defaults(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    conf_t conf;

    memset(&conf, 0xff, sizeof(conf));
    assert_ok(parse(*state, "", &conf, &err), &err);
    assert_string_equal(conf.state_dir, "/var/lib/wisehost");
    assert_string_equal(conf.ca_file, "");
    assert_string_equal(conf.name, "");
    assert_string_equal(conf.driver, "sqlite3");
    assert_int_equal(conf.tick_ms, 1000);
    assert_int_equal(conf.max_bytes, 512 * WH_MIB);
    assert_int_equal(conf.free_number, 0);
    assert_int_equal(conf.verbose, 0);
}

static void test_values(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    conf_t conf;

    assert_ok(parse(*state,
                    "# a comment\n\n   \t\n"
                    "state_dir=/srv/x y\n"
                    "  tick_ms \t=  10  \n"
                    "max_bytes = 2G\n"
                    "db_params = host=h user=u # not a comment\n"
                    "free_number = -5\n"
                    "name =\n"
                    "verbose = on",
                    &conf, &err),
              &err);
    assert_string_equal(conf.state_dir, "/srv/x y");
    assert_int_equal(conf.tick_ms, 10);
    assert_int_equal(conf.max_bytes, 2 * WH_GIB);
    assert_string_equal(conf.params, "host=h user=u # not a comment");
    assert_int_equal(conf.free_number, -5);
    assert_string_equal(conf.name, "");
    assert_int_equal(conf.verbose, 1);
}

static void test_refused(void **state)
{
    static const char *const rows[][2] = {
        {"tick_ms", "x.conf:1: not of the form"},
        {"[section]", "x.conf:1: not of the form"},
        {"tik_ms = 5", "x.conf:1: unknown key \"tik_ms\""},
        {"= 5", "x.conf:1: unknown key \"\""},
        {"Tick_ms = 50", "x.conf:1: unknown key"},
        {"\n\ntick_ms = 50\ntick_ms = 50", "x.conf:4: tick_ms is given a second time"},
        {"tick_ms = 9", "x.conf:1: tick_ms: 9 is outside 10 to 60000 ms"},
        {"tick_ms = 60001", "x.conf:1: tick_ms: 60001 is outside 10 to 60000 ms"},
        {"tick_ms =", "x.conf:1: tick_ms: \"\" is not a whole number"},
        {"tick_ms = 1s", "x.conf:1: tick_ms: \"1s\" is not a whole number"},
        {"tick_ms = 0x10", "x.conf:1: tick_ms: \"0x10\" is not a whole number"},
        {"tick_ms = 10 20", "x.conf:1: tick_ms: \"10 20\" is not a whole number"},
        {"tick_ms = +10", "x.conf:1: tick_ms: \"+10\" is not a whole number"},
        {"free_number = 9223372036854775808", "x.conf:1: free_number: "},
        {"free_number = -", "x.conf:1: free_number: "},
        {"max_bytes = 5X", "x.conf:1: max_bytes: \"5X\" is not a size"},
        {"max_bytes = 5MB", "x.conf:1: max_bytes: \"5MB\" is not a size"},
        {"max_bytes = 9223372036854775807K", "x.conf:1: max_bytes: "},
        {"max_bytes = 1", "x.conf:1: max_bytes: 1 is outside"},
        {"state_dir = relative/path", "x.conf:1: state_dir: \"relative/path\" is not an absolute"},
        {"state_dir =", "x.conf:1: state_dir: a path must be given"},
        {"db_driver = mysql", "x.conf:1: db_driver: \"mysql\" is none of sqlite3|pgsql"},
        {"db_driver = sqlite", "x.conf:1: db_driver: "},
        {"db_driver =", "x.conf:1: db_driver: "},
        {"db_driver = sqlite3|pgsql", "x.conf:1: db_driver: "},
        {"verbose = maybe", "x.conf:1: verbose: \"maybe\" is neither on nor off"},
        {"verbose = 1", "x.conf:1: verbose: "},
        {"name = 123456789", "x.conf:1: name: must have 0 to 8 bytes"},
        {"name = a\r\n", "x.conf:1: the line ends in a carriage return"},
        {"name = \x1b[31m", "x.conf:1: the line has a control character"},
        {"# \xff", "x.conf:1: the line is not valid UTF-8"},
    };
    wh_err_t err = WH_ERR_INIT;
    conf_t conf;

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        assert_code(parse(*state, rows[i][0], &conf, &err), &err, "bad_config");
        if (strncmp(err.text, rows[i][1], strlen(rows[i][1])) != 0)
            fail_msg("\"%s\" gives \"%s\"", rows[i][0], err.text);
    }
}

static void test_required(void **state)
{
    static const wh_conf_key_t must[] = {{.name = "name",
                                          .type = WH_CONF_STRING,
                                          .flags = WH_CONF_F_REQUIRED,
                                          .min = 1,
                                          .max = 9,
                                          .offset = offsetof(conf_t, name)}};
    wh_conf_text_t in = {.name = "x.conf", .text = "", .len = 0};
    wh_err_t err = WH_ERR_INIT;
    conf_t conf;

    assert_code(wh_conf_parse(*state, &in, must, 1, &conf, &err), &err, "bad_config");
    assert_string_equal(err.text, "x.conf: name must be given");
    in = (wh_conf_text_t){.name = "x.conf", .text = "name = a", .len = 8};
    assert_ok(wh_conf_parse(*state, &in, must, 1, &conf, &err), &err);
    assert_string_equal(conf.name, "a");
    in.len = 7;
    assert_code(wh_conf_parse(*state, &in, must, 1, &conf, &err), &err, "bad_config");
}

static void test_dump(void **state)
{
    wh_conf_text_t in = {.name = "dump"};
    wh_err_t err = WH_ERR_INIT;
    conf_t conf, again;
    char *text = NULL;
    FILE *to;

    assert_ok(parse(*state, "max_bytes = 64K\nname = n\ndb_params = password=hidden\nverbose=on",
                    &conf, &err),
              &err);
    to = open_memstream(&text, &in.len);
    wh_conf_dump(to, keys, WH_ARRAY_LEN(keys), &conf);
    fclose(to);
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "\nmax_bytes = 65536\n"));
    in.text = text;
    assert_ok(wh_conf_parse(*state, &in, keys, WH_ARRAY_LEN(keys), &again, &err), &err);
    assert_int_equal(again.max_bytes, conf.max_bytes);
    assert_string_equal(again.name, conf.name);
    assert_int_equal(again.verbose, 1);
    free(text);
}

static void test_reference(void **state)
{
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);

    (void)state;
    wh_conf_reference(to, keys, WH_ARRAY_LEN(keys));
    fclose(to);
    assert_non_null(strstr(text, "# Pause between two ticks.\n# From 10 to 60000 ms.\n"
                                 "#tick_ms = 1000\n"));
    assert_non_null(strstr(text, "# One of sqlite3|pgsql.\n#db_driver = sqlite3\n"));
    free(text);
}

static void test_file(void **state)
{
    char *path = apr_pstrdup(*state, "/tmp/wh-conf-XXXXXX");
    int fd = mkstemp(path);
    wh_err_t err = WH_ERR_INIT;
    conf_t conf;
    char *big = apr_palloc(*state, 300 * 1024);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "tick_ms = 77\n", 13), 13);
    assert_ok(wh_conf_load(*state, path, keys, WH_ARRAY_LEN(keys), &conf, &err), &err);
    assert_int_equal(conf.tick_ms, 77);
    assert_int_equal(write(fd, "oops\n", 5), 5);
    assert_code(wh_conf_load(*state, path, keys, WH_ARRAY_LEN(keys), &conf, &err), &err,
                "bad_config");
    assert_string_equal(err.text,
                        apr_pstrcat(*state, path, ":2: not of the form \"key = value\"", NULL));
    memset(big, '\n', 300 * 1024);
    assert_int_equal(write(fd, big, 300 * 1024), 300 * 1024);
    assert_code(wh_conf_load(*state, path, keys, WH_ARRAY_LEN(keys), &conf, &err), &err,
                "bad_config");
    close(fd);
    unlink(path);
    assert_code(wh_conf_load(*state, path, keys, WH_ARRAY_LEN(keys), &conf, &err), &err,
                "config_unreadable");
    assert_code(wh_conf_load(*state, "/tmp", keys, WH_ARRAY_LEN(keys), &conf, &err), &err,
                "config_unreadable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("an empty file gives the defaults of the table", test_defaults),
        UNIT("values of each type are read", test_values),
        UNIT("what is wrong is told with file, line, key and range", test_refused),
        UNIT("a required key must be given", test_required),
        UNIT("a dump loads to the same and shows no secret", test_dump),
        UNIT("the reference comes out of the table", test_reference),
        UNIT("a file is read whole, or refused", test_file),
    };

    return UNIT_RUN(tests);
}
