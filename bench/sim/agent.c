#include <string.h>
#include <apr_strings.h>
#include "config.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "bench/sim/sim.h"

void wh_sim_send(wh_sim_agent_t *agent, wh_msg_e type, json_t *payload)
{
    agent->sim->count.frames_out++;
    wh_link_send(agent->link, type, payload);
}

/* ---- hello, heartbeat ---- */

static apr_array_header_t *refs(wh_sim_agent_t *agent, apr_pool_t *p, wh_sim_state_e state)
{
    apr_array_header_t *out = apr_array_make(p, 4, sizeof(wh_msg_ref_t));

    for (wh_sim_job_t *j = agent->jobs; j != NULL && out->nelts < WH_MSG_RUNNING_MAX; j = j->next)
        if (j->state == state)
            APR_ARRAY_PUSH(out, wh_msg_ref_t) = (wh_msg_ref_t){.job = j->job, .epoch = j->epoch};
    return out;
}

static apr_array_header_t *inventory(wh_sim_agent_t *agent, apr_pool_t *p)
{
    apr_array_header_t *out = apr_array_make(p, 4, sizeof(wh_msg_container_t));

    for (wh_sim_app_t *a = agent->apps; a != NULL && out->nelts < WH_MSG_INSTANCES_MAX; a = a->next)
        APR_ARRAY_PUSH(out, wh_msg_container_t) =
            (wh_msg_container_t){.deployment = a->deployment,
                                 .container = apr_pstrcat(p, "sim-", a->deployment, NULL),
                                 .address = "127.0.0.1",
                                 .port = a->port,
                                 .state = WH_OBSERVED_RUNNING};
    return out;
}

static void on_opened(void *owner)
{
    wh_sim_agent_t *agent = owner;
    apr_pool_t *p = agent->sim->scratch;
    wh_msg_hello_t hello = {.version = PACKAGE_VERSION,
                            .name = agent->name,
                            .cpu_millis = WH_MSG_CPU_MAX,
                            .memory_bytes = APR_INT64_C(1024) * WH_GIB,
                            .labels = "{}",
                            .engine = "simulated 1",
                            .zone = "",
                            .refuses = "",
                            .max_jobs = agent->sim->opts.max_jobs,
                            .running = refs(agent, p, WH_SIM_RUNNING),
                            .results = refs(agent, p, WH_SIM_DONE),
                            .instances = inventory(agent, p)};

    agent->sim->count.connects++;
    wh_sim_send(agent, WH_MSG_HELLO, wh_proto_msg_hello_encode(&hello));
    apr_pool_clear(p);
}

static void beat(wh_sim_agent_t *agent)
{
    apr_pool_t *p = agent->sim->scratch;
    wh_msg_heartbeat_t m = {.cpu_used_millis = 100,
                            .memory_used_bytes = WH_GIB,
                            .disk_free_bytes = 100 * WH_GIB,
                            .refuses = "",
                            .running = refs(agent, p, WH_SIM_RUNNING)};

    agent->sim->count.heartbeats++;
    wh_sim_send(agent, WH_MSG_HEARTBEAT, wh_proto_msg_heartbeat_encode(&m));
    apr_pool_clear(p);
    agent->beat_at = wh_mono_add(agent->sim->now, apr_time_from_sec(agent->heartbeat_s));
}

wh_mono_t wh_sim_agent_phase(wh_sim_agent_t *agent, apr_interval_time_t interval)
{
    return wh_mono_add(agent->sim->now, (apr_interval_time_t)(wh_rand_jitter(agent->sim->rnd) /
                                                              4294967296.0 * (double)interval));
}

/* ---- what comes ---- */

static void on_welcome(wh_sim_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg)
{
    const wh_sim_opts_t *o = &agent->sim->opts;
    wh_msg_welcome_t m;
    wh_err_t err = WH_ERR_INIT;

    if (wh_proto_msg_welcome_decode(p, msg->p, &m, &err) != APR_SUCCESS)
        return;
    agent->heartbeat_s = o->heartbeat_s != 0 ? o->heartbeat_s : (int)m.heartbeat_s;
    agent->stats_s = o->stats_s != 0 ? o->stats_s : (int)m.stats_s;
    agent->beat_at = wh_sim_agent_phase(agent, apr_time_from_sec(agent->heartbeat_s));
    agent->stats_at = wh_sim_agent_phase(agent, apr_time_from_sec(agent->stats_s));
    agent->log_at = wh_sim_agent_phase(agent, (apr_interval_time_t)o->log_every_ms * 1000);
    agent->ready = 1;
    agent->sim->ready++;
    wh_backoff_reset(&agent->backoff);
    wh_sim_job_connected(agent);
    wh_sim_talk_rewind(agent);
    if (agent->number < o->deaf)
        wh_link_deaf(agent->link, 1);
}

