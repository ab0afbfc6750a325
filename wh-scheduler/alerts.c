#include "wh-scheduler/alerts.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_log.h"
#include "wh-scheduler/requests.h"
#include "whdb/wh_db_alert_tick.h"

#define RULES_READ 2000 /* rules of one read */

struct wh_alerts_t {
    apr_pool_t *pool; /* of the book; NULL = nothing is loaded */
    wh_alert_book_t *book;
    wh_mono_t due;
    wh_mono_t mono;       /* of the look under way */
    apr_hash_t *requests; /* of the same, NULL = no httpd said anything */
};

/* ---- who knows values ---- */

/* F159: the figures of the hub. */
static void read_use(void *baton, const wh_alert_app_t *app, wh_alert_reading_t *readings)
{
    static const wh_alert_kind_e kinds[] = {WH_ALERT_CPU, WH_ALERT_MEMORY, WH_ALERT_NETWORK,
                                            WH_ALERT_DISK};
    const wh_core_t *core = baton;
    wh_stats_live_t use;

    (void)wh_stats_get(core->stats, app->id, core->alerts->mono, &use);
    for (size_t i = 0; i < WH_ARRAY_LEN(kinds); i++) {
        readings[kinds[i]] = wh_alert_of_use(kinds[i], &use);
    }
}

/* What httpd's module counted. */
static void read_requests(void *baton, const wh_alert_app_t *app, wh_alert_reading_t *readings)
{
    const wh_core_t *core = baton;

    wh_requests_readings(core->alerts->requests, app->id, readings);
}

static wh_alerts_t *alerts_of(wh_core_t *core)
{
    if (core->alerts == NULL) {
        core->alerts = apr_pcalloc(core->pool, sizeof(*core->alerts));
    }
    return core->alerts;
}

void wh_alerts_forget(wh_core_t *core)
{
    wh_alerts_t *a = core->alerts;

    if (a != NULL && a->pool != NULL) {
        apr_pool_destroy(a->pool);
        a->pool = NULL;
        a->book = NULL;
        a->due.us = 0;
    }
}

/* ---- the book ---- */

static apr_status_t no_memory(wh_core_t *core, wh_err_t *err)
{
    wh_alerts_forget(core);
    return wh_err_set(err, 500, "internal", "out of memory");
}

/* What was written since; a whole page means that there may be more. */
static apr_status_t read_rules(wh_core_t *core, apr_pool_t *p, wh_err_t *err)
{
    wh_alert_book_t *book = core->alerts->book;
    apr_array_header_t *rules;
    apr_pool_t *scratch;
    apr_status_t rv;

    apr_pool_create(&scratch, p);
    do {
        apr_pool_clear(scratch);
        rv = wh_db_alert_rules_since(core->dbc, scratch, wh_alert_book_revision(book), RULES_READ,
                                     &rules, err);
        if (rv == APR_SUCCESS && !wh_alert_book_rules(book, rules)) {
            rv = no_memory(core, err);
        }
    } while (rv == APR_SUCCESS && rules->nelts == RULES_READ);
    apr_pool_destroy(scratch);
    return rv;
}

/* Nobody looked since the last tick that was written: a gap, as if nothing had been known (W9). */
static apr_status_t read_states(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *states;
    apr_time_t tick;
    int good = 1;
    apr_status_t rv = wh_db_alert_states(core->dbc, p, &states, &tick, err);

    for (int i = 0; rv == APR_SUCCESS && i < states->nelts; i++) {
        wh_alert_change_t *c = &APR_ARRAY_IDX(states, i, wh_alert_change_t);

        if (c->state.missing_since == 0) {
            c->state.missing_since = tick > 0 && tick < now ? tick : now;
        }
        good &= wh_alert_book_put(core->alerts->book, c->rule_id, c->app_id, &c->state);
    }
    return rv == APR_SUCCESS && !good ? no_memory(core, err) : rv;
}

static apr_status_t load(wh_core_t *core, apr_pool_t *p, apr_time_t now, wh_err_t *err)
{
    wh_alerts_t *a = alerts_of(core);
    apr_status_t rv = APR_SUCCESS;

    if (a->pool == NULL) {
        apr_pool_create(&a->pool, core->pool);
        apr_pool_tag(a->pool, "alerts");
        a->book = wh_alert_book_make(a->pool);
        rv = read_states(core, p, now, err);
    }
    rv = rv == APR_SUCCESS ? read_rules(core, p, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_alerts_forget(core);
    }
    return rv;
}

/* ---- what follows from a plan ---- */

