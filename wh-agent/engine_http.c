#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "wh-agent/engine_http.h"

#define CALL_TIMEOUT_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC)
#define POLL_MS 1000
#define WATCH_MS 250

/* One request under way. */
typedef struct exchange_t {
    CURL *easy;
    struct curl_slist *headers;
    wh_engine_call_t call;
    const wh_cancel_t *cancel;
    char *body;
    size_t have, room;
    int too_large;
    int active; /* added to the multi handle */
    int done;
    CURLcode result;
} exchange_t;

struct wh_engine_http_t {
    CURLM *multi;
    wh_engine_open_t open;
    exchange_t now;  /* the call being made */
    exchange_t late; /* the one that may take long */
};

static size_t on_body(char *buf, size_t size, size_t n, void *baton)
{
    exchange_t *x = baton;
    long status = 0;

    n *= size;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    if (x->call.sink != NULL && status < 300)
        return x->call.sink(x->call.sink_baton, buf, n) == 0 ? n : 0;
    if (x->have + n > WH_ENGINE_REPLY_MAX) {
        x->too_large = 1;
        return 0;
    }
    if (x->have + n + 1 > x->room) {
        size_t room = (x->have + n + 1) * 2;
        char *body = realloc(x->body, room);

        if (body == NULL)
            return 0;
        x->body = body;
        x->room = room;
    }
    memcpy(x->body + x->have, buf, n);
    x->have += n;
    return n;
}

static size_t on_read(char *buf, size_t size, size_t n, void *baton)
{
    exchange_t *x = baton;
    apr_ssize_t got = x->call.read(x->call.read_baton, buf, size * n);

    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static void exchange_end(wh_engine_http_t *http, exchange_t *x)
{
    if (x->active)
        curl_multi_remove_handle(http->multi, x->easy);
    x->active = 0;
    curl_slist_free_all(x->headers);
    x->headers = NULL;
    free(x->body);
    x->body = NULL;
    x->have = x->room = 0;
    x->done = x->too_large = 0;
}

static apr_status_t http_close(void *data)
{
    wh_engine_http_t *http = data;

    exchange_end(http, &http->now);
    exchange_end(http, &http->late);
    curl_easy_cleanup(http->now.easy);
    curl_easy_cleanup(http->late.easy);
    curl_multi_cleanup(http->multi);
    return APR_SUCCESS;
}

apr_status_t wh_engine_http_open(apr_pool_t *p, const wh_engine_open_t *open,
                                 wh_engine_http_t **out, wh_err_t *err)
{
    wh_engine_http_t *http = apr_pcalloc(p, sizeof(*http));

    http->open = *open;
    http->multi = curl_multi_init();
    http->now.easy = curl_easy_init();
    http->late.easy = curl_easy_init();
    http->now.cancel = http->late.cancel = open->cancel;
    apr_pool_cleanup_register(p, http, http_close, apr_pool_cleanup_null);
    if (http->multi == NULL || http->now.easy == NULL || http->late.easy == NULL)
        return wh_err_set(err, 500, "internal", "cannot make a session with the engine");
    *out = http;
    return APR_SUCCESS;
}

/* The request as curl wants it. */
static void set_up(wh_engine_http_t *http, exchange_t *x, const char *url)
{
    CURL *e = x->easy;
    const wh_engine_call_t *c = &x->call;

    curl_easy_reset(e);
    curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, http->open.socket);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    x->headers = curl_slist_append(NULL, "Expect:");
    if (c->read != NULL) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(e, CURLOPT_READDATA, x);
        x->headers = curl_slist_append(x->headers, "Content-Type: application/x-tar");
        x->headers = curl_slist_append(x->headers, "Transfer-Encoding: chunked");
    } else if (strcmp(c->method, "POST") == 0) {
        const char *body = c->body != NULL ? c->body : "";

        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body);
        x->headers = curl_slist_append(x->headers, "Content-Type: application/json");
    }
    if (c->header != NULL)
        x->headers = curl_slist_append(x->headers, c->header);
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, c->method);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
}

static apr_status_t begin(wh_engine_http_t *http, exchange_t *x, const wh_engine_call_t *call,
                          wh_err_t *err)
{
    char url[4096];

    exchange_end(http, x);
    x->call = *call;
    if (apr_snprintf(url, sizeof(url), "http://engine%s", call->path) >= (int)sizeof(url) - 1)
        return wh_err_set(err, 500, "internal", "a request to the engine is too long");
    set_up(http, x, url);
    if (curl_multi_add_handle(http->multi, x->easy) != CURLM_OK)
        return wh_err_set(err, 500, "internal", "cannot start a request to the engine");
    x->active = 1;
    return APR_SUCCESS;
}

/* One turn of both requests. */
static void turn(wh_engine_http_t *http, const wh_cancel_t *cancel, int wait_ms)
{
    struct curl_waitfd extra = {.fd = cancel != NULL ? cancel->fd : -1, .events = CURL_WAIT_POLLIN};
    int running = 0, left = 0;
    CURLMsg *msg;

    curl_multi_perform(http->multi, &running);
    while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
        exchange_t *x = msg->easy_handle == http->now.easy ? &http->now : &http->late;

        if (msg->msg == CURLMSG_DONE) {
            x->done = 1;
            x->result = msg->data.result;
            wait_ms = 0;
        }
    }
    if (wait_ms > 0)
        curl_multi_poll(http->multi, &extra, extra.fd >= 0 ? 1 : 0, wait_ms, NULL);
}

