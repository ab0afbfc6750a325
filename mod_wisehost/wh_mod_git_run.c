/*
 * git's own http-backend between the body of a request and its answer: no mod_cgi, so nothing of
 * httpd's environment reaches it, both directions flow at once, and the hook of a push can speak
 * with this very request.
 *
 * Everything waits in one poll: room for the body, the answer, what git says to the log, the hook.
 * Only reading the body and writing the answer block, for at most Timeout each.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_atomic.h>
#include <apr_strings.h>

#include <ap_mpm.h>
#include <util_filter.h>
#include <util_script.h>

#include "libwh/wh_text.h"
#include "mod_wisehost/wh_mod_git_asked.h"
#include "mod_wisehost/wh_mod_push.h"
#include "mod_wisehost/wh_mod_talk.h"

#define PIECE_BYTES ((apr_size_t)32 * 1024)
#define HEAD_MAX 8192
#define SAID_MAX 2000
#define WIND_UP_US (5 * APR_USEC_PER_SEC)
#define END_US (5 * APR_USEC_PER_SEC)
#define LOOK_MS 1000                    /* at the latest: the deadline, a client that went */
#define LATE_US (10 * APR_USEC_PER_SEC) /* what a push has to say good-bye */
#define FILE_SLACK ((apr_int64_t)16 << 20)
#define MEMORY_MAX ((apr_int64_t)1 << 30) /* a few MiB of zlib unfold to any number of them */

/* ---- how many -------------------------------------------------------------------------------- */

static apr_uint32_t running; /* in this child */
static apr_uint32_t most = 1;

/* Half of the threads always serve: agents fetch through them what waiting pushes deploy. */
void wh_mod_git_child_init(server_rec *s)
{
    int threads = 0;

    running = 0;
    most = (apr_uint32_t)wh_mod_conf_git_max(s);
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) == APR_SUCCESS && threads > 1 &&
        most > (apr_uint32_t)threads / 2) {
        most = (apr_uint32_t)threads / 2;
    }
}

/* Agents are not counted: each has its few jobs, and what waits waits for them. */
int wh_mod_git_enter(const wh_call_t *c)
{
    if (c->actor.kind == WH_ACTOR_WORKER) {
        return 1;
    }
    if (apr_atomic_inc32(&running) >= most) {
        apr_atomic_dec32(&running);
        return 0;
    }
    return 1;
}

void wh_mod_git_leave(const wh_call_t *c)
{
    if (c->actor.kind != WH_ACTOR_WORKER) {
        apr_atomic_dec32(&running);
    }
}

/* ---- environment of a request --------------------------------------------------------------- */

static void add(apr_pool_t *p, apr_array_header_t *env, const char *name, const char *value)
{
    APR_ARRAY_PUSH(env, const char *) = apr_pstrcat(p, name, "=", value, NULL);
}

