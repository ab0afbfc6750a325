#include <malloc.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/agent.h"
#include "wh-agent/caches.h"
#include "wh-agent/house.h"
#include "wh-agent/link_conn.h"
#include "wh-agent/look.h"
#include "wh-agent/thread.h"
#include "wh-agent/uses.h"

#define FLUSH_US ((apr_interval_time_t)60000)
#define REPLACED_US ((apr_interval_time_t)60 * APR_USEC_PER_SEC)
#define STOP_PATIENCE_US ((apr_interval_time_t)20 * APR_USEC_PER_SEC)

static void prepare(wh_agent_t *agent);

/* ---- room ---- */

const char *wh_agent_refuses(wh_agent_t *agent)
{
    wh_room_look_t now;

    wh_machine_room(&agent->machine, agent->conf.state_dir);
    now = (wh_room_look_t){.disk_free = agent->machine.disk_free_bytes,
                           .disk_floor = agent->conf.disk_floor_bytes,
                           .memory_free = agent->machine.memory_free_bytes,
                           .memory_floor = agent->conf.memory_floor_bytes};
    if (wh_room_judge(&agent->room, &now))
        wh_log(WH_LOG_WARN, "WH0681", "%s%s",
               agent->room.refuses[0] != '\0' ? "no new deployments are taken: "
                                              : "deployments are taken again",
               agent->room.refuses);
    return agent->room.refuses;
}

/* ---- the service manager ---- */

static void notify(const wh_agent_t *agent, const char *state)
{
    if (agent->notify != NULL)
        agent->notify(state);
}

/* By the loop, so that an agent whose loop hangs is started again; jobs have deadlines. */
static void feed_watchdog(wh_agent_t *agent)
{
    if (agent->watchdog_us <= 0)
        return;
    notify(agent, "WATCHDOG=1");
    wh_link_timer(agent->link, WH_LINK_T_WATCHDOG, agent->watchdog_us);
}

void wh_agent_ready(wh_agent_t *agent)
{
    if (!agent->ready && !agent->stopping)
        notify(agent, "READY=1");
    agent->ready = 1;
}

/* ---- prepare: before a connection ---- */

static void try_later(wh_agent_t *agent, apr_interval_time_t at_least)
{
    apr_interval_time_t wait = wh_backoff_next(&agent->backoff, wh_rand_jitter(agent->rnd));

    wh_link_timer(agent->link, WH_LINK_T_CONNECT, wait > at_least ? wait : at_least);
}

