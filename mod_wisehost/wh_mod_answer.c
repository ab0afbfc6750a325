/*
 * What an application sends back is bounded and watched, by two filters of ours around
 * mod_proxy_http.
 *
 * The first reads from the application's connection. mod_proxy bounds a line of the head but not
 * their number, takes anything that is not HTTP for a page of HTTP/0.9, waits for the application
 * though its client has left, and, when a kept connection of that client got no answer, hangs up on
 * it instead of letting anybody try again. The second completes the head before httpd's own
 * filters write it: request id, cookie, what previews want.
 */
#include <errno.h>
#include <poll.h>

#include <apu.h> /* before the next, which does not include it itself */
#include <apr_optional_hooks.h>
#include <apr_portable.h>
#include <apr_strings.h>

#include <util_filter.h>

#include "mod_wisehost/wh_mod_proxy.h"

#define WH_ANSWER_HEAD_BYTES (64 * 1024)
#define WH_ANSWER_HEAD_LINES 200
/* An HTTP/2 stream has no socket of its own: its end is looked for this often. */
#define WH_ANSWER_LOOK_US (500 * 1000)
/* Most answers come within that time: till then the client is not looked at. */
#define WH_ANSWER_SOON_US (100 * 1000)

/* One a connection to an application, in its pool; armed while it serves a request of ours. */
typedef struct wh_guard_t {
    request_rec *r; /* the client's, NULL between requests */
    const request_rec *answer;
    wh_attempt_t *attempt;
    apr_interval_time_t timeout;
    apr_time_t deadline; /* of the whole head */
    apr_size_t bytes;
    int lines;
    int dry; /* nothing is buffered here or below: the next read waits for the network */
} wh_guard_t;

static ap_filter_rec_t *guard_filter;
static ap_filter_rec_t *head_filter;

/* A client that left is no error of ours or the application's: mod_proxy's lines are not for it. */
static const struct ap_logconf silent = {.module_levels = NULL, .level = APLOG_EMERG};

static int socket_of(conn_rec *c)
{
    apr_socket_t *sock;
    apr_os_sock_t fd = -1;

    while (c->master != NULL) {
        c = c->master;
    }
    sock = ap_get_conn_socket(c);
    return sock != NULL && apr_os_sock_get(&fd, sock) == APR_SUCCESS ? fd : -1;
}

static int ms_of(apr_interval_time_t t)
{
    return t < 0 ? -1 : (int)apr_time_as_msec(t + 999);
}

int wh_mod_answer_client_gone(request_rec *r, apr_interval_time_t wait)
{
    struct pollfd pf = {.fd = socket_of(r->connection), .events = POLLRDHUP};

    if (r->connection->aborted) {
        return 1;
    }
    return poll(&pf, 1, ms_of(wait)) > 0 || r->connection->aborted;
}

/* Waits until there is something to read. APR_SUCCESS, APR_TIMEUP, APR_ECONNABORTED. */
static apr_status_t wait_readable(wh_guard_t *g, conn_rec *origin)
{
    conn_rec *client = g->r->connection;
    struct pollfd pf[2] = {{.fd = socket_of(origin), .events = POLLIN},
                           {.fd = socket_of(client), .events = POLLRDHUP}};
    apr_interval_time_t left = g->timeout;

    while (!client->aborted) {
        apr_interval_time_t step = left;
        int n;

        if (client->master != NULL && (left < 0 || left > WH_ANSWER_LOOK_US)) {
            step = WH_ANSWER_LOOK_US;
        }
        n = poll(pf, 2, ms_of(step));
        if (n < 0 && errno != EINTR) {
            return APR_SUCCESS; /* the read will say what it is */
        }
        if (n > 0) {
            if (pf[0].revents != 0) {
                return APR_SUCCESS;
            }
            break;
        }
        if (n == 0 && left >= 0 && (left -= step) <= 0) {
            return APR_TIMEUP;
        }
    }
    client->aborted = 1;
    return APR_ECONNABORTED;
}

/* The beginning of the answer: HTTP/1.x it is, or nothing that is handed on. */
static int speaks_http(apr_bucket_brigade *bb)
{
    char start[7];
    apr_size_t n = sizeof(start);

    return apr_brigade_flatten(bb, start, &n) == APR_SUCCESS && n == sizeof(start) &&
           memcmp(start, "HTTP/1.", sizeof(start)) == 0;
}

