/* hello, heartbeat, app_status, error: what a worker says of itself. */
#include "config.h"

#include <string.h>

#include "libwh/wh_log.h"
#include "libwh/wh_text.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/beats.h"
#include "wh-scheduler/desired.h"
#include "wh-scheduler/finish_switch.h"
#include "wh-scheduler/hub_msg.h"
#include "wh-scheduler/recover.h"
#include "wh-scheduler/routes.h"

#define BEAT_MIN_US                                                                                \
    APR_INT64_C(1000000) /* XE16: more often than once a second is not looked at                   \
                          */

/* What a deployment as a whole shows, from its instances: the worst first, but one that runs
 * serves. */
static wh_observed_e summary(const apr_array_header_t *instances, const char **reason)
{
    static const wh_observed_e order[] = {WH_OBSERVED_VIOLATED, WH_OBSERVED_CRASHLOOP,
                                          WH_OBSERVED_RUNNING, WH_OBSERVED_STARTING,
                                          WH_OBSERVED_STOPPED};

    for (size_t o = 0; o < WH_ARRAY_LEN(order); o++) {
        for (int i = 0; i < instances->nelts; i++) {
            const wh_instance_t *instance = APR_ARRAY_IDX(instances, i, wh_instance_t *);

            if (instance->state == WH_INSTANCE_RUNNING && instance->observed == order[o]) {
                *reason = instance->reason;
                return order[o];
            }
        }
    }
    *reason = "";
    return WH_OBSERVED_UNKNOWN;
}

