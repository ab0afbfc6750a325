/* The error object: what went wrong, as a stable code for programs, an HTTP status for the API and
 * one sentence for a person. It is filled by the function that found the problem and read by the
 * one that answers; in between it is only handed on. No memory is owned, so it can live on the
 * stack.
 *
 * `text` and `pointer` are always valid UTF-8 without control bytes, whatever was printed into
 * them.
 */
#ifndef WH_ERR_H
#define WH_ERR_H

#include <jansson.h>
#include "libwh/wh_types.h"

typedef struct wh_err_t {
    apr_status_t rv;   /* APR_SUCCESS while nothing was set */
    int http;          /* 400…599 */
    char code[48];     /* stable snake_case, part of the API */
    char text[512];    /* one sentence, no secret in it */
    char pointer[128]; /* JSON pointer of the field at fault, "" = none */
} wh_err_t;

/* An empty error, for `wh_err_t err = WH_ERR_INIT;`. */
#define WH_ERR_INIT                                                                                \
    {                                                                                              \
        .rv = APR_SUCCESS                                                                          \
    }

/* Fill err (may be NULL) and return APR_EGENERAL, so that `return wh_err_set(…)` reads well. The
 * pointer is cleared. Text that is too long is cut, never in the middle of a UTF-8 sequence. */
apr_status_t wh_err_set(wh_err_t *err, int http, const char *code, const char *fmt, ...)
    WH_PRINTF(4, 5);

/* The same with HTTP 400 and the JSON pointer of the field ("/run/port"). Returns APR_EGENERAL. */
apr_status_t wh_err_field(wh_err_t *err, const char *pointer, const char *code, const char *fmt,
                          ...) WH_PRINTF(4, 5);

/* The same around a status of APR: ": <text of rv>" is appended. Returns rv, or APR_EGENERAL when
 * rv is APR_SUCCESS, so that the result is never taken for success. */
apr_status_t wh_err_wrap(wh_err_t *err, apr_status_t rv, int http, const char *code,
                         const char *fmt, ...) WH_PRINTF(5, 6);

#if defined(WH_ANALYSE) && !defined(WH_ERR_DEFINE)
/* An analyser looks at one file at a time and cannot know the promises above. */
#define wh_err_set(...)                                                                            \
    __extension__({                                                                                \
        (void)(wh_err_set)(__VA_ARGS__);                                                           \
        APR_EGENERAL;                                                                              \
    })
#define wh_err_field(...)                                                                          \
    __extension__({                                                                                \
        (void)(wh_err_field)(__VA_ARGS__);                                                         \
        APR_EGENERAL;                                                                              \
    })
#define wh_err_wrap(...)                                                                           \
    __extension__({                                                                                \
        (void)(wh_err_wrap)(__VA_ARGS__);                                                          \
        APR_EGENERAL;                                                                              \
    })
#endif

/* True when err (not NULL) carries exactly this code. */
int wh_err_is(const wh_err_t *err, const char *code);

/* Forget what was set. */
void wh_err_clear(wh_err_t *err);

/* The problem document of RFC 9457: type, title, status, detail, code, request_id, and errors[]
 * when there is a pointer. request_id may be NULL. Returns a new reference, NULL when out of
 * memory. */
json_t *wh_err_problem(const wh_err_t *err, const char *request_id);

/* The reason phrase of an HTTP status, "Error" for one not in the table. Static. */
const char *wh_err_title(int http);

#endif
