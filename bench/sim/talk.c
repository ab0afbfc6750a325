#include <string.h>
#include <apr_strings.h>
#include "bench/sim/sim.h"

#define QUEUE_ENOUGH ((size_t)(1024 * 1024))
#define BATCH 1000

/* The text of a line follows from its number: what was not acknowledged need not be kept. */
static const char *text_of(wh_sim_agent_t *agent, apr_int64_t seq)
{
    int n = agent->sim->opts.line_bytes;
    char *text = apr_palloc(agent->sim->scratch, (size_t)n + 64);
    int have = apr_snprintf(text, 64, "%s line %" APR_INT64_T_FMT " ", agent->name, seq);

    if (have < n) {
        memset(text + have, 'x', (size_t)(n - have));
        text[n] = '\0';
    }
    return text;
}

static apr_array_header_t *lines_of(wh_sim_agent_t *agent, apr_int64_t from, int n)
{
    apr_array_header_t *lines = apr_array_make(agent->sim->scratch, n, sizeof(wh_msg_line_t));
    apr_time_t at = wh_clock_now(agent->sim->clock);

    for (int i = 0; i < n; i++)
        APR_ARRAY_PUSH(lines, wh_msg_line_t) = (wh_msg_line_t){
            .seq = from + i, .at = at, .stream = WH_STREAM_OUT, .text = text_of(agent, from + i)};
    return lines;
}

static void send_build(wh_sim_agent_t *agent, wh_sim_job_t *job, apr_int64_t from, int n)
{
    wh_msg_build_log_t m = {.job = job->job,
                            .epoch = job->epoch,
                            .lines = lines_of(agent, from, n),
                            .dropped = job->log.dropped};

    job->log.dropped = 0;
    wh_sim_send(agent, WH_MSG_BUILD_LOG, wh_proto_msg_build_log_encode(&m));
    apr_pool_clear(agent->sim->scratch);
}

static void send_runtime(wh_sim_agent_t *agent, wh_sim_app_t *app, apr_int64_t from, int n)
{
    wh_msg_runtime_log_t m = {.app = app->app,
                              .deployment = app->deployment,
                              .container =
                                  apr_pstrcat(agent->sim->scratch, "sim-", app->deployment, NULL),
                              .lines = lines_of(agent, from, n),
                              .dropped = app->log.dropped};

    app->log.dropped = 0;
    wh_sim_send(agent, WH_MSG_RUNTIME_LOG, wh_proto_msg_runtime_log_encode(&m));
    apr_pool_clear(agent->sim->scratch);
}

/* Who has the word: running jobs and apps, as far as they are wanted, in turn. */
static int pick(wh_sim_agent_t *agent, wh_sim_job_t **job, wh_sim_app_t **app)
{
    wh_sim_logs_e logs = agent->sim->opts.logs;
    unsigned n = 0, want;

    *job = NULL;
    *app = NULL;
    for (wh_sim_job_t *j = agent->jobs; j != NULL && logs != WH_SIM_LOGS_RUNTIME; j = j->next)
        n += j->state == WH_SIM_RUNNING && j->kind == WH_JOB_KIND_DEPLOY;
    for (wh_sim_app_t *a = agent->apps; a != NULL && logs != WH_SIM_LOGS_BUILD; a = a->next)
        n++;
    if (n == 0)
        return 0;
    want = agent->turn++ % n;
    for (wh_sim_job_t *j = agent->jobs; j != NULL && logs != WH_SIM_LOGS_RUNTIME; j = j->next)
        if (j->state == WH_SIM_RUNNING && j->kind == WH_JOB_KIND_DEPLOY && want-- == 0) {
            *job = j;
            return 1;
        }
    *app = agent->apps;
    while (want-- > 0)
        *app = (*app)->next;
    return 1;
}

int wh_sim_agent_talks(const wh_sim_agent_t *agent)
{
    wh_sim_logs_e logs = agent->sim->opts.logs;

    if (logs != WH_SIM_LOGS_BUILD && agent->apps != NULL)
        return 1;
    for (const wh_sim_job_t *j = agent->jobs; j != NULL && logs != WH_SIM_LOGS_RUNTIME; j = j->next)
        if (j->state == WH_SIM_RUNNING && j->kind == WH_JOB_KIND_DEPLOY)
            return 1;
    return 0;
}

