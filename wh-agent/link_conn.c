#include <string.h>
#include <apr_strings.h>
#include "config.h"
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "libwh/wh_text.h"
#include "wh-agent/house.h"
#include "wh-agent/link_conn.h"
#include "wh-agent/rotate.h"
#include "wh-agent/uses.h"

#define QUEUE_ENOUGH ((size_t)(1024 * 1024)) /* more log lines wait until this has gone out */
/* Of a loud app no more than this lies before the next line of a quiet one. */
#define FOLLOW_ENOUGH ((size_t)(96 * 1024))
#define FOLLOW_WAIT_US ((apr_interval_time_t)10000)
#define QUEUE_WAIT_US ((apr_interval_time_t)50000)
#define HEARTBEAT_S 30

/* ---- hello, heartbeat ---- */

static apr_array_header_t *inventory(wh_agent_t *agent, apr_pool_t *p)
{
    apr_array_header_t *out = apr_array_make(p, 8, sizeof(wh_msg_container_t));

    for (int i = 0; agent->seen != NULL && i < agent->seen->nelts; i++) {
        const wh_reconcile_seen_t *s = &APR_ARRAY_IDX(agent->seen, i, wh_reconcile_seen_t);

        if (s->port < 1 || s->app[0] == '\0' || s->deployment[0] == '\0')
            continue;
        APR_ARRAY_PUSH(out, wh_msg_container_t) = (wh_msg_container_t){.deployment = s->deployment,
                                                                       .container = s->container,
                                                                       .address = s->address,
                                                                       .port = s->port,
                                                                       .state = s->state};
    }
    return out;
}

void wh_link_conn_opened(wh_agent_t *agent)
{
    apr_pool_t *p = wh_pool_make("hello");
    wh_msg_hello_t hello = {.version = PACKAGE_VERSION,
                            .name = agent->conf.name,
                            .cpu_millis = agent->conf.cpu_millis,
                            .memory_bytes = agent->conf.memory_bytes,
                            .labels = agent->conf.labels,
                            .engine = agent->engine_name,
                            .max_jobs = agent->conf.max_jobs};

    if (p == NULL)
        return;
    hello.refuses = wh_agent_refuses(agent);
    hello.running = wh_jobs_held(agent->jobs, p);
    hello.results = wh_results_refs(agent->results, p);
    hello.instances = inventory(agent, p);
    agent->connected = 1;
    agent->welcomed = 0;
    wh_bucket_init(&agent->log_bucket, WH_BUCKET_LOG_RATE, WH_BUCKET_LOG_BURST,
                   wh_clock_mono(agent->clock));
    wh_link_send(agent->link, WH_MSG_HELLO, wh_proto_msg_hello_encode(&hello));
    apr_pool_destroy(p);
}

void wh_link_conn_heartbeat(wh_agent_t *agent)
{
    apr_pool_t *p = wh_pool_make("heartbeat");
    wh_msg_heartbeat_t beat;

    if (p == NULL)
        return;
    wh_machine_look(&agent->machine, agent->conf.state_dir);
    beat = (wh_msg_heartbeat_t){.cpu_used_millis = agent->machine.cpu_used_millis,
                                .memory_used_bytes = agent->machine.memory_used_bytes,
                                .disk_free_bytes = agent->machine.disk_free_bytes,
                                .refuses = wh_agent_refuses(agent),
                                .running = wh_jobs_running(agent->jobs, p)};
    wh_link_send(agent->link, WH_MSG_HEARTBEAT, wh_proto_msg_heartbeat_encode(&beat));
    apr_pool_destroy(p);
    wh_link_timer(agent->link, WH_LINK_T_HEARTBEAT, apr_time_from_sec(agent->heartbeat_s));
}

void wh_link_conn_app_status(wh_agent_t *agent, const wh_reconcile_seen_t *seen)
{
    wh_msg_app_status_t status = {.app = seen->app,
                                  .deployment = seen->deployment,
                                  .container = seen->container,
                                  .state = seen->state,
                                  .reason = seen->reason,
                                  .restarts = seen->restarts};

    if (agent->welcomed)
        wh_link_send(agent->link, WH_MSG_APP_STATUS, wh_proto_msg_app_status_encode(&status));
}

void wh_link_conn_violation(wh_agent_t *agent, const wh_reconcile_seen_t *seen)
{
    wh_msg_violation_t violation = {.app = seen->app,
                                    .deployment = seen->deployment,
                                    .container = seen->container,
                                    .rule = WH_RULE_OOM,
                                    .detail = seen->violation};

    if (agent->welcomed)
        wh_link_send(agent->link, WH_MSG_VIOLATION, wh_proto_msg_violation_encode(&violation));
}

/* ---- what waits ---- */

/* What apps print, in small frames: a build's lines wait for more of the bucket, so these go first.
 * Returns how long the rest has to wait, 0 = there is none. */
