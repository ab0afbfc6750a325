#include <stdlib.h>
#include "t/unit/unit.h"
#include "libwh/wh_batch.h"
#include "libwh/wh_sign.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* What came, as text: "(a 3)xyz;" an object. */
typedef struct heard_t {
    char text[400];
    size_t n;
    int refuse; /* the object with that number; 0 = none */
} heard_t;

static void hear(heard_t *h, const char *data, size_t n)
{
    if (h->n + n < sizeof(h->text)) {
        memcpy(h->text + h->n, data, n);
        h->n += n;
    }
}

static apr_status_t begin(void *baton, const char *sha256, apr_off_t size, wh_err_t *err)
{
    heard_t *h = baton;
    char line[100];

    assert_true(wh_sign_is_hex(sha256, WH_SHA256_HEX));
    apr_snprintf(line, sizeof(line), "(%c %" APR_OFF_T_FMT ")", sha256[0], size);
    hear(h, line, strlen(line));
    return --h->refuse == 0 ? wh_err_set(err, 422, "not_announced", "no") : APR_SUCCESS;
}

static apr_status_t data(void *baton, const char *bytes, size_t n, wh_err_t *err)
{
    (void)err;
    assert_true(n > 0);
    hear(baton, bytes, n);
    return APR_SUCCESS;
}

static apr_status_t end(void *baton, wh_err_t *err)
{
    (void)err;
    hear(baton, ";", 1);
    return APR_SUCCESS;
}

static const wh_batch_sink_t sink = {begin, data, end};

/* The code of what came of a body that is fed in pieces of step bytes, "" = it is sound. */
static const char *read_in(heard_t *h, const char *body, size_t n, size_t step, wh_err_t *err)
{
    wh_batch_t b = {.sink = &sink, .baton = h};
    apr_status_t rv = APR_SUCCESS;

    wh_err_clear(err);
    for (size_t at = 0; rv == APR_SUCCESS && at < n; at += step)
        rv = wh_batch_feed(&b, body + at, n - at < step ? n - at : step, err);
    if (rv == APR_SUCCESS)
        rv = wh_batch_end(&b, err);
    assert_int_equal(rv == APR_SUCCESS, err->code[0] == '\0');
    return err->code;
}

static void test_sound(void **state)
{
    static const char body[] = A " 3\nx\nz" B " 0\n" A " 1\n9" B " 12\n" A;
    heard_t want = {.n = 0}, got;
    wh_err_t err;
    size_t n = sizeof(body) - 1 - WH_SHA256_HEX + 12; /* the last one's bytes look like a line */

    (void)state;
    assert_string_equal(read_in(&want, body, n, n, &err), "");
    assert_string_equal(want.text, "(a 3)x\nz;(b 0);(a 1)9;(b 12)aaaaaaaaaaaa;");
    for (size_t step = 1; step < n; step++) {
        memset(&got, 0, sizeof(got));
        assert_string_equal(read_in(&got, body, n, step, &err), "");
        assert_string_equal(got.text, want.text);
    }
    memset(&got, 0, sizeof(got));
    got.refuse = 2;
    assert_string_equal(read_in(&got, body, n, 7, &err), "not_announced");
    assert_string_equal(got.text, "(a 3)x\nz;(b 0)");
}

static void test_refused(void **state)
{
    static const struct {
        const char *body;
        size_t n; /* 0 = strlen */
        const char *code;
    } bad[] = {
        {"", 0, "bad_batch"},
        {"\n", 0, "bad_batch"},
        {A, 0, "bad_batch"},
        {A " ", 0, "bad_batch"},
        {A " \n", 0, "bad_batch"},
        {A " 3", 0, "bad_batch"},
        {A " 3\n", 0, "bad_batch"},
        {A " 3\nxx", 0, "bad_batch"},
        {A " 3\nxxx\n", 0, "bad_batch"},
        {A " 3\nxxx" B, 0, "bad_batch"},
        {A " -1\n", 0, "bad_batch"},
        {A " +1\nx", 0, "bad_batch"},
        {A " 01\nx", 0, "bad_batch"},
        {A " 00\n", 0, "bad_batch"},
        {A " 0x1\nx", 0, "bad_batch"},
        {A " 1 \nx", 0, "bad_batch"},
        {A "  1\nx", 0, "bad_batch"},
        {A "\t1\nx", 0, "bad_batch"},
        {A " 1\r\nx", 0, "bad_batch"},
        {A " 1\0\nx", WH_SHA256_HEX + 5, "bad_batch"},
        {" " A " 1\nx", 0, "bad_batch"},
        {"A" A " 1\nx", 0, "bad_batch"},
        {"../../../../../../../../../../../../../../../../../../../etc/passwd 1\nx", 0,
         "bad_batch"},
        {A " 262145\n", 0, "too_large"},
        {A " 999999\n", 0, "too_large"},
        {A " 9999999\n", 0, "bad_batch"},
        {A " 18446744073709551617\nx", 0, "bad_batch"},
    };
    wh_err_t err;

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        size_t n = bad[i].n > 0 ? bad[i].n : strlen(bad[i].body);
        static const size_t steps[] = {1, 5, 64, 1000};

        for (size_t s = 0; s < WH_ARRAY_LEN(steps); s++) {
            heard_t h = {.n = 0};

            assert_string_equal(read_in(&h, bad[i].body, n, steps[s], &err), bad[i].code);
        }
    }
}

static void test_bounds(void **state)
{
    size_t n = WH_BATCH_OBJECT_MAX + WH_BATCH_LINE_MAX;
    char *body = calloc(1, n), line[WH_BATCH_LINE_MAX + 1], empty[WH_BATCH_LINE_MAX + 1];
    size_t head = wh_batch_line(line, A, WH_BATCH_OBJECT_MAX), each = wh_batch_line(empty, B, 0);
    wh_err_t err = {0};
    heard_t h = {.n = 0};
    wh_batch_t b = {.sink = &sink, .baton = &h};

    (void)state;
    assert_non_null(body);
    memcpy(body, line, head);
    assert_string_equal(read_in(&h, body, head + WH_BATCH_OBJECT_MAX, 16384, &err), "");
    free(body);
    for (int i = 0; i < WH_BATCH_OBJECTS_MAX; i++)
        assert_int_equal(wh_batch_feed(&b, empty, each, &err), APR_SUCCESS);
    assert_int_equal(wh_batch_end(&b, &err), APR_SUCCESS);
    assert_int_not_equal(wh_batch_feed(&b, empty, each, &err), APR_SUCCESS);
    assert_string_equal(err.code, "too_many_objects");
    assert_int_equal(err.http, 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a batch is the same however its bytes arrive, and ends where the sink says no",
             test_sound),
        UNIT("XH6 what is no batch is refused", test_refused),
        UNIT("XH6 its largest object, and one object too many", test_bounds),
    };
    return UNIT_RUN(tests);
}
