/* wh_batch: see wh_batch.h. */
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_batch.h"
#include "libwh/wh_sign.h"

#define SIZE_AT (WH_SHA256_HEX + 1)

static apr_status_t bad(wh_err_t *err, const char *what)
{
    return wh_err_set(err, 400, "bad_batch", "The body is no batch of objects: %s.", what);
}

static int all_digits(const char *s)
{
    while (apr_isdigit(*s))
        s++;
    return *s == '\0';
}

/* The line is whole and terminated. */
static apr_status_t take_line(wh_batch_t *b, wh_err_t *err)
{
    const char *digits = b->line + SIZE_AT;
    apr_status_t rv;

    if (b->have <= SIZE_AT || b->line[WH_SHA256_HEX] != ' ' || !all_digits(digits) ||
        (digits[0] == '0' && digits[1] != '\0'))
        return bad(err, "a line is not a hash and a size");
    b->line[WH_SHA256_HEX] = '\0';
    if (!wh_sign_is_hex(b->line, WH_SHA256_HEX))
        return bad(err, "a line is not a hash and a size");
    b->left = (apr_off_t)apr_atoi64(digits);
    if (b->left > WH_BATCH_OBJECT_MAX)
        return wh_err_set(err, 413, "too_large", "An object of over %d bytes is stored by itself.",
                          WH_BATCH_OBJECT_MAX);
    if (b->objects == WH_BATCH_OBJECTS_MAX)
        return wh_err_set(err, 413, "too_many_objects", "A batch has at most %d objects.",
                          WH_BATCH_OBJECTS_MAX);
    b->objects++;
    b->have = 0;
    b->inside = 1;
    rv = b->sink->begin(b->baton, b->line, b->left, err);
    if (rv == APR_SUCCESS && b->left == 0) {
        b->inside = 0;
        rv = b->sink->end(b->baton, err);
    }
    return rv;
}

/* How much of data belonged to the line. */
static size_t add_to_line(wh_batch_t *b, const char *data, size_t n, apr_status_t *rv,
                          wh_err_t *err)
{
    size_t room = WH_BATCH_LINE_MAX - b->have;
    const char *end = memchr(data, '\n', n < room ? n : room);
    size_t take = end != NULL ? (size_t)(end - data) : (n < room ? n : room);

    memcpy(b->line + b->have, data, take);
    b->have += take;
    b->line[b->have] = '\0';
    if (end == NULL) {
        *rv = b->have == WH_BATCH_LINE_MAX ? bad(err, "a line is too long") : APR_SUCCESS;
        return take;
    }
    *rv = strlen(b->line) == b->have ? take_line(b, err) : bad(err, "a line holds a NUL");
    return take + 1;
}

static size_t add_to_object(wh_batch_t *b, const char *data, size_t n, apr_status_t *rv,
                            wh_err_t *err)
{
    size_t take = (apr_off_t)n > b->left ? (size_t)b->left : n;

    *rv = b->sink->data(b->baton, data, take, err);
    b->left -= (apr_off_t)take;
    if (*rv == APR_SUCCESS && b->left == 0) {
        b->inside = 0;
        *rv = b->sink->end(b->baton, err);
    }
    return take;
}

apr_status_t wh_batch_feed(wh_batch_t *b, const char *data, size_t n, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && n > 0) {
        size_t took =
            b->inside ? add_to_object(b, data, n, &rv, err) : add_to_line(b, data, n, &rv, err);

        data += took;
        n -= took;
    }
    return rv;
}

apr_status_t wh_batch_end(const wh_batch_t *b, wh_err_t *err)
{
    if (b->inside || b->have > 0)
        return bad(err, "it ends within an object");
    return b->objects > 0 ? APR_SUCCESS : bad(err, "there is none in it");
}

size_t wh_batch_line(char out[WH_BATCH_LINE_MAX + 1], const char *sha256, apr_off_t size)
{
    return (size_t)apr_snprintf(out, WH_BATCH_LINE_MAX + 1, "%s %" APR_OFF_T_FMT "\n", sha256,
                                size);
}