/* The app shows what the deployment behind its production or environment name shows. */
apr_status_t wh_hub_msg_show_app(const wh_hub_msg_in_t *in, const char *deployment, wh_err_t *err)
{
    wh_dbc_t *dbc = in->core->dbc;
    apr_array_header_t *names, *instances;
    wh_deployment_t *d;
    const char *reason;
    wh_observed_e observed;
    apr_status_t rv = wh_db_deployment_get(dbc, in->p, deployment, &d, err);

    rv = rv == APR_SUCCESS ? wh_db_name_list_by_app(dbc, in->p, d->app_id, &names, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_instance_list_by_deployment(dbc, in->p, d->id, &instances, err)
                           : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < names->nelts; i++) {
        const wh_name_t *name = APR_ARRAY_IDX(names, i, wh_name_t *);

        if ((name->kind == WH_NAME_PRODUCTION || name->kind == WH_NAME_ENVIRONMENT) &&
            strcmp(name->deployment_id, d->id) == 0) {
            observed = summary(instances, &reason);
            return wh_db_app_set_observed(dbc, in->p, d->app_id, observed, reason, in->now, err);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t observe(const wh_hub_msg_in_t *in, const wh_db_observation_t *o, wh_err_t *err)
{
    apr_status_t rv = wh_db_instance_set_observed(in->core->dbc, in->p, in->peer->worker, o, err);

    return rv == APR_SUCCESS ? wh_hub_msg_show_app(in, o->deployment_id, err) : rv;
}

/* Where the container is to be reached may be new: then the names follow. The rules are those of a
 * result (finish_switch.c). */
static apr_status_t take_place(const wh_hub_msg_in_t *in, const wh_msg_container_t *c,
                               wh_err_t *err)
{
    wh_db_place_at_t at = {.deployment_id = c->deployment,
                           .container = c->container,
                           .address = c->address,
                           .port = c->port};
    apr_status_t rv;

    if (c->port < WH_FINISH_PORT_MIN) {
        return APR_SUCCESS;
    }
    rv = wh_db_instance_set_place(in->core->dbc, in->p, in->peer->worker, &at, err);
    in->core->republish |= rv == APR_SUCCESS;
    if (rv == APR_SUCCESS && wh_core_may_say(in->core, in->peer->worker)) {
        wh_log(WH_LOG_INFO, NULL,
               "deployment %s: its container answers at %s:%" APR_INT64_T_FMT " now", c->deployment,
               c->address, c->port);
    }
    return rv;
}

/* The inventory: what is there is observed; a container that is not ours any more, or not yet, is
 * none of this function's business (see wh_desired_list). */
static apr_status_t take_inventory(const wh_hub_msg_in_t *in, const wh_msg_hello_t *hello,
                                   wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < hello->instances->nelts; i++) {
        const wh_msg_container_t *c = &APR_ARRAY_IDX(hello->instances, i, wh_msg_container_t);
        wh_db_observation_t o = {.deployment_id = c->deployment,
                                 .container = c->container,
                                 .observed = c->state,
                                 .reason = "",
                                 .restarts = 0};

        rv = observe(in, &o, err);
        rv = rv == APR_SUCCESS ? take_place(in, c, err) : rv;
        rv = rv == APR_NOTFOUND ? APR_SUCCESS : rv;
    }
    return rv;
}

apr_status_t wh_hub_msg_hello(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_msg_hello_t hello;
    wh_msg_welcome_t welcome = {.worker = in->peer->public_id,
                                .server_version = PACKAGE_VERSION,
                                .heartbeat_s = WH_CORE_HEARTBEAT_S,
                                .stats_s = WH_MSG_STATS_S};
    wh_worker_t said = {0};
    apr_status_t rv = wh_proto_msg_hello_decode(in->p, in->msg->p, &hello, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (in->peer->ready) { /* it is the dearest of all frames */
        return wh_err_set(err, 400, "bad_payload", "A connection has one hello.");
    }
    said.version = hello.version;
    said.engine = hello.engine;
    said.labels = hello.labels;
    said.zone = hello.zone;
    said.refuses = wh_text_clean_line(in->p, hello.refuses, WH_TEXT_NUL, WH_CORE_REFUSES_MAX);
    said.cpu_millis = hello.cpu_millis;
    said.memory_bytes = hello.memory_bytes;
    said.max_jobs = hello.max_jobs;
    rv = wh_db_worker_set_online(core->dbc, in->p, in->peer->worker, &said, in->now, err);
    rv = rv == APR_SUCCESS ? take_inventory(in, &hello, err) : rv;
    rv = rv == APR_SUCCESS
             ? wh_desired_list(core, in->p, in->peer->worker, &hello, &welcome.desired, err)
             : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    in->peer->heard = wh_clock_mono(core->clock);
    wh_core_send(core, in->peer, WH_MSG_WELCOME, wh_proto_msg_welcome_encode(&welcome));
    in->peer->ready = 1;
    in->peer->tell = 0;
    return wh_recover_worker(core, in->p, in->peer, &hello, in->now, err);
}

apr_status_t wh_hub_msg_heartbeat(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_mono_t mono = wh_clock_mono(core->clock);
    wh_msg_heartbeat_t m;
    apr_status_t rv = wh_proto_msg_heartbeat_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* The first one comes right after the hello, which does not tell of the disk. */
    if (in->peer->has_beaten && wh_mono_diff(mono, in->peer->heard) < BEAT_MIN_US) {
        return APR_SUCCESS;
    }
    in->peer->has_beaten = 1;
    in->peer->heard = mono;
    return wh_beats_note(core, in->p, in->peer, &m, in->now, err);
}

apr_status_t wh_hub_msg_app_status(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_msg_app_status_t m;
    wh_db_observation_t o;
    apr_status_t rv = wh_proto_msg_app_status_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    o = (wh_db_observation_t){.app_id = m.app,
                              .deployment_id = m.deployment,
                              .container = m.container,
                              .observed = m.state,
                              .reason =
                                  wh_text_clean_line(in->p, m.reason, WH_TEXT_NUL, WH_MSG_TEXT_MAX),
                              .restarts = m.restarts};
    rv = observe(in, &o, err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(err, 403, "not_yours", "This worker has no such container.");
    }
    return rv;
}

apr_status_t wh_hub_msg_error(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_msg_error_t m;
    apr_status_t rv = wh_proto_msg_error_decode(in->p, in->msg->p, &m, err);

    if (rv == APR_SUCCESS && !wh_core_may_say(in->core, in->peer->worker)) {
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0471", "worker %" APR_INT64_T_FMT " reports an error: %s: %s",
               in->peer->worker, m.code, m.message);
        return APR_SUCCESS;
    }
    /* An error frame is never answered by an error frame: two ends could go on for ever. */
    wh_err_clear(err);
    return APR_SUCCESS;
}
