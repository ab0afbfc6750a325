/*
 * wh-sim-ticks DRIVER PARAMS APPS ROUNDS: what the scheduler's own looks at every app cost, on a
 * database that is empty (it is made, and filled with APPS apps of 4 rules each).
 *
 * Each round: one rule is changed by another connection so that it must fire, the figures of all
 * apps are new, and the look for alerts is taken. It has to have fired that very alert, and no
 * other: so it worked by the rules as they stand. Then the sample of usage. "TICK us" and "USAGE
 * us" a line, by CLOCK_MONOTONIC, with all that they read and commit; "FIRST us" is the look that
 * reads all rules.
 *
 * Not installed.
 */
#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_alert.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_schema.h"
#include "wh-scheduler/alerts.h"
#include "wh-scheduler/usage.h"

#define BATCH 500
#define RULES 4

typedef struct bench_t {
    apr_pool_t *p;
    const char *driver, *params;
    wh_dbc_t *other; /* who changes rules */
    wh_core_t core;
    wh_clock_fake_t clock;
    int n;
    const char **apps, **rules; /* ids; of each app the rule that is changed */
} bench_t;

static int die(const wh_err_t *err)
{
    fprintf(stderr, "wh-sim-ticks: %s: %s\n", err->code, err->text);
    return 1;
}

static apr_int64_t mono(void)
{
    return wh_clock_mono(wh_sys_clock()).us;
}

/* ---- what there is ---- */

static apr_status_t add_app(bench_t *b, apr_pool_t *p, int i, wh_err_t *err)
{
    static const wh_alert_kind_e kinds[RULES] = {WH_ALERT_CPU, WH_ALERT_MEMORY, WH_ALERT_NETWORK,
                                                 WH_ALERT_DISK};
    static const wh_model_app_opt_t opt = {0};
    wh_app_t *app = apr_pcalloc(p, sizeof(*app));
    json_t *body = wh_json_own(p, json_pack("{s:s,s:s,s:{s:s}}", "slug",
                                            apr_psprintf(p, "app-%05d", i), "kind", "container",
                                            "repository", "url", "https://git.example/x.git"));
    apr_status_t rv = wh_model_app_decode(p, body, &opt, app, err);

    app->id = b->apps[i] = wh_id_make(b->p, b->clock.now, wh_sys_rand());
    app->created_at = app->updated_at = b->clock.now;
    app->version = 1;
    rv = rv == APR_SUCCESS ? wh_db_app_insert(b->core.dbc, p, app, err) : rv;
    for (int k = 0; rv == APR_SUCCESS && k < RULES; k++) {
        wh_alert_rule_t rule = {.user_id = "",
                                .app_id = b->apps[i],
                                .kind = kinds[k],
                                .threshold = 90000,
                                .sustain_s = 300,
                                .severity = "warning",
                                .enabled = 1,
                                .created_at = b->clock.now};

        rule.id = wh_id_make(b->p, b->clock.now, wh_sys_rand());
        b->rules[i] = k == 0 ? rule.id : b->rules[i];
        rv = wh_db_alert_rule_insert(b->core.dbc, p, &rule, err);
    }
    return rv;
}

