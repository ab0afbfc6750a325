#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#define WH_ERR_DEFINE /* not the names for analysers */
#include "libwh/wh_err.h"
#include "libwh/wh_text.h"

/* vsnprintf cuts by bytes; the cut is moved back to a whole sequence, the rest is made plain. */
WH_PRINTF(3, 0)
static void put_text(char *buf, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(buf, size, fmt, ap);

    if (n < 0)
        buf[0] = '\0';
    else if ((size_t)n >= size)
        buf[wh_text_utf8_floor(buf, size - 1)] = '\0';
    wh_text_tame(buf);
}

static void put_code(wh_err_t *err, apr_status_t rv, int http, const char *code)
{
    err->rv = rv;
    err->http = http;
    apr_cpystrn(err->code, code, sizeof(err->code));
    err->pointer[0] = '\0';
}

apr_status_t wh_err_set(wh_err_t *err, int http, const char *code, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return APR_EGENERAL;
    put_code(err, APR_EGENERAL, http, code);
    va_start(ap, fmt);
    put_text(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return APR_EGENERAL;
}

apr_status_t wh_err_field(wh_err_t *err, const char *pointer, const char *code, const char *fmt,
                          ...)
{
    va_list ap;

    if (err == NULL)
        return APR_EGENERAL;
    put_code(err, APR_EGENERAL, 400, code);
    va_start(ap, fmt);
    put_text(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    apr_cpystrn(err->pointer, pointer, sizeof(err->pointer));
    if (strlen(pointer) >= sizeof(err->pointer))
        err->pointer[wh_text_utf8_floor(err->pointer, sizeof(err->pointer) - 1)] = '\0';
    wh_text_tame(err->pointer);
    return APR_EGENERAL;
}

apr_status_t wh_err_wrap(wh_err_t *err, apr_status_t rv, int http, const char *code,
                         const char *fmt, ...)
{
    va_list ap;
    char why[160];
    size_t len;

    if (rv == APR_SUCCESS)
        rv = APR_EGENERAL;
    if (err == NULL)
        return rv;
    put_code(err, rv, http, code);
    va_start(ap, fmt);
    put_text(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    apr_strerror(rv, why, sizeof(why));
    wh_text_tame(why);
    len = strlen(err->text);
    apr_snprintf(err->text + len, sizeof(err->text) - len, ": %s", why);
    return rv;
}

int wh_err_is(const wh_err_t *err, const char *code)
{
    return strcmp(err->code, code) == 0;
}

void wh_err_clear(wh_err_t *err)
{
    memset(err, 0, sizeof(*err));
}

const char *wh_err_title(int http)
{
    static const struct {
        int http;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(titles); i++)
        if (titles[i].http == http)
            return titles[i].title;
    return "Error";
}

json_t *wh_err_problem(const wh_err_t *err, const char *request_id)
{
    char type[80];
    json_t *doc;

    apr_snprintf(type, sizeof(type), "urn:wisehost:problem:%s", err->code);
    doc = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title", wh_err_title(err->http),
                    "status", err->http, "detail", err->text, "code", err->code);
    if (doc == NULL)
        return NULL;
    if (request_id != NULL && json_object_set_new(doc, "request_id", json_string(request_id)) != 0)
        goto fail;
    if (err->pointer[0] != '\0' &&
        json_object_set_new(
            doc, "errors",
            json_pack("[{s:s, s:s}]", "pointer", err->pointer, "detail", err->text)) != 0)
        goto fail;
    return doc;
fail:
    json_decref(doc);
    return NULL;
}