/* Of the headers three, each held to what git sends. NULL when one is not. */
static const char *header_env(request_rec *r, const char *header, const char *name,
                              const char *letters)
{
    const char *value = apr_table_get(r->headers_in, header);

    if (value == NULL) {
        return "";
    }
    if (strlen(value) > 255 || strspn(value, letters) != strlen(value)) {
        return NULL;
    }
    return apr_pstrcat(r->pool, name, "=", value, NULL);
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const char *const *request_env(wh_call_t *c, const wh_git_serve_t *what)
{
    request_rec *r = c->r;
    apr_off_t length = wh_mod_req_length(r);
    apr_array_header_t *more = apr_array_make(c->p, 20, sizeof(const char *));
    const char *headers[] = {
        header_env(r, "Content-Type", "CONTENT_TYPE", LETTERS "/-+."),
        header_env(r, "Content-Encoding", "HTTP_CONTENT_ENCODING", LETTERS "-"),
        header_env(r, "Git-Protocol", "GIT_PROTOCOL", LETTERS "=:.-"),
    };

    add(c->p, more, "GIT_PROJECT_ROOT", what->repo->root);
    add(c->p, more, "GIT_HTTP_EXPORT_ALL", "1");
    add(c->p, more, "PATH_INFO", apr_pstrcat(c->p, "/", what->repo->name, what->path_info, NULL));
    add(c->p, more, "REQUEST_METHOD", r->method_number == M_POST ? "POST" : "GET");
    add(c->p, more, "QUERY_STRING", what->query != NULL ? what->query : "");
    add(c->p, more, "REMOTE_ADDR", r->useragent_ip);
    add(c->p, more, "REMOTE_USER", wh_text_log_escape(c->p, c->actor.id, strlen(c->actor.id), 100));
    /* Told how long a push is, http-backend hands it on in pieces, and turns round and round when
     * its client goes in the middle; else git reads the body itself. */
    if (length >= 0 && r->method_number == M_POST && !what->pushes) {
        add(c->p, more, "CONTENT_LENGTH", apr_psprintf(c->p, "%" APR_OFF_T_FMT, length));
    }
    for (apr_size_t i = 0; i < WH_ARRAY_LEN(headers); i++) {
        if (headers[i] == NULL) {
            return NULL;
        }
        if (*headers[i] != '\0') {
            APR_ARRAY_PUSH(more, const char *) = headers[i];
        }
    }
    APR_ARRAY_PUSH(more, const char *) =
        what->pushes ? "http.receivepack true" : "http.receivepack false";
    APR_ARRAY_PUSH(more, const char *) =
        apr_psprintf(c->p, "receive.maxInputSize %" APR_OFF_T_FMT, what->body_max);
    if (what->any_commit) {
        APR_ARRAY_PUSH(more, const char *) = "uploadpack.allowAnySHA1InWant true";
    }
    if (what->alternates != NULL) {
        add(c->p, more, "GIT_ALTERNATE_OBJECT_DIRECTORIES", what->alternates);
    }
    if (what->push != NULL) {
        add(c->p, more, WH_TALK_ENV, WH_TALK_FD_TEXT);
        add(c->p, more, WH_TALK_GIT_ENV, wh_mod_git_program(c->p, r->server, "git"));
        if (what->push->new_id != NULL) {
            add(c->p, more, WH_TALK_NEW_ENV, "1");
        }
    }
    APR_ARRAY_PUSH(more, const char *) = NULL;
    return wh_mod_git_env(c->p, r->server, what->repo, (const char *const *)more->elts);
}

/* ---- the pump -------------------------------------------------------------------------------- */

typedef struct pump_t {
    wh_call_t *c;
    const wh_git_serve_t *what;
    wh_mod_spawn_t *proc;
    apr_bucket_brigade *in, *out;
    char *piece; /* of the body, on its way */
    apr_size_t n_piece, at_piece;
    apr_off_t body;
    int body_ended, client_gone, failed;
    char head[HEAD_MAX + 1];
    apr_size_t n_head;
    int head_sent;
    char said[SAID_MAX + 1];
    apr_size_t n_said;
    wh_git_asked_t *asked; /* of a push: looked at before git gets it */
    int odd;               /* it asked what git would not */
    apr_time_t late; /* when a push was told that its time is over */
} pump_t;

/* Nothing of a push goes to git before its list of names was found to be one. */
static void look_at(pump_t *pump)
{
    const wh_pktlist_t *list;

    if (pump->asked == NULL || pump->failed) {
        return;
    }
    list = wh_mod_git_asked_list(pump->asked);
    if (wh_mod_git_asked_feed(pump->asked, pump->piece, pump->n_piece) != 0 ||
        (pump->body_ended && !list->done)) {
        pump->failed = pump->odd = 1;
        pump->n_piece = 0;
    }
    if (pump->what->push != NULL) {
        pump->what->push->asked = list->commands;
    }
}

/* The next piece of the body. A client that goes away in it leaves git without its end. */
static void read_body(pump_t *pump)
{
    request_rec *r = pump->c->r;
    apr_size_t n = PIECE_BYTES;
    apr_status_t rv = ap_get_brigade(r->input_filters, pump->in, AP_MODE_READBYTES, APR_BLOCK_READ,
                                     (apr_off_t)PIECE_BYTES);

    pump->at_piece = pump->n_piece = 0;
    if (rv != APR_SUCCESS) {
        pump->failed = pump->client_gone = 1;
        return;
    }
    /* At most PIECE_BYTES were asked for, and a brigade of less than that holds no more. */
    rv = apr_brigade_flatten(pump->in, pump->piece, &n);
    pump->n_piece = rv == APR_SUCCESS ? n : 0;
    pump->body += (apr_off_t)pump->n_piece;
    pump->body_ended = wh_mod_req_brigade_ended(pump->in);
    pump->failed |= rv != APR_SUCCESS;
    apr_brigade_cleanup(pump->in);
    look_at(pump);
}

/* git may end before it has read all: the rest is read and forgotten, so that the client, which may
 * read only when it has written, comes to the answer. */
static void write_body(pump_t *pump)
{
    while (pump->at_piece < pump->n_piece && pump->proc->in >= 0) {
        ssize_t done =
            write(pump->proc->in, pump->piece + pump->at_piece, pump->n_piece - pump->at_piece);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno == EAGAIN) {
            return;
        }
        if (done < 0) {
            wh_mod_spawn_close(&pump->proc->in);
        } else {
            pump->at_piece += (apr_size_t)done;
        }
    }
    pump->at_piece = pump->n_piece;
}

