/*
 * wh-test-worker: an agent's end of the worker channel, driven by lines of JSON. It speaks to the
 * hub's unix socket itself (raw WebSocket, so that wrong frames can be sent too) and makes the
 * assertion that httpd would have made.
 *
 *   wh-test-worker SOCKET ROOT_KEY_FILE WORKER_ID API_KEY
 *
 * stdin, one object a line:
 *   {"do":"connect"}     "assertion":"text" or null, "nonce":"text" or null, "protocol":"text" or
 * null, "origin":"text", "action":"text", "exp":seconds, "bearer":"text" (and no assertion),
 * "port":n (127.0.0.1 instead of the socket), "tls":true, "tls_max":"1.2", "upgrade":null,
 * "rcvbuf":bytes
 *   {"do":"send","type":"hello","p":{…}}   "mac":"bad", "dir":"wrong", "seq":n, "skew":seconds,
 * "pieces":n, "size":bytes (the whole frame, padded)
 *   {"do":"signed","body":"{…"}   any text up to the MAC, with the right MAC
 *   {"do":"frame","opcode":n,"fin":0,"bytes":n,"times":n}   frames of the protocol below
 *   {"do":"reflect"}     the last frame that the hub has sent, back to it
 *   {"do":"again"}       the bytes of the last sent frame once more
 *   {"do":"text","text":"…"}   {"do":"big","bytes":n}   {"do":"binary"}   {"do":"bytes","hex":"…"}
 *   {"do":"deaf"} {"do":"listen"}   stop reading, read again
 *   {"do":"drop"} {"do":"quit"}
 * stdout, one object a line: {"event":"connected"}, {"event":"refused","status":n},
 * {"event":"frame", "type":…,"p":…,"seq":n}, {"event":"bad_frame","code":…},
 * {"event":"closed","code":n}. A close by the hub without a close frame has code 0.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/ssl.h>

#include "libwh/wh_assertion.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"

#define ROOM (3 * 1024 * 1024)

typedef struct worker_t {
    apr_pool_t *pool, *scratch;
    const char *socket_path;
    const char *id, *api_key;
    wh_keys_t keys;
    wh_proto_link_t link;
    int fd, deaf;
    SSL_CTX *tls;
    SSL *ssl;          /* NULL without TLS */
    unsigned char *in; /* bytes from the hub not yet taken apart */
    size_t in_len;
    char *message; /* fragments joined */
    size_t message_len;
    char *last; /* the last sealed frame */
    size_t last_len;
    char *theirs; /* the last one of the hub */
    size_t theirs_len;
} worker_t;

static void say(json_t *event)
{
    char *text = json_dumps(event, JSON_COMPACT);

    puts(text);
    fflush(stdout);
    free(text);
    json_decref(event);
}

static void drop(worker_t *w)
{
    SSL_free(w->ssl);
    w->ssl = NULL;
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->fd = -1;
}

static void hang_up(worker_t *w, int code)
{
    if (w->fd >= 0) {
        drop(w);
        say(json_pack("{s:s,s:i}", "event", "closed", "code", code));
    }
    w->in_len = w->message_len = 0;
}

static void put(worker_t *w, const void *data, size_t n)
{
    const char *at = data;

    while (n > 0 && w->fd >= 0) {
        ssize_t done = w->ssl != NULL ? SSL_write(w->ssl, at, n > 16384 ? 16384 : (int)n)
                                      : send(w->fd, at, n, MSG_NOSIGNAL);

        if (done <= 0) {
            return; /* the hub has closed: what it said is still to be read */
        }
        at += done;
        n -= (size_t)done;
    }
}

/* One WebSocket frame, masked with zeroes (legal, and the bytes stay readable in a trace). */
static void put_frame(worker_t *w, int opcode, int fin, const void *data, size_t n)
{
    unsigned char head[14] = {(unsigned char)((fin ? 0x80 : 0) | opcode)};
    size_t at = 2;

    if (n < 126) {
        head[1] = (unsigned char)(0x80 | n);
    } else if (n < 65536) {
        head[1] = 0x80 | 126;
        head[at++] = (unsigned char)(n >> 8);
        head[at++] = (unsigned char)n;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 7; i >= 0; i--) {
            head[at++] = (unsigned char)((uint64_t)n >> (8 * i));
        }
    }
    at += 4;
    put(w, head, at);
    put(w, data, n);
}

/* ---- The handshake ---- */

