#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "wh-agent/hold.h"
#include "wh-agent/machine.h"
#include "wh-agent/reach.h"
#include "wh-agent/reconcile.h"
#include "wh-agent/run.h"

#define STOP_GRACE_S 10

static int in_list(const apr_array_header_t *list, const char *value)
{
    for (int i = 0; list != NULL && i < list->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(list, i, const char *), value) == 0)
            return 1;
    return 0;
}

/* Engines tell the time of creation in whole seconds. */
static int younger(const wh_engine_item_t *item, apr_time_t than)
{
    return item->created_at + 2 * APR_USEC_PER_SEC >= than;
}

wh_reconcile_act_e wh_reconcile_decide(const wh_reconcile_in_t *in, const wh_engine_item_t *item)
{
    const char *deployment = wh_engine_label(item->labels, WH_ENGINE_LABEL_DEPLOYMENT);
    const char *job = wh_engine_label(item->labels, WH_ENGINE_LABEL_JOB);

    if (in_list(in->busy, job))
        return WH_RECONCILE_KEEP;
    if (wh_hold_is(item->labels)) /* of a build that is over, unless it began after busy was seen */
        return younger(item, in->busy_at) ? WH_RECONCILE_KEEP : WH_RECONCILE_REMOVE;
    for (int i = 0; in->desired != NULL && i < in->desired->nelts; i++) {
        const wh_msg_desired_t *d = &APR_ARRAY_IDX(in->desired, i, wh_msg_desired_t);

        if (strcmp(d->deployment, deployment) != 0)
            continue;
        if (d->desired == WH_DESIRED_RUNNING)
            return item->running || in_list(in->resting, item->id) ? WH_RECONCILE_KEEP
                                                                   : WH_RECONCILE_START;
        return item->running ? WH_RECONCILE_STOP : WH_RECONCILE_KEEP;
    }
    if (!in->may_remove || younger(item, in->asked_at))
        return WH_RECONCILE_KEEP;
    return WH_RECONCILE_REMOVE;
}

/* ---- one container in a pass ---- */

typedef struct pass_t {
    apr_pool_t *p;
    const wh_reconcile_opts_t *opts;
    wh_reconcile_in_t in; /* with what rests in this pass */
    wh_engine_t *e;
    wh_mono_t now;
} pass_t;

static void place(apr_pool_t *p, const wh_engine_item_t *item, wh_reconcile_seen_t *seen)
{
    const char *published = wh_engine_label(item->labels, WH_ENGINE_LABEL_PUBLISHED);
    const char *colon = strrchr(published, ':');

    *seen = (wh_reconcile_seen_t){
        .app = wh_engine_label(item->labels, WH_ENGINE_LABEL_APP),
        .deployment = wh_engine_label(item->labels, WH_ENGINE_LABEL_DEPLOYMENT),
        .container = item->id,
        .address =
            colon != NULL ? apr_pstrmemdup(p, published, (apr_size_t)(colon - published)) : "",
        .port = colon != NULL ? apr_atoi64(colon + 1) : 0,
        .state = item->running ? WH_OBSERVED_RUNNING : WH_OBSERVED_STOPPED,
        .secrets = wh_engine_label(item->labels, WH_ENGINE_LABEL_SECRETS),
        .violation = "",
        .reason = ""};
}

static int should_run(const wh_reconcile_in_t *in, const wh_engine_item_t *item)
{
    const char *deployment = wh_engine_label(item->labels, WH_ENGINE_LABEL_DEPLOYMENT);

    for (int i = 0; in->desired != NULL && i < in->desired->nelts; i++) {
        const wh_msg_desired_t *d = &APR_ARRAY_IDX(in->desired, i, wh_msg_desired_t);

        if (strcmp(d->deployment, deployment) == 0)
            return d->desired == WH_DESIRED_RUNNING;
    }
    return 0;
}

static const char *why_down(apr_pool_t *p, const wh_engine_seen_t *now, int oom)
{
    if (oom)
        return "it needed more memory than it may have and was killed";
    if (now->exit_status > 128 && now->exit_status < 128 + 65)
        return apr_psprintf(p, "it was ended by signal %" APR_INT64_T_FMT, now->exit_status - 128);
    return apr_psprintf(p, "it exited with status %" APR_INT64_T_FMT, now->exit_status);
}

