#include "wh-scheduler/core.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"

wh_peer_t *wh_core_peer(wh_core_t *core, apr_int64_t worker)
{
    wh_peer_t *peer = core->peers;

    while (peer != NULL && peer->worker != worker) {
        peer = peer->next;
    }
    return peer;
}

wh_peer_t *wh_core_peer_of_conn(wh_core_t *core, apr_uint64_t conn)
{
    wh_peer_t *peer = core->peers;

    while (peer != NULL && peer->conn != conn) {
        peer = peer->next;
    }
    return peer;
}

wh_peer_t *wh_core_peer_add(wh_core_t *core, apr_int64_t worker, apr_uint64_t conn,
                            const char *public_id)
{
    wh_peer_t *old = wh_core_peer(core, worker), *peer;

    if (old != NULL) {
        (void)wh_core_peer_drop(core, old->conn);
    }
    peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    peer->worker = worker;
    peer->conn = conn;
    apr_cpystrn(peer->id_text, public_id, sizeof(peer->id_text));
    peer->public_id = peer->id_text;
    peer->heard = wh_clock_mono(core->clock);
    wh_bucket_init(&peer->logs, WH_BUCKET_LOG_RATE, WH_BUCKET_LOG_BURST,
                   wh_clock_mono(core->clock));
    peer->next = core->peers;
    core->peers = peer;
    return peer;
}

int wh_core_peer_drop(wh_core_t *core, apr_uint64_t conn)
{
    for (wh_peer_t **at = &core->peers; *at != NULL; at = &(*at)->next) {
        if ((*at)->conn == conn) {
            wh_peer_t *peer = *at;

            *at = peer->next;
            free(peer);
            return 1;
        }
    }
    return 0;
}

void wh_core_send(wh_core_t *core, const wh_peer_t *peer, wh_msg_e type, json_t *payload)
{
    wh_post_t *post = NULL;

    if (payload != NULL) {
        post = wh_mailbox_post_make(WH_POST_FRAME, peer->conn);
    }
    if (post == NULL) {
        wh_log(WH_LOG_ERROR, "WH0430", "worker %" APR_INT64_T_FMT ": out of memory for a %s frame",
               peer->worker, wh_proto_type_name(type));
        json_decref(payload);
        return;
    }
    post->type = wh_proto_type_name(type);
    post->payload = payload;
    wh_mailbox_post(core->box, post);
}

void wh_core_send_ref(wh_core_t *core, const wh_peer_t *peer, wh_msg_e type, const char *job,
                      apr_int64_t epoch)
{
    wh_msg_ref_t m = {.job = job, .epoch = epoch};

    if (peer != NULL && peer->ready) {
        wh_core_send(core, peer, type, wh_proto_msg_ref_encode(&m));
    }
}

void wh_core_send_error(wh_core_t *core, const wh_peer_t *peer, const char *in_reply_to,
                        const char *code, const char *message)
{
    wh_msg_error_t m = {.in_reply_to = in_reply_to, .code = code, .message = message};

    wh_core_send(core, peer, WH_MSG_ERROR, wh_proto_msg_error_encode(&m));
}

void wh_core_close(wh_core_t *core, apr_uint64_t conn, int code)
{
    wh_post_t *post = wh_mailbox_post_make(WH_POST_CLOSE, conn);

    if (post != NULL) {
        post->code = code;
        wh_mailbox_post(core->box, post);
    }
}

int wh_core_may_retry(const wh_err_t *err)
{
    return wh_err_is(err, "db_busy") || wh_err_is(err, "db_gone") || wh_err_is(err, "db_error");
}

apr_status_t wh_core_only(wh_core_t *core, apr_status_t rv, const char *what, wh_err_t *err)
{
    if (rv == APR_SUCCESS || (rv != APR_NOTFOUND && wh_core_may_retry(err))) {
        return rv;
    }
    wh_dbc_rollback(core->dbc);
    if (rv == APR_NOTFOUND) {
        wh_log(WH_LOG_DEBUG, NULL, "%s: overtaken", what);
    } else {
        wh_log(WH_LOG_ERROR, "WH0431", "%s: %s", what, err->text);
    }
    wh_err_clear(err);
    return APR_SUCCESS;
}
