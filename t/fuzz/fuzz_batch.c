/* Batches of objects: whatever comes, in pieces or at once, is read the same and within its bounds;
 * and what was read makes the body that was fed when it is written again. The first byte is the
 * step. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_batch.h"
#include "libwh/wh_sign.h"
#include "t/fuzz/fuzz.h"

typedef struct again_t {
    char *body; /* as much room as was fed */
    size_t n, room;
    apr_off_t left;
    int objects, open;
} again_t;

static void write_again(again_t *a, const char *data, size_t n)
{
    fuzz_must(a->n + n <= a->room);
    memcpy(a->body + a->n, data, n);
    a->n += n;
}

static apr_status_t begin(void *baton, const char *sha256, apr_off_t size, wh_err_t *err)
{
    again_t *a = baton;
    char line[WH_BATCH_LINE_MAX + 1];

    (void)err;
    fuzz_must(!a->open && wh_sign_is_hex(sha256, WH_SHA256_HEX));
    fuzz_must(size >= 0 && size <= WH_BATCH_OBJECT_MAX);
    fuzz_must(++a->objects <= WH_BATCH_OBJECTS_MAX);
    a->open = 1;
    a->left = size;
    write_again(a, line, wh_batch_line(line, sha256, size));
    return APR_SUCCESS;
}

static apr_status_t data(void *baton, const char *bytes, size_t n, wh_err_t *err)
{
    again_t *a = baton;

    (void)err;
    fuzz_must(a->open && n > 0 && (apr_off_t)n <= a->left);
    a->left -= (apr_off_t)n;
    write_again(a, bytes, n);
    return APR_SUCCESS;
}

static apr_status_t end(void *baton, wh_err_t *err)
{
    again_t *a = baton;

    (void)err;
    fuzz_must(a->open && a->left == 0);
    a->open = 0;
    return APR_SUCCESS;
}

static apr_status_t feed(again_t *a, const char *body, size_t n, size_t step)
{
    static const wh_batch_sink_t sink = {begin, data, end};
    wh_batch_t b = {.sink = &sink, .baton = a};
    apr_status_t rv = APR_SUCCESS;
    wh_err_t err = {0};

    for (size_t at = 0; rv == APR_SUCCESS && at < n; at += step)
        rv = wh_batch_feed(&b, body + at, n - at < step ? n - at : step, &err);
    return rv == APR_SUCCESS ? wh_batch_end(&b, &err) : rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    const char *body = (const char *)bytes + 1;
    again_t whole = {.body = n > 0 ? apr_palloc(p, n) : NULL, .room = n};
    again_t pieces = {.body = n > 0 ? apr_palloc(p, n) : NULL, .room = n};
    apr_status_t rv;

    if (n < 2)
        return 0;
    rv = feed(&whole, body, n - 1, n);
    fuzz_must((feed(&pieces, body, n - 1, (size_t)bytes[0] + 1) == APR_SUCCESS) ==
              (rv == APR_SUCCESS));
    fuzz_must(whole.n == pieces.n && memcmp(whole.body, pieces.body, whole.n) == 0);
    fuzz_must(rv != APR_SUCCESS || (whole.n == n - 1 && memcmp(whole.body, body, n - 1) == 0));
    return 0;
}