/* What the table of restarts says of one that should run and does not. */
static void judge(pass_t *pass, const wh_engine_item_t *item, const wh_engine_seen_t *now,
                  wh_reconcile_seen_t *seen)
{
    wh_restarts_end_t end = {.started_at = now->started_at,
                             .ended_at = now->finished_at,
                             .status = now->exit_status,
                             .oom = now->oom_killed};
    wh_restart_t r;
    int oom, news;

    wh_restarts_down(pass->in.restarts, item->id, &end, pass->now, &r, &oom, &news);
    if (!wh_restart_due(&r, pass->now))
        APR_ARRAY_PUSH((apr_array_header_t *)(uintptr_t)pass->in.resting, const char *) = item->id;
    seen->state = wh_restart_state(&r);
    seen->reason = why_down(pass->p, now, oom);
    if (r.violated)
        seen->reason = "it was killed three times within an hour because it needed more memory "
                       "than it may have; deploy it anew to start it again";
    else if (seen->state == WH_OBSERVED_CRASHLOOP)
        seen->reason = apr_psprintf(pass->p, "%s, soon after each of %d starts", seen->reason,
                                    WH_RESTART_QUICK_MAX);
    if (news)
        seen->violation = seen->reason;
}

static void describe(pass_t *pass, wh_engine_item_t *item, int busy, wh_reconcile_seen_t *seen)
{
    wh_engine_seen_t now;

    place(pass->p, item, seen);
    seen->busy = busy;
    if (item->running) {
        if (pass->in.restarts != NULL)
            seen->restarts = wh_restarts_up(pass->in.restarts, item->id);
        return;
    }
    if (pass->e->vt->inspect(pass->e, pass->p, item->id, &now, NULL) != APR_SUCCESS)
        return;
    item->running = now.running; /* it came up between the list and now */
    if (now.running)
        seen->state = WH_OBSERVED_RUNNING;
    else if (pass->in.restarts != NULL && !busy && should_run(&pass->in, item))
        judge(pass, item, &now, seen);
    else
        seen->reason = why_down(pass->p, &now, now.oom_killed);
}