static const char *header_of(exchange_t *x, apr_pool_t *p, const char *name)
{
    struct curl_header *h;

    return curl_easy_header(x->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK
               ? apr_pstrdup(p, h->value)
               : NULL;
}

static apr_status_t take_reply(exchange_t *x, apr_pool_t *p, wh_engine_reply_t *reply,
                               wh_err_t *err)
{
    long status = 0;

    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (int)status;
    reply->n = x->have;
    reply->body = x->have > 0 ? apr_pstrmemdup(p, x->body, x->have) : "";
    reply->api = header_of(x, p, "Api-Version");
    reply->podman = header_of(x, p, "Libpod-Api-Version");
    if (x->result == CURLE_OK)
        return APR_SUCCESS;
    if (x->result == CURLE_COULDNT_CONNECT) {
        long code = 0;
        char why[128];

        curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &code);
        return wh_err_set(err, 503, "no_engine", "the container engine does not answer: %s",
                          apr_strerror((apr_status_t)code, why, sizeof(why)));
    }
    if (x->too_large)
        return wh_err_set(err, 502, "engine_error", "the engine's answer is too large");
    /* An engine may answer before it has read the whole of a stream, and then close. */
    if (x->result == CURLE_SEND_ERROR && status >= 400)
        return APR_SUCCESS;
    return wh_err_set(err, 502, "engine_error", "the engine broke off: %s",
                      curl_easy_strerror(x->result));
}

/* It is over for us: whoever asked ends what runs, and the engine may still say that it ended; not
 * for longer than it does no harm. */
static void linger(wh_engine_http_t *http, exchange_t *x)
{
    const wh_engine_call_t *c = &x->call;
    wh_mono_t end = wh_mono_add(wh_clock_mono(http->open.clock), c->linger_us);

    c->over(c->over_baton);
    while (!x->done && !wh_mono_reached(wh_clock_mono(http->open.clock), end) &&
           (c->watch == NULL || c->watch(c->watch_baton) < 2))
        turn(http, NULL, c->watch != NULL ? WATCH_MS : POLL_MS);
}

apr_status_t wh_engine_http_call(wh_engine_http_t *http, apr_pool_t *p,
                                 const wh_engine_call_t *call, wh_engine_reply_t *reply,
                                 wh_err_t *err)
{
    exchange_t *x = &http->now;
    wh_mono_t end = wh_mono_add(wh_clock_mono(http->open.clock),
                                call->timeout_us > 0 ? call->timeout_us : CALL_TIMEOUT_US);
    apr_status_t rv = begin(http, x, call, err);

    while (rv == APR_SUCCESS && !x->done) {
        turn(http, http->open.cancel, call->watch != NULL ? WATCH_MS : POLL_MS);
        if (x->done)
            break;
        if (wh_cancel_is_set(http->open.cancel))
            rv = wh_err_set(err, 409, "canceled", "the deployment was canceled");
        else if (wh_mono_reached(wh_clock_mono(http->open.clock), end))
            rv = wh_err_set(err, 504, "deadline", "the engine took too long");
        else if (call->watch != NULL && call->watch(call->watch_baton))
            rv = wh_err_set(err, 422, "over_limit", "it went beyond a limit");
    }
    memset(reply, 0, sizeof(*reply));
    if (rv != APR_SUCCESS && x->active && call->over != NULL)
        linger(http, x);
    if (rv == APR_SUCCESS)
        rv = take_reply(x, p, reply, err);
    reply->answered = x->done;
    exchange_end(http, x);
    return rv;
}

apr_status_t wh_engine_http_begin(wh_engine_http_t *http, const wh_engine_call_t *call,
                                  wh_err_t *err)
{
    apr_status_t rv = begin(http, &http->late, call, err);

    if (rv == APR_SUCCESS)
        turn(http, http->open.cancel, 0);
    return rv;
}

apr_status_t wh_engine_http_check(wh_engine_http_t *http, apr_pool_t *p, apr_interval_time_t us,
                                  int *done, wh_engine_reply_t *reply, wh_err_t *err)
{
    exchange_t *x = &http->late;
    wh_mono_t end = wh_mono_add(wh_clock_mono(http->open.clock), us);

    *done = 0;
    while (!x->done) {
        apr_interval_time_t left = wh_mono_diff(end, wh_clock_mono(http->open.clock));

        turn(http, http->open.cancel, left > 0 ? (int)((left + 999) / 1000) : 0);
        if (wh_cancel_is_set(http->open.cancel))
            return wh_err_set(err, 409, "canceled", "the deployment was canceled");
        if (left <= 0)
            break;
    }
    if (!x->done)
        return APR_SUCCESS;
    *done = 1;
    if (take_reply(x, p, reply, NULL) != APR_SUCCESS)
        reply->status = 0;
    return APR_SUCCESS;
}

const char *wh_engine_http_escape(apr_pool_t *p, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, strlen(value) * 3 + 1), *o = out;

    for (const unsigned char *s = (const unsigned char *)value; *s != '\0'; s++) {
        if (apr_isalnum(*s) || *s == '-' || *s == '_' || *s == '.' || *s == '~') {
            *o++ = (char)*s;
        } else {
            *o++ = '%';
            *o++ = hex[*s >> 4];
            *o++ = hex[*s & 15];
        }
    }
    *o = '\0';
    return out;
}
