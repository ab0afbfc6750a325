#include <malloc.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "wh-agent/agent.h"
#include "wh-agent/link_conn.h"
#include "wh-agent/pool.h"
#include "wh-agent/thread.h"

#define LOOK_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC)
#define KEEP_US ((apr_interval_time_t)600 * APR_USEC_PER_SEC)
#define LOOK_EVENT_US ((apr_interval_time_t)200000)
#define LOOK_SOON_US ((apr_interval_time_t)1500000)
#define FLUSH_US ((apr_interval_time_t)60000)
#define REPLACED_US ((apr_interval_time_t)60 * APR_USEC_PER_SEC)
#define STOP_PATIENCE_US ((apr_interval_time_t)20 * APR_USEC_PER_SEC)

static void look(wh_agent_t *agent);
static void prepare(wh_agent_t *agent);

/* ---- a pass over the engine, on a thread ---- */

typedef struct pass_t {
    wh_agent_t *agent;
    apr_pool_t *p;
    wh_reconcile_in_t in;
    int acting; /* in is to be followed, else only look */
    int keep;   /* keep house, too */
    int clear;  /* first remove what a former life left */
    int want_token, force_token;
    const char *token;
    apr_array_header_t *seen;
    const char *engine_name, *engine_root; /* root: only asked before a connection */
    wh_err_t err, engine_err;
    int ok;
} pass_t;

static wh_reconcile_opts_t reconcile_opts(const pass_t *pass)
{
    const wh_agent_t *a = pass->agent;

    return (wh_reconcile_opts_t){.conf = &a->conf,
                                 .clock = a->clock,
                                 .engine = a->engine,
                                 .agent = wh_identity_agent_id(a->identity),
                                 .in = pass->acting ? &pass->in : NULL};
}

/* Marks without a result: jobs of a former life that were cut off. Nothing of them may run on; that
 * they are lost is for the hub to say, when our hello does not name them. */
static int clear_former_life(pass_t *pass)
{
    wh_agent_t *a = pass->agent;
    wh_reconcile_opts_t opts = reconcile_opts(pass);
    apr_array_header_t *marked = wh_results_marked(a->conf.state_dir, pass->p);
    apr_array_header_t *lost = apr_array_make(pass->p, 4, sizeof(const char *));
    int killed = wh_proc_kill_marked(pass->p, a->mark);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < marked->nelts; i++) {
        const char *job = APR_ARRAY_IDX(marked, i, const char *);

        if (wh_results_find(a->results, job, 0) == NULL)
            APR_ARRAY_PUSH(lost, const char *) = job;
    }
    if (killed > 0 || lost->nelts > 0)
        wh_log(WH_LOG_INFO, NULL, "a former life left %d processes and %d jobs: cleared away",
               killed, lost->nelts);
    if (lost->nelts > 0 && a->engine != NULL)
        rv = wh_reconcile_clear_jobs(pass->p, &opts, lost, &pass->engine_err);
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0670", "containers of cut-off jobs may be left: %s",
               pass->engine_err.text);
        return 0;
    }
    for (int i = 0; i < marked->nelts; i++)
        wh_results_unmark(a->conf.state_dir, pass->p, APR_ARRAY_IDX(marked, i, const char *));
    return 1;
}

/* On the pass' thread. The results table is only read here while no other thread of ours runs
 * (clear). */
static void run_pass(pass_t *pass)
{
    wh_agent_t *a = pass->agent;
    wh_reconcile_opts_t opts = reconcile_opts(pass);

    if (pass->clear)
        pass->clear = clear_former_life(pass);
    pass->ok = 1;
    if (pass->want_token)
        pass->ok = wh_identity_token(a->identity, pass->p, pass->force_token, &pass->token,
                                     &pass->err) == APR_SUCCESS;
    pass->engine_name = "";
    if (a->engine != NULL && wh_reconcile_pass(pass->p, &opts, &pass->seen, &pass->engine_name,
                                               &pass->engine_err) != APR_SUCCESS) {
        pass->seen = NULL;
        pass->engine_name = "";
    }
    if (a->engine != NULL && pass->want_token && pass->seen != NULL)
        (void)wh_reconcile_engine_root(pass->p, &opts, &pass->engine_root);
}

