#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/events.h"
#include "wh-agent/thread.h"

#define PAUSE_FIRST_US APR_USEC_PER_SEC
#define PAUSE_MAX_US ((apr_interval_time_t)30 * APR_USEC_PER_SEC)
#define LONG_US ((apr_interval_time_t)10 * APR_USEC_PER_SEC)

struct wh_events_t {
    wh_events_opts_t opts;
    wh_cancel_t cancel;
};

static void on_event(void *baton)
{
    wh_events_t *ev = baton;

    ev->opts.happened(ev->opts.baton);
}

/* One stream, until it breaks off. */
static void listen_once(wh_events_t *ev)
{
    wh_engine_open_t open = {
        .socket = ev->opts.conf->engine_socket, .cancel = &ev->cancel, .clock = ev->opts.clock};
    wh_engine_label_t ours = {WH_ENGINE_LABEL_AGENT, ev->opts.agent};
    apr_pool_t *p = wh_pool_make("events");
    wh_err_t err = WH_ERR_INIT;
    wh_engine_t *e;
    apr_status_t rv;

    if (p == NULL)
        return;
    rv = ev->opts.engine(p, &open, &e, &err);
    if (rv == APR_SUCCESS)
        rv = e->vt->events(e, p, &ours, on_event, ev, &err);
    if (rv != APR_SUCCESS && !wh_cancel_is_set(&ev->cancel))
        wh_log(WH_LOG_DEBUG, NULL, "the engine's events: %s", err.text);
    apr_pool_destroy(p);
}

static void run(void *data)
{
    wh_events_t *ev = data;
    apr_interval_time_t pause = PAUSE_FIRST_US;

    while (!wh_cancel_is_set(&ev->cancel)) {
        wh_mono_t begin = wh_clock_mono(ev->opts.clock);

        listen_once(ev);
        if (wh_mono_diff(wh_clock_mono(ev->opts.clock), begin) > LONG_US)
            pause = PAUSE_FIRST_US;
        if (wh_cancel_wait(&ev->cancel, pause))
            break;
        pause = pause * 2 < PAUSE_MAX_US ? pause * 2 : PAUSE_MAX_US;
        on_event(ev); /* whatever was missed meanwhile */
    }
}

apr_status_t wh_events_start(apr_pool_t *p, const wh_events_opts_t *opts, wh_events_t **out,
                             wh_err_t *err)
{
    wh_events_t *ev = apr_pcalloc(p, sizeof(*ev));
    apr_status_t rv = wh_cancel_init(p, &ev->cancel, err);

    ev->opts = *opts;
    if (rv == APR_SUCCESS)
        rv = wh_thread_start(run, ev, err);
    if (rv == APR_SUCCESS)
        *out = ev;
    return rv;
}

void wh_events_stop(wh_events_t *ev)
{
    if (ev != NULL)
        wh_cancel_set(&ev->cancel);
}
