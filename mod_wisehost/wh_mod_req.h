/*
 * wh_mod_req: what every REST handler does with the bytes of a request: read a bounded body, answer
 * in JSON, turn a wh_err_t into a problem document.
 *
 * Every answer carries Cache-Control: no-store, X-Content-Type-Options: nosniff and X-Request-Id.
 * All of it belongs to r->pool and to the thread that serves r.
 */
#ifndef WH_MOD_REQ_H
#define WH_MOD_REQ_H

#include <httpd.h>

#include <jansson.h>

#include "libwh/wh_err.h"

#define WH_MOD_BODY_MAX (1024 * 1024) /* bytes of a JSON body (api.md) */

typedef struct wh_mod_body_t {
    const char *data; /* NUL-terminated behind len; "" when there is none */
    apr_size_t len;
} wh_mod_body_t;

/* Takes the next piece of a streamed body; an error ends the stream. */
typedef apr_status_t (*wh_mod_sink_fn)(void *baton, const char *data, apr_size_t n, wh_err_t *err);

/* Now, in microseconds UTC: one value for the whole request. */
apr_time_t wh_mod_req_now(request_rec *r);

/*
 * Reads the whole body into out, at most max bytes.
 * Errors: 411 length_required (need_length and none was given), 413 too_large (before a byte is
 * read where a length tells it), 415 unsupported_encoding, 408 timeout, 400 bad_body.
 */
apr_status_t wh_mod_req_body(request_rec *r, apr_off_t max, int need_length, wh_mod_body_t *out,
                             wh_err_t *err) __attribute__((warn_unused_result));

/* The same, piece by piece; *total is what was read. Needs a Content-Length. */
apr_status_t wh_mod_req_stream(request_rec *r, apr_off_t max, wh_mod_sink_fn sink, void *baton,
                               apr_off_t *total, wh_err_t *err) __attribute__((warn_unused_result));

/* The declared Content-Length, or -1 when there is none or it is no number. */
apr_off_t wh_mod_req_length(request_rec *r);

/* True when the brigade holds the end of the body. */
int wh_mod_req_brigade_ended(struct apr_bucket_brigade *bb);

/* 415 unless the body is declared application/json (a charset, if any, must be utf-8). */
apr_status_t wh_mod_req_is_json(request_rec *r, wh_err_t *err) __attribute__((warn_unused_result));

/* The token behind "Authorization: Bearer ", or NULL: no header, another scheme or an odd form. */
const char *wh_mod_req_bearer(request_rec *r);

/* Answers with body (stolen, NULL = no memory) and status. Returns what a handler returns. */
int wh_mod_req_reply(request_rec *r, int status, json_t *body);

/* The same with JSON that is text already. */
int wh_mod_req_text(request_rec *r, int status, const char *text, apr_size_t len);

/* 200 with text of another type, as it is. */
int wh_mod_req_typed(request_rec *r, const char *type, const char *text, apr_size_t len);

/* Answers with a status and no body (204, 304). */
int wh_mod_req_empty(request_rec *r, int status);

/* Answers with the problem document of err (wh_mod_problem_send), a 401 with WWW-Authenticate. */
int wh_mod_req_problem(request_rec *r, const wh_err_t *err);

/* Sets Location: a path below the API's own address. */
void wh_mod_req_location(request_rec *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets ETag from the version of a row. */
void wh_mod_req_etag(request_rec *r, apr_int64_t version);

/* 428 precondition_required without If-Match, 412 precondition_failed when it names another
 * version. */
apr_status_t wh_mod_req_if_match(request_rec *r, apr_int64_t version, wh_err_t *err)
    __attribute__((warn_unused_result));

#endif