/* While nothing is deployed: an image that was just built has no container yet. */
static void keep_house(pass_t *pass)
{
    const wh_agent_t *a = pass->agent;
    wh_keep_opts_t opts = {.conf = &a->conf,
                           .clock = a->clock,
                           .engine = a->engine,
                           .agent = wh_identity_agent_id(a->identity)};
    wh_err_t err = WH_ERR_INIT;

    if (wh_keep_run(pass->p, &opts, &err) != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0682", "old images stay: %s", err.text);
}

static pass_t *make_pass(wh_agent_t *agent)
{
    apr_pool_t *p = wh_pool_make("pass");
    pass_t *pass = p != NULL ? apr_pcalloc(p, sizeof(*pass)) : NULL;

    if (pass != NULL) {
        pass->agent = agent;
        pass->p = p;
        pass->engine_root = "";
    }
    return pass;
}

/* ---- taking up what a pass saw ---- */

static const wh_reconcile_seen_t *seen_before(const wh_agent_t *agent, const char *container)
{
    for (int i = 0; agent->seen != NULL && i < agent->seen->nelts; i++) {
        const wh_reconcile_seen_t *s = &APR_ARRAY_IDX(agent->seen, i, wh_reconcile_seen_t);

        if (strcmp(s->container, container) == 0)
            return s;
    }
    return NULL;
}

static void take_seen(wh_agent_t *agent, const pass_t *pass, int tell_all)
{
    apr_pool_t *p;
    apr_array_header_t *now;

    apr_cpystrn(agent->engine_name, pass->engine_name, sizeof(agent->engine_name));
    if (pass->engine_root[0] != '\0')
        apr_cpystrn(agent->machine.engine_root, pass->engine_root,
                    sizeof(agent->machine.engine_root));
    if (pass->seen == NULL || (p = wh_pool_make("seen")) == NULL)
        return;
    now = apr_array_make(p, pass->seen->nelts + 1, sizeof(wh_reconcile_seen_t));
    for (int i = 0; i < pass->seen->nelts; i++) {
        wh_reconcile_seen_t s = APR_ARRAY_IDX(pass->seen, i, wh_reconcile_seen_t);
        const wh_reconcile_seen_t *old = seen_before(agent, s.container);

        s.app = apr_pstrdup(p, s.app);
        s.deployment = apr_pstrdup(p, s.deployment);
        s.container = apr_pstrdup(p, s.container);
        s.address = apr_pstrdup(p, s.address);
        s.reason = apr_pstrdup(p, s.reason);
        s.violation = apr_pstrdup(p, s.violation);
        APR_ARRAY_PUSH(now, wh_reconcile_seen_t) = s;
        if (!s.busy && s.app[0] != '\0' && s.deployment[0] != '\0' &&
            (tell_all || old == NULL || old->state != s.state || old->restarts != s.restarts))
            wh_link_conn_app_status(agent, &s);
        if (s.violation[0] != '\0')
            wh_link_conn_violation(agent, &s);
    }
    if (agent->seen_p != NULL)
        apr_pool_destroy(agent->seen_p);
    agent->seen_p = p;
    agent->seen = now;
}

/* ---- look: while connected ---- */

static void on_looked(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    pass_t *pass = data;
    int came_back = agent->engine_name[0] == '\0' && pass->engine_name[0] != '\0';

    agent->looking = 0;
    if (pass->engine_err.rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0671", "the container engine: %s", pass->engine_err.text);
    take_seen(agent, pass, pass->in.may_remove);
    if (came_back && agent->connected)
        wh_link_close(agent->link, 1000); /* the next hello tells of the engine */
    wh_link_timer(
        agent->link, WH_LINK_T_LOOK,
        wh_restarts_wait(agent->restarts, wh_clock_mono(agent->clock),
                         agent->look_again || agent->reconcile_due ? LOOK_EVENT_US : LOOK_US));
    agent->look_again = 0;
    (void)malloc_trim(0);
}

static void look_thread(void *data)
{
    pass_t *pass = data;

    run_pass(pass);
    if (pass->keep && pass->seen != NULL)
        keep_house(pass);
    wh_box_post(pass->agent->box, pass->p, on_looked, pass);
}

static void copy_desired(wh_agent_t *agent, pass_t *pass)
{
    apr_array_header_t *desired = apr_array_make(pass->p, 8, sizeof(wh_msg_desired_t));

    for (int i = 0; agent->desired != NULL && i < agent->desired->nelts; i++) {
        wh_msg_desired_t d = APR_ARRAY_IDX(agent->desired, i, wh_msg_desired_t);

        d.deployment = apr_pstrdup(pass->p, d.deployment);
        d.app = apr_pstrdup(pass->p, d.app);
        APR_ARRAY_PUSH(desired, wh_msg_desired_t) = d;
    }
    pass->in.desired = desired;
    pass->in.restarts = agent->restarts;
    pass->in.busy = wh_jobs_busy(agent->jobs, pass->p);
    pass->in.asked_at = agent->desired_at;
}

static void look(wh_agent_t *agent)
{
    pass_t *pass;
    wh_err_t err = WH_ERR_INIT;

    /* What should run is known from the first welcome on, and goes on to be seen to while the hub
     * is away. */
    if (agent->engine == NULL || agent->desired_at == 0 || agent->looking || agent->stopping)
        return;
    wh_link_timer(agent->link, WH_LINK_T_LOOK, LOOK_US);
    pass = make_pass(agent);
    if (pass == NULL)
        return;
    copy_desired(agent, pass);
    pass->acting = 1;
    pass->in.may_remove = agent->reconcile_due;
    pass->keep = wh_jobs_count_running(agent->jobs) == 0 &&
                 wh_mono_reached(wh_clock_mono(agent->clock), agent->keep_at);
    if (pass->keep)
        agent->keep_at = wh_mono_add(wh_clock_mono(agent->clock), KEEP_US);
    agent->reconcile_due = 0;
    agent->looking = 1;
    if (wh_thread_start(look_thread, pass, &err) == APR_SUCCESS)
        return;
    wh_log(WH_LOG_ERROR, "WH0672", "%s", err.text);
    agent->looking = 0;
    apr_pool_destroy(pass->p);
}

void wh_agent_look_soon(wh_agent_t *agent)
{
    wh_link_timer(agent->link, WH_LINK_T_LOOK, agent->reconcile_due ? 1 : LOOK_SOON_US);
}

static void on_event(void *owner, void *data)
{
    wh_agent_t *agent = owner;

    (void)data;
    agent->look_again = 1; /* if a look is under way: it may have come too early */
    if (!agent->looking)
        wh_link_timer(agent->link, WH_LINK_T_LOOK, LOOK_EVENT_US);
}

/* On the events' thread. */
static void happened(void *baton)
{
    wh_agent_t *agent = baton;
    apr_pool_t *p = wh_pool_make("event");

    if (p != NULL)
        wh_box_post(agent->box, p, on_event, NULL);
}

static void begin_events(wh_agent_t *agent)
{
    wh_events_opts_t opts = {.conf = &agent->conf,
                             .clock = agent->clock,
                             .engine = agent->engine,
                             .agent = wh_identity_agent_id(agent->identity),
                             .happened = happened,
                             .baton = agent};
    wh_err_t err = WH_ERR_INIT;

    if (agent->engine != NULL &&
        wh_events_start(agent->p, &opts, &agent->events, &err) != APR_SUCCESS)
        wh_log(WH_LOG_ERROR, "WH0680", "containers that end are seen late: %s", err.text);
}

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

/* ---- prepare: before a connection ---- */

static void try_later(wh_agent_t *agent, apr_interval_time_t at_least)
{
    apr_interval_time_t wait = wh_backoff_next(&agent->backoff, wh_rand_jitter(agent->rnd));

    wh_link_timer(agent->link, WH_LINK_T_CONNECT, wait > at_least ? wait : at_least);
}

static void on_prepared(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    pass_t *pass = data;
    unsigned char key[32];

    agent->preparing = 0;
    if (pass->clear)
        agent->cleared = 1;
    take_seen(agent, pass, 0);
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
    pass_t *pass = data;

    run_pass(pass);
    wh_box_post(pass->agent->box, pass->p, on_prepared, pass);
}

static void prepare(wh_agent_t *agent)
{
    pass_t *pass = agent->preparing || agent->stopping ? NULL : make_pass(agent);
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
    pass_t *pass = data;
    apr_interval_time_t next = wh_identity_refresh_in(agent->identity);

    if (!pass->ok)
        wh_log(WH_LOG_WARN, "WH0676", "the worker token is not refreshed: %s", pass->err.text);
    wh_link_timer(agent->link, WH_LINK_T_TOKEN,
                  next > APR_USEC_PER_SEC * 10 ? next : APR_USEC_PER_SEC * 10);
    (void)malloc_trim(0);
}

static void token_thread(void *data)
{
    pass_t *pass = data;

    pass->ok = wh_identity_token(pass->agent->identity, pass->p, 0, &pass->token, &pass->err) ==
               APR_SUCCESS;
    wh_box_post(pass->agent->box, pass->p, on_token, pass);
}

static void refresh(wh_agent_t *agent)
{
    pass_t *pass = make_pass(agent);
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
    wh_events_stop(agent->events);
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
               "the hub takes this worker no more: it was removed, or its key was revoked; enrol "
               "it anew (`wh workers enroll`); trying again in a minute");
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
    case WH_LINK_T_LOOK:
        look(agent);
        break;
    case WH_LINK_T_TOKEN:
        refresh(agent);
        break;
    case WH_LINK_T_FLUSH:
        wh_link_conn_flush(agent);
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
    if (agent->welcomed && !agent->flush_due && running > 0) {
        agent->flush_due = 1;
        wh_link_timer(agent->link, WH_LINK_T_FLUSH, FLUSH_US);
    }
    stop_if_idle(agent);
}

static void on_changed(void *owner)
{
    wh_agent_t *agent = owner;

    wh_link_conn_flush(agent);
    if (wh_jobs_count_running(agent->jobs) == 0)
        (void)malloc_trim(0);
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

    agent->desired_p = wh_pool_make("desired");
    if (agent->desired_p == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    agent->desired = apr_array_make(agent->desired_p, 8, sizeof(wh_msg_desired_t));
    rv = wh_identity_open(p, &identity, &agent->identity, err);
    if (rv == APR_SUCCESS)
        rv = wh_box_make(p, agent, &agent->box, err);
    if (rv == APR_SUCCESS)
        rv = wh_results_open(p, agent->conf.state_dir, &agent->results, err);
    if (rv == APR_SUCCESS)
        rv = make_loop(agent, err);
    if (rv == APR_SUCCESS)
        rv = wh_restarts_make(p, wh_clock_now(agent->clock), &agent->restarts, err);
    if (rv != APR_SUCCESS)
        return rv;
    link.loop = agent->loop;
    agent->link = wh_link_make(p, &link);
    agent->mark = apr_pstrcat(p, "WISEHOST_AGENT=", wh_identity_agent_id(agent->identity), NULL);
    wh_box_set_wake(agent->box, wh_link_loop_wake, agent->loop);
    jobs = (wh_jobs_opts_t){.conf = &agent->conf,
                            .clock = agent->clock,
                            .rnd = agent->rnd,
                            .identity = agent->identity,
                            .engine = agent->engine,
                            .mark = agent->mark,
                            .box = agent->box,
                            .results = agent->results,
                            .wake = wh_link_loop_wake,
                            .wake_baton = agent->loop,
                            .changed = on_changed,
                            .owner = agent};
    return wh_jobs_make(p, &jobs, &agent->jobs, err);
}

void wh_agent_run(wh_agent_t *agent)
{
    prepare(agent);
    begin_events(agent);
    wh_link_loop_run(agent->loop);
    wh_events_stop(agent->events);
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
    apr_pool_destroy(agent->desired_p);
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
