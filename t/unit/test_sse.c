/* Streams of events as a client reads them, in any pieces. */
#include "t/unit/unit.h"

#include <stdlib.h>
#include <apr_strings.h>

#include "libwh/wh_sse.h"

typedef struct seen_t {
    apr_pool_t *p;
    const char *text;
} seen_t;

static int note(void *baton, const char *type, const char *data)
{
    seen_t *seen = baton;

    seen->text = apr_pstrcat(seen->p, seen->text, type, "=", data, ";", NULL);
    return strcmp(data, "stop") == 0 ? 7 : 0;
}

static void test_pieces(void **state)
{
    static const struct {
        const char *in, *out, *id;
        int retry;
    } table[] = {
        {"retry: 2000\n\n: hello\n\nid: 1\nevent: a\ndata: {\"x\": 1}\n\n", "a={\"x\": 1};", "1", 2000},
        {"data: one\ndata: two\n\n", "message=one\ntwo;", "", -1},
        {"data\n\ndata:\n\n", "message=;message=;", "", -1},
        {"data:one\r\n\r\ndata:two\r\rdata:three\n\n", "message=one;message=two;message=three;", "", -1},
        {"id: 5\ndata: x\n\nid: 6\ndata: cut", "message=x;", "5", -1},
        {"id: 5\n\nevent: no data\n\ndata: y\n\n", "message=y;", "5", -1},
        {"retry: soon\nretry: 99999999\nother: x\nnothing\n\n", "", "", -1},
        {"event: <b>\ndata:  two spaces\n\n", "<b>= two spaces;", "", -1},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(table); i++) {
        for (size_t piece = 1; piece < 20; piece++) {
            seen_t seen = {*state, ""};
            size_t n = strlen(table[i].in);
            wh_sse_t sse;

            wh_sse_init(&sse, note, &seen);
            for (size_t at = 0; at < n; at += piece) {
                assert_int_equal(
                    wh_sse_feed(&sse, table[i].in + at, piece < n - at ? piece : n - at), 0);
            }
            assert_string_equal(seen.text, table[i].out);
            assert_string_equal(sse.id, table[i].id);
            assert_int_equal(sse.retry_ms, table[i].retry);
            wh_sse_free(&sse);
        }
    }
}

static void test_bounds(void **state)
{
    seen_t seen = {*state, ""};
    size_t n = WH_SSE_EVENT_MAX / 2;
    char *half = malloc(n);
    wh_sse_t sse;

    memset(half, 'x', n);
    wh_sse_init(&sse, note, &seen);
    assert_int_equal(wh_sse_feed(&sse, half, n), 0);
    assert_int_equal(wh_sse_feed(&sse, half, n), 0);
    assert_int_equal(wh_sse_feed(&sse, "x", 1), -1);
    wh_sse_cut(&sse);
    memcpy(half, "data: ", 6);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wh_sse_feed(&sse, half, n), 0);
        assert_int_equal(wh_sse_feed(&sse, "\n", 1), 0);
    }
    assert_int_equal(wh_sse_feed(&sse, half, 20), 0);
    assert_int_equal(wh_sse_feed(&sse, "\n", 1), -1);
    wh_sse_cut(&sse);
    assert_int_equal(wh_sse_feed(&sse, "id: 3\ndata: stop\n\ndata: y\n\n", 27), 7);
    assert_string_equal(sse.id, "3");
    assert_string_equal(seen.text, "message=stop;");
    wh_sse_free(&sse);
    free(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("R20 events in any pieces", test_pieces),
        UNIT("R20 what is too large ends it", test_bounds),
    };

    return UNIT_RUN(tests);
}
