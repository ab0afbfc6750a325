/* REST by libcurl: one handle, so that a command that polls keeps its connection. */
#include "config.h"

#include <apr_strings.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "wh/wh_cli.h"

#define REPLY_MAX (8 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 10000L
#define REQUEST_TIMEOUT_MS 30000L
#define STREAM_SILENCE_S 45L

typedef struct http_t {
    CURL *curl;
    char *buf;
    size_t len;
    apr_pool_t *p;
    const char *etag;
    char error[CURL_ERROR_SIZE];
} http_t;

static size_t on_body(char *data, size_t one, size_t n, void *baton)
{
    http_t *http = baton;
    (void)one;
    if (n > REPLY_MAX - http->len)
        return 0;
    char *grown = realloc(http->buf, http->len + n + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + http->len, data, n);
    http->buf = grown;
    http->len += n;
    grown[http->len] = '\0';
    return n;
}

static size_t on_header(char *data, size_t one, size_t n, void *baton)
{
    http_t *http = baton;
    (void)one;
    if (n > 5 && strncasecmp(data, "etag:", 5) == 0) {
        size_t from = 5, to = n;
        while (from < to && (data[from] == ' ' || data[from] == '\t'))
            from++;
        while (to > from && (data[to - 1] == '\r' || data[to - 1] == '\n' || data[to - 1] == ' '))
            to--;
        http->etag = apr_pstrmemdup(http->p, data + from, to - from);
    }
    return n;
}

static int on_progress(void *baton, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)baton, (void)dt, (void)dn, (void)ut, (void)un;
    return wh_cli_interrupted;
}

static apr_status_t http_free(void *baton)
{
    http_t *http = baton;
    curl_easy_cleanup(http->curl);
    free(http->buf);
    return APR_SUCCESS;
}

static int is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    if (host == NULL)
        return 0;
    host += 3;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static http_t *http_open(wh_cli_t *cli)
{
    if (cli->http != NULL)
        return cli->http;
    /* The handle outlives the pool of a turn (wh_cli_watch.c). */
    http_t *http = apr_pcalloc(cli->root, sizeof(*http));
    http->curl = curl_easy_init();
    if (http->curl == NULL)
        return NULL;
    CURL *c = http->curl;
    apr_pool_cleanup_register(cli->root, http, http_free, apr_pool_cleanup_null);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "wh/" PACKAGE_VERSION);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, http->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    /* A proxy of the environment never stands between us and our own machine. */
    if (is_loopback(cli->url))
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    return cli->http = http;
}

static struct curl_slist *headers_of(wh_cli_t *cli, const char *accept, const char *type,
                                     const char *if_match)
{
    struct curl_slist *list =
        curl_slist_append(NULL, apr_pstrcat(cli->p, "Accept: ", accept, NULL));
    if (cli->token != NULL)
        list = curl_slist_append(list,
                                 apr_pstrcat(cli->p, "Authorization: Bearer ", cli->token, NULL));
    if (type != NULL)
        list = curl_slist_append(list, apr_pstrcat(cli->p, "Content-Type: ", type, NULL));
    if (if_match != NULL)
        list = curl_slist_append(list, apr_pstrcat(cli->p, "If-Match: ", if_match, NULL));
    return list;
}

static apr_status_t json_free(void *value)
{
    json_decref(value);
    return APR_SUCCESS;
}

static void reply_take(wh_cli_t *cli, http_t *http, CURLcode rc, wh_cli_reply_t *out)
{
    if (rc != CURLE_OK) {
        out->cause = apr_pstrdup(cli->p, wh_cli_interrupted ? "interrupted"
                                         : http->error[0]   ? http->error
                                                            : curl_easy_strerror(rc));
        return;
    }
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &out->status);
    out->etag = http->etag;
    if (http->len > 0)
        out->body = json_loadb(http->buf, http->len, 0, NULL);
    if (out->body != NULL)
        apr_pool_cleanup_register(cli->p, out->body, json_free, apr_pool_cleanup_null);
}

/* A header takes no control characters: a token from the environment could bring some. */
static int token_ok(const char *token)
{
    for (; token != NULL && *token != '\0'; token++)
        if ((unsigned char)*token <= ' ' || (unsigned char)*token >= 0x7f)
            return 0;
    return 1;
}