static int blank(apr_bucket_brigade *bb)
{
    char line[3];
    apr_size_t n = sizeof(line);

    return apr_brigade_flatten(bb, line, &n) == APR_SUCCESS &&
           ((n == 2 && line[0] == '\r' && line[1] == '\n') || (n == 1 && line[0] == '\n'));
}

static apr_status_t refuse_head(wh_guard_t *g, apr_bucket_brigade *bb, const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, g->r, "WH0165: answer of %s refused: %s",
                  g->attempt->target->name, why);
    apr_brigade_cleanup(bb);
    return APR_EGENERAL;
}

/* Lines come as one or few buckets whose length is known. */
static apr_size_t line_bytes(const apr_bucket_brigade *bb)
{
    apr_size_t n = 0;

    for (const apr_bucket *e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb);
         e = APR_BUCKET_NEXT(e)) {
        n += e->length != (apr_size_t)-1 ? e->length : 0;
    }
    return n;
}

/* One line of the head was read. */
static apr_status_t check_line(wh_guard_t *g, apr_bucket_brigade *bb)
{
    wh_attempt_t *attempt = g->attempt;
    apr_size_t n = line_bytes(bb);

    if (n == 0) {
        return APR_SUCCESS;
    }
    g->bytes += n;
    if (!attempt->answered) {
        if (g->lines == 0 && n <= 2 && blank(bb)) {
            g->lines++;
            return APR_SUCCESS; /* mod_proxy takes one stray end of line before the answer */
        }
        attempt->answered = 1;
        if (!speaks_http(bb)) {
            return refuse_head(g, bb, "it is not HTTP/1");
        }
        g->r->connection->keepalives = attempt->keepalives;
        attempt->hidden = 0;
    }
    if (++g->lines > WH_ANSWER_HEAD_LINES || g->bytes > WH_ANSWER_HEAD_BYTES) {
        return refuse_head(g, bb, "more than 200 lines or 64 KiB of head");
    }
    /* The clock, now and then: who dribbles lines has a little longer. */
    if (g->lines % 4 == 0 && apr_time_now() > g->deadline) {
        attempt->late = 1;
        return refuse_head(g, bb, "its head takes too long");
    }
    return APR_SUCCESS;
}

/* HTTP_IN stands above from the end of the head on. */
static int reads_head(const wh_guard_t *g, ap_input_mode_t mode)
{
    return mode == AP_MODE_GETLINE &&
           g->answer->input_filters == g->answer->connection->input_filters;
}

/* A read that waits for the network: as any other at first, for a poll of our own is one call more
 * a request; then with an eye on the client. */
static apr_status_t read_watching(wh_guard_t *g, ap_filter_t *f, apr_bucket_brigade *bb,
                                  ap_input_mode_t mode, apr_off_t readbytes)
{
    apr_socket_t *sock = ap_get_conn_socket(f->c);
    apr_bucket_brigade *rest;
    apr_status_t rv;

    if (g->timeout < 0 || g->timeout > WH_ANSWER_SOON_US) {
        (void)apr_socket_timeout_set(sock, WH_ANSWER_SOON_US);
        rv = ap_get_brigade(f->next, bb, mode, APR_BLOCK_READ, readbytes);
        (void)apr_socket_timeout_set(sock, g->timeout);
        if (!APR_STATUS_IS_TIMEUP(rv)) {
            return rv;
        }
    }
    rv = wait_readable(g, f->c);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (APR_BRIGADE_EMPTY(bb)) {
        return ap_get_brigade(f->next, bb, mode, APR_BLOCK_READ, readbytes);
    }
    rest = apr_brigade_create(g->r->pool, bb->bucket_alloc); /* of a line that began */
    rv = ap_get_brigade(f->next, rest, mode, APR_BLOCK_READ, readbytes);
    APR_BRIGADE_CONCAT(bb, rest);
    return rv;
}

static apr_status_t guard(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                          apr_read_type_e block, apr_off_t readbytes)
{
    wh_guard_t *g = f->ctx;
    apr_status_t rv;

    if (g->r == NULL) {
        return ap_get_brigade(f->next, bb, mode, block, readbytes);
    }
    if (g->dry && block == APR_BLOCK_READ) {
        rv = read_watching(g, f, bb, mode, readbytes);
    } else {
        rv = ap_get_brigade(f->next, bb, mode, block, readbytes);
    }
    g->dry = 0;
    if (rv == APR_SUCCESS && reads_head(g, mode)) {
        return check_line(g, bb);
    }
    if (APR_STATUS_IS_EAGAIN(rv) || (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))) {
        g->dry = 1;
    } else if (APR_STATUS_IS_TIMEUP(rv)) {
        g->attempt->late = 1;
    } else if (APR_STATUS_IS_ECONNABORTED(rv) && g->r->connection->aborted) {
        g->attempt->gone = 1;
        g->r->log = &silent;
    }
    return rv;
}

