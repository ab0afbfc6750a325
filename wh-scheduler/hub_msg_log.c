/* build_log: lines of a build, stored and acknowledged. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_job.h"
#include "wh-scheduler/hub_msg.h"

static void acknowledge(const wh_hub_msg_in_t *in, const char *job, apr_int64_t seq)
{
    wh_msg_log_ack_t m = {.job = job, .seq = seq};

    wh_core_send(in->core, in->peer, WH_MSG_LOG_ACK, wh_proto_msg_log_ack_encode(&m));
}

static apr_int64_t bytes_of(const apr_array_header_t *lines)
{
    apr_int64_t n = 0;

    for (int i = 0; i < lines->nelts; i++) {
        n += (apr_int64_t)strlen(APR_ARRAY_IDX(lines, i, wh_msg_line_t).text) + 1;
    }
    return n;
}

/* The log that this job may write to. The claim is asked of the database once and then remembered
 * with the open log; whatever ends the job closes the log. */
static apr_status_t find_log(const wh_hub_msg_in_t *in, const wh_msg_build_log_t *m,
                             wh_logseg_log_t **out, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_db_claim_t claim = {.worker_id = in->peer->worker, .job_id = m->job, .epoch = m->epoch};
    wh_db_job_scope_t *scope;
    apr_status_t rv;

    *out = wh_logseg_of_job(core->logs, m->job, m->epoch, in->peer->worker);
    if (*out != NULL) {
        return APR_SUCCESS;
    }
    rv = wh_db_job_check_processing(core->dbc, in->p, &claim, &scope, err);
    if (rv == APR_SUCCESS) {
        rv = wh_logseg_open(core->logs, in->p, scope->deployment_id, wh_clock_mono(core->clock),
                            out, err);
    }
    if (rv == APR_SUCCESS) {
        apr_cpystrn((*out)->job, m->job, sizeof((*out)->job));
        (*out)->epoch = m->epoch;
        (*out)->worker = in->peer->worker;
    }
    return rv;
}

apr_status_t wh_hub_msg_build_log(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_mono_t mono = wh_clock_mono(core->clock);
    wh_msg_build_log_t m;
    wh_logseg_log_t *log;
    apr_int64_t bytes, last;
    int allow;
    apr_status_t rv = wh_proto_msg_build_log_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    last = m.lines->nelts > 0 ? APR_ARRAY_IDX(m.lines, m.lines->nelts - 1, wh_msg_line_t).seq : 0;
    rv = find_log(in, &m, &log, err);
    if (rv == APR_NOTFOUND) {
        /* XE18: of a job that is over. Acknowledged, so that it does not come again; counted here.
         */
        wh_log(WH_LOG_INFO, NULL,
               "job %s: %d log lines of worker %" APR_INT64_T_FMT " came too late and are dropped",
               m.job, m.lines->nelts, in->peer->worker);
        acknowledge(in, m.job, last);
        wh_err_clear(err);
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    bytes = bytes_of(m.lines);
    allow =
        wh_bucket_take(&in->peer->logs, bytes, mono) && wh_bucket_take(&log->bucket, bytes, mono);
    if (m.dropped > 0) {
        log->refused += m.dropped;
    }
    rv = wh_logseg_append(log, core->logs, in->p, m.lines, allow, err);
    if (rv == APR_SUCCESS) {
        acknowledge(in, m.job, log->last);
    }
    return rv;
}