static apr_interval_time_t flush_follow(wh_agent_t *agent, apr_pool_t *p, wh_mono_t now)
{
    while (wh_follow_pending(agent->follow)) {
        apr_interval_time_t wait = wh_bucket_wait(&agent->log_bucket, WH_FOLLOW_BATCH, now);
        wh_msg_runtime_log_t m;
        apr_int64_t bytes = 0;

        if (wait > 0)
            return wait;
        if (wh_link_queued(agent->link) >= FOLLOW_ENOUGH)
            return FOLLOW_WAIT_US;
        if (!wh_follow_take(agent->follow, p, &m))
            break;
        for (int i = 0; i < m.lines->nelts; i++)
            bytes += (apr_int64_t)strlen(APR_ARRAY_IDX(m.lines, i, wh_msg_line_t).text) + 1;
        wh_link_send(agent->link, WH_MSG_RUNTIME_LOG, wh_proto_msg_runtime_log_encode(&m));
        (void)wh_bucket_take(&agent->log_bucket, bytes, now);
        apr_pool_clear(p);
    }
    return 0;
}

void wh_link_conn_flush(wh_agent_t *agent)
{
    apr_pool_t *p = agent->welcomed ? wh_pool_make("flush") : NULL;
    wh_mono_t now = wh_clock_mono(agent->clock);
    apr_interval_time_t later;
    json_t *payload = NULL;
    wh_msg_e type;

    agent->flush_due = 0;
    if (p == NULL)
        return;
    later = flush_follow(agent, p, now);
    if (later > 0) {
        agent->flush_due = 1;
        wh_link_timer(agent->link, WH_LINK_T_FLUSH, later);
    }
    do {
        /* One batch may overdraw the bucket by its own size; the next then waits. */
        apr_interval_time_t wait = wh_bucket_wait(&agent->log_bucket, WH_LOGS_BATCH_MAX, now);
        apr_int64_t budget =
            wait == 0 && wh_link_queued(agent->link) < QUEUE_ENOUGH ? WH_LOGS_BATCH_MAX : 0;
        apr_int64_t before = budget;

        payload = wh_jobs_next(agent->jobs, p, &budget, &type);
        if (payload != NULL) {
            wh_link_send(agent->link, type, payload);
            (void)wh_bucket_take(&agent->log_bucket, before - budget, now);
        } else if (before == 0 && !agent->flush_due) {
            agent->flush_due = 1;
            wh_link_timer(agent->link, WH_LINK_T_FLUSH,
                          wait > QUEUE_WAIT_US ? wait : QUEUE_WAIT_US);
        }
        apr_pool_clear(p);
    } while (payload != NULL);
    apr_pool_destroy(p);
}

/* ---- what comes ---- */

static void say_error(wh_agent_t *agent, const wh_proto_msg_t *msg, const char *code,
                      const char *text)
{
    wh_msg_error_t error = {.in_reply_to = msg->id, .code = code, .message = text};

    wh_log(WH_LOG_WARN, "WH0660", "a %s message of the hub is not taken (%s): %s",
           wh_proto_type_name(msg->type), code, text);
    wh_link_send(agent->link, WH_MSG_ERROR, wh_proto_msg_error_encode(&error));
}

/* The whole list anew: what is in none of it goes. */
static void take_desired(wh_agent_t *agent, const apr_array_header_t *desired)
{
    wh_wanted_take(agent->wanted, desired);
    agent->desired_at = wh_clock_now(agent->clock);
    agent->reconcile_due = 1;
    wh_house_plan(agent);
}

static apr_status_t on_welcome(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                               wh_err_t *err)
{
    wh_msg_welcome_t welcome;
    apr_status_t rv = wh_proto_msg_welcome_decode(p, msg->p, &welcome, err);

    if (rv != APR_SUCCESS)
        return rv;
    wh_log(WH_LOG_INFO, NULL, "connected to %s as %s (server %s)", wh_link_url(agent->link),
           agent->conf.name, welcome.server_version);
    agent->refused = 0;
    take_desired(agent, welcome.desired);
    agent->welcomed = 1;
    wh_follow_online(agent->follow, 1);
    agent->heartbeat_s = welcome.heartbeat_s > 0 ? welcome.heartbeat_s : HEARTBEAT_S;
    wh_backoff_reset(&agent->backoff);
    wh_link_conn_heartbeat(agent);
    wh_link_timer(agent->link, WH_LINK_T_USES, WH_USES_SECOND_US);
    wh_link_conn_flush(agent);
    wh_agent_look_soon(agent);
    return APR_SUCCESS;
}

