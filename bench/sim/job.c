#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "bench/sim/sim.h"

#define REPEAT_US 50000

static int chance(wh_sim_agent_t *agent, int percent)
{
    return percent > 0 && wh_rand_jitter(agent->sim->rnd) % 100 < (uint32_t)percent;
}

static wh_sim_job_t *find(wh_sim_agent_t *agent, const char *job)
{
    wh_sim_job_t *at = agent->jobs;

    while (at != NULL && strcmp(at->job, job) != 0)
        at = at->next;
    return at;
}

static void drop(wh_sim_agent_t *agent, const wh_sim_job_t *job)
{
    wh_sim_job_t **at = &agent->jobs, *gone;

    while (*at != NULL && *at != job)
        at = &(*at)->next;
    gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        free(gone);
    }
}

static wh_sim_ledger_row_t *row_of(wh_sim_agent_t *agent, const wh_sim_job_t *job)
{
    return wh_sim_ledger_row(agent->sim, job->row);
}

/* ---- results ---- */

static void send_result(wh_sim_agent_t *agent, wh_sim_job_t *job)
{
    wh_sim_t *sim = agent->sim;
    wh_msg_job_result_t m = {.job = job->job,
                             .epoch = job->epoch,
                             .outcome = job->outcome,
                             .cause_code = "",
                             .cause_detail = "",
                             .release = ""};
    char container[WH_ID_LEN + 8];

    if (job->outcome != WH_OUTCOME_SUCCEEDED) {
        m.cause_code = job->outcome == WH_OUTCOME_CANCELED ? "canceled" : "build_failed";
        m.cause_detail = "The simulator was told so.";
    } else if (job->kind == WH_JOB_KIND_DEPLOY && job->is_static) {
        m.release = sim->opts.release;
    } else if (job->kind == WH_JOB_KIND_DEPLOY) {
        (void)apr_snprintf(container, sizeof(container), "sim-%s", job->deployment);
        m.instances = apr_array_make(sim->scratch, 1, sizeof(wh_msg_instance_t));
        APR_ARRAY_PUSH(m.instances, wh_msg_instance_t) =
            (wh_msg_instance_t){.container = container, .address = "127.0.0.1", .port = 20000};
    }
    wh_sim_send(agent, WH_MSG_JOB_RESULT, wh_proto_msg_job_result_encode(&m));
    apr_pool_clear(sim->scratch);
    sim->count.results++;
    row_of(agent, job)->sent++;
}

static void finish(wh_sim_agent_t *agent, wh_sim_job_t *job, wh_outcome_e outcome)
{
    wh_sim_ledger_row_t *row = row_of(agent, job);

    job->outcome = outcome;
    job->state = WH_SIM_DONE;
    job->repeats = agent->sim->opts.repeat;
    job->due = (wh_mono_t){job->repeats > 0 ? agent->sim->now.us + REPEAT_US : 0};
    row->finished = agent->sim->now;
    row->outcome = outcome == WH_OUTCOME_SUCCEEDED  ? "succeeded"
                   : outcome == WH_OUTCOME_CANCELED ? "canceled"
                                                    : "failed";
    send_result(agent, job);
}

static void take_app(wh_sim_agent_t *agent, const wh_sim_job_t *job)
{
    wh_sim_app_t *app;

    if (job->kind != WH_JOB_KIND_DEPLOY) {
        for (wh_sim_app_t **at = &agent->apps; *at != NULL; at = &(*at)->next)
            if (strcmp((*at)->deployment, job->deployment) == 0) {
                app = *at;
                *at = app->next;
                free(app);
                return;
            }
        return;
    }
    if (job->is_static || job->outcome != WH_OUTCOME_SUCCEEDED ||
        (app = calloc(1, sizeof(*app))) == NULL)
        return;
    memcpy(app->app, job->app, sizeof(app->app));
    memcpy(app->deployment, job->deployment, sizeof(app->deployment));
    app->port = 20000;
    app->next = agent->apps;
    agent->apps = app;
}

/* ---- what comes ---- */

static void ack(wh_sim_agent_t *agent, wh_sim_job_t *job, int accepted)
{
    wh_msg_job_ack_t m = {.job = job->job,
                          .epoch = job->epoch,
                          .accepted = accepted,
                          .reason = accepted ? "" : "the simulator was told to refuse"};

    wh_sim_send(agent, WH_MSG_JOB_ACK, wh_proto_msg_job_ack_encode(&m));
    if (!accepted) {
        agent->sim->count.refusals++;
        drop(agent, job);
        return;
    }
    if (job->state == WH_SIM_OFFERED) {
        agent->sim->count.acked++;
        row_of(agent, job)->acked = agent->sim->now;
        job->state = WH_SIM_ACKED;
        job->due = (wh_mono_t){0};
    }
}

