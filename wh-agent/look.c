#include <malloc.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/house.h"
#include "wh-agent/link_conn.h"
#include "wh-agent/look.h"
#include "wh-agent/thread.h"
#include "wh-agent/uses.h"

#define LOOK_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC)
#define LOOK_EVENT_US ((apr_interval_time_t)200000)
#define LOOK_SOON_US ((apr_interval_time_t)1500000)

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

void wh_look_take(wh_agent_t *agent, const wh_pass_t *pass, int tell_all)
{
    apr_pool_t *p;
    apr_array_header_t *now;

    wh_agent_ready(agent);
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
        s.secrets = apr_pstrdup(p, s.secrets);
        APR_ARRAY_PUSH(now, wh_reconcile_seen_t) = s;
        if (!s.busy && s.app[0] != '\0' && s.deployment[0] != '\0' &&
            (tell_all || old == NULL || old->state != s.state || old->restarts != s.restarts))
            wh_link_conn_app_status(agent, &s);
        if (s.state == WH_OBSERVED_RUNNING && !s.busy &&
            (old == NULL || old->busy || old->state != s.state))
            wh_link_timer(agent->link, WH_LINK_T_USES, WH_USES_SOON_US);
        if (s.violation[0] != '\0')
            wh_link_conn_violation(agent, &s);
    }
    if (agent->seen_p != NULL)
        apr_pool_destroy(agent->seen_p);
    agent->seen_p = p;
    agent->seen = now;
    wh_follow_set(agent->follow, now);
}

/* ---- a look ---- */

/* An app that was stopped by a rule stays down over a restart of ours, too. */
static void keep_violated(wh_agent_t *agent, const wh_pass_t *pass)
{
    apr_array_header_t *ids = apr_array_make(pass->p, 2, sizeof(const char *));

    for (int i = 0; pass->seen != NULL && i < pass->seen->nelts; i++) {
        const wh_reconcile_seen_t *s = &APR_ARRAY_IDX(pass->seen, i, wh_reconcile_seen_t);

        if (s->state == WH_OBSERVED_VIOLATED)
            APR_ARRAY_PUSH(ids, const char *) = s->container;
    }
    if (pass->seen != NULL)
        wh_wanted_violate(agent->wanted, ids);
}

static void on_looked(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    wh_pass_t *pass = data;
    int came_back = agent->engine_name[0] == '\0' && pass->engine_name[0] != '\0';

    agent->looking = 0;
    if (pass->engine_err.rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0671", "the container engine: %s", pass->engine_err.text);
    wh_look_take(agent, pass, pass->in.may_remove);
    keep_violated(agent, pass);
    if (came_back)
        wh_house_soon(agent);
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
    wh_pass_t *pass = data;

    wh_pass_run(pass);
    wh_box_post(pass->agent->box, pass->p, on_looked, pass);
}

static void copy_desired(wh_agent_t *agent, wh_pass_t *pass)
{
    const apr_array_header_t *list = wh_wanted_list(agent->wanted);
    apr_array_header_t *desired =
        apr_array_make(pass->p, list->nelts + 1, sizeof(wh_msg_desired_t));

    for (int i = 0; i < list->nelts; i++) {
        wh_msg_desired_t d = APR_ARRAY_IDX(list, i, wh_msg_desired_t);

        d.deployment = apr_pstrdup(pass->p, d.deployment);
        d.app = apr_pstrdup(pass->p, d.app);
        APR_ARRAY_PUSH(desired, wh_msg_desired_t) = d;
    }
    pass->in.desired = desired;
    pass->in.restarts = agent->restarts;
    pass->in.busy_at = wh_clock_now(agent->clock);
    pass->in.busy = wh_jobs_busy(agent->jobs, pass->p);
    pass->in.asked_at = agent->desired_at;
}

void wh_look_now(wh_agent_t *agent)
{
    wh_pass_t *pass;
    wh_err_t err = WH_ERR_INIT;

    /* What should run is known from a former life or the first welcome on, and goes on to be seen
     * to while the hub is away. Before a welcome nothing is removed. */
    if (agent->engine == NULL || !wh_wanted_known(agent->wanted) || agent->looking ||
        agent->stopping)
        return;
    wh_link_timer(agent->link, WH_LINK_T_LOOK, LOOK_US);
    pass = wh_pass_make(agent);
    if (pass == NULL)
        return;
    copy_desired(agent, pass);
    pass->acting = 1;
    pass->in.may_remove = agent->reconcile_due;
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

void wh_look_again(wh_agent_t *agent)
{
    agent->look_again = 1;
    if (!agent->looking)
        wh_link_timer(agent->link, WH_LINK_T_LOOK, LOOK_EVENT_US);
}

static void on_event(void *owner, void *data)
{
    (void)data;
    wh_look_again(owner);
}

/* On the events' thread. */
static void happened(void *baton)
{
    wh_agent_t *agent = baton;
    apr_pool_t *p = wh_pool_make("event");

    if (p != NULL)
        wh_box_post(agent->box, p, on_event, NULL);
}

void wh_look_events(wh_agent_t *agent)
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
