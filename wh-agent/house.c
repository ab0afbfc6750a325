#include <malloc.h>
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/house.h"
#include "wh-agent/thread.h"

/* One time: what its thread needs, and what came of it. */
typedef struct house_t {
    wh_agent_t *agent;
    apr_pool_t *p;
    apr_array_header_t *building; /* copied: the table of jobs is the link's thread's */
    int look;                     /* at all images, too */
    int more;                     /* is left for the next time */
    int failed;
    apr_interval_time_t took; /* the look */
} house_t;

void wh_house_plan(wh_agent_t *agent)
{
    wh_mono_t now = wh_clock_mono(agent->clock);
    apr_interval_time_t wait = wh_mono_diff(agent->keep.due, now);

    if (agent->engine != NULL && agent->desired_at != 0 && !agent->keep.running && !agent->stopping)
        wh_link_timer(agent->link, WH_LINK_T_HOUSE, wait > 0 ? wait : 1);
}

void wh_house_soon(wh_agent_t *agent)
{
    wh_keep_when_soon(&agent->keep, wh_clock_mono(agent->clock));
    wh_house_plan(agent);
}

static void on_kept(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    house_t *house = data;

    if (house->look)
        wh_keep_when_looked(&agent->keep, wh_clock_mono(agent->clock), house->took);
    if (house->more)
        wh_keep_when_soon(&agent->keep, wh_clock_mono(agent->clock));
    wh_keep_when_ended(&agent->keep, wh_clock_mono(agent->clock), house->failed);
    wh_house_plan(agent);
    (void)malloc_trim(0);
}

static void ended(house_t *house, apr_status_t rv, wh_err_t *err)
{
    house->failed |= rv != APR_SUCCESS;
    if (rv != APR_SUCCESS && !wh_cancel_is_set(&house->agent->ending))
        wh_log(WH_LOG_WARN, "WH0682", "old images stay: %s", err->text);
    wh_err_clear(err);
}

static void house_thread(void *data)
{
    house_t *house = data;
    const wh_agent_t *a = house->agent;
    wh_keep_opts_t opts = {.conf = &a->conf,
                           .clock = a->clock,
                           .engine = a->engine,
                           .cancel = &a->ending,
                           .agent = wh_identity_agent_id(a->identity),
                           .building = house->building};
    wh_err_t err = WH_ERR_INIT;
    wh_mono_t begun;

    ended(house, wh_keep_superseded(house->p, &opts, &house->more, &err), &err);
    begun = wh_clock_mono(a->clock);
    if (house->look)
        ended(house, wh_keep_run(house->p, &opts, &err), &err);
    house->took = wh_mono_diff(wh_clock_mono(a->clock), begun);
    wh_box_post(a->box, house->p, on_kept, house);
}

void wh_house_due(wh_agent_t *agent)
{
    apr_pool_t *p;
    house_t *house;
    wh_err_t err = WH_ERR_INIT;

    if (agent->desired_at == 0 || agent->keep.running || agent->stopping)
        return;
    p = wh_pool_make("house");
    wh_keep_when_begins(&agent->keep);
    if (p != NULL && agent->engine_name[0] != '\0') {
        house = apr_pcalloc(p, sizeof(*house));
        house->agent = agent;
        house->p = p;
        house->building = wh_jobs_building(agent->jobs, p);
        house->look = wh_mono_reached(wh_clock_mono(agent->clock), agent->keep.look_due);
        if (wh_thread_start(house_thread, house, &err) == APR_SUCCESS)
            return;
        wh_log(WH_LOG_ERROR, "WH0687", "%s", err.text);
    }
    /* Or the engine does not answer, as its look has said. */
    if (p != NULL)
        apr_pool_destroy(p);
    wh_keep_when_ended(&agent->keep, wh_clock_mono(agent->clock), 1);
    wh_house_plan(agent);
}
