#include "wh-scheduler/httpout.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <apr_strings.h>
#include <curl/curl.h>

#include "libwh/wh_httpurl.h"
#include "libwh/wh_pool.h"
#include "wh-scheduler/outaddr.h"
#include "wh-scheduler/threads.h"

#define CONNECT_MS 5000L
#define IDLE_MS 600000
#define HEADS_MAX 64
#define KEPT 8L /* connections that stay open for the next request */

/* What the thread has beside the request; made together with it. */
typedef struct call_t {
    wh_httpout_req_t req; /* the first: a request is its call */
    struct curl_slist *headers, *rcpt;
    size_t read; /* of a mail: how much of it was */
    wh_httpurl_t url;
    const wh_httpout_t *out;
    CURL *curl;
    char *text;
    size_t room;
    wh_outaddr_t who;
    size_t heads; /* bytes of the answer's headers, and of a mail server's replies */
} call_t;

typedef struct line_t {
    wh_httpout_req_t *first, **last;
} line_t;

struct wh_httpout_t {
    wh_httpout_opt_t opt;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock;
    line_t waiting, answers;
    int n_waiting; /* and under way */
    int stop;
    line_t running; /* the thread's alone */
    int n_running;
};

static void put(line_t *line, wh_httpout_req_t *req)
{
    req->next = NULL;
    *line->last = req;
    line->last = &req->next;
}

static void unlink_at(line_t *line, wh_httpout_req_t **at)
{
    wh_httpout_req_t *req = *at;

    *at = req->next;
    if (line->last == &req->next) {
        line->last = at;
    }
    req->next = NULL;
}

static void empty(line_t *line)
{
    line->first = NULL;
    line->last = &line->first;
}

/* ---- A request ---- */

static apr_status_t call_end(void *baton)
{
    call_t *call = baton;

    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->rcpt);
    return APR_SUCCESS;
}

wh_httpout_req_t *wh_httpout_request(const char *what, wh_httpout_done_fn *done)
{
    apr_pool_t *p = wh_pool_make("httpout");
    call_t *call;

    if (p == NULL) {
        return NULL;
    }
    call = apr_pcalloc(p, sizeof(*call));
    apr_pool_cleanup_register(p, call, call_end, apr_pool_cleanup_null);
    call->req.pool = p;
    call->req.what = apr_pstrdup(p, what);
    call->req.done = done;
    call->req.method = "GET";
    call->req.heads = apr_table_make(p, 8);
    return &call->req;
}

static call_t *call_of(wh_httpout_req_t *req)
{
    return (call_t *)(void *)req;
}

static int header_ok(const char *name, const char *value)
{
    if (name[0] == '\0' || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                        "0123456789-_") != strlen(name)) {
        return 0;
    }
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (*c < ' ' || *c >= 0x7f) {
            return 0;
        }
    }
    return value[0] != '\0';
}

int wh_httpout_header(wh_httpout_req_t *req, const char *name, const char *value)
{
    call_t *call = call_of(req);
    struct curl_slist *more;

    if (!header_ok(name, value)) {
        return 0;
    }
    more = curl_slist_append(call->headers, apr_pstrcat(req->pool, name, ": ", value, NULL));
    call->headers = more != NULL ? more : call->headers;
    return more != NULL;
}

/* ---- What comes back ---- */

static size_t take(char *data, size_t size, size_t n, void *baton)
{
    call_t *call = baton;
    wh_httpout_req_t *req = &call->req;
    size_t want = n > req->answer_max - req->answer_len ? req->answer_max - req->answer_len : n;

    (void)size;
    if (req->answer_len + want + 1 > call->room) {
        size_t room = 2 * (req->answer_len + want) + 1024;
        char *text = apr_palloc(req->pool, room);

        if (req->answer_len > 0) {
            memcpy(text, call->text, req->answer_len);
        }
        call->text = text;
        call->room = room;
    }
    memcpy(call->text + req->answer_len, data, want);
    req->answer_len += want;
    req->cut = want < n;
    return want; /* fewer than came: it is ended here */
}

/* Of libcurl's own accord there is no bound to them (before 8.3), and it keeps them all. */
static size_t count_head(char *data, size_t size, size_t n, void *baton)
{
    call_t *call = baton;

    (void)data;
    call->heads += size * n;
    return call->heads > WH_HTTPOUT_HEADS ? 0 : size * n;
}