/* The handle, made ready for one request; NULL after *out says why there is none. */
static http_t *http_begin(wh_cli_t *cli, const char *path, wh_cli_reply_t *out)
{
    memset(out, 0, sizeof(*out));
    if (cli->url == NULL) {
        out->cause = "no server is known: run `wh login --url URL`, or set WH_URL";
        return NULL;
    }
    if (!token_ok(cli->token)) {
        out->cause = "the token holds characters that no token has";
        return NULL;
    }
    http_t *http = http_open(cli);
    if (http == NULL) {
        out->cause = "out of memory";
        return NULL;
    }
    http->p = cli->p;
    http->len = 0;
    http->etag = NULL;
    http->error[0] = '\0';
    curl_easy_setopt(http->curl, CURLOPT_URL, apr_pstrcat(cli->p, cli->url, path, NULL));
    /* HTTPGET puts the handle back to a plain request without a body. */
    curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
    return http;
}

void wh_cli_http_try(wh_cli_t *cli, const char *method, const char *path, json_t *body,
                     const char *if_match, wh_cli_reply_t *out)
{
    http_t *http = http_begin(cli, path, out);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (http == NULL || (body != NULL && text == NULL)) {
        out->cause = out->cause != NULL ? out->cause : "out of memory";
        free(text);
        return;
    }
    struct curl_slist *headers =
        headers_of(cli, "application/json", body != NULL ? "application/json" : NULL, if_match);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    if (text != NULL || strcmp(method, "POST") == 0) {
        curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, text != NULL ? text : "");
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE, text != NULL ? (long)strlen(text) : 0L);
    }
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, method);
    reply_take(cli, http, curl_easy_perform(http->curl), out);
    curl_slist_free_all(headers);
    free(text);
}

static int exit_code(const wh_cli_reply_t *reply)
{
    switch (reply->status) {
    case 401:
    case 403:
        return WH_EXIT_AUTH;
    case 404:
        return WH_EXIT_NOT_FOUND;
    case 409:
    case 412:
    case 428:
        return WH_EXIT_CONFLICT;
    case 408:
    case 504:
        return WH_EXIT_TIMEOUT;
    default:
        return WH_EXIT_FAIL;
    }
}

/* Where the fault is when it is one by itself, whose detail is the problem's; NULL: it is not. */
static const char *only_place(const wh_cli_t *cli, const json_t *problem)
{
    const json_t *errors = json_object_get(problem, "errors"), *one = json_array_get(errors, 0);
    return json_array_size(errors) == 1 &&
                   strcmp(wh_cli_get(cli, one, "detail"), wh_cli_get(cli, problem, "detail")) == 0
               ? wh_cli_get(cli, one, "pointer")
               : NULL;
}

static void fields_say(const wh_cli_t *cli, const json_t *problem)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(problem, "errors"), i, one)
        wh_cli_error("  %s: %s", wh_cli_get(cli, one, "pointer"), wh_cli_get(cli, one, "detail"));
}

/* What to do about a refusal, where the status alone tells. */
static void hint_say(const wh_cli_t *cli, long status, const char *code)
{
    const char *words = cli->cmd->words;
    if (((status == 403 || status == 404) && *code == '\0') ||
        strcmp(code, "deployment_not_found") == 0)
        wh_cli_error("is %s the API's address? `wh doctor` tells", cli->url);
    else if (status == 404 && strcmp(code, "not_found") == 0)
        wh_cli_error("`%s` lists what there is",
                     strcmp(words, "hooks delete") == 0         ? "wh hooks"
                     : strncmp(words, "workers ", 8) == 0       ? "wh workers"
                     : strcmp(words, "env unset") == 0          ? "wh env list APP"
                     : strcmp(words, "hooks replay") == 0       ? "wh hooks deliveries HOOK"
                     : strncmp(words, "domains ", 8) == 0       ? "wh domains APP"
                     : strncmp(words, "environments ", 13) == 0 ? "wh environments APP"
                                                                : "wh apps");
    else if (status != 401 || strcmp(words, "login") == 0)
        return;
    else if (cli->token == NULL)
        wh_cli_error("no token is known: run `wh login`, or set WH_TOKEN");
    else if (strcmp(cli->token_from, "WH_TOKEN") == 0)
        wh_cli_error("the token is that of WH_TOKEN: correct it, or unset it and run `wh login`");
    else
        wh_cli_error("run `wh login` for a new token");
}

