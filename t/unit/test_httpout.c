/* HTTP to others, with a server on loopback: the bytes that go out, what is refused, what hangs. */
#include "t/unit/unit.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <apr_time.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "wh-scheduler/httpout.h"

#define BIG (1024 * 1024)
#define CLIENTS 64

/* ---- The server: a thread for each connection, one request each ---- */

typedef struct server_t {
    int fd, port;
    SSL_CTX *tls; /* NULL = plain */
    pthread_t thread, clients[CLIENTS];
    int fds[CLIENTS], n;
    pthread_mutex_t lock;
    char seen[8192]; /* the last request */
    size_t said;     /* of an answer without an end */
} server_t;

typedef struct client_t {
    server_t *server;
    SSL *ssl;
    int fd;
} client_t;

static int get(client_t *c, char *buf, int n)
{
    return c->ssl != NULL ? SSL_read(c->ssl, buf, n) : (int)read(c->fd, buf, (size_t)n);
}

static void say(client_t *c, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t put =
            c->ssl != NULL ? SSL_write(c->ssl, text, (int)n) : send(c->fd, text, n, MSG_NOSIGNAL);

        if (put <= 0) {
            return;
        }
        text += put;
        n -= (size_t)put;
    }
}

static size_t body_of(const char *seen)
{
    const char *length = strstr(seen, "Content-Length: ");

    return length != NULL ? (size_t)strtoul(length + 16, NULL, 10) : 0;
}

static void read_request(client_t *c, char *seen, size_t max)
{
    size_t n = 0;

    seen[0] = '\0';
    while (n + 1 < max) {
        const char *end = strstr(seen, "\r\n\r\n");
        int got;

        if (end != NULL && n >= (size_t)(end + 4 - seen) + body_of(seen)) {
            return;
        }
        got = get(c, seen + n, (int)(max - 1 - n));
        if (got <= 0) {
            return;
        }
        n += (size_t)got;
        seen[n] = '\0';
    }
}

/* Lines without an end, until they go. */
static void say_on(client_t *c, const char *head)
{
    char lines[16 * 1024];
    size_t said = 0;

    say(c, head, strlen(head));
    memset(lines, 'h', sizeof(lines));
    for (size_t i = 0; i < sizeof(lines); i += 1024) {
        memcpy(lines + i, "X-A: ", 5);
        memcpy(lines + i + 1022, "\r\n", 2);
    }
    while (said < 64 * (size_t)WH_MIB && send(c->fd, lines, sizeof(lines), MSG_NOSIGNAL) > 0) {
        said += sizeof(lines);
    }
    pthread_mutex_lock(&c->server->lock);
    c->server->said = said;
    pthread_mutex_unlock(&c->server->lock);
}