static apr_status_t fill(bench_t *b, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;

    apr_pool_create(&p, b->p);
    for (int i = 0; rv == APR_SUCCESS && i < b->n;) {
        rv = wh_dbc_begin(b->core.dbc, p, err);
        for (int k = 0; rv == APR_SUCCESS && k < BATCH && i < b->n; k++, i++) {
            rv = add_app(b, p, i, err);
        }
        rv = rv == APR_SUCCESS ? wh_dbc_commit(b->core.dbc, err) : rv;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return rv;
}

/* ---- a round ---- */

static void report(bench_t *b, int round)
{
    for (int i = 0; i < b->n; i++) {
        wh_msg_app_use_t use = {.app = b->apps[i],
                                .deployment = b->apps[i],
                                .cpu_millis = 300,
                                .memory_bytes = 40,
                                .memory_limit_bytes = 100,
                                .net_rx_bytes = 1000 * round + i,
                                .disk_read_bytes = 10 * round};

        (void)wh_stats_put(b->core.stats, 1, &use, b->clock.now, b->clock.mono);
    }
}

static void pass(bench_t *b, int seconds, int round)
{
    wh_clock_fake_advance(&b->clock, apr_time_from_sec(seconds));
    report(b, round);
}

/* Its threshold comes below what the app uses, without waiting. */
static apr_status_t lower(bench_t *b, apr_pool_t *p, int app, wh_err_t *err)
{
    wh_db_alert_rule_t *r = NULL;
    apr_status_t rv = wh_dbc_begin(b->other, p, err);

    rv = rv == APR_SUCCESS ? wh_db_alert_rule_get(b->other, p, b->rules[app], &r, err) : rv;
    if (rv == APR_SUCCESS) {
        r->rule.threshold = 10000;
        r->rule.sustain_s = 0;
        rv = wh_db_alert_rule_update(b->other, p, &r->rule, err);
    }
    return rv == APR_SUCCESS ? wh_dbc_commit(b->other, err) : rv;
}

static apr_status_t timed(bench_t *b, apr_pool_t *p, const char *what,
                          apr_status_t (*look)(wh_core_t *, apr_pool_t *, wh_mono_t, apr_time_t,
                                               wh_err_t *),
                          wh_err_t *err)
{
    apr_int64_t began = mono();
    apr_status_t rv = look(&b->core, p, b->clock.mono, b->clock.now, err);

    if (rv == APR_SUCCESS) {
        printf("%s %" APR_INT64_T_FMT "\n", what, mono() - began);
    }
    return rv;
}

static apr_status_t check(bench_t *b, apr_pool_t *p, int app, int fired, wh_err_t *err)
{
    wh_db_alert_filter_t f = {.app_id = "", .status = "open", .before = "", .limit = 10000};
    apr_array_header_t *open;
    apr_status_t rv = wh_db_alert_list(b->other, p, &f, &open, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < open->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(open, i, wh_alert_t *)->app_id, b->apps[app]) == 0 &&
            open->nelts == fired) {
            return APR_SUCCESS;
        }
    }
    return wh_err_set(err, 500, "wrong", "%d alerts, and not that of the rule that was changed",
                      open->nelts);
}

static apr_status_t rounds(bench_t *b, int n, wh_err_t *err)
{
    apr_status_t rv;
    apr_pool_t *p;

    apr_pool_create(&p, b->p);
    pass(b, 60, 0);
    rv = timed(b, p, "FIRST", wh_alerts_look, err);
    rv = rv == APR_SUCCESS ? timed(b, p, "BEGIN", wh_usage_look, err) : rv;
    for (int i = 1; rv == APR_SUCCESS && i <= n; i++) {
        int app = (int)((apr_int64_t)i * 7919 % b->n);

        apr_pool_clear(p);
        pass(b, 30, 2 * i);
        pass(b, 30, 2 * i + 1);
        rv = lower(b, p, app, err);
        rv = rv == APR_SUCCESS ? timed(b, p, "TICK", wh_alerts_look, err) : rv;
        rv = rv == APR_SUCCESS ? check(b, p, app, i, err) : rv;
        rv = rv == APR_SUCCESS ? timed(b, p, "USAGE", wh_usage_look, err) : rv;
    }
    apr_pool_destroy(p);
    return rv;
}

int main(int argc, char **argv)
{
    static wh_settings_t settings;
    wh_err_t err = WH_ERR_INIT;
    bench_t b = {.n = argc == 5 ? (int)apr_atoi64(argv[3]) : 0};
    apr_status_t rv;

    if (b.n <= 0 || apr_initialize() != APR_SUCCESS || apr_pool_create(&b.p, NULL) != APR_SUCCESS) {
        fprintf(stderr, "usage: wh-sim-ticks DRIVER PARAMS APPS ROUNDS\n");
        return 2;
    }
    b.apps = apr_pcalloc(b.p, sizeof(*b.apps) * (size_t)b.n);
    b.rules = apr_pcalloc(b.p, sizeof(*b.rules) * (size_t)b.n);
    wh_clock_fake_init(&b.clock, wh_clock_now(wh_sys_clock()));
    b.core = (wh_core_t){.settings = &settings,
                         .clock = &b.clock.clock,
                         .rand = wh_sys_rand(),
                         .pool = b.p,
                         .stats = wh_stats_make(b.p, WH_STATS_PARTS_MAX)};
    rv = wh_db_schema_create(b.p, argv[1], argv[2], &err);
    rv = rv == APR_SUCCESS ? wh_dbc_open(b.p, argv[1], argv[2], &b.core.dbc, &err) : rv;
    rv = rv == APR_SUCCESS ? wh_db_schema_migrate(b.core.dbc, b.p, b.clock.now, NULL, NULL, &err)
                           : rv;
    rv = rv == APR_SUCCESS ? wh_dbc_open(b.p, argv[1], argv[2], &b.other, &err) : rv;
    rv = rv == APR_SUCCESS ? fill(&b, &err) : rv;
    rv = rv == APR_SUCCESS ? rounds(&b, (int)apr_atoi64(argv[4]), &err) : rv;
    return rv == APR_SUCCESS ? 0 : die(&err);
}