static apr_status_t on_job(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                           wh_err_t *err)
{
    wh_msg_job_t job;
    wh_msg_job_ack_t ack;
    apr_status_t rv = wh_proto_msg_job_decode(p, msg->p, &job, err);
    const char *why;

    if (rv != APR_SUCCESS)
        return rv;
    why = agent->stopping ? "the agent is going down" : NULL;
    if (why == NULL && job.kind == WH_JOB_KIND_DEPLOY && wh_agent_refuses(agent)[0] != '\0')
        why = agent->room.refuses;
    if (why == NULL)
        why = wh_jobs_offer(agent->jobs, msg->p);
    ack = (wh_msg_job_ack_t){.job = job.job,
                             .epoch = job.epoch,
                             .accepted = why == NULL,
                             .reason = why != NULL ? why : ""};
    wh_link_send(agent->link, WH_MSG_JOB_ACK, wh_proto_msg_job_ack_encode(&ack));
    return APR_SUCCESS;
}

/* job_go, job_cancel, result_ack */
static apr_status_t on_ref(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                           wh_err_t *err)
{
    wh_msg_desired_t running;
    wh_msg_ref_t ref;
    apr_status_t rv = wh_proto_msg_ref_decode(p, msg->p, &ref, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (msg->type == WH_MSG_JOB_CANCEL) {
        wh_jobs_cancel(agent->jobs, &ref);
    } else if (msg->type == WH_MSG_JOB_GO) {
        wh_wanted_stop(agent->wanted, wh_jobs_stops(agent->jobs, &ref));
        if (!wh_jobs_go(agent->jobs, &ref))
            say_error(agent, msg, "stale_epoch", "no such job waits for its go here");
    } else if (wh_jobs_acked(agent->jobs, p, &ref, &running)) {
        /* The hub knows of it now, and the next welcome will have it: until then we know it
         * ourselves. */
        wh_wanted_add(agent->wanted, &running);
        wh_agent_look_soon(agent);
    }
    return APR_SUCCESS;
}

static apr_status_t on_log_ack(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                               wh_err_t *err)
{
    wh_msg_log_ack_t ack;
    apr_status_t rv = wh_proto_msg_log_ack_decode(p, msg->p, &ack, err);

    if (rv == APR_SUCCESS)
        wh_jobs_log_acked(agent->jobs, ack.job, ack.seq);
    return rv;
}

static apr_status_t on_settings(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                                wh_err_t *err)
{
    wh_msg_settings_t settings;
    apr_status_t rv = wh_proto_msg_settings_decode(p, msg->p, &settings, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (settings.heartbeat_s > 0)
        agent->heartbeat_s = settings.heartbeat_s;
    if (settings.desired != NULL) {
        take_desired(agent, settings.desired);
        wh_agent_look_soon(agent);
    }
    return APR_SUCCESS;
}

static apr_status_t on_error(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                             wh_err_t *err)
{
    wh_msg_error_t error;
    apr_status_t rv = wh_proto_msg_error_decode(p, msg->p, &error, err);

    (void)agent;
    if (rv == APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0661", "the hub says %s: %s", error.code, error.message);
    return APR_SUCCESS; /* an error is never answered by an error */
}

static apr_status_t on_reconnect(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                                 wh_err_t *err)
{
    (void)p;
    (void)msg;
    (void)err;
    wh_link_close(agent->link, 1000);
    return APR_SUCCESS;
}

static apr_status_t on_rotate_key(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                                  wh_err_t *err)
{
    (void)p;
    (void)msg;
    (void)err;
    wh_rotate_begin(agent);
    return APR_SUCCESS;
}

typedef apr_status_t handler_fn(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg,
                                wh_err_t *err);

static handler_fn *const handlers[WH_MSG_COUNT] = {
    [WH_MSG_WELCOME] = on_welcome,
    [WH_MSG_JOB] = on_job,
    [WH_MSG_JOB_GO] = on_ref,
    [WH_MSG_JOB_CANCEL] = on_ref,
    [WH_MSG_RESULT_ACK] = on_ref,
    [WH_MSG_LOG_ACK] = on_log_ack,
    [WH_MSG_SETTINGS] = on_settings,
    [WH_MSG_RECONNECT] = on_reconnect,
    [WH_MSG_ROTATE_KEY] = on_rotate_key,
    [WH_MSG_ERROR] = on_error,
};

void wh_link_conn_message(wh_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg)
{
    handler_fn *handler = handlers[msg->type];
    wh_err_t err = WH_ERR_INIT;

    if (handler == NULL)
        say_error(agent, msg, "unknown_type", "this agent does not know the type");
    else if (!agent->welcomed && msg->type != WH_MSG_WELCOME && msg->type != WH_MSG_ERROR &&
             msg->type != WH_MSG_RECONNECT)
        say_error(agent, msg, "bad_payload", "a welcome comes first");
    else if (handler(agent, p, msg, &err) != APR_SUCCESS)
        say_error(agent, msg, "bad_payload", err.text);
}

void wh_link_conn_closed(wh_agent_t *agent)
{
    agent->connected = agent->welcomed = agent->flush_due = 0;
    wh_follow_online(agent->follow, 0);
    wh_link_timer(agent->link, WH_LINK_T_HEARTBEAT, -1);
    wh_link_timer(agent->link, WH_LINK_T_FLUSH, -1);
    wh_jobs_disconnected(agent->jobs);
}