static void feed(pump_t *pump)
{
    if (pump->at_piece >= pump->n_piece && !pump->body_ended && !pump->failed) {
        read_body(pump);
        if (pump->body > pump->what->body_max + FILE_SLACK) {
            pump->failed = 1;
        }
    }
    write_body(pump);
    if (pump->body_ended && pump->at_piece >= pump->n_piece) {
        wh_mod_spawn_close(&pump->proc->in);
    }
}

static int next_line(char *buf, int len, void *baton)
{
    char **at = baton;
    int n = 0;

    while (**at != '\0' && n < len - 1) {
        buf[n] = *(*at)++;
        if (buf[n++] == '\n') {
            break;
        }
    }
    buf[n] = '\0';
    return n;
}

static apr_size_t head_length(const pump_t *pump)
{
    const char *end = strstr(pump->head, "\r\n\r\n");

    if (end != NULL) {
        return (apr_size_t)(end - pump->head) + 4;
    }
    end = strstr(pump->head, "\n\n");
    return end != NULL ? (apr_size_t)(end - pump->head) + 2 : 0;
}

static void answer(pump_t *pump, const char *data, apr_size_t n)
{
    request_rec *r = pump->c->r;

    wh_git_kept_t *keep = pump->what->keep;

    if (n == 0 || pump->client_gone) {
        return;
    }
    if (keep != NULL) {
        if (keep->n + n <= sizeof(keep->data)) {
            memcpy(keep->data + keep->n, data, n);
        }
        keep->n += n;
    }
    if (apr_brigade_write(pump->out, NULL, NULL, data, n) != APR_SUCCESS ||
        ap_fflush(r->output_filters, pump->out) != APR_SUCCESS || r->connection->aborted) {
        pump->client_gone = 1;
    }
    apr_brigade_cleanup(pump->out);
}

/* What came of the answer: its head first, which httpd understands as it does that of any CGI. */
static void take_answer(pump_t *pump, const char *data, apr_size_t n)
{
    request_rec *r = pump->c->r;
    apr_size_t take, whole;
    char *at = pump->head;
    char problem[MAX_STRING_LEN];
    int rc;

    if (pump->odd) {
        return; /* the client gets ours */
    }
    if (pump->head_sent) {
        answer(pump, data, n);
        return;
    }
    take = n < HEAD_MAX - pump->n_head ? n : HEAD_MAX - pump->n_head;
    memcpy(pump->head + pump->n_head, data, take);
    pump->n_head += take;
    pump->head[pump->n_head] = '\0';
    whole = head_length(pump);
    if (whole == 0) {
        pump->failed |= pump->n_head == HEAD_MAX;
        return;
    }
    rc = ap_scan_script_header_err_core_ex(r, problem, next_line, &at, APLOG_MODULE_INDEX);
    if (rc != OK && rc < 400) {
        pump->failed = 1;
        return;
    }
    if (rc != OK) {
        r->status = rc;
    }
    apr_table_setn(r->err_headers_out, "X-Content-Type-Options", "nosniff");
    pump->head_sent = 1;
    answer(pump, pump->head + whole, pump->n_head - whole);
    answer(pump, data + take, n - take);
}

/* 0 when there is no more to come. */
static int read_answer(pump_t *pump)
{
    char buf[16384];
    ssize_t got = read(pump->proc->out, buf, sizeof(buf));

    if (got > 0) {
        take_answer(pump, buf, (apr_size_t)got);
    }
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static void read_said(pump_t *pump)
{
    char lost[1024];
    apr_size_t room = SAID_MAX - pump->n_said;
    ssize_t got = room > 0 ? read(pump->proc->err, pump->said + pump->n_said, room)
                           : read(pump->proc->err, lost, sizeof(lost));

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        wh_mod_spawn_close(&pump->proc->err);
    } else if (got > 0 && room > 0) {
        pump->n_said += (apr_size_t)got;
    }
}

