#include "mod_wisehost/mod_wisehost.h"
#include "mod_wisehost/wh_mod_req.h"

#include <stdarg.h>
#include <stdlib.h>

#include <apr_atomic.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

#include "libwh/wh_json.h"

#define PIECE_BYTES 16384
#define BODY_FREE_BYTES ((apr_size_t)64 * 1024)
#define BODIES_KIB_MAX (64 * 1024)

apr_time_t wh_mod_req_now(request_rec *r)
{
    return r->request_time;
}

apr_off_t wh_mod_req_length(request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t n;
    char *end;

    if (!text || !apr_isdigit(*text) || apr_strtoff(&n, text, &end, 10) || *end) {
        return -1;
    }
    return n;
}

/* A failed read says who is to blame: a slow client is 408, a broken body 400. */
static apr_status_t read_failed(apr_status_t rv, wh_err_t *err)
{
    if (APR_STATUS_IS_TIMEUP(rv)) {
        return wh_err_set(err, 408, "timeout", "The body did not arrive in time.");
    }
    if (rv == APR_ENOSPC) {
        return wh_err_set(err, 413, "too_large", "The body is larger than this server takes.");
    }
    return wh_err_set(err, 400, "bad_body", "The body could not be read to its end.");
}

static apr_status_t check_head(request_rec *r, apr_off_t max, int need_length, wh_err_t *err)
{
    const char *encoding = apr_table_get(r->headers_in, "Content-Encoding");
    apr_off_t length = wh_mod_req_length(r);

    if (encoding && ap_cstr_casecmp(encoding, "identity") != 0) {
        return wh_err_set(err, 415, "unsupported_encoding",
                          "Content-Encoding is not accepted here.");
    }
    if (need_length && length < 0) {
        return wh_err_set(err, 411, "length_required", "Content-Length is required here.");
    }
    if (length > max) {
        return wh_err_set(err, 413, "too_large",
                          "The body is larger than %" APR_OFF_T_FMT " bytes.", max);
    }
    return APR_SUCCESS;
}

typedef struct pump_t {
    wh_mod_sink_fn sink;
    void *baton;
    apr_off_t max, total;
    int end;
} pump_t;

/* APR's ring macros cast a volatile away; clang tells so even for macros of system headers. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
static apr_bucket *next_bucket(apr_bucket_brigade *bb, apr_bucket *after)
{
    apr_bucket *b = after ? APR_BUCKET_NEXT(after) : APR_BRIGADE_FIRST(bb);

    return b == APR_BRIGADE_SENTINEL(bb) ? NULL : b;
}
#pragma GCC diagnostic pop

int wh_mod_req_brigade_ended(apr_bucket_brigade *bb)
{
    for (apr_bucket *b = next_bucket(bb, NULL); b; b = next_bucket(bb, b)) {
        if (APR_BUCKET_IS_EOS(b)) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t pump_brigade(apr_bucket_brigade *bb, pump_t *pump, wh_err_t *err)
{
    for (apr_bucket *b = next_bucket(bb, NULL); b; b = next_bucket(bb, b)) {
        const char *data;
        apr_size_t n;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(b)) {
            pump->end = 1;
            return APR_SUCCESS;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        rv = apr_bucket_read(b, &data, &n, APR_BLOCK_READ);
        if (rv) {
            return read_failed(rv, err);
        }
        pump->total += (apr_off_t)n;
        if (pump->total > pump->max) {
            return wh_err_set(err, 413, "too_large",
                              "The body is larger than %" APR_OFF_T_FMT " bytes.", pump->max);
        }
        rv = n ? pump->sink(pump->baton, data, n, err) : APR_SUCCESS;
        if (rv) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t pump_body(request_rec *r, pump_t *pump, wh_err_t *err)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    while (!pump->end) {
        apr_status_t rv =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, PIECE_BYTES);

        if (rv) {
            return read_failed(rv, err);
        }
        rv = pump_brigade(bb, pump, err);
        apr_brigade_cleanup(bb);
        if (rv) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_req_stream(request_rec *r, apr_off_t max, wh_mod_sink_fn sink, void *baton,
                               apr_off_t *total, wh_err_t *err)
{
    pump_t pump = {.sink = sink, .baton = baton, .max = max};
    apr_status_t rv = check_head(r, max, 1, err);

    rv = rv ? rv : pump_body(r, &pump, err);
    *total = pump.total;
    return rv;
}

/* A body in memory, outside of the pool: its pages go back when the request ends. */
typedef struct gather_t {
    char *data;
    apr_size_t len, size, most;
    apr_uint32_t charged; /* KiB of held_kib */
} gather_t;

/* KiB of large bodies that the requests of this child hold. Deliveries are read before anybody
 * knows who sends them: without a bound, as many as there are threads could fill the memory. */
static apr_uint32_t held_kib;

static apr_status_t gather_free(void *data)
{
    gather_t *to = data;

    free(to->data);
    apr_atomic_sub32(&held_kib, to->charged);
    return APR_SUCCESS;
}

/* Small bodies always have room, so that large ones cannot keep them out. */
static int charge(gather_t *to, apr_size_t size)
{
    apr_uint32_t more = (apr_uint32_t)(size / 1024) - to->charged;

    if (size <= BODY_FREE_BYTES) {
        return 1;
    }
    if (apr_atomic_add32(&held_kib, more) + more > BODIES_KIB_MAX) {
        apr_atomic_sub32(&held_kib, more);
        return 0;
    }
    to->charged += more;
    return 1;
}

/* Grows by doubling from what arrived, never from what the client said: memory follows real bytes.
 */
