#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "wh-agent/hold.h"
#include "wh-agent/reconcile.h"
#include "wh-agent/run.h"

#define STOP_GRACE_S 10
#define RESTARTS_MAX 5 /* what the engine itself does before it gives up */

static int in_list(const apr_array_header_t *list, const char *value)
{
    for (int i = 0; list != NULL && i < list->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(list, i, const char *), value) == 0)
            return 1;
    return 0;
}

wh_reconcile_act_e wh_reconcile_decide(const wh_reconcile_in_t *in, const wh_engine_item_t *item)
{
    const char *deployment = wh_engine_label(item->labels, WH_ENGINE_LABEL_DEPLOYMENT);
    const char *job = wh_engine_label(item->labels, WH_ENGINE_LABEL_JOB);

    if (in_list(in->busy, job))
        return WH_RECONCILE_KEEP;
    if (wh_hold_is(item->labels))
        return WH_RECONCILE_REMOVE; /* of a build that is over */
    for (int i = 0; in->desired != NULL && i < in->desired->nelts; i++) {
        const wh_msg_desired_t *d = &APR_ARRAY_IDX(in->desired, i, wh_msg_desired_t);

        if (strcmp(d->deployment, deployment) != 0)
            continue;
        if (d->desired == WH_DESIRED_RUNNING)
            return item->running || in_list(in->resting, item->id) ? WH_RECONCILE_KEEP
                                                                   : WH_RECONCILE_START;
        return item->running ? WH_RECONCILE_STOP : WH_RECONCILE_KEEP;
    }
    /* Engines tell the time of creation in whole seconds. */
    if (!in->may_remove || item->created_at + 2 * APR_USEC_PER_SEC >= in->asked_at)
        return WH_RECONCILE_KEEP;
    return WH_RECONCILE_REMOVE;
}

static void describe(apr_pool_t *p, wh_engine_t *e, const wh_engine_item_t *item,
                     wh_reconcile_seen_t *seen)
{
    const char *published = wh_engine_label(item->labels, WH_ENGINE_LABEL_PUBLISHED);
    const char *colon = strrchr(published, ':');
    wh_engine_seen_t now;

    *seen = (wh_reconcile_seen_t){
        .app = wh_engine_label(item->labels, WH_ENGINE_LABEL_APP),
        .deployment = wh_engine_label(item->labels, WH_ENGINE_LABEL_DEPLOYMENT),
        .container = item->id,
        .address =
            colon != NULL ? apr_pstrmemdup(p, published, (apr_size_t)(colon - published)) : "",
        .port = colon != NULL ? apr_atoi64(colon + 1) : 0,
        .state = item->running ? WH_OBSERVED_RUNNING : WH_OBSERVED_STOPPED,
        .reason = ""};
    if (item->running || e->vt->inspect(e, p, item->id, &now, NULL) != APR_SUCCESS)
        return;
    seen->restarts = now.restarts;
    if (now.running) {
        seen->state = WH_OBSERVED_RUNNING;
        return;
    }
    if (now.restarts >= RESTARTS_MAX)
        seen->state = WH_OBSERVED_CRASHLOOP;
    seen->reason = now.oom_killed ? "it needed more memory than it may have"
                                  : apr_psprintf(p, "it exited with status %" APR_INT64_T_FMT,
                                                 now.exit_status);
}

/* Returns false when the container is gone afterwards. */
static int act(apr_pool_t *p, wh_engine_t *e, wh_reconcile_act_e what, wh_engine_item_t *item)
{
    const char *slug = wh_engine_label(item->labels, WH_ENGINE_LABEL_SLUG);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = APR_SUCCESS;

    if (what == WH_RECONCILE_START) {
        wh_log(WH_LOG_INFO, NULL, "starting the container %.12s of %s again", item->id, slug);
        rv = e->vt->start(e, p, item->id, &err);
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

apr_status_t wh_reconcile_pass(apr_pool_t *p, const wh_reconcile_opts_t *opts,
                               apr_array_header_t **out, const char **engine_name, wh_err_t *err)
{
    wh_engine_label_t ours = {WH_ENGINE_LABEL_AGENT, opts->agent};
    apr_array_header_t *items, *seen = apr_array_make(p, 8, sizeof(wh_reconcile_seen_t));
    wh_engine_t *e;
    apr_status_t rv = open_session(p, opts, &e, err);

    if (rv == APR_SUCCESS)
        rv = e->vt->version(e, p, engine_name, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->list(e, p, &ours, &items, err);
    for (int i = 0; rv == APR_SUCCESS && i < items->nelts; i++) {
        wh_engine_item_t *item = &APR_ARRAY_IDX(items, i, wh_engine_item_t);
        wh_reconcile_act_e what = WH_RECONCILE_KEEP;

        /* The filter is the engine's; whose it is, is looked at here once more. */
        if (strcmp(wh_engine_label(item->labels, WH_ENGINE_LABEL_AGENT), opts->agent) != 0)
            continue;
        if (opts->in != NULL)
            what = wh_reconcile_decide(opts->in, item);
        if (!act(p, e, what, item) || wh_hold_is(item->labels))
            continue;
        if (seen->nelts < WH_MSG_INSTANCES_MAX) {
            wh_reconcile_seen_t *one = &APR_ARRAY_PUSH(seen, wh_reconcile_seen_t);

            describe(p, e, item, one);
            one->started = what == WH_RECONCILE_START;
            one->busy = opts->in != NULL &&
                        in_list(opts->in->busy, wh_engine_label(item->labels, WH_ENGINE_LABEL_JOB));
        }
    }
    *out = seen;
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
