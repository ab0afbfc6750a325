#include "t/unit/unit.h"
#include "libwh/wh_text.h"

static void test_set(void **state)
{
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    assert_int_equal(wh_err_field(&err, "/run/port", "out_of_range", "from %d to %d", 1, 9),
                     APR_EGENERAL);
    assert_int_equal(err.http, 400);
    assert_string_equal(err.pointer, "/run/port");
    assert_string_equal(err.text, "from 1 to 9");
    assert_int_equal(wh_err_set(&err, 404, "not_found", "no such app"), APR_EGENERAL);
    assert_int_equal(err.rv, APR_EGENERAL);
    assert_true(wh_err_is(&err, "not_found"));
    assert_string_equal(err.pointer, "");
    wh_err_clear(&err);
    assert_int_equal(err.rv, APR_SUCCESS);
    assert_string_equal(err.code, "");
}

static void test_null(void **state)
{
    (void)state;
    assert_int_equal(wh_err_set(NULL, 500, "x", "y"), APR_EGENERAL);
    assert_int_equal(wh_err_field(NULL, "/a", "x", "y"), APR_EGENERAL);
    assert_int_equal(wh_err_wrap(NULL, APR_ENOENT, 500, "x", "y"), APR_ENOENT);
}

static void test_wrap(void **state)
{
    wh_err_t err = WH_ERR_INIT;

    (void)state;
    assert_int_equal(wh_err_wrap(&err, APR_ENOENT, 503, "db_error", "opening %s", "x.db"),
                     APR_ENOENT);
    assert_memory_equal(err.text, "opening x.db: ", 14);
    assert_true(strlen(err.text) > 14);
    assert_int_equal(wh_err_wrap(&err, APR_SUCCESS, 503, "db_error", "odd"), APR_EGENERAL);
}

static void test_text_is_safe(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    char big[2000];

    (void)state;
    wh_err_set(&err, 400, "x", "a\r\nb\x1b[31m\xff!");
    assert_string_equal(err.text, "a??b?[31m?!");
    /* 511 bytes hold 255 two-byte characters and no half one. */
    for (size_t i = 0; i + 1 < sizeof(big); i += 2)
        memcpy(big + i, "\xc3\xa9", 2);
    big[sizeof(big) - 2] = '\0';
    wh_err_set(&err, 400, "x", "%s", big);
    assert_int_equal(strlen(err.text), 510);
    assert_true(wh_text_utf8_ok(err.text, WH_TEXT_NUL));
    wh_err_field(&err, big, "x", "y");
    assert_int_equal(strlen(err.pointer), 126);
    wh_err_wrap(&err, APR_ENOENT, 500, "x", "%s", big);
    assert_true(strlen(err.text) < sizeof(err.text));
}

static void test_problem(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    json_t *doc, *item;

    (void)state;
    wh_err_field(&err, "/slug", "bad_slug", "not a slug");
    doc = wh_err_problem(&err, "01abc");
    assert_non_null(doc);
    assert_string_equal(json_string_value(json_object_get(doc, "type")),
                        "urn:wisehost:problem:bad_slug");
    assert_string_equal(json_string_value(json_object_get(doc, "title")), "Bad Request");
    assert_int_equal(json_integer_value(json_object_get(doc, "status")), 400);
    assert_string_equal(json_string_value(json_object_get(doc, "detail")), "not a slug");
    assert_string_equal(json_string_value(json_object_get(doc, "code")), "bad_slug");
    assert_string_equal(json_string_value(json_object_get(doc, "request_id")), "01abc");
    item = json_array_get(json_object_get(doc, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "pointer")), "/slug");
    json_decref(doc);
    wh_err_set(&err, 503, "db_busy", "busy");
    doc = wh_err_problem(&err, NULL);
    assert_null(json_object_get(doc, "errors"));
    assert_null(json_object_get(doc, "request_id"));
    json_decref(doc);
    assert_string_equal(wh_err_title(428), "Precondition Required");
    assert_string_equal(wh_err_title(599), "Error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("an error carries code, status, text and pointer", test_set),
        UNIT("an error nobody wants is still an error", test_null),
        UNIT("a wrapped status is kept and told", test_wrap),
        UNIT("text of an error is plain UTF-8, cut between characters", test_text_is_safe),
        UNIT("the problem document has the members of RFC 9457", test_problem),
    };

    return UNIT_RUN(tests);
}