static void talk(pump_t *pump, short events)
{
    char buf[4096];
    apr_size_t n;
    const char *out;

    if (events & (POLLIN | POLLHUP | POLLERR)) {
        ssize_t got = recv(pump->proc->talk, buf, sizeof(buf), 0);

        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            wh_mod_spawn_close(&pump->proc->talk);
            return;
        }
        if (got > 0 && wh_mod_push_feed(pump->what->push, buf, (apr_size_t)got) != 0) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, pump->c->r,
                          "WH0246: the hook of a push says what is not known here");
            wh_mod_spawn_close(&pump->proc->talk);
            return;
        }
    }
    out = wh_mod_push_out(pump->what->push, &n);
    if (n > 0) {
        ssize_t done = send(pump->proc->talk, out, n, MSG_NOSIGNAL);

        if (done > 0) {
            wh_mod_push_sent(pump->what->push, (apr_size_t)done);
        }
    }
}

/* The time of the whole: a push gets a moment to say so. 1 = it is over. */
static int time_over(pump_t *pump, apr_time_t now)
{
    if (now < pump->what->until) {
        return 0;
    }
    if (pump->what->push == NULL) {
        return 1;
    }
    if (pump->late == 0) {
        pump->late = now;
        wh_mod_push_late(pump->what->push);
    }
    return now - pump->late > LATE_US;
}

static int wait_ms(const pump_t *pump)
{
    int ms =
        pump->what->push != NULL && pump->proc->talk >= 0 ? wh_mod_push_wait(pump->what->push) : -1;

    return ms < 0 || ms > LOOK_MS ? LOOK_MS : ms;
}

/* One poll and what follows from it. 0 when git has said all. */
static int turn(pump_t *pump)
{
    const wh_git_serve_t *what = pump->what;
    apr_size_t out = 0;
    struct pollfd fds[4] = {{.fd = -1, .events = POLLOUT},
                            {.fd = pump->proc->out, .events = POLLIN},
                            {.fd = pump->proc->err, .events = POLLIN},
                            {.fd = pump->proc->talk, .events = POLLIN}};
    int more = 1;

    if (pump->proc->in >= 0 || !pump->body_ended) {
        feed(pump);
        if (pump->at_piece >= pump->n_piece && !pump->body_ended && !pump->failed) {
            return 1; /* more of the body first */
        }
        fds[0].fd = pump->proc->in;
    }
    if (pump->asked != NULL && !pump->odd && !wh_mod_git_asked_list(pump->asked)->done) {
        fds[1].fd = -1; /* no answer before it is known that there is one to give */
    }
    if (pump->proc->talk >= 0 && what->push != NULL) {
        (void)wh_mod_push_out(what->push, &out);
        fds[3].events = (short)(POLLIN | (out > 0 ? POLLOUT : 0));
    }
    if (poll(fds, 4, wait_ms(pump)) < 0 && errno != EINTR) {
        return 0;
    }
    if (fds[1].revents != 0) {
        more = read_answer(pump);
    }
    if (fds[2].revents != 0) {
        read_said(pump);
    }
    if (fds[3].revents != 0 && what->push != NULL) {
        talk(pump, fds[3].revents);
    }
    if (what->push != NULL && pump->proc->talk >= 0) {
        wh_mod_push_turn(what->push);
    }
    return more;
}

static void log_said(pump_t *pump)
{
    char *line = pump->said, *last = NULL;

    pump->said[pump->n_said] = '\0';
    for (line = apr_strtok(line, "\r\n", &last); line != NULL;
         line = apr_strtok(NULL, "\r\n", &last)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, pump->c->r, "WH0247: git: %s",
                      wh_text_log_escape(pump->c->p, line, strlen(line), 300));
    }
}

/* Nobody listens any more: git is let go to its own end, which takes away what it began, rather
 * than shot in the middle of that. The hook was told to refuse. */
static void wind_up(pump_t *pump)
{
    apr_time_t until = apr_time_now() + WIND_UP_US;

    pump->client_gone = pump->body_ended = 1;
    pump->at_piece = pump->n_piece;
    wh_mod_spawn_close(&pump->proc->in);
    while (apr_time_now() < until && turn(pump)) {
    }
}

