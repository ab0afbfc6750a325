#include "wh-scheduler/times.h"

#include "libwh/wh_log.h"
#include "whdb/wh_db_time.h"
#include "wh-scheduler/alerts.h"
#include "wh-scheduler/usage.h"

/* Longer than a stop job ever waits for its time. */
#define WAIT_US WH_CORE_STOP_AGAIN_US

static apr_status_t settle(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    const wh_settings_t *s = core->settings;
    wh_db_time_t t = {.now = now,
                      .lease_until = now + WH_SCHED_LEASE_US,
                      .deadline_min = now + WH_SCHED_HEARTBEAT_TIMEOUT_US,
                      .wait_max = now + WAIT_US};

    t.deadline_max = now + apr_time_from_sec(s->clone_s + s->build_s + s->start_s + s->check_s);
    if (t.deadline_max < t.deadline_min) {
        t.deadline_max = t.deadline_min;
    }
    return wh_db_time_settle(core->dbc, p, &t, err);
}

static apr_status_t adjust(wh_core_t *core, apr_pool_t *p, apr_interval_time_t step, int blind,
                           apr_time_t now, wh_err_t *err)
{
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    if (rv == APR_SUCCESS && step != 0) {
        rv = wh_db_time_shift(core->dbc, p, step, err);
    }
    if (rv == APR_SUCCESS && blind) {
        rv = settle(core, p, now, err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

apr_status_t wh_times_look(wh_core_t *core, apr_pool_t *p, apr_time_t *now, wh_err_t *err)
{
    apr_time_t wall = wh_clock_now(core->clock);
    wh_mono_t mono = wh_clock_mono(core->clock);
    apr_interval_time_t gap = 0, step = 0;
    int blind = !core->times.sighted;
    apr_status_t rv = APR_SUCCESS;

    if (core->times.seen) {
        gap = wh_mono_diff(mono, core->times.mono);
        step = wall - core->times.wall - gap;
        blind |= gap > WH_TIMES_BLIND_US;
    }
    if (step > -WH_TIMES_STEP_US && step < WH_TIMES_STEP_US) {
        step = 0;
    }
    if (step != 0 || blind) {
        rv = adjust(core, p, step, blind, wall, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (step != 0) {
        wh_alerts_forget(core);
        wh_usage_forget(core);
        wh_log(WH_LOG_WARN, "WH0461",
               "the clock was set by %" APR_INT64_T_FMT
               " s: leases, deadlines and heartbeats go along",
               (apr_int64_t)apr_time_sec(step));
    }
    if (blind) {
        core->started = mono;
    }
    core->times.seen = core->times.sighted = 1;
    core->times.wall = wall;
    core->times.mono = mono;
    *now = wall;
    return APR_SUCCESS;
}

void wh_times_blind(wh_core_t *core)
{
    core->times.sighted = 0;
    wh_alerts_forget(core);
    wh_usage_forget(core);
}