static void say(wh_sim_agent_t *agent, int n)
{
    wh_sim_count_t *c = &agent->sim->count;
    wh_sim_job_t *job;
    wh_sim_app_t *app;
    wh_sim_source_t *source;

    if (!pick(agent, &job, &app))
        return;
    source = job != NULL ? &job->log : &app->log;
    c->lines_made += n;
    if (!agent->ready || wh_link_queued(agent->link) > QUEUE_ENOUGH) {
        /* A build's numbers count what is kept, an app's all. */
        source->seq += app != NULL ? n : 0;
        source->dropped += n;
        c->lines_dropped += n;
        return;
    }
    source->seq += n;
    c->lines_sent += n;
    if (job != NULL)
        send_build(agent, job, source->seq - n + 1, n);
    else
        send_runtime(agent, app, source->seq - n + 1, n);
}

void wh_sim_talk_begin(wh_sim_agent_t *agent)
{
    agent->logged = agent->sim->now;
    agent->log_at =
        wh_sim_agent_phase(agent, (apr_interval_time_t)agent->sim->opts.log_every_ms * 1000);
}

void wh_sim_talk_tick(wh_sim_agent_t *agent)
{
    const wh_sim_t *sim = agent->sim;
    apr_interval_time_t every = (apr_interval_time_t)sim->opts.log_every_ms * 1000;
    int n;

    if (agent->logged.us == 0)
        agent->logged = sim->now;
    agent->credit += (double)sim->opts.lines_s / sim->talkers *
                     (double)wh_mono_diff(sim->now, agent->logged) / 1e6;
    agent->logged = sim->now;
    agent->log_at = wh_mono_add(sim->now, every);
    n = agent->credit > BATCH ? BATCH : (int)agent->credit;
    agent->credit -= n;
    if (n > 0)
        say(agent, n);
}

/* A new connection: what was sent and not acknowledged goes again. */
void wh_sim_talk_rewind(wh_sim_agent_t *agent)
{
    for (wh_sim_job_t *job = agent->jobs; job != NULL; job = job->next) {
        apr_int64_t from = job->log.acked + 1;

        while (job->state == WH_SIM_RUNNING && from <= job->log.seq) {
            int n = job->log.seq - from + 1 > BATCH ? BATCH : (int)(job->log.seq - from + 1);

            agent->sim->count.lines_again += n;
            send_build(agent, job, from, n);
            from += n;
        }
    }
}

void wh_sim_talk_acked(wh_sim_agent_t *agent, wh_sim_job_t *job, apr_int64_t seq)
{
    if (seq <= job->log.acked || seq > job->log.seq)
        return;
    agent->sim->count.lines_acked += seq - job->log.acked;
    job->log.acked = seq;
}

int wh_sim_talk_settled(const wh_sim_agent_t *agent)
{
    for (const wh_sim_job_t *j = agent->jobs; j != NULL; j = j->next)
        if (j->state == WH_SIM_RUNNING && j->log.acked < j->log.seq)
            return 0;
    return wh_link_queued(agent->link) == 0;
}

void wh_sim_talk_stats(wh_sim_agent_t *agent)
{
    apr_pool_t *p = agent->sim->scratch;
    wh_msg_app_stats_t m = {.apps = apr_array_make(p, 4, sizeof(wh_msg_app_use_t))};
    int n = 0;

    for (wh_sim_app_t *a = agent->apps; a != NULL && n < WH_MSG_APPS_MAX; a = a->next, n++)
        APR_ARRAY_PUSH(m.apps, wh_msg_app_use_t) =
            (wh_msg_app_use_t){.app = a->app,
                               .deployment = a->deployment,
                               .cpu_millis = 5 + agent->turn % 90,
                               .memory_bytes = 20 * WH_MIB,
                               .memory_limit_bytes = 64 * WH_MIB,
                               .net_rx_bytes = (apr_int64_t)agent->turn * 1000,
                               .net_tx_bytes = (apr_int64_t)agent->turn * 3000};
    agent->turn++;
    agent->sim->count.stats++;
    wh_sim_send(agent, WH_MSG_APP_STATS, wh_proto_msg_app_stats_encode(&m));
    apr_pool_clear(p);
}
