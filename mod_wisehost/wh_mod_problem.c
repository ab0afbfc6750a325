/* Problem documents (RFC 9457) and the request id, for both planes. */
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "mod_wisehost/mod_wisehost.h"

#define WH_REQUEST_ID_MAX 64

/* A caller's own id is kept when it can do no harm in a log or a header. */
static int id_ok(const char *id)
{
    apr_size_t n;

    for (n = 0; id[n] != '\0'; n++) {
        if (n >= WH_REQUEST_ID_MAX ||
            !(apr_isalnum(id[n]) || id[n] == '-' || id[n] == '_' || id[n] == '.')) {
            return 0;
        }
    }
    return n >= 8;
}

/* Random bytes for ids, asked of the system for 25 at a time: it is one call a request otherwise.
 * Of this thread; httpd makes no id before its children are there. */
static apr_status_t fill_from_store(void *baton, void *buf, size_t n)
{
    static __thread unsigned char store[250];
    static __thread size_t left;

    (void)baton;
    if (n > sizeof(store)) {
        return APR_EINVAL;
    }
    if (left < n) {
        apr_status_t rv = wh_rand_fill(wh_sys_rand(), store, sizeof(store));
        if (rv != APR_SUCCESS) {
            return rv;
        }
        left = sizeof(store);
    }
    left -= n;
    memcpy(buf, store + left, n);
    return APR_SUCCESS;
}

const char *wh_mod_problem_request_id(request_rec *r)
{
    static const wh_rand_t store = {.fill = fill_from_store};
    request_rec *top = r;
    const char *id;

    while (top->main != NULL || top->prev != NULL) {
        top = top->main != NULL ? top->main : top->prev;
    }
    id = apr_table_get(top->notes, "wh-request-id");
    if (id == NULL) {
        id = apr_table_get(top->headers_in, "X-Request-Id");
        if (id == NULL || !id_ok(id)) {
            id = wh_id_make(top->pool, top->request_time, &store);
        }
        if (id == NULL) {
            id = "unknown"; /* no random numbers: an answer without an id is better than none */
        }
        apr_table_setn(top->notes, "wh-request-id", id);
    }
    return id;
}

/* httpd sends both tables: a header that stands in one already is not to be said twice. */
static void say(request_rec *r, const char *name, const char *value)
{
    apr_table_unset(r->err_headers_out, name);
    apr_table_setn(r->headers_out, name, value);
}

int wh_mod_problem_send(request_rec *r, const wh_err_t *err)
{
    const char *id = wh_mod_problem_request_id(r);
    json_t *doc = wh_err_problem(err, id);
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
    apr_size_t n;

    json_decref(doc);
    if (text == NULL) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    n = strlen(text);
    r->status = err->http;
    r->status_line = NULL;
    ap_set_content_type(r, "application/problem+json");
    say(r, "Cache-Control", "no-store");
    say(r, "X-Content-Type-Options", "nosniff");
    say(r, "X-Request-Id", id);
    if ((err->http == HTTP_SERVICE_UNAVAILABLE || err->http == HTTP_TOO_MANY_REQUESTS) &&
        apr_table_get(r->headers_out, "Retry-After") == NULL &&
        apr_table_get(r->err_headers_out, "Retry-After") == NULL) {
        apr_table_setn(r->headers_out, "Retry-After", "2");
    }
    ap_set_content_length(r, (apr_off_t)n);
    /* ap_rwrite copies, and the header filter leaves the body out for HEAD. */
    ap_rwrite(text, (int)n, r);
    free(text);
    return OK;
}