static void on_message(void *owner, apr_pool_t *p, const wh_proto_msg_t *msg)
{
    wh_sim_agent_t *agent = owner;
    wh_msg_settings_t settings;
    wh_msg_error_t error;
    wh_err_t err = WH_ERR_INIT;

    agent->sim->now = wh_clock_mono(agent->sim->clock);
    agent->sim->count.frames_in++;
    switch (msg->type) {
    case WH_MSG_WELCOME:
        on_welcome(agent, p, msg);
        break;
    case WH_MSG_SETTINGS:
        if (wh_proto_msg_settings_decode(p, msg->p, &settings, &err) == APR_SUCCESS &&
            agent->sim->opts.heartbeat_s == 0)
            agent->heartbeat_s = (int)settings.heartbeat_s;
        break;
    case WH_MSG_RECONNECT:
        wh_link_close(agent->link, 1000);
        break;
    case WH_MSG_ROTATE_KEY:
        agent->sim->count.rotations++; /* keys of the simulator stay */
        break;
    case WH_MSG_ERROR:
        if (agent->sim->count.errors++ < 10 &&
            wh_proto_msg_error_decode(p, msg->p, &error, &err) == APR_SUCCESS)
            wh_log(WH_LOG_INFO, NULL, "%s: the hub says %s: %s", agent->name, error.code,
                   error.message);
        break;
    default:
        wh_sim_job_message(agent, p, msg);
        break;
    }
}

static void count_close(wh_sim_count_t *c, const wh_link_end_t *end)
{
    static const int codes[] = {1000, 1009, 1012, 4001, 4002, 4003, 4008, 4009, 4010};
    size_t i = 0;

    if (end->http != 0)
        c->refused++;
    if (!end->opened)
        return;
    c->lost++;
    while (i < WH_ARRAY_LEN(codes) && codes[i] != end->code)
        i++;
    c->closes[i]++;
}

static void on_closed(void *owner, const wh_link_end_t *end)
{
    wh_sim_agent_t *agent = owner;
    wh_sim_t *sim = agent->sim;

    count_close(&sim->count, end);
    if (!end->opened && sim->count.connects == 0 && sim->count.refused <= 1)
        wh_log(WH_LOG_INFO, NULL, "%s: no connection to %s (status %d)", agent->name, end->url,
               end->http);
    if (agent->ready)
        sim->ready--;
    agent->ready = agent->connecting = 0;
    wh_sim_job_lost(agent);
    agent->connect_at = wh_mono_add(wh_clock_mono(sim->clock),
                                    wh_backoff_next(&agent->backoff, wh_rand_jitter(sim->rnd)));
}

const wh_link_events_t wh_sim_agent_events = {
    .opened = on_opened, .message = on_message, .closed = on_closed};

/* ---- time ---- */

static void connect_now(wh_sim_agent_t *agent)
{
    unsigned char hash[WH_KEY_LEN], key[WH_KEY_LEN];
    wh_err_t err = WH_ERR_INIT;

    if (agent->sim->opts.by_token && wh_sim_enrol_token(agent, &err) != APR_SUCCESS) {
        wh_log(WH_LOG_INFO, NULL, "%s: no token: %s", agent->name, err.text);
        agent->connect_at = wh_mono_add(
            agent->sim->now, wh_backoff_next(&agent->backoff, wh_rand_jitter(agent->sim->rnd)));
        return;
    }
    wh_sign_sha256(agent->key, strlen(agent->key), hash);
    wh_keys_worker_mac(hash, key);
    agent->connecting = 1;
    wh_link_connect(agent->link, agent->token != NULL ? agent->token : agent->key, key);
}

void wh_sim_agent_tick(wh_sim_agent_t *agent)
{
    wh_sim_t *sim = agent->sim;

    if (!agent->connecting && sim->connects_left >= 1 && !sim->ending &&
        wh_mono_reached(sim->now, agent->connect_at)) {
        sim->connects_left -= 1;
        connect_now(agent);
    }
    if (agent->jobs != NULL && agent->ready)
        wh_sim_job_tick(agent);
    if (sim->talking && sim->talkers > 0 && wh_mono_reached(sim->now, agent->log_at))
        wh_sim_talk_tick(agent);
    if (!agent->ready)
        return;
    if (agent->heartbeat_s > 0 && wh_mono_reached(sim->now, agent->beat_at))
        beat(agent);
    if (agent->stats_s > 0 && wh_mono_reached(sim->now, agent->stats_at)) {
        agent->stats_at = wh_mono_add(sim->now, apr_time_from_sec(agent->stats_s));
        wh_sim_talk_stats(agent);
    }
}