static apr_status_t disarm(void *data)
{
    wh_guard_t *g = data;

    g->r = NULL;
    return APR_SUCCESS;
}

static wh_guard_t *guard_of(conn_rec *origin)
{
    wh_guard_t *g = ap_get_module_config(origin->conn_config, &wisehost_module);

    if (g == NULL) {
        g = apr_pcalloc(origin->pool, sizeof(*g));
        ap_set_module_config(origin->conn_config, &wisehost_module, g);
        ap_add_input_filter_handle(guard_filter, g, NULL, origin);
    }
    return g;
}

/* mod_proxy made the request_rec that stands for the answer; the request went out. Its pool ends
 * when the connection goes back to the others. */
static int create_req(request_rec *r, request_rec *answer)
{
    const wh_mod_req_t *req = wh_mod_data_get(r);
    conn_rec *origin = answer->connection;
    apr_socket_t *sock = ap_get_conn_socket(origin);
    wh_attempt_t *attempt = req != NULL ? req->attempt : NULL;
    wh_guard_t *g;

    if (attempt == NULL || sock == NULL) {
        return DECLINED;
    }
    attempt->sent = 1;
    attempt->reused = origin->keepalives > 0;
    attempt->keepalives = r->connection->keepalives;
    attempt->hidden = 1;
    r->connection->keepalives = 0;
    g = guard_of(origin);
    answer->input_filters = origin->input_filters;
    answer->proto_input_filters = origin->input_filters;
    g->r = r;
    g->answer = answer;
    g->attempt = attempt;
    g->bytes = 0;
    g->lines = 0;
    g->dry = 1;
    if (apr_socket_timeout_get(sock, &g->timeout) != APR_SUCCESS) {
        g->timeout = r->server->timeout;
    }
    g->deadline = g->timeout >= 0 ? apr_time_now() + g->timeout : APR_INT64_MAX;
    apr_pool_cleanup_register(answer->pool, g, disarm, apr_pool_cleanup_null);
    return OK;
}

/* True when httpd would refuse to write it, which would be an error of ours and not a bad answer.
 */
static int head_ok(const apr_table_t *headers)
{
    const apr_array_header_t *all = apr_table_elts(headers);
    const apr_table_entry_t *e = (const apr_table_entry_t *)(const void *)all->elts;

    for (int i = 0; i < all->nelts; i++) {
        if (e[i].key == NULL || *e[i].key == '\0' || *ap_scan_http_token(e[i].key) != '\0' ||
            *ap_scan_http_field_content(e[i].val) != '\0') {
            return 0;
        }
    }
    return 1;
}

/* A malformed head does not pass: the attempt counts as failed, and nothing of it was sent. */
static apr_status_t head(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const wh_mod_req_t *req = f->ctx;

    if (req->attempt != NULL && (req->attempt->malformed || !head_ok(r->headers_out))) {
        req->attempt->malformed = 1;
        apr_brigade_cleanup(bb);
        return AP_FILTER_ERROR;
    }
    ap_remove_output_filter(f);
    apr_table_setn(r->headers_out, "X-Request-Id", req->request_id);
    if (req->cookie != NULL) {
        apr_table_addn(r->headers_out, "Set-Cookie", req->cookie);
    }
    if (req->route->flags & WH_ROUTE_PREVIEW) {
        apr_table_setn(r->headers_out, "X-Robots-Tag", "noindex");
    }
    return ap_pass_brigade(f->next, bb);
}

void wh_mod_answer_insert(request_rec *r, wh_mod_req_t *req)
{
    ap_add_output_filter_handle(head_filter, req, r, r->connection);
}

void wh_mod_answer_register(void)
{
    guard_filter = ap_register_input_filter("WISEHOST_GUARD", guard, NULL, AP_FTYPE_CONNECTION);
    /* Before mod_headers, whose word is the last. */
    head_filter = ap_register_output_filter("WISEHOST_HEAD", head, NULL, AP_FTYPE_CONTENT_SET - 1);
    APR_OPTIONAL_HOOK(proxy, create_req, create_req, NULL, NULL, APR_HOOK_FIRST);
}