static apr_status_t run(pump_t *pump)
{
    request_rec *r = pump->c->r;
    apr_time_t end = END_US;
    int gone;

    while (!pump->failed && !pump->client_gone && turn(pump)) {
        if (time_over(pump, apr_time_now())) {
            pump->failed = 1;
        }
    }
    if (pump->what->push != NULL) {
        wh_mod_push_over(pump->what->push);
    }
    if (pump->failed || pump->client_gone) {
        gone = pump->client_gone;
        wind_up(pump);
        pump->client_gone = gone;
    }
    wh_mod_spawn_end(pump->proc, pump->failed || pump->client_gone ? 0 : end);
    log_said(pump);
    if (pump->head_sent) {
        if (pump->failed || pump->client_gone) {
            r->connection->keepalive = AP_CONN_CLOSE;
            r->connection->aborted |= pump->failed; /* no end that looks like one */
        }
        pump->c->rc = OK;
        return APR_SUCCESS;
    }
    if (pump->client_gone) {
        pump->c->rc = OK;
        r->status = HTTP_BAD_REQUEST;
        return APR_SUCCESS;
    }
    if (pump->odd) {
        return wh_err_set(&pump->c->err, 400, "bad_request", "git does not push like that.");
    }
    return apr_time_now() >= pump->what->until
               ? wh_err_set(&pump->c->err, 408, "timeout", "This took too long.")
               : wh_err_set(&pump->c->err, 500, "git_failed",
                            "git ended without an answer; the server's log says why.");
}

static apr_status_t serve(wh_call_t *c, const wh_git_serve_t *what)
{
    const char *argv[] = {wh_mod_git_program(c->p, c->r->server, "git-http-backend"), NULL};
    wh_mod_spawn_opts_t opts = {.argv = argv,
                                .env = request_env(c, what),
                                .file_max = (apr_int64_t)what->body_max + FILE_SLACK,
                                .memory_max = MEMORY_MAX,
                                .talk = what->push != NULL};
    pump_t *pump = apr_pcalloc(c->p, sizeof(*pump));
    apr_status_t rv;

    if (opts.env == NULL) {
        return wh_err_set(&c->err, 400, "bad_request", "git does not ask like that.");
    }
    if (what->pushes && wh_mod_req_length(c->r) > what->body_max) {
        return wh_err_set(&c->err, 413, "too_large",
                          "A push brings at most %" APR_OFF_T_FMT " MiB.", what->body_max >> 20);
    }
    pump->c = c;
    pump->what = what;
    pump->proc = apr_pcalloc(c->p, sizeof(*pump->proc));
    pump->in = apr_brigade_create(c->p, c->r->connection->bucket_alloc);
    pump->out = apr_brigade_create(c->p, c->r->connection->bucket_alloc);
    pump->piece = apr_palloc(c->p, PIECE_BYTES);
    pump->body_ended = c->r->method_number != M_POST;
    if (what->pushes && !pump->body_ended) {
        pump->asked =
            wh_mod_git_asked_make(c->p, apr_table_get(c->r->headers_in, "Content-Encoding"));
        if (pump->asked == NULL) {
            return wh_err_set(&c->err, 415, "unsupported_encoding",
                              "A push comes plain or as gzip.");
        }
    }
    rv = wh_mod_spawn(c->p, &opts, pump->proc, &c->err);
    if (rv) {
        return rv;
    }
    if (pump->body_ended) {
        wh_mod_spawn_close(&pump->proc->in);
    }
    return run(pump);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* APR's ring macros */
void wh_mod_git_end_answer(wh_call_t *c)
{
    apr_bucket_alloc_t *alloc = c->r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(c->p, alloc);

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(alloc));
    (void)ap_pass_brigade(c->r->output_filters, bb);
}
#pragma GCC diagnostic pop

apr_status_t wh_mod_git_serve(wh_call_t *c, const wh_git_serve_t *what)
{
    apr_status_t rv;

    if (!wh_mod_git_enter(c)) {
        return wh_err_set(&c->err, 503, "busy",
                          "Too many pushes are under way: try again in a moment.");
    }
    wh_mod_db_release(c->r);
    c->dbc = NULL;
    rv = serve(c, what);
    wh_mod_git_leave(c);
    return rv;
}