static void on_job(wh_sim_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg)
{
    const wh_sim_opts_t *o = &agent->sim->opts;
    wh_msg_job_t m;
    wh_sim_job_t *job;
    wh_err_t err = WH_ERR_INIT;

    if (wh_proto_msg_job_decode(p, msg->p, &m, &err) != APR_SUCCESS)
        return;
    job = find(agent, m.job);
    if (job != NULL && job->epoch == m.epoch && job->state != WH_SIM_DONE) {
        agent->sim->count.offered_again++;
        ack(agent, job, 1);
        return;
    }
    if (job != NULL)
        drop(agent, job); /* a new epoch: what was known of it is void */
    if ((job = calloc(1, sizeof(*job))) == NULL)
        return;
    apr_cpystrn(job->job, m.job, sizeof(job->job));
    apr_cpystrn(job->app, m.app, sizeof(job->app));
    apr_cpystrn(job->deployment, m.deployment, sizeof(job->deployment));
    job->epoch = m.epoch;
    job->kind = m.kind;
    job->is_static = m.kind == WH_JOB_KIND_DEPLOY && m.snapshot.kind == WH_KIND_STATIC;
    job->held = o->hold != NULL && m.kind == WH_JOB_KIND_DEPLOY &&
                strncmp(m.slug, o->hold, strlen(o->hold)) == 0;
    job->row = wh_sim_ledger_add(agent->sim, m.job, m.epoch, agent->number);
    job->next = agent->jobs;
    agent->jobs = job;
    agent->sim->count.offered++;
    if (chance(agent, o->refuse_percent))
        ack(agent, job, 0);
    else if (o->ack_ms > 0)
        job->due = wh_mono_add(agent->sim->now, (apr_interval_time_t)o->ack_ms * 1000);
    else
        ack(agent, job, 1);
}

static void end(wh_sim_agent_t *agent, wh_sim_job_t *job)
{
    finish(agent, job,
           chance(agent, agent->sim->opts.fail_percent) ? WH_OUTCOME_FAILED : WH_OUTCOME_SUCCEEDED);
}

static void go(wh_sim_agent_t *agent, wh_sim_job_t *job)
{
    if (job->state != WH_SIM_ACKED) {
        agent->sim->count.go_again++;
        return;
    }
    agent->sim->count.started++;
    row_of(agent, job)->started = agent->sim->now;
    job->state = WH_SIM_RUNNING;
    if (job->held)
        return;
    if (agent->sim->opts.finish_ms > 0)
        job->due =
            wh_mono_add(agent->sim->now, (apr_interval_time_t)agent->sim->opts.finish_ms * 1000);
    else
        end(agent, job);
}

static void canceled(wh_sim_agent_t *agent, wh_sim_job_t *job)
{
    agent->sim->count.canceled++;
    if (job->state == WH_SIM_RUNNING)
        finish(agent, job, WH_OUTCOME_CANCELED);
    else if (job->state != WH_SIM_DONE)
        drop(agent, job);
}

static void settled(wh_sim_agent_t *agent, wh_sim_job_t *job)
{
    if (job->state != WH_SIM_DONE)
        return;
    agent->sim->count.result_acks++;
    row_of(agent, job)->settled = agent->sim->now;
    take_app(agent, job);
    drop(agent, job);
}

void wh_sim_job_message(wh_sim_agent_t *agent, apr_pool_t *p, const wh_proto_msg_t *msg)
{
    wh_msg_ref_t ref;
    wh_msg_log_ack_t log;
    wh_err_t err = WH_ERR_INIT;
    wh_sim_job_t *job = NULL;

    if (msg->type == WH_MSG_JOB) {
        on_job(agent, p, msg);
        return;
    }
    if (msg->type == WH_MSG_LOG_ACK) {
        if (wh_proto_msg_log_ack_decode(p, msg->p, &log, &err) == APR_SUCCESS)
            job = find(agent, log.job);
        if (job != NULL)
            wh_sim_talk_acked(agent, job, log.seq);
        return;
    }
    if (wh_proto_msg_ref_decode(p, msg->p, &ref, &err) == APR_SUCCESS)
        job = find(agent, ref.job);
    if (job == NULL || job->epoch != ref.epoch)
        return;
    if (msg->type == WH_MSG_JOB_GO)
        go(agent, job);
    else if (msg->type == WH_MSG_JOB_CANCEL)
        canceled(agent, job);
    else if (msg->type == WH_MSG_RESULT_ACK)
        settled(agent, job);
}

/* ---- time and connections ---- */

static void due(wh_sim_agent_t *agent, wh_sim_job_t *job)
{
    job->due = (wh_mono_t){0};
    if (job->state == WH_SIM_OFFERED) {
        ack(agent, job, 1);
    } else if (job->state == WH_SIM_RUNNING) {
        end(agent, job);
    } else if (job->state == WH_SIM_DONE && job->repeats-- > 0) {
        send_result(agent, job);
        job->due = wh_mono_add(agent->sim->now, REPEAT_US);
    }
}

void wh_sim_job_tick(wh_sim_agent_t *agent)
{
    for (wh_sim_job_t *job = agent->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (job->due.us != 0 && wh_mono_reached(agent->sim->now, job->due))
            due(agent, job);
    }
}

void wh_sim_job_connected(wh_sim_agent_t *agent)
{
    for (wh_sim_job_t *job = agent->jobs; job != NULL; job = job->next)
        if (job->state == WH_SIM_DONE)
            send_result(agent, job);
}

/* What only waited is forgotten with the connection, as the agent does it. */
void wh_sim_job_lost(wh_sim_agent_t *agent)
{
    for (wh_sim_job_t *job = agent->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (job->state == WH_SIM_OFFERED || job->state == WH_SIM_ACKED)
            drop(agent, job);
    }
}