static void keep_heads(call_t *call)
{
    struct curl_header *h = NULL;

    for (int i = 0; i < HEADS_MAX; i++) {
        h = curl_easy_nextheader(call->curl, CURLH_HEADER, -1, h);
        if (h == NULL) {
            return;
        }
        apr_table_set(call->req.heads, h->name, h->value);
    }
}

static void judge(call_t *call, CURLcode rc)
{
    static const struct {
        CURLcode rc;
        const char *code;
    } codes[] = {{CURLE_OPERATION_TIMEDOUT, "http_timeout"},
                 {CURLE_PEER_FAILED_VERIFICATION, "http_tls"},
                 {CURLE_SSL_CONNECT_ERROR, "http_tls"},
                 {CURLE_SSL_CACERT_BADFILE, "http_tls"}};
    wh_httpout_req_t *req = &call->req;
    const char *code = "http_unreachable";
    long status = 0;

    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && req->cut)) {
        req->status = (int)status;
        keep_heads(call);
        return;
    }
    if (req->mail != NULL && status >= 400) { /* the server's own no, to whatever it was */
        req->status = (int)status;
        wh_err_set(&req->err, 502, "mail_refused", "%s answers %ld.", call->url.host, status);
        return;
    }
    if (call->who.refused && rc == CURLE_COULDNT_CONNECT) {
        wh_err_set(&req->err, 422, "http_refused", "%s is at %s, where nothing is sent to.",
                   call->url.host, call->who.where);
        return;
    }
    if (call->heads > WH_HTTPOUT_HEADS) {
        wh_err_set(&req->err, 502, code, "%s: more than 64 KiB of headers", call->url.host);
        return;
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(codes); i++) {
        code = codes[i].rc == rc ? codes[i].code : code;
    }
    wh_err_set(&req->err, 502, code, "%s: %s", call->url.host, curl_easy_strerror(rc));
}

/* ---- Sending ---- */

static size_t give(char *to, size_t size, size_t n, void *baton)
{
    call_t *call = baton;
    size_t left = call->req.body_len - call->read;

    n = size * n < left ? size * n : left;
    memcpy(to, call->req.body + call->read, n);
    call->read += n;
    return n;
}

static int say_mail(call_t *call)
{
    static const long use[] = {CURLUSESSL_NONE, CURLUSESSL_TRY, CURLUSESSL_ALL};
    const wh_httpout_mail_t *mail = call->req.mail;
    CURL *curl = call->curl;

    for (int i = 0; i < mail->to->nelts; i++) {
        struct curl_slist *more =
            curl_slist_append(call->rcpt, APR_ARRAY_IDX(mail->to, i, const char *));

        call->rcpt = more != NULL ? more : call->rcpt;
        if (more == NULL) {
            return 0;
        }
    }
    curl_easy_setopt(curl, CURLOPT_URL, call->req.url);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, mail->from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, call->rcpt);
    curl_easy_setopt(curl, CURLOPT_USE_SSL, use[mail->tls]);
    if (mail->user[0] != '\0') {
        curl_easy_setopt(curl, CURLOPT_USERNAME, mail->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, mail->password);
    }
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_READDATA, call);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    return 1;
}

static void say_http(call_t *call)
{
    const wh_httpout_req_t *req = &call->req;
    CURL *curl = call->curl;

    curl_easy_setopt(curl, CURLOPT_URL, req->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, req->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers);
    if (req->body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, req->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, call->url.tls ? "https" : "http");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "wisehost");
}

static void say_how(call_t *call)
{
    CURL *curl = call->curl;

    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)call->req.timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (call->out->opt.ca_file[0] != '\0') {
        curl_easy_setopt(curl, CURLOPT_CAINFO, call->out->opt.ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, count_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, wh_outaddr_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &call->who);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* names that nobody answers for hold us up */
    curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, 300L);
#endif
}

/* Large bodies go without asking first whether they may; what has no body has none of its marks. */
static int add_own(call_t *call)
{
    struct curl_slist *more = curl_slist_append(call->headers, "Expect:");

    call->headers = more != NULL ? more : call->headers;
    return more != NULL;
}

