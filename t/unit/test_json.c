#include "t/unit/unit.h"
#include "libwh/wh_json.h"

static void assert_refused(void **state, const char *text, size_t n, const char *code)
{
    wh_err_t err = WH_ERR_INIT;
    json_t *doc = (json_t *)state;

    assert_int_not_equal(wh_json_load_object(*state, text, n, NULL, &doc, &err), APR_SUCCESS);
    assert_string_equal(err.code, code);
    assert_null(doc);
}

static void test_refused(void **state)
{
    static const char *const pairs[][2] = {
        {"", "bad_json"},
        {"{", "bad_json"},
        {"{} x", "bad_json"},
        {"{}{}", "bad_json"},
        {"{'a':1}", "bad_json"},
        {"{\"a\":1,}", "bad_json"},
        {"{\"a\":01}", "bad_json"},
        {"{\"a\":NaN}", "bad_json"},
        {"// x\n{}", "bad_json"},
        {"{\"a\":\"\x01\"}", "bad_json"},
        {"{\"a\":\"\\ud800\"}", "bad_json"},
        {"\xef\xbb\xbf{}", "bad_json"},
        {"[]", "body_not_object"},
        {"null", "body_not_object"},
        {"\"x\"", "body_not_object"},
        {"{\"a\":1,\"a\":2}", "duplicate_field"},
        {"{\"a\":{\"b\":1,\"\\u0062\":2}}", "duplicate_field"},
        {"{\"a\":\"\\u0000\"}", "nul_character"},
        {"{\"a\\u0000b\":1}", "nul_character"},
        {"{\"a\":\"\xff\"}", "bad_utf8"},
        {"{\"a\":\"\xed\xa0\x80\"}", "bad_utf8"},
        {"{\"a\":9223372036854775808}", "out_of_range"},
        {"{\"a\":1e999}", "out_of_range"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(pairs); i++)
        assert_refused(state, pairs[i][0], strlen(pairs[i][0]), pairs[i][1]);
    assert_refused(state, "{}\0", 3, "bad_json");
}

static void test_depth(void **state)
{
    char text[200];
    json_t *doc;
    wh_err_t err = WH_ERR_INIT;

    /* {"a":[[…]]} of 32 levels passes, of 33 does not; brackets in a string do not count. */
    for (int depth = 32; depth <= 33; depth++) {
        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', (size_t)depth - 1);
        memset(text + 5 + depth - 1, ']', (size_t)depth - 1);
        text[5 + 2 * (depth - 1)] = '}';
        if (depth == 32)
            assert_ok(wh_json_load_object(*state, text, 6 + 2 * 31, NULL, &doc, &err), &err);
        else
            assert_refused(state, text, 6 + 2 * 32, "too_deep");
    }
    memcpy(text, "{\"a\":\"\\\"", 8);
    memset(text + 8, '[', 100);
    memcpy(text + 108, "\"}", 2);
    assert_ok(wh_json_load_object(*state, text, 110, NULL, &doc, &err), &err);
}

static void test_size(void **state)
{
    wh_json_limits_t limits = {.bytes = 100000, .depth = 2, .values = 3};
    size_t n = WH_JSON_BYTES_MAX + 1;
    char *big = apr_palloc(*state, n);
    wh_err_t err = WH_ERR_INIT;
    json_t *doc;

    memset(big, ' ', n);
    big[0] = '{';
    big[n - 2] = '}';
    assert_ok(wh_json_load_object(*state, big, n - 1, NULL, &doc, &err), &err);
    assert_refused(state, big, n, "body_too_large");
    memset(big, ',', n);
    big[0] = '[';
    assert_refused(state, big, n - 1, "too_many");
    assert_ok(wh_json_load(*state, "[1,2]", 5, &limits, &doc, &err), &err);
    assert_code(wh_json_load(*state, "[1,2,3]", 7, &limits, &doc, &err), &err, "too_many");
    assert_int_equal(err.http, 400);
    limits.bytes = 6;
    assert_code(wh_json_load(*state, "[1,2,3]", 7, &limits, &doc, &err), &err, "body_too_large");
    assert_int_equal(err.http, 413);
}

static wh_json_at_t load(void **state, const char *text)
{
    wh_err_t err = WH_ERR_INIT;
    json_t *doc = NULL;

    assert_ok(wh_json_load_object(*state, text, strlen(text), NULL, &doc, &err), &err);
    return wh_json_root(doc);
}

static void test_strings(void **state)
{
    wh_json_at_t at = load(state, "{\"s\":\"gr\xc3\xbc\xc3\x9f\",\"e\":\"\",\"n\":null,\"i\":1,"
                                  "\"l\":\"a\\nb\\tc\",\"c\":\"a\\u001b\",\"d\":\"a\\u009b\"}");
    const wh_json_rule_t *lines = WH_JSON_RULE(WH_JSON_F_LINES, 0, 9);
    wh_err_t err = WH_ERR_INIT;
    const char *s = "kept";

    assert_ok(wh_json_str(&at, "gone", WH_JSON_OPT(1, 9), &s, &err), &err);
    assert_string_equal(s, "kept");
    assert_code(wh_json_str(&at, "gone", WH_JSON_REQ(1, 9), &s, &err), &err, "missing_field");
    assert_string_equal(err.pointer, "/gone");
    assert_code(wh_json_str(&at, "i", WH_JSON_OPT(1, 9), &s, &err), &err, "wrong_type");
    assert_code(wh_json_str(&at, "n", WH_JSON_OPT(1, 9), &s, &err), &err, "wrong_type");
    assert_code(wh_json_str(&at, "e", WH_JSON_OPT(1, 9), &s, &err), &err, "too_short");
    assert_code(wh_json_str(&at, "s", WH_JSON_OPT(1, 5), &s, &err), &err, "too_long");
    assert_code(wh_json_str(&at, "l", WH_JSON_OPT(1, 9), &s, &err), &err, "bad_characters");
    assert_code(wh_json_str(&at, "c", lines, &s, &err), &err, "bad_characters");
    assert_code(wh_json_str(&at, "d", lines, &s, &err), &err, "bad_characters");
    assert_string_equal(s, "kept");
    assert_ok(wh_json_str(&at, "s", WH_JSON_OPT(1, 6), &s, &err), &err);
    assert_string_equal(s, "gr\xc3\xbc\xc3\x9f");
    assert_ok(wh_json_str(&at, "l", lines, &s, &err), &err);
    assert_string_equal(s, "a\nb\tc");
    assert_ok(wh_json_str(&at, "c", WH_JSON_RULE(WH_JSON_F_ANY, 0, 9), &s, &err), &err);
    assert_ok(wh_json_str(&at, "n", WH_JSON_RULE(WH_JSON_F_NULL, 1, 9), &s, &err), &err);
    assert_null(s);
}

static void test_integers(void **state)
{
    wh_json_at_t at = load(state, "{\"i\":7,\"r\":7.0,\"e\":7e0,\"s\":\"7\",\"b\":true,\"n\":null,"
                                  "\"lo\":-9223372036854775808,\"hi\":9223372036854775807}");
    static const char *const wrong[] = {"r", "e", "s", "b", "n"};
    wh_err_t err = WH_ERR_INIT;
    apr_int64_t i = 3;

    for (size_t k = 0; k < WH_ARRAY_LEN(wrong); k++) {
        assert_code(wh_json_int(&at, wrong[k], WH_JSON_OPT(0, 9), &i, &err), &err, "wrong_type");
        assert_int_equal(err.http, 400);
    }
    assert_code(wh_json_int(&at, "i", WH_JSON_OPT(8, 9), &i, &err), &err, "out_of_range");
    assert_code(wh_json_int(&at, "i", WH_JSON_OPT(0, 6), &i, &err), &err, "out_of_range");
    assert_int_equal(i, 3);
    assert_ok(wh_json_int(&at, "n", WH_JSON_RULE(WH_JSON_F_NULL, 0, 9), &i, &err), &err);
    assert_int_equal(i, 3);
    assert_ok(wh_json_int(&at, "i", WH_JSON_REQ(7, 7), &i, &err), &err);
    assert_int_equal(i, 7);
    assert_ok(wh_json_int(&at, "lo", WH_JSON_REQ(APR_INT64_MIN, 0), &i, &err), &err);
    assert_true(i == APR_INT64_MIN);
    assert_ok(wh_json_int(&at, "hi", WH_JSON_REQ(0, APR_INT64_MAX), &i, &err), &err);
    assert_true(i == APR_INT64_MAX);
}

static void test_nested(void **state)
{
    wh_json_at_t at =
        load(state, "{\"run\":{\"port\":0,\"x/y~z\":1},\"list\":[{\"a\":1},{\"a\":\"b\"}],"
                    "\"spa\":1,\"off\":false}");
    static const char *const names[] = {"port"};
    wh_err_t err = WH_ERR_INIT;
    const json_t *list = NULL;
    wh_json_at_t run, item;
    apr_int64_t i;
    int flag = 1;

    assert_ok(wh_json_obj(&at, "run", WH_JSON_F_REQUIRED, &run, &err), &err);
    assert_code(wh_json_int(&run, "port", WH_JSON_OPT(1, 9), &i, &err), &err, "out_of_range");
    assert_string_equal(err.pointer, "/run/port");
    assert_code(wh_json_only(&run, names, 1, &err), &err, "unknown_field");
    assert_string_equal(err.pointer, "/run/x~1y~0z");
    assert_code(wh_json_bool(&at, "spa", 0, &flag, &err), &err, "wrong_type");
    assert_int_equal(flag, 1);
    assert_ok(wh_json_bool(&at, "off", 0, &flag, &err), &err);
    assert_int_equal(flag, 0);
    assert_code(wh_json_arr(&at, "list", WH_JSON_REQ(0, 1), &list, &err), &err, "out_of_range");
    assert_ok(wh_json_arr(&at, "list", WH_JSON_REQ(1, 2), &list, &err), &err);
    item = wh_json_item(&at, "list", 1, json_array_get(list, 1));
    assert_code(wh_json_int(&item, "a", WH_JSON_REQ(1, 9), &i, &err), &err, "wrong_type");
    assert_string_equal(err.pointer, "/list/1/a");
    assert_code(wh_json_obj(&at, "list", 0, &run, &err), &err, "wrong_type");
    assert_ok(wh_json_obj(&at, "gone", 0, &run, &err), &err);
    assert_null(run.obj);
    assert_true(wh_json_has(&at, "off"));
    assert_false(wh_json_has(&at, "gone"));
}

/* Names as long as a body allows, at every level, do not overflow a pointer. */
static void test_long_pointer(void **state)
{
    char *key = apr_palloc(*state, 2001);
    wh_err_t err = WH_ERR_INIT;
    wh_json_at_t at, sub;

    memset(key, '~', 2000);
    key[2000] = '\0';
    at = load(state, apr_psprintf(*state, "{\"%s\":{\"%s\":1}}", key, key));
    assert_ok(wh_json_obj(&at, key, 0, &sub, &err), &err);
    assert_true(strlen(sub.pointer) < sizeof(sub.pointer));
    assert_code(wh_json_only(&sub, NULL, 0, &err), &err, "unknown_field");
    sub = wh_json_item(&sub, key, 99, NULL);
    assert_true(strlen(sub.pointer) < sizeof(sub.pointer));
}

typedef struct row_t {
    const char *name;
    apr_int64_t port;
    int spa;
} row_t;

static void test_table(void **state)
{
    static const wh_json_field_t fields[] = {
        {.name = "name",
         .type = WH_JSON_T_STR,
         .offset = offsetof(row_t, name),
         .rule = {.flags = WH_JSON_F_REQUIRED, .min = 1, .max = 9}},
        {.name = "port",
         .type = WH_JSON_T_INT,
         .offset = offsetof(row_t, port),
         .rule = {.min = 1, .max = 65535}},
        {.name = "spa", .type = WH_JSON_T_BOOL, .offset = offsetof(row_t, spa)},
    };
    row_t row = {.port = 8080};
    wh_err_t err = WH_ERR_INIT;
    wh_json_at_t at = load(state, "{\"name\":\"x\",\"spa\":true}");

    assert_ok(wh_json_fields(&at, fields, 3, WH_JSON_STRICT, &row, &err), &err);
    assert_string_equal(row.name, "x");
    assert_int_equal(row.port, 8080);
    assert_int_equal(row.spa, 1);
    at = load(state, "{\"name\":\"x\",\"more\":true}");
    assert_code(wh_json_fields(&at, fields, 3, WH_JSON_STRICT, &row, &err), &err, "unknown_field");
    assert_ok(wh_json_fields(&at, fields, 3, WH_JSON_LENIENT, &row, &err), &err);
    at = load(state, "{}");
    assert_code(wh_json_fields(&at, fields, 3, WH_JSON_LENIENT, &row, &err), &err, "missing_field");
}

static void test_text(void **state)
{
    wh_json_at_t at = load(state, "{\"a<\":\"</script>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\"}");
    size_t len = 0;

    assert_string_equal(
        wh_json_text_safe(*state, at.obj, &len),
        "{\"a\\u003c\":\"\\u003c/script\\u003e\\u0026\\u2028\\u2029\xe2\x80\xaa\"}");
    assert_int_equal(len, strlen(wh_json_text_safe(*state, at.obj, NULL)));
    at = load(state, "{ \"a\" : [ 1 , 2 ] }");
    assert_string_equal(wh_json_text(*state, at.obj, &len), "{\"a\":[1,2]}");
    assert_int_equal(len, 11);
    assert_string_equal(wh_json_text_safe(*state, at.obj, NULL), "{\"a\":[1,2]}");
    assert_string_equal(wh_json_text(*state, wh_json_own(*state, json_real(31.6)), NULL), "31.6");
    assert_string_equal(wh_json_text(*state, wh_json_own(*state, json_real(33.306)), NULL),
                        "33.306");
    assert_null(wh_json_text(*state, NULL, NULL));
    assert_null(wh_json_text_safe(*state, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("what is not one strict JSON object is refused by name", test_refused),
        UNIT("32 levels of nesting pass, 33 do not", test_depth),
        UNIT("size and number of values are limited before parsing", test_size),
        UNIT("strings: type, length, characters, null", test_strings),
        UNIT("integers: no fraction, no text, no overflow", test_integers),
        UNIT("nested fields are named by JSON pointer", test_nested),
        UNIT("long names do not overflow a pointer", test_long_pointer),
        UNIT("a struct is read by a table, unknown fields refused", test_table),
        UNIT("JSON for a browser is harmless as a page", test_text),
    };

    return UNIT_RUN(tests);
}