int wh_cli_http_fail(const wh_cli_t *cli, const wh_cli_reply_t *reply)
{
    if (reply->status == 0) {
        if (cli->url != NULL)
            wh_cli_error("%s does not answer: %s", cli->url, wh_cli_clean(cli, reply->cause));
        else
            wh_cli_error("%s", reply->cause);
        return wh_cli_interrupted ? WH_EXIT_INT : WH_EXIT_FAIL;
    }
    const char *detail = wh_cli_get(cli, reply->body, "detail");
    const char *code = wh_cli_get(cli, reply->body, "code");
    if (*detail == '\0')
        detail = wh_cli_get(cli, reply->body, "title");
    const char *place = only_place(cli, reply->body);
    wh_cli_error("%s%s%s (%ld%s%s)", place != NULL ? place : "",
                 place != NULL && *place != '\0' ? ": " : "",
                 *detail ? detail : "the server refused", reply->status, *code ? " " : "", code);
    if (place == NULL)
        fields_say(cli, reply->body);
    hint_say(cli, reply->status, code);
    if (cli->json && reply->body != NULL)
        wh_cli_json(reply->body);
    return exit_code(reply);
}

static int judge(wh_cli_t *cli, const wh_cli_reply_t *out)
{
    if (out->status < 200 || out->status > 299)
        return wh_cli_http_fail(cli, out);
    if (out->status != 204 && out->body == NULL) {
        wh_cli_error("%s: the answer is not JSON: is this the API's address?", cli->url);
        return WH_EXIT_FAIL;
    }
    return 0;
}

int wh_cli_http(wh_cli_t *cli, const char *method, const char *path, json_t *body,
                const char *if_match, wh_cli_reply_t *out)
{
    wh_cli_http_try(cli, method, path, body, if_match, out);
    return judge(cli, out);
}

static size_t on_read(char *buf, size_t one, size_t n, void *baton)
{
    return fread(buf, one, n, baton);
}

int wh_cli_http_file(wh_cli_t *cli, const char *path, FILE *file, wh_cli_reply_t *out)
{
    http_t *http = http_begin(cli, path, out);
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (http == NULL || size < 0) {
        out->cause = out->cause != NULL ? out->cause : "the file cannot be read";
        return wh_cli_http_fail(cli, out);
    }
    rewind(file);
    struct curl_slist *headers =
        headers_of(cli, "application/json", "application/octet-stream", NULL);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(http->curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(http->curl, CURLOPT_READDATA, file);
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, "POST");
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT_MS, 0L);
    reply_take(cli, http, curl_easy_perform(http->curl), out);
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
    curl_slist_free_all(headers);
    return judge(cli, out);
}

typedef struct feed_t {
    http_t *http;
    wh_sse_t *sse;
    int rc; /* of the reader */
} feed_t;

/* A problem document is no stream. */
static size_t on_stream(char *data, size_t one, size_t n, void *baton)
{
    feed_t *feed = baton;
    long status = 0;
    curl_easy_getinfo(feed->http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return on_body(data, one, n, feed->http);
    feed->rc = wh_sse_feed(feed->sse, data, n);
    return feed->rc == 0 ? n : 0;
}

int wh_cli_http_stream(wh_cli_t *cli, const char *path, wh_sse_t *sse, wh_cli_reply_t *out)
{
    http_t *http = http_begin(cli, path, out);
    feed_t feed = {.http = http, .sse = sse};
    if (http == NULL)
        return wh_cli_http_fail(cli, out);
    CURL *c = http->curl;
    struct curl_slist *headers = headers_of(cli, "text/event-stream", NULL, NULL);
    if (sse->id[0] != '\0')
        headers = curl_slist_append(headers,
                                    apr_pstrcat(cli->p, "Last-Event-ID: ", sse->id, NULL));
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "GET");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_stream);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &feed);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 0L);
    /* A comment comes every 15 s. */
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STREAM_SILENCE_S);
    /* Of HTTP/2 the server has few streams. */
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    CURLcode rc = curl_easy_perform(c);
    reply_take(cli, http, rc, out);
    if (out->status == 0) /* it began, and was cut off */
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_NONE);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 0L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, http);
    curl_slist_free_all(headers);
    if (feed.rc >= 0)
        return feed.rc;
    wh_cli_error("the server sends an event that is too large");
    return WH_EXIT_FAIL;
}

const char *wh_cli_http_escape(wh_cli_t *cli, const char *text)
{
    http_t *http = cli->url != NULL ? http_open(cli) : NULL;
    char *escaped = http != NULL ? curl_easy_escape(http->curl, text, 0) : NULL;
    const char *copy = apr_pstrdup(cli->p, escaped != NULL ? escaped : "");
    curl_free(escaped);
    return copy;
}