static void on_prepared(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    wh_pass_t *pass = data;
    unsigned char key[32];

    agent->preparing = 0;
    if (pass->clear)
        agent->cleared = 1;
    wh_look_take(agent, pass, 0);
    if (agent->stopping)
        return;
    if (!pass->ok) {
        wh_log(WH_LOG_WARN, "WH0673", "no worker token: %s", pass->err.text);
        try_later(agent, agent->revoked ? REPLACED_US : 0);
        return;
    }
    agent->revoked = 0;
    if (pass->engine_err.rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0674", "the container engine: %s", pass->engine_err.text);
    agent->force_token = 0;
    wh_link_timer(agent->link, WH_LINK_T_TOKEN, wh_identity_refresh_in(agent->identity));
    wh_identity_mac_key(agent->identity, key);
    wh_link_connect(agent->link, pass->token, key);
    (void)malloc_trim(0);
}

static void prepare_thread(void *data)
{
    wh_pass_t *pass = data;

    wh_pass_run(pass);
    wh_box_post(pass->agent->box, pass->p, on_prepared, pass);
}

static void prepare(wh_agent_t *agent)
{
    wh_pass_t *pass = agent->preparing || agent->stopping ? NULL : wh_pass_make(agent);
    wh_err_t err = WH_ERR_INIT;

    if (pass == NULL)
        return;
    pass->clear = !agent->cleared && wh_jobs_count_running(agent->jobs) == 0;
    pass->want_token = 1;
    pass->force_token = agent->force_token;
    agent->preparing = 1;
    if (wh_thread_start(prepare_thread, pass, &err) == APR_SUCCESS)
        return;
    wh_log(WH_LOG_ERROR, "WH0675", "%s", err.text);
    agent->preparing = 0;
    apr_pool_destroy(pass->p);
    try_later(agent, 0);
}

/* ---- the token, while connected ---- */

static void on_token(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    wh_pass_t *pass = data;
    apr_interval_time_t next = wh_identity_refresh_in(agent->identity);

    if (!pass->ok)
        wh_log(WH_LOG_WARN, "WH0676", "the worker token is not refreshed: %s", pass->err.text);
    wh_link_timer(agent->link, WH_LINK_T_TOKEN,
                  next > APR_USEC_PER_SEC * 10 ? next : APR_USEC_PER_SEC * 10);
    (void)malloc_trim(0);
}

static void token_thread(void *data)
{
    wh_pass_t *pass = data;

    pass->ok = wh_identity_token(pass->agent->identity, pass->p, 0, &pass->token, &pass->err) ==
               APR_SUCCESS;
    wh_box_post(pass->agent->box, pass->p, on_token, pass);
}

static void refresh(wh_agent_t *agent)
{
    wh_pass_t *pass = wh_pass_make(agent);
    wh_err_t err = WH_ERR_INIT;

    if (pass != NULL && wh_thread_start(token_thread, pass, &err) != APR_SUCCESS)
        apr_pool_destroy(pass->p);
}

/* ---- the end ---- */

static void stop_if_idle(wh_agent_t *agent)
{
    if (agent->stopping && wh_jobs_count_running(agent->jobs) == 0)
        wh_link_loop_stop(agent->loop);
}

/* First asked: let what runs come to its end for a while; then cut it off. */
static void begin_stop(wh_agent_t *agent)
{
    if (agent->stopping)
        return;
    agent->stopping = 1;
    notify(agent, "STOPPING=1");
    wh_cancel_set(&agent->ending);
    wh_events_stop(agent->events);
    wh_follow_stop(agent->follow);
    wh_log(WH_LOG_INFO, NULL, "going down; %d jobs run", wh_jobs_count_running(agent->jobs));
    wh_link_timer(agent->link, WH_LINK_T_QUIT, STOP_PATIENCE_US);
    stop_if_idle(agent);
}

static void patience_over(wh_agent_t *agent)
{
    static const apr_interval_time_t last_word = 8 * APR_USEC_PER_SEC;

    if (wh_jobs_count_running(agent->jobs) == 0 || agent->quit > 1) {
        wh_link_loop_stop(agent->loop);
        return;
    }
    agent->quit = 2;
    wh_jobs_abandon(agent->jobs);
    wh_link_timer(agent->link, WH_LINK_T_QUIT, last_word);
}

/* ---- events of the link ---- */

static void on_opened(void *owner)
{
    wh_link_conn_opened(owner);
}

static void on_message(void *owner, apr_pool_t *p, const wh_proto_msg_t *msg)
{
    wh_link_conn_message(owner, p, msg);
}

/* Why the line is gone; returns how long to wait at least. A refusal by 401 is answered once by a
 * new token at once, afterwards like any failure. */
static apr_interval_time_t say_why(wh_agent_t *agent, const wh_link_end_t *end)
{
    if (end->code == WH_CLOSE_REPLACED) {
        wh_log(WH_LOG_ERROR, "WH0677",
               "another agent connected with this worker's key; trying again in a minute");
        return REPLACED_US;
    }
    if (end->code == WH_CLOSE_REVOKED && (agent->rotating || agent->rekeyed)) {
        /* The hub saw the new key before we did. */
        agent->force_token = 1;
        return 0;
    }
    if (end->code == WH_CLOSE_REVOKED) {
        wh_log(WH_LOG_ERROR, "WH0710",
               "the hub takes this worker no more: it was removed, or its key was revoked; a token "
               "of `wh workers enroll --name NAME --replace` in enrolment_token_file lets it back "
               "in; trying again in a minute");
        agent->force_token = agent->revoked = 1;
        return REPLACED_US;
    }
    if (agent->rekeyed)
        return 0;
    if (end->code == WH_CLOSE_RESTART)
        wh_log(WH_LOG_INFO, NULL, "the hub restarts: coming back");
    else if (end->opened)
        wh_log(WH_LOG_WARN, "WH0678", "the line to the hub is gone (close code %d)", end->code);
    else if (end->http != 0)
        wh_log(WH_LOG_WARN, "WH0679", "%s refused the connection with status %d", end->url,
               end->http);
    else
        wh_log(WH_LOG_INFO, NULL, "the server cannot be reached at %s", end->url);
    return 0;
}

static void on_closed(void *owner, const wh_link_end_t *end)
{
    wh_agent_t *agent = owner;
    int refused = end->http == 401 || end->http == 403;
    int at_once = (refused && !agent->refused) || agent->rekeyed;
    apr_interval_time_t at_least = say_why(agent, end);

    wh_link_conn_closed(agent);
    agent->force_token |= refused;
    agent->refused |= refused;
    agent->rekeyed = 0;
    if (agent->stopping)
        return;
    if (at_once)
        wh_link_timer(agent->link, WH_LINK_T_CONNECT, 1);
    else
        try_later(agent, at_least);
}

static void on_timer(void *owner, wh_link_timer_e which)
{
    wh_agent_t *agent = owner;

    switch (which) {
    case WH_LINK_T_CONNECT:
        prepare(agent);
        break;
    case WH_LINK_T_HEARTBEAT:
        wh_link_conn_heartbeat(agent);
        break;
    case WH_LINK_T_USES:
        wh_uses_due(agent);
        break;
    case WH_LINK_T_LOOK:
        wh_look_now(agent);
        break;
    case WH_LINK_T_HOUSE:
        wh_house_due(agent);
        break;
    case WH_LINK_T_TOKEN:
        refresh(agent);
        break;
    case WH_LINK_T_FLUSH:
        wh_link_conn_flush(agent);
        break;
    case WH_LINK_T_WATCHDOG:
        feed_watchdog(agent);
        break;
    case WH_LINK_T_QUIT:
        patience_over(agent);
        break;
    default:
        break;
    }
}

/* A thread has posted, a log has new lines, or a signal came. Lines are gathered for a moment, so
 * that a talkative build makes few frames. */
static void on_woken(void *owner)
{
    wh_agent_t *agent = owner;
    int running = wh_jobs_count_running(agent->jobs);

    wh_box_empty(agent->box);
    if (agent->quit == 1 && !agent->stopping)
        begin_stop(agent);
    if (agent->welcomed && !agent->flush_due &&
        (running > 0 || wh_follow_pending(agent->follow))) {
        agent->flush_due = 1;
        wh_link_timer(agent->link, WH_LINK_T_FLUSH, FLUSH_US);
    }
    stop_if_idle(agent);
}

static void on_changed(void *owner)
{
    wh_agent_t *agent = owner;

    wh_link_conn_flush(agent);
    wh_look_again(agent); /* a container of the job may have started: its log is to be read */
    if (wh_jobs_count_running(agent->jobs) == 0)
        (void)malloc_trim(0);
}

/* Its last lines are read before it goes. */
static void on_stopped(void *owner, const char *container)
{
    const wh_agent_t *agent = owner;

    wh_follow_last(agent->follow, container);
}

static void on_ended(void *owner)
{
    wh_house_soon(owner);
}

static const wh_link_events_t events = {
    .opened = on_opened, .message = on_message, .closed = on_closed, .timer = on_timer};

/* ---- as a whole ---- */

static apr_status_t make_loop(wh_agent_t *agent, wh_err_t *err)
{
    const wh_agent_conf_t *conf = &agent->conf;
    wh_link_loop_opts_t opts = {.ca_file = conf->ca_file,
                                .tls13_only = conf->hub_url[0] != '\0',
                                .links = 1,
                                .woken = on_woken,
                                .owner = agent};

    for (int i = 0; i < conf->hub_urls->nelts; i++)
        opts.tls |= APR_ARRAY_IDX(conf->hub_urls, i, wh_huburl_t).tls;
    return wh_link_loop_make(agent->p, &opts, &agent->loop, err);
}

apr_status_t wh_agent_make(wh_agent_t *agent, wh_err_t *err)
{
    apr_pool_t *p = agent->p;
    wh_identity_opts_t identity = {.conf = &agent->conf, .clock = agent->clock, .rnd = agent->rnd};
    wh_link_opts_t link = {.urls = agent->conf.hub_urls,
                           .clock = agent->clock,
                           .rnd = agent->rnd,
                           .events = &events,
                           .owner = agent};
    wh_jobs_opts_t jobs;
    apr_status_t rv;

    rv = wh_identity_open(p, &identity, &agent->identity, err);
    if (rv == APR_SUCCESS)
        rv = wh_box_make(p, agent, &agent->box, err);
    if (rv == APR_SUCCESS)
        rv = wh_cancel_init(p, &agent->ending, err);
    if (rv == APR_SUCCESS)
        rv = wh_results_open(p, agent->conf.state_dir, &agent->results, err);
    wh_caches_forget_auth(p, agent->conf.state_dir);
    if (rv == APR_SUCCESS)
        rv = wh_wanted_open(p, agent->conf.state_dir, &agent->wanted, err);
    if (rv == APR_SUCCESS)
        rv = make_loop(agent, err);
    if (rv == APR_SUCCESS)
        rv = wh_restarts_make(p, wh_clock_now(agent->clock), &agent->restarts, err);
    if (rv != APR_SUCCESS)
        return rv;
    for (int i = 0; i < wh_wanted_violated(agent->wanted)->nelts; i++)
        wh_restarts_violated(agent->restarts,
                             APR_ARRAY_IDX(wh_wanted_violated(agent->wanted), i, const char *));
    link.loop = agent->loop;
    agent->link = wh_link_make(p, &link);
    agent->mark = apr_pstrcat(p, "WISEHOST_AGENT=", wh_identity_agent_id(agent->identity), NULL);
    wh_box_set_wake(agent->box, wh_link_loop_wake, agent->loop);
    jobs = (wh_jobs_opts_t){.conf = &agent->conf,
                            .clock = agent->clock,
                            .rnd = agent->rnd,
                            .identity = agent->identity,
                            .engine = agent->engine,
                            .engine_root = agent->machine.engine_root,
                            .mark = agent->mark,
                            .box = agent->box,
                            .results = agent->results,
                            .wake = wh_link_loop_wake,
                            .wake_baton = agent->loop,
                            .changed = on_changed,
                            .stopped = on_stopped,
                            .ended = on_ended,
                            .owner = agent};
    return wh_jobs_make(p, &jobs, &agent->jobs, err);
}

static void follow(wh_agent_t *agent)
{
    wh_follow_opts_t opts = {.conf = &agent->conf,
                             .clock = agent->clock,
                             .engine = agent->engine,
                             .wake = wh_link_loop_wake,
                             .wake_baton = agent->loop};
    wh_err_t err = WH_ERR_INIT;

    if (agent->engine != NULL &&
        wh_follow_start(agent->p, &opts, &agent->follow, &err) != APR_SUCCESS)
        wh_log(WH_LOG_ERROR, "WH0732", "%s", err.text);
}

void wh_agent_run(wh_agent_t *agent)
{
    prepare(agent);
    wh_look_now(agent); /* by what a former life knew: the hub may be away for long */
    wh_look_events(agent);
    follow(agent);
    feed_watchdog(agent);
    wh_link_loop_run(agent->loop);
    wh_events_stop(agent->events);
    wh_follow_stop(agent->follow);
    for (int i = 0; i < 100 && wh_thread_running() > 0; i++)
        (void)wh_cancel_wait(NULL, 10000);
}

void wh_agent_free(wh_agent_t *agent)
{
    wh_box_set_wake(agent->box, NULL, NULL);
    wh_box_empty(agent->box);
    wh_link_destroy(agent->link);
    wh_link_loop_destroy(agent->loop);
    if (wh_thread_running() > 0)
        return; /* a thread that could not be ended in time still looks at the rest */
    wh_jobs_free(agent->jobs);
    if (agent->uses_p != NULL)
        apr_pool_destroy(agent->uses_p);
    if (agent->seen_p != NULL)
        apr_pool_destroy(agent->seen_p);
}

void wh_agent_quit(wh_agent_t *agent)
{
    if (agent->quit == 0)
        agent->quit = 1;
    if (agent->loop != NULL)
        wh_link_loop_wake(agent->loop);
}
