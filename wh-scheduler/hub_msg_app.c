/* app_stats, violation: what running apps use, and what they may not. */
#include <apr_strings.h>

#include "libwh/wh_log.h"
#include "libwh/wh_text.h"
#include "wh-scheduler/hub_msg.h"

#define STATS_MIN_US APR_INT64_C(1000000) /* XE16: more often is not looked at */
#define STRANGERS_MAX 16                  /* of one frame: who names more is not listened to */

/* F96: each app is looked at by itself; one that is not this worker's changes nothing, and is
 * answered once for the whole frame. */
apr_status_t wh_hub_msg_app_stats(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_core_t *core = in->core;
    wh_mono_t mono = wh_clock_mono(core->clock);
    const char *stranger = NULL;
    wh_msg_app_stats_t m;
    int strangers = 0;
    apr_status_t rv = wh_proto_msg_app_stats_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (in->peer->last_stats.us != 0 && wh_mono_diff(mono, in->peer->last_stats) < STATS_MIN_US) {
        return APR_SUCCESS;
    }
    in->peer->last_stats = mono;
    for (int i = 0; rv == APR_SUCCESS && i < m.apps->nelts && strangers < STRANGERS_MAX; i++) {
        const wh_msg_app_use_t *use = &APR_ARRAY_IDX(m.apps, i, wh_msg_app_use_t);
        wh_db_held_e held = WH_DB_HELD_NOT;

        rv = wh_claims_app(core->claims, core->dbc, in->p, in->peer->worker, use->app,
                           use->deployment, mono, &held, err);
        if (rv == APR_SUCCESS && held == WH_DB_HELD_LIVE) {
            core->metrics.live_news |=
                wh_stats_put(core->stats, in->peer->worker, use, in->now, mono);
        } else if (rv == APR_SUCCESS && held == WH_DB_HELD_NOT) {
            strangers++;
            stranger = use->app;
        }
    }
    if (rv == APR_SUCCESS && stranger != NULL) {
        return wh_err_set(err, 403, "not_yours", "This worker has nothing of app %s.", stranger);
    }
    return rv;
}

/* F102, R34. Whose container it is, is part of the statement that writes. */
apr_status_t wh_hub_msg_violation(const wh_hub_msg_in_t *in, wh_err_t *err)
{
    wh_msg_violation_t m;
    wh_db_observation_t o;
    apr_status_t rv = wh_proto_msg_violation_decode(in->p, in->msg->p, &m, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    o = (wh_db_observation_t){.deployment_id = m.deployment, .container = m.container};
    o.reason = wh_text_clean_line(
        in->p, apr_psprintf(in->p, "%s: %s", wh_model_rule_text(m.rule), m.detail), WH_TEXT_NUL,
        WH_MSG_TEXT_MAX);
    rv = wh_db_instance_set_violated(in->core->dbc, in->p, in->peer->worker, m.app, &o, err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(err, 403, "not_yours", "This worker has no such live container.");
    }
    rv = rv == APR_SUCCESS ? wh_hub_msg_show_app(in, m.deployment, err) : rv;
    if (rv == APR_SUCCESS && wh_core_may_say(in->core, in->peer->worker)) {
        wh_log(WH_LOG_WARN, "WH0427", "app %s: violation on worker %" APR_INT64_T_FMT ": %s", m.app,
               in->peer->worker, o.reason);
    }
    return rv;
}