static void fill(wh_core_t *core, apr_pool_t *p, const wh_alert_edge_t *edge, apr_time_t now,
                 wh_alert_t *a)
{
    const wh_alert_rule_t *rule = edge->rule;

    *a = (wh_alert_t){.id = wh_id_make(p, now, core->rand),
                      .user_id = rule->user_id,
                      .app_id = edge->app->id,
                      .rule_id = rule->id,
                      .kind = wh_alert_kind_text(rule->kind),
                      .severity = rule->severity,
                      .source_type = wh_alert_source_type(p, rule->kind),
                      .source_id = apr_pstrcat(p, edge->app->id, "/", rule->id, NULL),
                      .title = wh_alert_title(rule->kind),
                      .message = wh_alert_message(p, rule, edge->value),
                      .value = edge->value,
                      .threshold = rule->threshold,
                      .unit = wh_alert_unit(rule->kind)};
}

static void say(const wh_alert_plan_t *plan)
{
    for (int i = 0; i < plan->edges->nelts; i++) {
        const wh_alert_edge_t *e = &APR_ARRAY_IDX(plan->edges, i, wh_alert_edge_t);
        int fired = e->act == WH_ALERT_FIRE;

        wh_log(WH_LOG_INFO, NULL, "alert: app.%s of app %s %s",
               wh_alert_kind_text(fired ? e->rule->kind : e->open->kind),
               e->app != NULL ? e->app->slug : e->open->app_id, fired ? "fires" : e->reason);
    }
}

/* One transaction, or nothing. */
static apr_status_t write_plan(wh_core_t *core, apr_pool_t *p, const wh_alert_plan_t *plan,
                               apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *fires = apr_array_make(p, 4, sizeof(wh_alert_t));
    apr_array_header_t *ends = apr_array_make(p, 4, sizeof(wh_db_alert_end_t));
    apr_status_t rv;

    for (int i = 0; i < plan->edges->nelts; i++) {
        const wh_alert_edge_t *e = &APR_ARRAY_IDX(plan->edges, i, wh_alert_edge_t);

        if (e->act == WH_ALERT_FIRE) {
            fill(core, p, e, now, apr_array_push(fires));
        } else {
            APR_ARRAY_PUSH(ends, wh_db_alert_end_t) =
                (wh_db_alert_end_t){.id = e->open->id, .reason = e->reason};
        }
    }
    rv = wh_dbc_begin(core->dbc, p, err);
    if (rv == APR_SUCCESS && ends->nelts > 0) {
        rv = wh_db_alert_resolve(core->dbc, p, ends, now, NULL, err);
    }
    if (rv == APR_SUCCESS && fires->nelts > 0) {
        rv = wh_db_alert_fire(core->dbc, p, fires, now, NULL, err);
    }
    rv = rv == APR_SUCCESS ? wh_db_alert_states_write(core->dbc, p, plan->changes, now, err) : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

static apr_status_t look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                         wh_err_t *err)
{
    wh_alerts_t *a = alerts_of(core);
    const wh_alert_meter_t meters[] = {
        {1u << WH_ALERT_CPU | 1u << WH_ALERT_MEMORY | 1u << WH_ALERT_NETWORK | 1u << WH_ALERT_DISK,
         read_use, core},
        {1u << WH_ALERT_ERROR_RATE | 1u << WH_ALERT_LATENCY, read_requests, core},
    };
    wh_alert_world_t world = {.meters = meters, .n_meters = WH_ARRAY_LEN(meters), .now = now};
    wh_alert_plan_t plan;
    apr_array_header_t *apps;
    apr_status_t rv = load(core, p, now, err);

    rv = rv == APR_SUCCESS ? wh_db_alert_apps(core->dbc, p, &apps, err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_alert_open(core->dbc, p, &world.open, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    world.apps = apps;
    world.blind = wh_mono_diff(mono, core->started) < WH_STATS_TTL_US;
    a->mono = mono;
    rv = wh_requests_read(core->dbc, p, core->settings->state_dir, now, &a->requests, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    wh_alert_plan(a->book, p, &world, &plan);
    /* While something is counted, the time of each look is what a restart begins its gap at. */
    if (plan.edges->nelts > 0 || plan.changes->nelts > 0 || wh_alert_book_states(a->book) > 0) {
        rv = write_plan(core, p, &plan, now, err);
    }
    if (rv == APR_SUCCESS) {
        say(&plan);
        rv = wh_alert_plan_done(a->book, &plan) ? APR_SUCCESS : no_memory(core, err);
    }
    return rv;
}

apr_status_t wh_alerts_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                            wh_err_t *err)
{
    wh_alerts_t *a = alerts_of(core);
    apr_pool_t *scratch;
    apr_status_t rv;

    if (!wh_mono_reached(mono, a->due)) {
        return APR_SUCCESS;
    }
    apr_pool_create(&scratch, p);
    rv = look(core, scratch, mono, now, err);
    apr_pool_destroy(scratch);
    if (rv == APR_SUCCESS) {
        a->due = wh_mono_add(mono, WH_ALERT_EVERY_US);
    }
    return rv;
}
