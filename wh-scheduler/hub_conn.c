#include "wh-scheduler/hub_conn.h"

#include <stdlib.h>
#include <string.h>

#include "libwh/wh_log.h"

wh_hub_conn_t *wh_hub_conn_make(apr_uint64_t id, apr_int64_t worker, const char *hub_nonce,
                                const char *agent_nonce)
{
    wh_hub_conn_t *conn = calloc(1, sizeof(*conn));

    if (conn == NULL) {
        return NULL;
    }
    conn->id = id;
    conn->worker = worker;
    conn->state = WH_HUB_CONN_KEYING;
    conn->out_end = &conn->out;
    conn->link.out = WH_PROTO_H2A;
    memcpy(conn->link.hub_nonce, hub_nonce, WH_PROTO_NONCE_HEX);
    memcpy(conn->link.agent_nonce, agent_nonce, WH_PROTO_NONCE_HEX);
    wh_seq_init(&conn->link.in);
    return conn;
}

void wh_hub_conn_free(wh_hub_conn_t *conn)
{
    if (conn == NULL) {
        return;
    }
    while (conn->out != NULL) {
        (void)wh_hub_conn_sent(conn);
    }
    free(conn->in);
    explicit_bzero(conn->link.key, sizeof(conn->link.key));
    free(conn);
}

wh_hub_rx_e wh_hub_conn_rx(wh_hub_conn_t *conn, const void *data, size_t n, int last)
{
    if (n > WH_PROTO_MAX_BYTES - conn->in_len) {
        return WH_HUB_RX_TOO_BIG;
    }
    if (conn->in_len + n > conn->in_size) {
        size_t size = last ? conn->in_len + n : (conn->in_len + n) * 2;
        char *grown = realloc(conn->in, size > 0 ? size : 1);

        if (grown == NULL) {
            return WH_HUB_RX_MEMORY;
        }
        conn->in = grown;
        conn->in_size = size;
    }
    if (n > 0) {
        memcpy(conn->in + conn->in_len, data, n);
        conn->in_len += n;
    }
    return last ? WH_HUB_RX_WHOLE : WH_HUB_RX_MORE;
}

void wh_hub_conn_rx_done(wh_hub_conn_t *conn)
{
    /* Nothing is kept between messages: a thousand idle connections hold no buffers. */
    free(conn->in);
    conn->in = NULL;
    conn->in_len = conn->in_size = 0;
}

int wh_hub_conn_queue(wh_hub_conn_t *conn, const char *text, size_t len, wh_mono_t now)
{
    wh_hub_out_t *out;

    if (conn->out_frames - conn->out_handed >= WH_HUB_CONN_OUT_FRAMES ||
        len > WH_HUB_CONN_OUT_BYTES - conn->out_bytes) {
        return WH_CLOSE_SLOW;
    }
    out = malloc(sizeof(*out) + WH_HUB_CONN_HEADROOM + len);
    if (out == NULL) {
        return WH_CLOSE_SLOW;
    }
    out->next = NULL;
    out->len = len;
    out->since = now;
    out->report = out->handed = 0;
    out->data = (unsigned char *)(out + 1) + WH_HUB_CONN_HEADROOM;
    memcpy(out->data, text, len);
    *conn->out_end = out;
    conn->out_end = &out->next;
    conn->out_last = out;
    conn->out_bytes += len;
    conn->out_frames++;
    return 0;
}

wh_hub_out_t *wh_hub_conn_next(wh_hub_conn_t *conn)
{
    return conn->out;
}

int wh_hub_conn_sent(wh_hub_conn_t *conn)
{
    wh_hub_out_t *out = conn->out;
    int report;

    if (out == NULL) {
        return 0;
    }
    conn->out = out->next;
    if (conn->out == NULL) {
        conn->out_end = &conn->out;
        conn->out_last = NULL;
    }
    conn->out_bytes -= out->len;
    conn->out_frames--;
    conn->out_handed -= out->handed;
    report = out->report;
    free(out);
    return report;
}

void wh_hub_conn_handed(wh_hub_conn_t *conn)
{
    if (conn->out_last != NULL && !conn->out_last->handed) {
        conn->out_last->handed = 1;
        conn->out_handed++;
    }
}

int wh_hub_conn_report(wh_hub_conn_t *conn)
{
    if (conn->out_last == NULL) {
        return 1;
    }
    conn->out_last->report = 1;
    return 0;
}

int wh_hub_conn_pace(wh_hub_conn_t *conn, size_t n, int last, wh_mono_t now)
{
    if (conn->pace.burst == 0) {
        wh_bucket_init(&conn->pace, WH_HUB_CONN_RATE, WH_HUB_CONN_BURST, now);
    }
    conn->heard++;
    return (!last && n >= WH_HUB_CONN_SMALL) || wh_bucket_take(&conn->pace, 1, now);
}

int wh_hub_conn_weigh(wh_hub_conn_t *conn, apr_int64_t n, wh_mono_t now)
{
    if (n <= 1 || wh_bucket_take(&conn->pace, n - 1, now)) {
        return 1;
    }
    (void)wh_bucket_take(&conn->pace, conn->pace.level, now);
    return 0;
}

/* Only when there is room for some more: a pause for every message would cost more than it slows.
 */
int wh_hub_conn_rested(wh_hub_conn_t *conn, wh_mono_t now)
{
    return wh_bucket_wait(&conn->pace, WH_HUB_CONN_RATE / 10, now) == 0;
}

int wh_hub_conn_flood(wh_hub_conn_t *conn, int unread)
{
    int flood = conn->odd >= WH_HUB_CONN_ODD_MAX || (unread && conn->heard == 0);

    conn->strikes = flood ? conn->strikes + 1 : 0;
    conn->odd = conn->heard = 0;
    return conn->strikes >= WH_HUB_CONN_STRIKES;
}

int wh_hub_conn_stuck(const wh_hub_conn_t *conn, wh_mono_t now)
{
    return conn->out != NULL && wh_mono_diff(now, conn->out->since) > WH_HUB_CONN_OUT_WAIT_US;
}

int wh_hub_conn_close(wh_hub_conn_t *conn, int code)
{
    if (conn->state == WH_HUB_CONN_CLOSING) {
        return 0;
    }
    wh_log(WH_LOG_DEBUG, NULL,
           "worker %" APR_INT64_T_FMT " connection %" APR_UINT64_T_FMT ": closing, code %d",
           conn->worker, conn->id, code);
    conn->state = WH_HUB_CONN_CLOSING;
    conn->close_code = code;
    return 1;
}
