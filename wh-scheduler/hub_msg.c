#include "wh-scheduler/hub_msg.h"

#include <string.h>

#include "libwh/wh_keys.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/recover.h"

typedef apr_status_t handler_fn(const wh_hub_msg_in_t *in, wh_err_t *err);

static handler_fn *const handlers[WH_MSG_COUNT] = {
    [WH_MSG_HELLO] = wh_hub_msg_hello,           [WH_MSG_HEARTBEAT] = wh_hub_msg_heartbeat,
    [WH_MSG_JOB_ACK] = wh_hub_msg_job_ack,       [WH_MSG_JOB_STATUS] = wh_hub_msg_job_status,
    [WH_MSG_JOB_RESULT] = wh_hub_msg_job_result, [WH_MSG_BUILD_LOG] = wh_hub_msg_build_log,
    [WH_MSG_APP_STATUS] = wh_hub_msg_app_status, [WH_MSG_ERROR] = wh_hub_msg_error,
    [WH_MSG_APP_STATS] = wh_hub_msg_app_stats,   [WH_MSG_RUNTIME_LOG] = wh_hub_msg_runtime_log,
    [WH_MSG_VIOLATION] = wh_hub_msg_violation,
};

/* A connection that takes the place of another is no news. */
static apr_status_t online(wh_core_t *core, apr_pool_t *p, const wh_worker_t *w, apr_time_t now,
                           wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = wh_db_worker_set_online(core->dbc, p, w->id, w, now, err);
    if (rv == APR_SUCCESS && w->status != WH_WORKER_ONLINE) {
        rv = wh_core_tell_worker(core, p, w->id, WH_WORKER_ONLINE, now, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

apr_status_t wh_hub_msg_connect(wh_core_t *core, apr_pool_t *p, apr_int64_t worker,
                                apr_uint64_t conn, apr_time_t now, wh_err_t *err)
{
    unsigned char hash[WH_KEY_LEN];
    wh_post_t *post;
    wh_worker_t *w;
    apr_status_t rv = wh_db_worker_get(core->dbc, p, worker, &w, err);

    if (rv == APR_NOTFOUND ||
        (rv == APR_SUCCESS && (w->admin_state == WH_WORKER_REMOVED || w->revoked_at != 0 ||
                               wh_sign_unhex(w->key_hash, 2 * WH_KEY_LEN, hash) != 0))) {
        wh_log(WH_LOG_WARN, "WH0470",
               "worker %" APR_INT64_T_FMT
               " is unknown, removed or revoked: its connection is closed",
               worker);
        wh_core_close(core, conn, WH_CLOSE_REVOKED);
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS) {
        rv = online(core, p, w, now, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    post = wh_mailbox_post_make(WH_POST_ACCEPT, conn);
    if (post == NULL || wh_core_peer_add(core, worker, conn, w->public_id) == NULL) {
        wh_mailbox_post_free(post);
        wh_core_close(core, conn, WH_CLOSE_RESTART);
        return APR_SUCCESS;
    }
    wh_keys_worker_mac(hash, post->key);
    memcpy(post->key_hash, hash, sizeof(post->key_hash));
    wh_mailbox_post(core->box, post);
    wh_log(WH_LOG_INFO, NULL, "worker %" APR_INT64_T_FMT " (%s) is connected", worker, w->name);
    return APR_SUCCESS;
}

apr_status_t wh_hub_msg_disconnect(wh_core_t *core, apr_pool_t *p, apr_uint64_t conn, int judge,
                                   apr_time_t now, wh_err_t *err)
{
    const wh_peer_t *peer = wh_core_peer_of_conn(core, conn);
    apr_int64_t worker;
    apr_status_t rv = APR_SUCCESS;

    if (peer == NULL) {
        return APR_SUCCESS; /* replaced: a newer connection is the worker's now */
    }
    worker = peer->worker;
    if (judge) {
        rv = wh_recover_drop(core, p, worker, now, err);
    }
    if (rv == APR_SUCCESS) {
        (void)wh_core_peer_drop(core, conn);
    }
    return rv;
}

apr_status_t wh_hub_msg_handle(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    handler_fn *handler = in->msg->type < WH_MSG_COUNT ? handlers[in->msg->type] : NULL;

    if (handler == NULL) {
        return wh_err_set(err, 400, "unknown_type", "This hub takes no such frame.");
    }
    if (!in->peer->ready && in->msg->type != WH_MSG_HELLO && in->msg->type != WH_MSG_ERROR) {
        return wh_err_set(err, 400, "bad_payload", "The first frame must be a hello.");
    }
    return handler(in, err);
}
