/* What each message of a worker does: one function a type, found by a table. In the database
 * thread.
 *
 * Return values: APR_SUCCESS, the message is dealt with (also when it was answered with an error
 * frame by the function itself); APR_EGENERAL with one of the wire's codes (bad_payload, not_yours,
 * stale_epoch), which the caller answers; APR_EGENERAL with a database code, after which the whole
 * message may be handled again.
 *
 * Identity is peer->worker alone. Whatever a payload names is checked to be this worker's in the
 * statement that writes. */
#ifndef WH_HUB_MSG_H
#define WH_HUB_MSG_H

#include "wh-scheduler/core.h"

typedef struct wh_hub_msg_in_t {
    wh_core_t *core;
    apr_pool_t *p; /* of the message */
    wh_peer_t *peer;
    const wh_proto_msg_t *msg;
    apr_time_t now;
} wh_hub_msg_in_t;

/* A connection stands: the worker is looked up, called online, and its key posted. One that is
 * unknown or removed is closed with 4010. */
apr_status_t wh_hub_msg_connect(wh_core_t *core, apr_pool_t *p, apr_int64_t worker,
                                apr_uint64_t conn, apr_time_t now, wh_err_t *err) WH_MUST_CHECK;

/* A connection has gone. judge = 0: we are stopping, nobody is called offline. */
apr_status_t wh_hub_msg_disconnect(wh_core_t *core, apr_pool_t *p, apr_uint64_t conn, int judge,
                                   apr_time_t now, wh_err_t *err) WH_MUST_CHECK;

/* Any frame, by its type. Before its hello a worker may say nothing else. */
apr_status_t wh_hub_msg_handle(const wh_hub_msg_in_t *in, wh_err_t *err) WH_MUST_CHECK;

/* Job acks that came in a row, in one transaction: a commit each is what a full queue would wait
 * for. All or nothing: with any other result than APR_SUCCESS nothing has changed and nothing was
 * answered, and each is to be handled by itself, which also finds out what is odd about it. */
apr_status_t wh_hub_msg_job_acks(wh_core_t *core, apr_pool_t *p, wh_work_t *const *works, int n,
                                 apr_time_t now, wh_err_t *err) WH_MUST_CHECK;

/* What the logs have to say of lost lines: with every tick. */
void wh_hub_msg_notes(wh_core_t *core, apr_pool_t *p, apr_time_t now);

/* After an instance of this deployment was observed: the app shows it, if the deployment is behind
 * one of its main names. */
apr_status_t wh_hub_msg_show_app(const wh_hub_msg_in_t *in, const char *deployment,
                                 wh_err_t *err) WH_MUST_CHECK;

/* The types, for the table: hub_msg_link.c, hub_msg_app.c, hub_msg_job.c, hub_msg_log.c. */
apr_status_t wh_hub_msg_hello(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_heartbeat(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_error(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_app_status(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_job_ack(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_job_status(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_job_result(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_build_log(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_runtime_log(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_app_stats(const wh_hub_msg_in_t *in, wh_err_t *err);
apr_status_t wh_hub_msg_violation(const wh_hub_msg_in_t *in, wh_err_t *err);

#endif