static apr_status_t gather(void *baton, const char *data, apr_size_t n, wh_err_t *err)
{
    gather_t *to = baton;

    if (to->data == NULL || to->len + n + 1 > to->size) {
        apr_size_t size = to->size ? to->size : PIECE_BYTES;
        char *more;

        while (size < to->len + n + 1) {
            size *= 2;
        }
        if (size > to->most && to->len + n < to->most) {
            size = to->most;
        }
        more = charge(to, size) ? realloc(to->data, size) : NULL;
        if (!more) {
            return wh_err_set(err, 503, "busy",
                              "This server has no room for a large body now. Try again soon.");
        }
        to->data = more;
        to->size = size;
    }
    memcpy(to->data + to->len, data, n);
    to->len += n;
    to->data[to->len] = '\0';
    return APR_SUCCESS;
}

apr_status_t wh_mod_req_body(request_rec *r, apr_off_t max, int need_length, wh_mod_body_t *out,
                             wh_err_t *err)
{
    gather_t *to = apr_pcalloc(r->pool, sizeof(*to));
    pump_t pump = {.sink = gather, .baton = to, .max = max};
    apr_status_t rv = check_head(r, max, need_length, err);
    apr_off_t length = wh_mod_req_length(r);

    out->data = "";
    out->len = 0;
    to->most = (apr_size_t)(length >= 0 ? length : max) + 1;
    apr_pool_cleanup_register(r->pool, to, gather_free, apr_pool_cleanup_null);
    if (rv || (rv = pump_body(r, &pump, err))) {
        return rv;
    }
    if (to->len) {
        out->data = to->data;
        out->len = to->len;
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_req_is_json(request_rec *r, wh_err_t *err)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    const char *rest;

    if (!type || ap_cstr_casecmpn(type, "application/json", 16) != 0) {
        return wh_err_set(err, 415, "unsupported_media_type", "The body must be application/json.");
    }
    for (rest = type + 16; *rest == ' ' || *rest == ';'; rest++) {
    }
    if ((*rest && rest == type + 16) || (*rest && ap_cstr_casecmp(rest, "charset=utf-8") &&
                                         ap_cstr_casecmp(rest, "charset=\"utf-8\""))) {
        return wh_err_set(err, 415, "unsupported_media_type",
                          "The body must be application/json in UTF-8.");
    }
    return APR_SUCCESS;
}

const char *wh_mod_req_bearer(request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Authorization");
    const char *token;

    if (!text || ap_cstr_casecmpn(text, "Bearer ", 7) != 0) {
        return NULL;
    }
    for (token = text + 7; *token == ' '; token++) {
    }
    if (!*token || strlen(token) > 4096 || strpbrk(token, " ,\t")) {
        return NULL;
    }
    return token;
}

/* Headers go to err_headers_out: they survive whatever httpd does with the status. */
static void common_headers(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->err_headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->err_headers_out, "X-Request-Id", wh_mod_problem_request_id(r));
    r->no_cache = 1;
}

int wh_mod_req_text(request_rec *r, int status, const char *text, apr_size_t len)
{
    common_headers(r);
    r->status = status;
    r->status_line = NULL;
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)len + 1);
    ap_rwrite(text, (int)len, r);
    ap_rwrite("\n", 1, r);
    return OK;
}

int wh_mod_req_typed(request_rec *r, const char *type, const char *text, apr_size_t len)
{
    common_headers(r);
    r->status = HTTP_OK;
    r->status_line = NULL;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)len);
    ap_rwrite(text, (int)len, r);
    return OK;
}

int wh_mod_req_reply(request_rec *r, int status, json_t *body)
{
    size_t n = 0;
    char *text = wh_json_text_safe(r->pool, body, &n);

    json_decref(body);
    if (!text) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "WH0200: an answer could not be put into JSON");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return wh_mod_req_text(r, status, text, n);
}

int wh_mod_req_empty(request_rec *r, int status)
{
    common_headers(r);
    r->status = status;
    r->status_line = NULL;
    if (status != HTTP_NO_CONTENT && status != HTTP_NOT_MODIFIED) {
        ap_set_content_length(r, 0);
    }
    return OK;
}

int wh_mod_req_problem(request_rec *r, const wh_err_t *err)
{
    if (err->http == HTTP_UNAUTHORIZED) {
        apr_table_setn(r->err_headers_out, "WWW-Authenticate", "Bearer realm=\"wisehost\"");
    }
    ap_log_rerror(APLOG_MARK,
                  err->http >= 500   ? (err->http == 503 ? APLOG_WARNING : APLOG_ERR)
                  : err->http == 429 ? APLOG_INFO
                                     : APLOG_DEBUG,
                  0, r, "WH0201: %d %s: %s (request %s)", err->http, err->code, err->text,
                  wh_mod_problem_request_id(r));
    return wh_mod_problem_send(r, err);
}

void wh_mod_req_location(request_rec *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    apr_table_setn(r->err_headers_out, "Location", apr_pvsprintf(r->pool, fmt, ap));
    va_end(ap);
}

static const char *etag_of(request_rec *r, apr_int64_t version)
{
    return apr_psprintf(r->pool, "\"%" APR_INT64_T_FMT "\"", version);
}

void wh_mod_req_etag(request_rec *r, apr_int64_t version)
{
    apr_table_setn(r->err_headers_out, "ETag", etag_of(r, version));
}

apr_status_t wh_mod_req_if_match(request_rec *r, apr_int64_t version, wh_err_t *err)
{
    const char *asked = apr_table_get(r->headers_in, "If-Match");

    if (!asked) {
        return wh_err_set(err, 428, "precondition_required",
                          "If-Match is required: send the ETag that you read last.");
    }
    if (strcmp(asked, "*") && !ap_find_etag_strong(r->pool, asked, etag_of(r, version))) {
        return wh_err_set(err, 412, "precondition_failed", "It has changed since you read it.");
    }
    return APR_SUCCESS;
}