static int say_what(call_t *call)
{
    if (call->req.mail != NULL) {
        return say_mail(call);
    }
    if (!add_own(call)) {
        return 0;
    }
    say_http(call);
    return 1;
}

static void answered(wh_httpout_t *out, wh_httpout_req_t *req)
{
    call_t *call = call_of(req);

    req->answer = call->text != NULL ? call->text : "";
    if (call->text != NULL) {
        call->text[req->answer_len] = '\0';
    }
    pthread_mutex_lock(&out->lock);
    out->n_waiting--;
    put(&out->answers, req);
    pthread_mutex_unlock(&out->lock);
    out->opt.wake(out->opt.baton);
}

static void start(wh_httpout_t *out, wh_httpout_req_t *req)
{
    call_t *call = call_of(req);

    call->curl = curl_easy_init();
    if (call->curl != NULL && say_what(call)) {
        say_how(call);
        if (curl_multi_add_handle(out->multi, call->curl) == CURLM_OK) {
            put(&out->running, req);
            out->n_running++;
            return;
        }
    }
    curl_easy_cleanup(call->curl);
    wh_err_set(&req->err, 503, "http_unreachable", "out of memory");
    answered(out, req);
}

static int to_host(const wh_httpout_t *out, const char *host)
{
    int n = 0;

    for (wh_httpout_req_t *req = out->running.first; req != NULL; req = req->next) {
        n += strcmp(call_of(req)->url.host, host) == 0;
    }
    return n;
}

/* The oldest one whose host has not its share already. */
static wh_httpout_req_t *next_request(wh_httpout_t *out)
{
    wh_httpout_req_t *req = NULL;

    pthread_mutex_lock(&out->lock);
    for (wh_httpout_req_t **at = &out->waiting.first; *at != NULL; at = &(*at)->next) {
        if (to_host(out, call_of(*at)->url.host) < WH_HTTPOUT_HOST) {
            req = *at;
            unlink_at(&out->waiting, at);
            break;
        }
    }
    pthread_mutex_unlock(&out->lock);
    return req;
}

static void finish(wh_httpout_t *out, call_t *call, CURLcode rc)
{
    wh_httpout_req_t **at = &out->running.first;

    while (*at != &call->req) {
        at = &(*at)->next;
    }
    unlink_at(&out->running, at);
    out->n_running--;
    judge(call, rc);
    curl_multi_remove_handle(out->multi, call->curl);
    curl_easy_cleanup(call->curl);
    call->curl = NULL;
    answered(out, &call->req);
}

/* 1 = some did, and there is room for those that wait. */
static int finish_all(wh_httpout_t *out)
{
    CURLMsg *msg;
    int left, some = 0;

    while ((msg = curl_multi_info_read(out->multi, &left)) != NULL) {
        char *call = NULL;

        if (msg->msg == CURLMSG_DONE) {
            CURLcode rc = msg->data.result;

            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
            finish(out, (call_t *)(void *)call, rc);
            some = 1;
        }
    }
    return some;
}

static void *run(void *baton)
{
    wh_httpout_t *out = baton;

    while (!__atomic_load_n(&out->stop, __ATOMIC_ACQUIRE)) {
        wh_httpout_req_t *req;
        int busy;

        while (out->n_running < WH_HTTPOUT_RUNNING && (req = next_request(out)) != NULL) {
            start(out, req);
        }
        curl_multi_perform(out->multi, &busy);
        if (!finish_all(out)) {
            curl_multi_poll(out->multi, NULL, 0, IDLE_MS, NULL);
        }
    }
    return NULL;
}

/* ---- The database thread's side ---- */

apr_status_t wh_httpout_start(apr_pool_t *p, const wh_httpout_opt_t *opt, wh_httpout_t **result,
                              wh_err_t *err)
{
    wh_httpout_t *out = apr_pcalloc(p, sizeof(*out));
    int rc = ENOMEM;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    out->opt = *opt;
    empty(&out->waiting);
    empty(&out->answers);
    empty(&out->running);
    pthread_mutex_init(&out->lock, NULL);
    out->multi = curl_multi_init();
    if (out->multi != NULL) {
        curl_multi_setopt(out->multi, CURLMOPT_MAXCONNECTS, KEPT);
        rc = wh_threads_start(&out->thread, run, out);
    }
    if (rc != 0) {
        curl_multi_cleanup(out->multi);
        return wh_err_wrap(err, rc, 500, "no_thread", "the thread for HTTP cannot be started");
    }
    *result = out;
    return APR_SUCCESS;
}