static void reply(client_t *c, const char *seen)
{
    static const char ok[] = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nETag: \"x\"\r\n"
                             "Connection: close\r\n\r\nhello";
    static const char other[] = "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n"
                                "Connection: close\r\n\r\n";
    static const char big[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    char wait[16];

    if (strstr(seen, " /hang ") != NULL) {
        (void)get(c, wait, sizeof(wait)); /* until they go */
    } else if (strstr(seen, " /big ") != NULL) {
        char *text = calloc(1, BIG);

        memset(text, 'b', BIG);
        say(c, big, sizeof(big) - 1);
        say(c, text, BIG);
        free(text);
    } else if (strstr(seen, " /heads ") != NULL) {
        say_on(c, "HTTP/1.1 200 OK\r\n");
    } else if (strstr(seen, " /trailers ") != NULL) {
        say_on(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n");
    } else if (strstr(seen, " /redirect ") != NULL) {
        say(c, other, sizeof(other) - 1);
    } else if (strstr(seen, " /closed ") == NULL) {
        say(c, ok, sizeof(ok) - 1);
    }
}

static void *serve_one(void *baton)
{
    client_t *c = baton;
    char *seen = calloc(1, sizeof(c->server->seen));

    if (c->server->tls != NULL) {
        c->ssl = SSL_new(c->server->tls);
        SSL_set_fd(c->ssl, c->fd);
    }
    if (c->ssl == NULL || SSL_accept(c->ssl) == 1) {
        read_request(c, seen, sizeof(c->server->seen));
        pthread_mutex_lock(&c->server->lock);
        memcpy(c->server->seen, seen, sizeof(c->server->seen));
        pthread_mutex_unlock(&c->server->lock);
        reply(c, seen);
    }
    SSL_free(c->ssl);
    shutdown(c->fd, SHUT_RDWR);
    free(seen);
    free(c);
    return NULL;
}

static void *serve(void *baton)
{
    server_t *s = baton;
    int fd;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0 && s->n < CLIENTS) {
        client_t *c = calloc(1, sizeof(*c));

        c->server = s;
        c->fd = s->fds[s->n] = fd;
        pthread_create(&s->clients[s->n++], NULL, serve_one, c);
    }
    return NULL;
}

static server_t *server_start(apr_pool_t *p, SSL_CTX *tls)
{
    server_t *s = apr_pcalloc(p, sizeof(*s));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);

    s->tls = tls;
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

static void server_stop(server_t *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (int i = 0; i < s->n; i++) {
        shutdown(s->fds[i], SHUT_RDWR);
        pthread_join(s->clients[i], NULL);
        close(s->fds[i]);
    }
    close(s->fd);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
}

/* A certificate of its own for "localhost"; *path is where it was written. */
static SSL_CTX *make_tls(apr_pool_t *p, const char **path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char *file = apr_pstrdup(p, "/tmp/wh-httpout-XXXXXX");
    FILE *to = fdopen(mkstemp(file), "w");

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
    X509_set_subject_name(cert, name);
    X509_set_issuer_name(cert, name);
    X509_NAME_free(name);
    X509_set_pubkey(cert, key);
    X509_add_ext(cert, names, -1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    PEM_write_X509(to, cert);
    fclose(to);
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    X509_EXTENSION_free(names);
    X509_free(cert);
    EVP_PKEY_free(key);
    *path = file;
    return ctx;
}

/* ---- Asking ---- */

typedef struct bell_t {
    int fd[2];
} bell_t;

static void ring(void *baton)
{
    bell_t *bell = baton;

    (void)!write(bell->fd[1], "", 1);
}

static wh_httpout_t *out_start(apr_pool_t *p, const char *ca_file, int private_ok, bell_t *bell)
{
    const wh_httpout_opt_t opt = {
        .ca_file = ca_file, .private_ok = private_ok, .wake = ring, .baton = bell};
    wh_httpout_t *out;
    wh_err_t err = WH_ERR_INIT;

    assert_int_equal(pipe(bell->fd), 0);
    assert_ok(wh_httpout_start(p, &opt, &out, &err), &err);
    return out;
}

static void out_stop(wh_httpout_t *out, bell_t *bell)
{
    wh_httpout_stop(out);
    close(bell->fd[0]);
    close(bell->fd[1]);
}

static wh_httpout_req_t *await(wh_httpout_t *out, bell_t *bell)
{
    struct pollfd on = {.fd = bell->fd[0], .events = POLLIN};
    char c;

    assert_int_equal(poll(&on, 1, 60000), 1);
    assert_int_equal(read(bell->fd[0], &c, 1), 1);
    return wh_httpout_answer(out);
}

static wh_httpout_req_t *request(const char *url)
{
    wh_httpout_req_t *req = wh_httpout_request("test", NULL);

    assert_non_null(req);
    req->url = apr_pstrdup(req->pool, url);
    return req;
}

static wh_httpout_req_t *ask(wh_httpout_t *out, bell_t *bell, const char *url)
{
    wh_httpout_send(out, request(url));
    return await(out, bell);
}

static void assert_refused(wh_httpout_t *out, bell_t *bell, const char *url, const char *code)
{
    wh_httpout_req_t *a = ask(out, bell, url);

    assert_int_equal(a->status, 0);
    if (strcmp(a->err.code, code) != 0) {
        fail_msg("%s: %s (%s), not %s", url, a->err.code, a->err.text, code);
    }
    apr_pool_destroy(a->pool);
}

static const char *at(apr_pool_t *p, const char *base, const server_t *s, const char *path)
{
    return apr_psprintf(p, "%s:%d%s", base, s->port, path);
}

/* ---- Tests ---- */

static void test_bytes(void **state)
{
    server_t *s = server_start(*state, NULL);
    bell_t bell;
    wh_httpout_t *out;
    wh_httpout_req_t *req, *a;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    out = out_start(*state, "", 1, &bell);
    req = request(at(*state, "http://127.0.0.1", s, "/x?y=1"));
    req->method = "PATCH";
    req->body = "{\"a\":1}";
    req->body_len = 7;
    assert_true(wh_httpout_header(req, "Content-Type", "application/json"));
    assert_true(wh_httpout_header(req, "Authorization", "Bearer t"));
    assert_false(wh_httpout_header(req, "X", "a\r\nY: b"));
    assert_false(wh_httpout_header(req, "X:", "a"));
    assert_false(wh_httpout_header(req, "", "a"));
    wh_httpout_send(out, req);
    a = await(out, &bell);
    assert_int_equal(a->status, 201);
    assert_string_equal(a->answer, "hello");
    assert_int_equal(a->answer_len, 5);
    assert_string_equal(apr_table_get(a->heads, "etag"), "\"x\"");
    assert_string_equal(s->seen,
                        apr_psprintf(*state,
                                     "PATCH /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                                     "User-Agent: wisehost\r\nAccept: */*\r\n"
                                     "Content-Type: application/json\r\nAuthorization: Bearer t\r\n"
                                     "Content-Length: 7\r\n\r\n{\"a\":1}",
                                     s->port));
    apr_pool_destroy(a->pool);
    a = ask(out, &bell, at(*state, "http://127.0.0.1", s, "/redirect"));
    assert_int_equal(a->status, 302);
    apr_pool_destroy(a->pool);
    a = ask(out, &bell, at(*state, "http://127.0.0.1", s, "/big"));
    assert_int_equal(a->status, 200);
    assert_int_equal(a->answer_len, WH_HTTPOUT_ANSWER);
    assert_true(a->cut);
    apr_pool_destroy(a->pool);
    assert_refused(out, &bell, at(*state, "http://127.0.0.1", s, "/closed"), "http_unreachable");
    assert_refused(out, &bell, "http://127.0.0.1:1025/", "http_unreachable");
    out_stop(out, &bell);
    server_stop(s);
}

/* Headers, trailers and a mail server's replies that do not end are no answer, and are not kept. */
static void test_heads(void **state)
{
    server_t *s = server_start(*state, NULL);
    bell_t bell;
    wh_httpout_t *out = out_start(*state, "", 1, &bell);
    static const char *const paths[] = {"/heads", "/trailers"};

    for (size_t i = 0; i < WH_ARRAY_LEN(paths); i++) {
        wh_httpout_req_t *a = ask(out, &bell, at(*state, "http://127.0.0.1", s, paths[i]));

        assert_int_equal(a->status, 0);
        assert_string_equal(a->err.code, "http_unreachable");
        assert_string_equal(a->err.text, "127.0.0.1: more than 64 KiB of headers");
        apr_pool_destroy(a->pool);
    }
    out_stop(out, &bell);
    server_stop(s);
    assert_true(s->said < 16 * (size_t)WH_MIB);
}

static void test_where(void **state)
{
    static const char *const never[] = {"http://169.254.169.254/latest/",
                                        "https://169.254.169.254/",
                                        "https://[fe80::1]/",
                                        "https://[::ffff:a9fe:a9fe]/",
                                        "https://224.0.0.1/",
                                        "https://0.0.0.0/",
                                        "http://8.8.8.8/",
                                        "https://u@127.0.0.1/",
                                        "ftp://127.0.0.1/"};
    server_t *s = server_start(*state, NULL);
    bell_t bell;
    wh_httpout_t *out = out_start(*state, "", 1, &bell);

    for (size_t i = 0; i < WH_ARRAY_LEN(never); i++) {
        assert_refused(out, &bell, never[i], "http_refused");
    }
    out_stop(out, &bell);
    out = out_start(*state, "", 0, &bell);
    assert_refused(out, &bell, at(*state, "http://127.0.0.1", s, "/"), "http_refused");
    assert_refused(out, &bell, at(*state, "https://127.0.0.1", s, "/"), "http_refused");
    assert_refused(out, &bell, at(*state, "https://localhost", s, "/"), "http_refused");
    assert_refused(out, &bell, at(*state, "https://[::1]", s, "/"), "http_refused");
    assert_refused(out, &bell, "https://10.0.0.1/", "http_refused");
    assert_refused(out, &bell, "https://192.168.1.1/", "http_refused");
    assert_refused(out, &bell, "https://[fd00::1]/", "http_refused");
    out_stop(out, &bell);
    assert_int_equal(s->n, 0);
    server_stop(s);
}

static void test_tls(void **state)
{
    const char *ca;
    server_t *s = server_start(*state, make_tls(*state, &ca));
    bell_t bell;
    wh_httpout_t *out = out_start(*state, ca, 1, &bell);
    wh_httpout_req_t *a = ask(out, &bell, at(*state, "https://localhost", s, "/ok"));

    assert_ok(a->status == 201 ? APR_SUCCESS : APR_EGENERAL, &a->err);
    apr_pool_destroy(a->pool);
    assert_refused(out, &bell, at(*state, "https://127.0.0.1", s, "/"), "http_tls");
    out_stop(out, &bell);
    out = out_start(*state, "", 1, &bell);
    assert_refused(out, &bell, at(*state, "https://localhost", s, "/"), "http_tls");
    out_stop(out, &bell);
    out = out_start(*state, "/nonexistent", 1, &bell);
    assert_refused(out, &bell, at(*state, "https://localhost", s, "/"), "http_tls");
    out_stop(out, &bell);
    server_stop(s);
    unlink(ca);
}

static void test_hanging(void **state)
{
    server_t *s = server_start(*state, NULL);
    bell_t bell;
    wh_httpout_t *out = out_start(*state, "", 1, &bell);
    wh_httpout_req_t *a;
    apr_time_t begun;

    for (int i = 0; i < 8; i++) {
        wh_httpout_send(out, request(at(*state, "http://127.0.0.1", s, "/hang")));
    }
    a = ask(out, &bell, at(*state, "http://localhost", s, "/ok"));
    assert_int_equal(a->status, 201);
    apr_pool_destroy(a->pool);
    assert_int_equal(wh_httpout_room(out), WH_HTTPOUT_WAITING - 8);
    for (int i = 8; i < WH_HTTPOUT_WAITING; i++) {
        wh_httpout_send(out, request(at(*state, "http://127.0.0.1", s, "/hang")));
    }
    assert_int_equal(wh_httpout_room(out), 0);
    assert_refused(out, &bell, at(*state, "http://localhost", s, "/ok"), "http_busy");
    begun = apr_time_now();
    out_stop(out, &bell);
    assert_true(apr_time_now() - begun < apr_time_from_sec(10));
    server_stop(s);
}

static void test_timeout(void **state)
{
    server_t *s = server_start(*state, NULL);
    bell_t bell;
    wh_httpout_t *out = out_start(*state, "", 1, &bell);
    wh_httpout_req_t *a;

    for (int i = 0; i < WH_HTTPOUT_HOST + 2; i++) {
        wh_httpout_req_t *req = request(at(*state, "http://127.0.0.1", s, "/hang"));

        req->timeout_ms = 50;
        wh_httpout_send(out, req);
    }
    for (int i = 0; i < WH_HTTPOUT_HOST + 2; i++) {
        a = await(out, &bell);
        assert_string_equal(a->err.code, "http_timeout");
        if (i == 0) { /* it is had once more */
            wh_httpout_again(out, a);
            assert_ptr_equal(wh_httpout_answer(out), a);
        }
        apr_pool_destroy(a->pool);
    }
    assert_null(wh_httpout_answer(out));
    assert_int_equal(wh_httpout_room(out), WH_HTTPOUT_WAITING);
    out_stop(out, &bell);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("what goes out and comes back, to the byte; no redirects, no proxy", test_bytes),
        UNIT("headers without an end", test_heads),
        UNIT("addresses are judged after their names were resolved", test_where),
        UNIT("certificates are verified", test_tls),
        UNIT("who hangs holds up nobody else, not even the end", test_hanging),
        UNIT("a timeout, and those that waited behind it", test_timeout),
    };
    signal(SIGPIPE, SIG_IGN);
    return UNIT_RUN(tests);
}
