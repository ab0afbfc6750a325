/* build_log, runtime_log: lines, stored; those of a build are acknowledged too. */
#include <string.h>

#include "libwh/wh_log.h"
#include "wh-scheduler/hub_msg.h"

#define NOTES_US APR_INT64_C(1000000)

static void acknowledge(wh_core_t *core, const wh_peer_t *peer, const char *job, apr_int64_t seq)
{
    wh_msg_log_ack_t m = {.job = job, .seq = seq};

    wh_core_send(core, peer, WH_MSG_LOG_ACK, wh_proto_msg_log_ack_encode(&m));
}

/* XE18: of what is over. Counted here, and nowhere stored. */
static void too_late(const wh_hub_msg_in_t *in, const char *what, const char *id, int lines)
{
    in->core->late_lines += lines;
    if (!wh_core_may_say(in->core, in->peer->worker)) {
        return;
    }
    wh_log(WH_LOG_INFO, NULL,
           "%s %s: %d log lines of worker %" APR_INT64_T_FMT " came too late and are dropped", what,
           id, lines, in->peer->worker);
}

apr_status_t wh_hub_msg_build_log(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_lograte_now_t rate = {.connection = &in->peer->logs, .now = wh_clock_mono(core->clock)};
    wh_db_claim_t claim = {.worker_id = in->peer->worker};
    wh_msg_build_log_t m;
    wh_logseg_log_t *log;
    const char *deployment;
    apr_status_t rv = wh_proto_msg_build_log_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    claim.job_id = m.job;
    claim.epoch = m.epoch;
    rv = wh_claims_job(core->claims, core->dbc, in->p, &claim, rate.now, &deployment, err);
    if (rv == APR_NOTFOUND) {
        /* Acknowledged, so that it does not come again. */
        too_late(in, "job", m.job, m.lines->nelts);
        acknowledge(
            core, in->peer, m.job,
            m.lines->nelts > 0 ? APR_ARRAY_IDX(m.lines, m.lines->nelts - 1, wh_msg_line_t).seq : 0);
        wh_err_clear(err);
        return APR_SUCCESS;
    }
    rv =
        rv == APR_SUCCESS ? wh_logseg_open(core->logs, in->p, deployment, rate.now, &log, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    memcpy(log->job, m.job, WH_ID_LEN + 1);
    log->worker = in->peer->worker;
    rv = wh_logseg_append(log, core->logs, in->p, m.lines, &rate, err);
    if (rv == APR_SUCCESS) {
        acknowledge(core, in->peer, m.job, log->stored);
    }
    return rv;
}

apr_status_t wh_hub_msg_runtime_log(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_lograte_now_t rate = {.connection = &in->peer->logs, .now = wh_clock_mono(core->clock)};
    wh_db_held_e held = WH_DB_HELD_NOT;
    wh_msg_runtime_log_t m;
    apr_status_t rv = wh_proto_msg_runtime_log_decode(in->p, in->msg->p, &m, err);

    rv = rv == APR_SUCCESS ? wh_claims_app(core->claims, core->dbc, in->p, in->peer->worker, m.app,
                                           m.deployment, rate.now, &held, err)
                           : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    switch (held) {
    case WH_DB_HELD_LIVE:
        return wh_applog_append(core->app_logs, in->p, &m, &rate, rate.now, err);
    case WH_DB_HELD_OVER:
        too_late(in, "app", m.app, m.lines->nelts);
        return APR_SUCCESS;
    case WH_DB_HELD_NOT:
        break;
    }
    return wh_err_set(err, 403, "not_yours", "This worker has nothing of app %s.", m.app);
}

static void told(void *baton, const wh_logseg_log_t *log)
{
    wh_core_t *core = baton;
    const wh_peer_t *peer = wh_core_peer(core, log->worker);

    if (peer != NULL && peer->ready) {
        acknowledge(core, peer, log->job, log->stored);
    }
}

void wh_hub_msg_notes(wh_core_t *core, apr_pool_t *p, apr_time_t now)
{
    wh_mono_t mono = wh_clock_mono(core->clock);

    if (!wh_mono_reached(mono, core->notes_at)) {
        return; /* one note a second of a log at most */
    }
    core->notes_at = wh_mono_add(mono, NOTES_US);
    wh_logseg_tell(core->logs, p, now, told, core);
    wh_applog_tell(core->app_logs, p, now);
}