int wh_httpout_room(wh_httpout_t *out)
{
    int n;

    pthread_mutex_lock(&out->lock);
    n = WH_HTTPOUT_WAITING - out->n_waiting;
    pthread_mutex_unlock(&out->lock);
    return n > 0 ? n : 0;
}

/* Of smtp[s]://host:port, which the caller has made. */
static apr_status_t mail_host(const wh_httpout_req_t *req, wh_httpurl_t *url, wh_err_t *err)
{
    const char *host = strstr(req->url, "://"), *colon = strrchr(req->url, ':');

    if (host == NULL || colon <= host) {
        return wh_err_set(err, 422, "url_invalid", "The address of a mail server has a port.");
    }
    *url = (wh_httpurl_t){.tls = strncmp(req->url, "smtps", 5) == 0, .target = "/"};
    url->host = apr_pstrmemdup(req->pool, host + 3, (apr_size_t)(colon - host - 3));
    return APR_SUCCESS;
}

void wh_httpout_send(wh_httpout_t *out, wh_httpout_req_t *req)
{
    call_t *call = call_of(req);
    apr_status_t rv = req->mail != NULL
                          ? mail_host(req, &call->url, &req->err)
                          : wh_httpurl_parse(req->pool, req->url, out->opt.private_ok, &call->url,
                                             &req->err);

    call->out = out;
    call->who.public_ok = call->url.tls || req->mail != NULL;
    call->who.private_ok = out->opt.private_ok;
    req->timeout_ms = req->timeout_ms > 0 ? req->timeout_ms : WH_HTTPOUT_TIMEOUT_MS;
    req->answer_max = req->answer_max > 0 ? req->answer_max : WH_HTTPOUT_ANSWER;
    if (rv == APR_SUCCESS && wh_httpout_room(out) == 0) {
        rv = wh_err_set(&req->err, 503, "http_busy", "There is too much to be sent already.");
    } else if (rv != APR_SUCCESS) {
        apr_cpystrn(req->err.code, "http_refused", sizeof(req->err.code));
    }
    pthread_mutex_lock(&out->lock);
    out->n_waiting++;
    if (rv == APR_SUCCESS) {
        put(&out->waiting, req);
    }
    pthread_mutex_unlock(&out->lock);
    if (rv == APR_SUCCESS) {
        curl_multi_wakeup(out->multi);
    } else {
        answered(out, req);
    }
}

wh_httpout_req_t *wh_httpout_answer(wh_httpout_t *out)
{
    wh_httpout_req_t *req;

    pthread_mutex_lock(&out->lock);
    req = out->answers.first;
    if (req != NULL) {
        unlink_at(&out->answers, &out->answers.first);
    }
    pthread_mutex_unlock(&out->lock);
    return req;
}

void wh_httpout_again(wh_httpout_t *out, wh_httpout_req_t *answer)
{
    pthread_mutex_lock(&out->lock);
    answer->next = out->answers.first;
    out->answers.first = answer;
    if (answer->next == NULL) {
        out->answers.last = &answer->next;
    }
    pthread_mutex_unlock(&out->lock);
}

static void drop(line_t *line)
{
    while (line->first != NULL) {
        wh_httpout_req_t *req = line->first;

        line->first = req->next;
        apr_pool_destroy(req->pool);
    }
}

void wh_httpout_stop(wh_httpout_t *out)
{
    __atomic_store_n(&out->stop, 1, __ATOMIC_RELEASE);
    curl_multi_wakeup(out->multi);
    pthread_join(out->thread, NULL);
    for (wh_httpout_req_t *req = out->running.first; req != NULL; req = req->next) {
        curl_multi_remove_handle(out->multi, call_of(req)->curl);
        curl_easy_cleanup(call_of(req)->curl);
    }
    curl_multi_cleanup(out->multi);
    drop(&out->running);
    drop(&out->waiting);
    drop(&out->answers);
    pthread_mutex_destroy(&out->lock);
}
