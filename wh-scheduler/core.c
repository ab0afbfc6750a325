#include "wh-scheduler/core.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "whdb/wh_db_notify.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/beats.h"

wh_secret_ring_t wh_core_ring(const wh_core_t *core)
{
    return (wh_secret_ring_t){.id = core->env_key, .root = core->env_root};
}

void wh_core_intake(wh_core_t *core)
{
    wh_applog_limits_t limits = {.bytes = core->settings->app_log_bytes,
                                 .age_s = core->settings->app_log_age_s};

    core->log_writer = wh_segment_make(core->pool);
    core->logs = wh_logseg_make(core->pool, core->settings->logs_dir, core->log_writer);
    core->app_logs = wh_applog_make(core->pool, core->settings->logs_dir, core->log_writer,
                                    &limits);
    core->events = wh_eventlog_make(core->pool, core->settings->logs_dir, core->log_writer,
                                    &(wh_applog_limits_t){
                                        .bytes = core->settings->event_log_bytes,
                                        .age_s = core->settings->event_log_age_s});
    wh_applog_on_line(core->app_logs, wh_logdrains_take, core);
    core->claims = wh_claims_make(core->pool);
    core->stats = wh_stats_make(core->pool, WH_STATS_PARTS_MAX);
    wh_claims_watch(core->claims, core->dbc);
}

wh_peer_t *wh_core_peer(wh_core_t *core, apr_int64_t worker)
{
    if (core->peers == NULL) {
        return NULL;
    }
    return WH_IDMAP_OF(wh_idmap_find(&core->peers_by_worker, (apr_uint64_t)worker), wh_peer_t,
                       by_worker);
}

wh_peer_t *wh_core_peer_of_conn(wh_core_t *core, apr_uint64_t conn)
{
    if (core->peers == NULL) {
        return NULL;
    }
    return WH_IDMAP_OF(wh_idmap_find(&core->peers_by_conn, conn), wh_peer_t, by_conn);
}

static void enter(wh_core_t *core, wh_peer_t *peer)
{
    if (core->peers_by_worker.slots == NULL) {
        wh_idmap_init(&core->peers_by_worker, core->pool, (size_t)core->settings->max_workers);
        wh_idmap_init(&core->peers_by_conn, core->pool, (size_t)core->settings->max_workers);
    }
    wh_idmap_put(&core->peers_by_worker, &peer->by_worker, (apr_uint64_t)peer->worker);
    wh_idmap_put(&core->peers_by_conn, &peer->by_conn, peer->conn);
    peer->next = core->peers;
    peer->at = &core->peers;
    if (peer->next != NULL) {
        peer->next->at = &peer->next;
    }
    core->peers = peer;
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
    enter(core, peer);
    return peer;
}

int wh_core_peer_drop(wh_core_t *core, apr_uint64_t conn)
{
    wh_peer_t *peer = wh_core_peer_of_conn(core, conn);

    if (peer == NULL) {
        return 0;
    }
    wh_idmap_drop(&core->peers_by_worker, &peer->by_worker);
    wh_idmap_drop(&core->peers_by_conn, &peer->by_conn);
    *peer->at = peer->next;
    if (peer->next != NULL) {
        peer->next->at = peer->at;
    }
    wh_beats_forget(core, peer);
    wh_offers_free(&peer->offers);
    free(peer);
    return 1;
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

static wh_roster_row_t roster_row(const wh_worker_t *w)
{
    wh_roster_row_t row = {.id = w->id};

    if (wh_sign_unhex(w->key_hash, 2 * WH_KEY_LEN, row.key_hash) != 0) {
        memset(row.key_hash, 0, sizeof(row.key_hash));
        row.state = WH_ROSTER_REVOKED;
    }
    if (w->revoked_at != 0) {
        row.state = WH_ROSTER_REVOKED;
    }
    if (w->admin_state == WH_WORKER_REMOVED) {
        row.state = WH_ROSTER_REMOVED;
    }
    return row;
}

/* A worker that is to have a new key is told so, once a request and connection: it comes back on a
 * new one with the new key, or is told again then. */
static void ask_for_key(wh_core_t *core, const wh_worker_t *w)
{
    wh_peer_t *peer = w->rotate_at > 0 ? wh_core_peer(core, w->id) : NULL;

    if (peer != NULL && peer->ready && peer->rekey_asked != w->rotate_at) {
        peer->rekey_asked = w->rotate_at;
        wh_core_send(core, peer, WH_MSG_ROTATE_KEY, json_object());
    }
}

static apr_status_t read_roster(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    apr_array_header_t *workers;
    wh_roster_row_t *rows;
    wh_roster_t *roster;
    wh_post_t *post;
    apr_status_t rv = wh_db_worker_roster(core->dbc, p, &workers, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rows = apr_palloc(p, (size_t)(workers->nelts + 1) * sizeof(*rows));
    for (int i = 0; i < workers->nelts; i++) {
        rows[i] = roster_row(&APR_ARRAY_IDX(workers, i, wh_worker_t));
        ask_for_key(core, &APR_ARRAY_IDX(workers, i, wh_worker_t));
    }
    roster = wh_roster_make(rows, (size_t)workers->nelts);
    if (roster == NULL || wh_roster_same(roster, core->roster)) {
        wh_roster_free(roster);
        return APR_SUCCESS;
    }
    post = wh_mailbox_post_make(WH_POST_ROSTER, 0);
    if (post != NULL && (post->roster = wh_roster_make(rows, (size_t)workers->nelts)) != NULL) {
        wh_mailbox_post(core->box, post);
        wh_roster_free(core->roster);
        core->roster = roster;
        return APR_SUCCESS;
    }
    wh_mailbox_post_free(post); /* out of memory: the next look tries again */
    wh_roster_free(roster);
    return APR_SUCCESS;
}

apr_status_t wh_core_roster(wh_core_t *core, apr_pool_t *p, int always, wh_err_t *err)
{
    apr_int64_t mark = 0;
    /* Before the list: what changes in between is another mark the next time. */
    apr_status_t rv = wh_db_worker_roster_mark(core->dbc, p, &mark, err);

    if (rv != APR_SUCCESS || (!always && core->roster != NULL && mark == core->roster_mark)) {
        return rv;
    }
    rv = read_roster(core, p, err);
    core->roster_mark = mark;
    return rv;
}

apr_status_t wh_core_tell_worker(wh_core_t *core, apr_pool_t *p, apr_int64_t worker,
                                 wh_worker_status_e status, apr_time_t now, wh_err_t *err)
{
    wh_db_worker_edge_t edge = {.id = wh_id_make(p, now, core->rand),
                                .worker = worker,
                                .status = status,
                                .at = now};

    return edge.id != NULL ? wh_db_worker_tell(core->dbc, p, &edge, err)
                           : wh_err_set(err, 503, "internal", "There are no random numbers.");
}

int wh_core_may_say(wh_core_t *core, apr_int64_t worker)
{
    return wh_say_may(&core->says, worker, wh_clock_mono(core->clock));
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