/* Returns false when the container is gone afterwards. */
static int act(apr_pool_t *p, wh_engine_t *e, wh_reconcile_act_e what, wh_engine_item_t *item)
{
    const char *slug = wh_engine_label(item->labels, WH_ENGINE_LABEL_SLUG);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;

    if (what == WH_RECONCILE_START) {
        wh_log(WH_LOG_INFO, NULL, "starting the container %.12s of %s again", item->id, slug);
        rv = e->vt->start(e, p, item->id, 0, &err);
        item->running = rv == APR_SUCCESS;
    } else if (what == WH_RECONCILE_STOP) {
        wh_log(WH_LOG_INFO, NULL, "stopping the container %.12s of %s", item->id, slug);
        rv = e->vt->stop(e, p, item->id, STOP_GRACE_S, &err);
        item->running = rv != APR_SUCCESS;
    } else if (what == WH_RECONCILE_REMOVE) {
        wh_log(WH_LOG_INFO, NULL, "removing the container %.12s of %s: no deployment wants it",
               item->id, slug);
        rv = e->vt->remove(e, p, item->id, &err);
    }
    if (rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0630", "the container %.12s of %s: %s", item->id, slug, err.text);
    return what != WH_RECONCILE_REMOVE || rv != APR_SUCCESS;
}

static apr_status_t open_session(apr_pool_t *p, const wh_reconcile_opts_t *opts, wh_engine_t **e,
                                 wh_err_t *err)
{
    wh_engine_open_t open = {.socket = opts->conf->engine_socket, .clock = opts->clock};

    return opts->engine(p, &open, e, err);
}

/* After an act, what is seen changes with it. */
static void acted(pass_t *pass, wh_reconcile_act_e what, const wh_engine_item_t *item,
                  wh_reconcile_seen_t *seen)
{
    if (what == WH_RECONCILE_START) {
        seen->started = 1;
        if (item->running) {
            seen->state = WH_OBSERVED_RUNNING;
            seen->reason = "";
        }
        if (pass->in.restarts != NULL) {
            wh_restarts_started(pass->in.restarts, item->id, item->running, pass->now);
            seen->restarts++;
        }
    } else if (what == WH_RECONCILE_STOP && !item->running) {
        seen->state = WH_OBSERVED_STOPPED;
        seen->reason = "";
    }
}

/* Whether nobody can be behind the port of one that runs. Looked at until it was reached once. */
static int is_cut_off(pass_t *pass, const wh_engine_item_t *item, const wh_reconcile_seen_t *seen)
{
    wh_engine_seen_t now;

    if (pass->in.restarts == NULL || seen->busy || seen->port < 1 || !item->running ||
        !should_run(&pass->in, item) || wh_restarts_reached(pass->in.restarts, item->id, 0) ||
        pass->e->vt->inspect(pass->e, pass->p, item->id, &now, NULL) != APR_SUCCESS || !now.running)
        return 0;
    if (now.cut_off || !wh_reach_look(seen->address, seen->port))
        return 1;
    (void)wh_restarts_reached(pass->in.restarts, item->id, 1);
    return 0;
}

/* It is stopped, and the next look finds it down: from then on it is like any that fell, with its
 * pauses. */
static void mend(pass_t *pass, wh_engine_item_t *item, wh_reconcile_seen_t *seen)
{
    wh_log(WH_LOG_WARN, "WH0685",
           "the container %.12s of %s runs, but its network did not come up: it is started anew",
           item->id, wh_engine_label(item->labels, WH_ENGINE_LABEL_SLUG));
    (void)act(pass->p, pass->e, WH_RECONCILE_STOP, item);
    if (item->running)
        return;
    seen->state = WH_OBSERVED_STARTING;
    seen->reason = "its network did not come up";
}

static void take_item(pass_t *pass, wh_engine_item_t *item, apr_array_header_t *out)
{
    const char *job = wh_engine_label(item->labels, WH_ENGINE_LABEL_JOB);
    int busy = in_list(pass->in.busy, job), hold = wh_hold_is(item->labels);
    wh_reconcile_act_e what = WH_RECONCILE_KEEP;
    wh_reconcile_seen_t seen;

    if (!hold)
        describe(pass, item, busy, &seen);
    if (pass->opts->in != NULL)
        what = wh_reconcile_decide(&pass->in, item);
    if (!act(pass->p, pass->e, what, item) || hold)
        return;
    acted(pass, what, item, &seen);
    if (is_cut_off(pass, item, &seen))
        mend(pass, item, &seen);
    seen.up = item->running;
    if (out->nelts < WH_MSG_INSTANCES_MAX)
        APR_ARRAY_PUSH(out, wh_reconcile_seen_t) = seen;
}

apr_status_t wh_reconcile_pass(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                               apr_array_header_t **out, const char **engine_name, wh_err_t *err)
{
    wh_engine_label_t ours = {WH_ENGINE_LABEL_AGENT, opts->agent};
    apr_array_header_t *items;
    pass_t pass = {.p = p, .opts = opts, .now = wh_clock_mono(opts->clock)};
    apr_status_t rv = open_session(p, opts, &pass.e, err);

    if (opts->in != NULL)
        pass.in = *opts->in;
    pass.in.resting = apr_array_make(p, 4, sizeof(const char *));
    *out = apr_array_make(p, 8, sizeof(wh_reconcile_seen_t));
    if (rv == APR_SUCCESS)
        rv = pass.e->vt->version(pass.e, p, engine_name, err);
    if (pass.in.restarts != NULL)
        wh_restarts_begin(pass.in.restarts, wh_machine_oom_kills());
    if (rv == APR_SUCCESS)
        rv = pass.e->vt->list(pass.e, p, &ours, &items, err);
    for (int i = 0; rv == APR_SUCCESS && i < items->nelts; i++) {
        wh_engine_item_t *item = &APR_ARRAY_IDX(items, i, wh_engine_item_t);

        /* The filter is the engine's; whose it is, is looked at here once more. */
        if (strcmp(wh_engine_label(item->labels, WH_ENGINE_LABEL_AGENT), opts->agent) == 0)
            take_item(&pass, item, *out);
    }
    if (rv == APR_SUCCESS && pass.in.restarts != NULL)
        wh_restarts_end(pass.in.restarts);
    return rv;
}

apr_status_t wh_reconcile_clear_jobs(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                                     const apr_array_header_t *jobs, wh_err_t *err)
{
    wh_engine_t *e;
    apr_status_t rv = open_session(p, opts, &e, err);

    for (int i = 0; rv == APR_SUCCESS && i < jobs->nelts; i++)
        rv = wh_run_remove_job(e, p, opts->agent, APR_ARRAY_IDX(jobs, i, const char *), err);
    return rv;
}

apr_status_t wh_reconcile_engine_root(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                                      const char **dir)
{
    wh_engine_t *e;
    apr_status_t rv = open_session(p, opts, &e, NULL);

    return rv == APR_SUCCESS ? e->vt->root(e, p, dir, NULL) : rv;
}
