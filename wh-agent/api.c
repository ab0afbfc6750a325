#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "wh-agent/api.h"

#define KEEPALIVE_S 5L
#define REPLY_MAX ((size_t)(4 * 1024 * 1024))

struct wh_api_t {
    const wh_agent_conf_t *conf;
    const wh_cancel_t *cancel;
    CURL *easy;
};

typedef struct body_t {
    const char *data;
    int fd;
    apr_int64_t left;
    char *reply;
    size_t have, room;
} body_t;

static size_t on_reply(char *buf, size_t size, size_t n, void *baton)
{
    body_t *b = baton;

    n *= size;
    if (b->have + n > REPLY_MAX)
        return 0;
    if (b->have + n + 1 > b->room) {
        size_t room = (b->have + n + 1) * 2;
        char *reply = realloc(b->reply, room);

        if (reply == NULL)
            return 0;
        b->reply = reply;
        b->room = room;
    }
    memcpy(b->reply + b->have, buf, n);
    b->have += n;
    return n;
}

static size_t on_read(char *buf, size_t size, size_t n, void *baton)
{
    body_t *b = baton;
    size_t take = size * n;

    if ((apr_int64_t)take > b->left)
        take = (size_t)b->left;
    if (b->data != NULL) {
        memcpy(buf, b->data, take);
        b->data += take;
    } else if (take > 0) {
        ssize_t got;

        do {
            got = read(b->fd, buf, take);
        } while (got < 0 && errno == EINTR);
        if (got <= 0)
            return CURL_READFUNC_ABORT;
        take = (size_t)got;
    }
    b->left -= (apr_int64_t)take;
    return take;
}

/* libcurl asks about once a second, and more often while bytes flow. */
static int on_progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const wh_api_t *api = baton;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return wh_cancel_is_set(api->cancel);
}

static apr_status_t api_close(void *data)
{
    wh_api_t *api = data;

    curl_easy_cleanup(api->easy);
    return APR_SUCCESS;
}

apr_status_t wh_api_open(apr_pool_t *p, const wh_agent_conf_t *conf, const wh_cancel_t *cancel,
                         wh_api_t **out, wh_err_t *err)
{
    wh_api_t *api = apr_pcalloc(p, sizeof(*api));

    api->conf = conf;
    api->cancel = cancel;
    api->easy = curl_easy_init();
    if (api->easy == NULL)
        return wh_err_set(err, 500, "internal", "cannot make a session with the server");
    apr_pool_cleanup_register(p, api, api_close, apr_pool_cleanup_null);
    *out = api;
    return APR_SUCCESS;
}

static void set_up(wh_api_t *api, const wh_api_call_t *call, body_t *body, const char *url)
{
    CURL *e = api->easy;

    curl_easy_reset(e);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (api->conf->ca_file[0] != '\0')
        curl_easy_setopt(e, CURLOPT_CAINFO, api->conf->ca_file);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    /* Who only waits for an answer does not learn that the other end has gone: it is asked. */
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS,
                     (long)((call->timeout_us > 0 ? call->timeout_us
                                                  : (apr_interval_time_t)30 * APR_USEC_PER_SEC) /
                            1000));
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, api);
    if (strcmp(call->method, "PUT") == 0) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body->left);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(e, CURLOPT_READDATA, body);
    } else if (strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->left);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, body->data);
    }
}

static struct curl_slist *headers_of(apr_pool_t *p, const wh_api_call_t *call)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

    if (call->bearer != NULL)
        headers = curl_slist_append(headers,
                                    apr_pstrcat(p, "Authorization: Bearer ", call->bearer, NULL));
    return curl_slist_append(headers, call->json != NULL
                                          ? "Content-Type: application/json"
                                          : "Content-Type: application/octet-stream");
}

/* The server's own words, where it has some. */
static apr_status_t problem(apr_pool_t *p, int status, const json_t *doc, wh_err_t *err)
{
    const char *code = json_string_value(json_object_get(doc, "code"));
    const char *detail = json_string_value(json_object_get(doc, "detail"));

    return wh_err_set(err, status, code != NULL ? wh_text_cap(p, code, 47) : "bad_reply", "%s",
                      detail != NULL ? detail
                                     : apr_psprintf(p, "the server answered %d %s", status,
                                                    wh_err_title(status)));
}

static apr_status_t take_reply(wh_api_t *api, apr_pool_t *p, const body_t *body, json_t **reply,
                               wh_err_t *err)
{
    static const wh_json_limits_t limits = {.bytes = REPLY_MAX, .depth = 16, .values = 100000};
    json_t *doc = NULL;
    long status = 0;

    curl_easy_getinfo(api->easy, CURLINFO_RESPONSE_CODE, &status);
    if (body->have > 0 &&
        wh_json_load_object(p, body->reply, body->have, &limits, &doc, NULL) != APR_SUCCESS)
        doc = NULL;
    if (status < 200 || status > 299)
        return problem(p, status >= 400 && status < 600 ? (int)status : 502, doc, err);
    if (reply != NULL)
        *reply = doc;
    if (reply != NULL && doc == NULL && body->have > 0)
        return wh_err_set(err, 502, "bad_reply", "the server's answer is no JSON object");
    return APR_SUCCESS;
}

apr_status_t wh_api_call(wh_api_t *api, apr_pool_t *p, const wh_api_call_t *call, json_t **reply,
                         wh_err_t *err)
{
    body_t body = {.data = call->data, .fd = call->fd, .left = call->n};
    struct curl_slist *headers;
    apr_status_t rv;
    CURLcode rc;

    if (call->json != NULL) {
        size_t n = 0;

        body.data = wh_json_text(p, call->json, &n);
        body.left = (apr_int64_t)n;
        if (body.data == NULL)
            return wh_err_set(err, 500, "internal", "a request cannot be written");
    }
    set_up(api, call, &body, apr_pstrcat(p, api->conf->server_url, call->path, NULL));
    headers = headers_of(p, call);
    curl_easy_setopt(api->easy, CURLOPT_HTTPHEADER, headers);
    rc = curl_easy_perform(api->easy);
    if (rc == CURLE_OK)
        rv = take_reply(api, p, &body, reply, err);
    else if (wh_cancel_is_set(api->cancel))
        rv = wh_err_set(err, 409, "canceled", "the deployment was canceled");
    else
        rv = wh_err_set(err, 503, "server_unreachable", "the server cannot be reached: %s",
                        curl_easy_strerror(rc));
    curl_slist_free_all(headers);
    free(body.reply);
    return rv;
}