static const char *text_of(json_t *cmd, const char *key, const char *otherwise)
{
    json_t *v = json_object_get(cmd, key);

    return v == NULL ? otherwise : json_is_string(v) ? json_string_value(v) : NULL;
}

static char *header(apr_pool_t *p, const char *name, const char *value)
{
    return value != NULL ? apr_pstrcat(p, name, ": ", value, "\r\n", NULL) : apr_pstrdup(p, "");
}

static int read_answer(worker_t *w, char *buf, size_t size)
{
    size_t n = 0;

    while (n + 1 < size) {
        /* One by one: what follows is not ours to take. */
        ssize_t got = w->ssl != NULL ? SSL_read(w->ssl, buf + n, 1) : read(w->fd, buf + n, 1);

        if (got <= 0) {
            break;
        }
        buf[++n] = '\0';
        if (n >= 4 && memcmp(buf + n - 4, "\r\n\r\n", 4) == 0) {
            break;
        }
    }
    buf[n] = '\0';
    return n > 12 ? (int)strtol(buf + 9, NULL, 10) : 0;
}

/* A socket to wherever the command says; w->fd is -1 when there is none. */
static void reach(worker_t *w, json_t *cmd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    int port = (int)json_integer_value(json_object_get(cmd, "port")), one = 1, rc;

    w->fd = socket(port != 0 ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    in4.sin_port = htons((uint16_t)port);
    in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    apr_cpystrn(addr.sun_path, w->socket_path, sizeof(addr.sun_path));
    if (json_object_get(cmd, "rcvbuf") != NULL) {
        int size = (int)json_integer_value(json_object_get(cmd, "rcvbuf"));

        (void)setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    rc = port != 0 ? connect(w->fd, (struct sockaddr *)&in4, sizeof(in4))
                   : connect(w->fd, (struct sockaddr *)&addr, sizeof(addr));
    if (port != 0) {
        (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    if (rc == 0 && json_is_true(json_object_get(cmd, "tls"))) {
        if (w->tls == NULL) {
            w->tls = SSL_CTX_new(TLS_client_method());
        }
        w->ssl = SSL_new(w->tls);
        SSL_set_max_proto_version(w->ssl, json_object_get(cmd, "tls_max") != NULL ? TLS1_2_VERSION
                                                                                  : TLS1_3_VERSION);
        SSL_set_fd(w->ssl, w->fd);
        rc = SSL_connect(w->ssl) == 1 ? 0 : -1;
        errno = rc == 0 ? errno : EPROTO;
    }
    if (rc != 0) {
        drop(w);
    }
}

static void connect_hub(worker_t *w, json_t *cmd)
{
    apr_pool_t *p = w->scratch;
    apr_time_t now = wh_clock_now(wh_sys_clock());
    apr_int64_t exp = json_integer_value(json_object_get(cmd, "exp"));
    const char *nonce = text_of(cmd, "nonce", wh_rand_hex(p, wh_sys_rand(), 16));
    const char *bearer = text_of(cmd, "bearer", NULL);
    const char *assertion =
        bearer != NULL || json_object_get(cmd, "port") != NULL
            ? NULL
            : text_of(cmd, "assertion",
                      wh_assertion_make(
                          p, w->keys.hub_assertion, apr_pstrcat(p, "worker:", w->id, NULL),
                          text_of(cmd, "action", "worker.connect"), "hub",
                          now + (exp != 0 ? exp : WH_ASSERTION_TTL_S) * APR_USEC_PER_SEC));
    char answer[8192], *request, *found;
    unsigned char sha[32];
    int status;

    hang_up(w, -1);
    reach(w, cmd);
    if (w->fd < 0) {
        say(json_pack("{s:s,s:i,s:s}", "event", "refused", "status", 0, "error", strerror(errno)));
        return;
    }
    request = apr_pstrcat(
        p, "GET ", text_of(cmd, "path", "/v1/workers/ws"), " HTTP/1.1\r\n",
        header(p, "Host", text_of(cmd, "host", "127.0.0.1")),
        header(p, "Upgrade", text_of(cmd, "upgrade", "websocket")),
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        header(p, "Sec-WebSocket-Extensions", text_of(cmd, "extensions", NULL)),
        bearer != NULL ? apr_pstrcat(p, "Authorization: Bearer ", bearer, "\r\n", NULL) : "",
        header(p, "Sec-WebSocket-Protocol", text_of(cmd, "protocol", "wisehost.v1")),
        header(p, "X-Wisehost-Assertion", assertion), header(p, "X-Wisehost-Nonce", nonce),
        header(p, "Origin", text_of(cmd, "origin", NULL)), "\r\n", NULL);
    put(w, request, strlen(request));
    status = read_answer(w, answer, sizeof(answer));
    if (status != 101) {
        drop(w);
        say(json_pack("{s:s,s:i,s:s}", "event", "refused", "status", status, "head", answer));
        return;
    }
    memset(&w->link, 0, sizeof(w->link));
    w->link.out = WH_PROTO_A2H;
    wh_sign_sha256(w->api_key, strlen(w->api_key), sha);
    wh_keys_worker_mac(sha, w->link.key);
    apr_cpystrn(w->link.agent_nonce, nonce != NULL ? nonce : "", sizeof(w->link.agent_nonce));
    found = strcasestr(answer, "x-wisehost-nonce: ");
    if (found != NULL) {
        apr_cpystrn(w->link.hub_nonce, found + 18, sizeof(w->link.hub_nonce));
    }
    w->in_len = w->message_len = 0;
    w->deaf = 0;
    say(json_pack("{s:s,s:b,s:s}", "event", "connected", "hub_nonce", found != NULL, "head",
                  answer));
}

/* ---- Sending ---- */

static void put_text(worker_t *w, const char *text, size_t n, int pieces)
{
    size_t step = pieces > 1 ? n / (size_t)pieces + 1 : n, at = 0;

    for (int i = 0; at < n || i == 0; i++) {
        size_t len = n - at < step ? n - at : step;

        put_frame(w, i == 0 ? 1 : 0, at + len == n, text + at, len);
        at += len;
    }
}

/* The same frame, padded to a whole size. */
static char *padded(worker_t *w, wh_proto_link_t *link, json_t *cmd, const char *id, apr_time_t now,
                    json_t *payload, char *text, size_t *n)
{
    size_t size = (size_t)json_integer_value(json_object_get(cmd, "size"));
    char *pad;

    if (text == NULL || size < *n + 9) {
        return text;
    }
    pad = apr_palloc(w->scratch, size);
    memset(pad, 'x', size);
    json_object_set_new(payload, "pad",
                        json_stringn(pad, size - *n - (json_object_size(payload) > 0 ? 9 : 8)));
    link->out_seq--;
    return wh_proto_seal(w->scratch, link, text_of(cmd, "type", "hello"), id, now, payload, n);
}

static void keep(char **to, size_t *to_len, const char *text, size_t n)
{
    free(*to);
    *to = malloc(n + 1);
    memcpy(*to, text, n);
    *to_len = n;
}

static void mac_part(wh_sign_ctx_t *ctx, const char *data, size_t n)
{
    unsigned char len[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                            (unsigned char)(n >> 8), (unsigned char)n};

    wh_sign_hmac_add(ctx, len, 4);
    wh_sign_hmac_add(ctx, data, n);
}

/* Whatever the body is, its MAC is right. */
static void send_signed(worker_t *w, const char *body)
{
    wh_sign_ctx_t *ctx = wh_sign_hmac_begin(w->scratch, w->link.key, sizeof(w->link.key));
    unsigned char mac[32];
    char *text;

    mac_part(ctx, WH_PROTO_SUBPROTOCOL, strlen(WH_PROTO_SUBPROTOCOL));
    mac_part(ctx, "a>h", 3);
    mac_part(ctx, w->link.hub_nonce, strlen(w->link.hub_nonce));
    mac_part(ctx, w->link.agent_nonce, strlen(w->link.agent_nonce));
    mac_part(ctx, body, strlen(body));
    wh_sign_hmac_end(ctx, mac);
    text =
        apr_pstrcat(w->scratch, body, ",\"h\":\"", wh_sign_hex(w->scratch, mac, 32), "\"}", NULL);
    put_text(w, text, strlen(text), 1);
}

static void send_raw_frames(worker_t *w, json_t *cmd)
{
    json_int_t times = json_integer_value(json_object_get(cmd, "times"));
    size_t n = (size_t)json_integer_value(json_object_get(cmd, "bytes"));
    int fin =
        json_object_get(cmd, "fin") == NULL || json_integer_value(json_object_get(cmd, "fin"));
    int opcode = (int)json_integer_value(json_object_get(cmd, "opcode"));
    char *data = memset(apr_palloc(w->scratch, n + 1), 'x', n + 1);

    for (json_int_t i = 0; (i == 0 || i < times) && w->fd >= 0; i++) {
        put_frame(w, opcode, fin, data, n);
    }
}

static void send_frame(worker_t *w, json_t *cmd)
{
    apr_time_t now = wh_clock_now(wh_sys_clock()) +
                     json_integer_value(json_object_get(cmd, "skew")) * APR_USEC_PER_SEC;
    wh_proto_link_t other = w->link, *link = &w->link;
    json_t *payload = json_object_get(cmd, "p");
    const char *id;
    size_t n = 0;
    char *text;

    if (json_object_get(cmd, "dir") != NULL) {
        other.out = WH_PROTO_H2A;
        link = &other;
    }
    if (json_object_get(cmd, "seq") != NULL) {
        link->out_seq = (apr_uint64_t)(json_integer_value(json_object_get(cmd, "seq")) - 1);
    }
    payload = payload != NULL ? json_incref(payload) : json_object();
    id = wh_rand_hex(w->scratch, wh_sys_rand(), 16);
    text = wh_proto_seal(w->scratch, link, text_of(cmd, "type", "hello"), id, now, payload, &n);
    text = padded(w, link, cmd, id, now, payload, text, &n);
    json_decref(payload);
    if (text == NULL) {
        say(json_pack("{s:s}", "event", "cannot_seal"));
        return;
    }
    if (json_object_get(cmd, "mac") != NULL) {
        text[n - 4] = text[n - 4] == '0' ? '1' : '0';
    }
    keep(&w->last, &w->last_len, text, n);
    put_text(w, text, n, (int)json_integer_value(json_object_get(cmd, "pieces")));
}

static void send_hex(worker_t *w, const char *hex)
{
    size_t n = hex != NULL ? strlen(hex) : 0;
    unsigned char *bytes = apr_palloc(w->scratch, n / 2 + 1);

    if (n > 0 && wh_sign_unhex(hex, n, bytes) == 0) {
        put(w, bytes, n / 2);
    }
}

/* Returns 0 at the end. */
static int command(worker_t *w, const char *line)
{
    json_t *cmd = json_loads(line, 0, NULL);
    const char *what = cmd != NULL ? text_of(cmd, "do", "") : "";
    size_t n = (size_t)json_integer_value(json_object_get(cmd, "bytes"));
    int more = 1;

    if (strcmp(what, "connect") == 0) {
        connect_hub(w, cmd);
    } else if (strcmp(what, "send") == 0) {
        send_frame(w, cmd);
    } else if (strcmp(what, "again") == 0) {
        put_text(w, w->last, w->last_len, 1);
    } else if (strcmp(what, "reflect") == 0) {
        put_text(w, w->theirs, w->theirs_len, 1);
    } else if (strcmp(what, "signed") == 0) {
        send_signed(w, text_of(cmd, "body", ""));
    } else if (strcmp(what, "frame") == 0) {
        send_raw_frames(w, cmd);
    } else if (strcmp(what, "text") == 0) {
        put_text(w, text_of(cmd, "text", ""), strlen(text_of(cmd, "text", "")), 1);
    } else if (strcmp(what, "big") == 0) {
        put_text(w, memset(apr_palloc(w->scratch, n + 1), 'x', n), n, 4);
    } else if (strcmp(what, "binary") == 0) {
        put_frame(w, 2, 1, "{}", 2);
    } else if (strcmp(what, "bytes") == 0) {
        send_hex(w, text_of(cmd, "hex", ""));
    } else if (strcmp(what, "deaf") == 0 || strcmp(what, "listen") == 0) {
        w->deaf = what[0] == 'd';
    } else if (strcmp(what, "drop") == 0) {
        hang_up(w, -1);
    } else {
        more = strcmp(what, "quit") != 0;
    }
    json_decref(cmd);
    apr_pool_clear(w->scratch);
    return more;
}

/* ---- Receiving ---- */

static void took_message(worker_t *w)
{
    wh_proto_msg_t msg;
    wh_err_t err = WH_ERR_INIT;

    keep(&w->theirs, &w->theirs_len, w->message, w->message_len);
    if (wh_proto_open(w->scratch, &w->link, w->message, w->message_len,
                      wh_clock_now(wh_sys_clock()), &msg, &err) == APR_SUCCESS) {
        say(json_pack("{s:s,s:s,s:I,s:s,s:O}", "event", "frame", "type", msg.type_name, "seq",
                      (json_int_t)msg.seq, "id", msg.id, "p", msg.p));
    } else {
        say(json_pack("{s:s,s:s}", "event", "bad_frame", "code", err.code));
    }
    w->message_len = 0;
    apr_pool_clear(w->scratch);
}

static void took_frame(worker_t *w, int opcode, int fin, const unsigned char *data, size_t n)
{
    if (opcode == 8) {
        hang_up(w, n >= 2 ? data[0] << 8 | data[1] : 1005);
    } else if (opcode == 9) {
        put_frame(w, 10, 1, data, n);
    } else if (opcode <= 2 && w->message_len + n <= ROOM) {
        memcpy(w->message + w->message_len, data, n);
        w->message_len += n;
        if (fin) {
            took_message(w);
        }
    }
}

/* Takes the frames that are whole out of w->in. */
static void take_apart(worker_t *w)
{
    for (;;) {
        size_t at = 2;
        uint64_t n;
        unsigned char head;

        if (w->fd < 0 || w->in_len < 2) {
            return;
        }
        head = w->in[0];
        n = w->in[1] & 0x7f;
        if (n >= 126) {
            size_t bytes = n == 126 ? 2 : 8;

            if (w->in_len < 2 + bytes) {
                return;
            }
            for (n = 0; at < 2 + bytes; at++) {
                n = n << 8 | w->in[at];
            }
        }
        if (w->in_len < at + n) {
            return;
        }
        took_frame(w, head & 0x0f, head & 0x80, w->in + at, (size_t)n);
        if (w->fd < 0) {
            return;
        }
        memmove(w->in, w->in + at + n, w->in_len - at - (size_t)n);
        w->in_len -= at + (size_t)n;
    }
}

static void receive(worker_t *w)
{
    do {
        ssize_t n = w->ssl != NULL ? SSL_read(w->ssl, w->in + w->in_len, (int)(ROOM - w->in_len))
                                   : read(w->fd, w->in + w->in_len, ROOM - w->in_len);

        if (n <= 0) {
            hang_up(w, 0);
            return;
        }
        w->in_len += (size_t)n;
        take_apart(w);
    } while (w->ssl != NULL && SSL_pending(w->ssl) > 0);
}

typedef struct said_t {
    char *text;
    size_t len, size;
} said_t;

/* What is on stdin, and every whole line of it. 0 = the end. */
static int commands(worker_t *w, said_t *said)
{
    char *line, *end;
    ssize_t n;

    if (said->len + 65537 > said->size) {
        said->size = said->len * 2 + 65537;
        said->text = realloc(said->text, said->size);
    }
    n = said->text != NULL ? read(0, said->text + said->len, 65536) : -1;
    if (n <= 0) {
        return 0;
    }
    line = said->text;
    end = said->text + said->len;
    said->len += (size_t)n;
    said->text[said->len] = '\0';
    while ((end = memchr(end, '\n', (size_t)(said->text + said->len - end))) != NULL) {
        *end++ = '\0';
        if (!command(w, line)) {
            return 0;
        }
        line = end;
    }
    said->len -= (size_t)(line - said->text);
    memmove(said->text, line, said->len);
    return 1;
}

static void loop(worker_t *w)
{
    said_t said = {0};

    for (;;) {
        struct pollfd fds[] = {{.fd = 0, .events = POLLIN},
                               {.fd = w->deaf ? -1 : w->fd, .events = POLLIN}};

        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (fds[1].revents != 0 && w->fd >= 0) {
            receive(w);
        }
        if (fds[0].revents != 0 && !commands(w, &said)) {
            break;
        }
    }
    free(said.text);
}

int main(int argc, char **argv)
{
    worker_t w = {.fd = -1};
    unsigned char root[WH_KEY_LEN];
    char hex[65] = "";
    FILE *file;

    if (argc != 5 || (file = fopen(argv[2], "r")) == NULL) {
        fputs("usage: wh-test-worker SOCKET ROOT_KEY_FILE WORKER_ID API_KEY\n", stderr);
        return 2;
    }
    if (fread(hex, 1, 64, file) != 64 || wh_sign_unhex(hex, 64, root) != 0) {
        fputs("wh-test-worker: no root key\n", stderr);
        return 2;
    }
    fclose(file);
    apr_initialize();
    apr_pool_create(&w.pool, NULL);
    apr_pool_create(&w.scratch, w.pool);
    w.socket_path = argv[1];
    w.id = argv[3];
    w.api_key = argv[4];
    w.in = malloc(ROOM);
    w.message = malloc(ROOM);
    wh_keys_derive(root, &w.keys);
    loop(&w);
    free(w.in);
    free(w.message);
    free(w.last);
    free(w.theirs);
    drop(&w);
    SSL_CTX_free(w.tls);
    apr_pool_destroy(w.pool);
    apr_terminate();
    return 0;
}
