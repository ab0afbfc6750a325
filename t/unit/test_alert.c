/* Alerts: each edge by an injected time, gaps, units, what stands in the place of what, and a
 * scripted run of 500 changes against a plain model (G30). */
#include "t/unit/unit.h"

#include <stdlib.h>

#include "libwh/wh_alert_plan.h"
#include "libwh/wh_json.h"

#define NOW APR_INT64_C(1767225600000000)
#define S APR_INT64_C(1000000)
#define TICK WH_ALERT_EVERY_US
#define APP1 "01hzx0000000000000000000aa"
#define APP2 "01hzx0000000000000000000ab"
#define RULE1 "01hzx0000000000000000000ra"
#define RULE2 "01hzx0000000000000000000rb"
#define RULE3 "01hzx0000000000000000000rc"

static const wh_alert_reading_t over = {.known = 1, .value = 80001};
static const wh_alert_reading_t equal = {.known = 1, .value = 80000};
static const wh_alert_reading_t none = {.known = 0};

static wh_alert_rule_t cpu_rule(const char *id, const char *app, int minutes)
{
    return (wh_alert_rule_t){.id = id,
                             .user_id = "",
                             .app_id = app,
                             .kind = WH_ALERT_CPU,
                             .threshold = 80000,
                             .sustain_s = 60 * minutes,
                             .severity = "warning",
                             .enabled = 1};
}

static void test_edges(void **state)
{
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 5);
    wh_alert_state_t s = {.since = 0};

    (void)state;
    assert_int_equal(wh_alert_step(&rule, &s, 0, &equal, NOW), WH_ALERT_STAY);
    assert_int_equal(s.since, 0); /* equal is not over */
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW), WH_ALERT_STAY);
    assert_int_equal(s.since, NOW);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 300 * S - 1), WH_ALERT_STAY);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 300 * S), WH_ALERT_FIRE);
    assert_int_equal(s.since, 0);
    assert_int_equal(wh_alert_step(&rule, &s, 1, &over, NOW + 301 * S), WH_ALERT_STAY);
    assert_int_equal(wh_alert_step(&rule, &s, 1, &equal, NOW + 302 * S), WH_ALERT_STAY);
    assert_int_equal(wh_alert_step(&rule, &s, 1, &equal, NOW + 602 * S - 1), WH_ALERT_STAY);
    assert_int_equal(wh_alert_step(&rule, &s, 1, &equal, NOW + 602 * S), WH_ALERT_RESOLVE);
}

static void test_interrupted(void **state)
{
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 5);
    wh_alert_state_t s = {.since = 0};

    (void)state;
    (void)wh_alert_step(&rule, &s, 0, &over, NOW);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &equal, NOW + 299 * S), WH_ALERT_STAY);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 300 * S), WH_ALERT_STAY);
    assert_int_equal(s.since, NOW + 300 * S);
    rule.sustain_s = 0;
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 301 * S), WH_ALERT_FIRE);
    /* A clock that went back counts from where it stands. */
    rule.sustain_s = 60;
    s.since = NOW + 1000 * S;
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW), WH_ALERT_STAY);
    assert_int_equal(s.since, NOW);
}

/* Somebody resolved it by hand while it counted to its end: that count is of the other edge. */
static void test_other_edge(void **state)
{
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 5);
    wh_alert_state_t s = {.since = 0};

    (void)state;
    (void)wh_alert_step(&rule, &s, 1, &equal, NOW);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 400 * S), WH_ALERT_STAY);
    assert_int_equal(s.since, NOW + 400 * S);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 700 * S), WH_ALERT_FIRE);
}

static void test_gap(void **state)
{
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 5);
    wh_alert_state_t s = {.since = 0};

    (void)state;
    (void)wh_alert_step(&rule, &s, 0, &over, NOW);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &none, NOW + 100 * S), WH_ALERT_STAY);
    assert_int_equal(s.missing_since, NOW + 100 * S);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &none, NOW + 399 * S), WH_ALERT_STAY);
    assert_int_equal(s.missing_since, NOW + 100 * S); /* said once, with its begin */
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 400 * S), WH_ALERT_STAY);
    assert_int_equal(s.missing_since, 0);
    assert_int_equal(s.since, NOW + 300 * S); /* 100 s of 300 are counted */
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 600 * S - 1), WH_ALERT_STAY);
    assert_int_equal(wh_alert_step(&rule, &s, 0, &over, NOW + 600 * S), WH_ALERT_FIRE);
}

static void test_long_gap(void **state)
{
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 5);
    wh_alert_state_t s = {.since = NOW, .missing_since = NOW + 100 * S};

    (void)state;
    (void)wh_alert_step(&rule, &s, 0, &over, NOW + 400 * S + 1);
    assert_int_equal(s.since, NOW + 400 * S + 1); /* longer than the sustain: begun anew */
    rule.sustain_s = 0;
    s = (wh_alert_state_t){.since = NOW, .missing_since = NOW};
    assert_int_equal(wh_alert_step(&rule, &s, 1, &equal, NOW + 3600 * S), WH_ALERT_RESOLVE);
    /* An open alert is not resolved by silence. */
    s = (wh_alert_state_t){.since = 0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(wh_alert_step(&rule, &s, 1, &none, NOW + i * TICK), WH_ALERT_STAY);
    }
}

static void test_units(void **state)
{
    wh_stats_live_t use = {.cpu_millis = 935,
                           .memory_bytes = 1,
                           .memory_limit_bytes = 3,
                           .net_rx_per_s = 1500,
                           .net_tx_per_s = 1000500,
                           .disk_read_per_s = 2500000,
                           .parts = 2,
                           .rated = 2};

    (void)state;
    assert_int_equal(wh_alert_of_use(WH_ALERT_CPU, &use).value, 93500);    /* 93.5 % of a core */
    assert_int_equal(wh_alert_of_use(WH_ALERT_MEMORY, &use).value, 33333); /* 33.333 % */
    assert_int_equal(wh_alert_of_use(WH_ALERT_NETWORK, &use).value, 1002); /* 1.002 MB/s */
    assert_int_equal(wh_alert_of_use(WH_ALERT_DISK, &use).value, 2500);
    use.memory_bytes = APR_INT64_MAX;
    use.memory_limit_bytes = APR_INT64_MAX;
    assert_int_equal(wh_alert_of_use(WH_ALERT_MEMORY, &use).value, 100000);
    use.memory_limit_bytes = 1;
    assert_true(wh_alert_of_use(WH_ALERT_MEMORY, &use).value > 100000);
    use.memory_limit_bytes = 0;
    assert_false(wh_alert_of_use(WH_ALERT_MEMORY, &use).known);
    use.rated = 1; /* the first report of a container has no rate: not a rate of 0 */
    assert_false(wh_alert_of_use(WH_ALERT_NETWORK, &use).known);
    assert_false(wh_alert_of_use(WH_ALERT_DISK, &use).known);
    assert_true(wh_alert_of_use(WH_ALERT_CPU, &use).known);
    use.parts = 0;
    assert_false(wh_alert_of_use(WH_ALERT_CPU, &use).known);
}

/* ---- plans ---- */

typedef struct world_t {
    apr_pool_t *p;
    wh_alert_book_t *book;
    apr_array_header_t *apps, *open;
    wh_alert_reading_t now_reads[2];
    wh_alert_meter_t meter;
    wh_alert_plan_t plan;
    int reads;
} world_t;

static void read_use(void *baton, const wh_alert_app_t *app, wh_alert_reading_t *readings)
{
    world_t *w = baton;

    w->reads++;
    readings[WH_ALERT_CPU] = w->now_reads[strcmp(app->id, APP1) != 0];
}

static world_t *make(apr_pool_t *p)
{
    static const char *const ids[] = {APP1, APP2};
    world_t *w = apr_pcalloc(p, sizeof(*w));

    w->p = p;
    w->book = wh_alert_book_make(p);
    w->apps = apr_array_make(p, 2, sizeof(wh_alert_app_t));
    w->open = apr_array_make(p, 2, sizeof(wh_alert_open_t));
    w->meter = (wh_alert_meter_t){
        .kinds = 1u << WH_ALERT_CPU | 1u << WH_ALERT_MEMORY, .read = read_use, .baton = w};
    for (int i = 0; i < 2; i++) {
        APR_ARRAY_PUSH(w->apps, wh_alert_app_t) =
            (wh_alert_app_t){.id = ids[i], .slug = i ? "two" : "one", .runs = 1, .container = 1};
    }
    return w;
}

static void add_rule(world_t *w, wh_alert_rule_t rule)
{
    apr_array_header_t *changed = apr_array_make(w->p, 1, sizeof(rule));

    APR_ARRAY_PUSH(changed, wh_alert_rule_t) = rule;
    assert_true(wh_alert_book_rules(w->book, changed));
}

/* A tick that is written: edges as "fire one RULE; resolve two RULE reason;". */
static const char *tick(world_t *w, apr_time_t now, int blind)
{
    wh_alert_world_t world = {.apps = w->apps,
                              .open = w->open,
                              .meters = &w->meter,
                              .n_meters = 1,
                              .blind = blind,
                              .now = now};
    const char *said = "";

    w->reads = 0;
    wh_alert_plan(w->book, w->p, &world, &w->plan);
    for (int i = 0; i < w->plan.edges->nelts; i++) {
        const wh_alert_edge_t *e = &APR_ARRAY_IDX(w->plan.edges, i, wh_alert_edge_t);

        said = apr_pstrcat(w->p, said, e->act == WH_ALERT_FIRE ? "fire " : "resolve ",
                           e->app ? e->app->slug : "-", " ",
                           (e->rule ? e->rule->id : e->open->rule_id) + 24,
                           e->act == WH_ALERT_FIRE ? "" : " ",
                           e->act == WH_ALERT_FIRE ? "" : e->reason, ";", NULL);
        if (e->act == WH_ALERT_FIRE) {
            APR_ARRAY_PUSH(w->open, wh_alert_open_t) =
                (wh_alert_open_t){.id = "x",
                                  .rule_id = apr_pstrdup(w->p, e->rule->id),
                                  .app_id = e->app->id,
                                  .kind = e->rule->kind};
        }
    }
    for (int i = w->plan.edges->nelts - 1; i >= 0; i--) {
        const wh_alert_edge_t *e = &APR_ARRAY_IDX(w->plan.edges, i, wh_alert_edge_t);

        if (e->act == WH_ALERT_RESOLVE) {
            wh_alert_open_t *all = (wh_alert_open_t *)w->open->elts;

            all[e->open - all] = all[--w->open->nelts];
        }
    }
    assert_true(wh_alert_plan_done(w->book, &w->plan));
    return said;
}

static void test_plan(void **state)
{
    world_t *w = make(*state);

    add_rule(w, cpu_rule(RULE1, "", 1));
    add_rule(w, cpu_rule(RULE2, APP2, 2));
    w->now_reads[0] = w->now_reads[1] = over;
    assert_string_equal(tick(w, NOW, 0), "");
    assert_int_equal(w->plan.looks, 2); /* app 2 has one of its own in the place of that of all */
    assert_int_equal(w->reads, 2);
    assert_int_equal(w->plan.changes->nelts, 2);
    assert_string_equal(tick(w, NOW + TICK, 0), "");
    assert_int_equal(w->plan.changes->nelts, 0); /* nothing to write between the edges */
    assert_string_equal(tick(w, NOW + 2 * TICK, 0), "fire one ra;");
    assert_string_equal(tick(w, NOW + 3 * TICK, 0), "");
    assert_string_equal(tick(w, NOW + 4 * TICK, 0), "fire two rb;");
    assert_string_equal(tick(w, NOW + 5 * TICK, 0), ""); /* F156 */
    assert_int_equal(wh_alert_book_states(w->book), 0);
    w->now_reads[0] = equal;
    (void)tick(w, NOW + 6 * TICK, 0);
    assert_string_equal(tick(w, NOW + 8 * TICK, 0), "resolve one ra recovered;");
}

/* What was over the old threshold need not have been over the new one. */
static void test_threshold(void **state)
{
    world_t *w = make(*state);
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 1);

    add_rule(w, rule);
    w->now_reads[0] = over;
    (void)tick(w, NOW, 0);
    rule.threshold = 70000;
    add_rule(w, rule);
    assert_string_equal(tick(w, NOW + 2 * TICK, 0), "");
    rule.severity = "critical"; /* that changes no count */
    add_rule(w, rule);
    assert_string_equal(tick(w, NOW + 4 * TICK, 0), "fire one ra;");
}

static void test_not_written(void **state)
{
    world_t *w = make(*state);
    wh_alert_world_t world = {
        .apps = w->apps, .open = w->open, .meters = &w->meter, .n_meters = 1, .now = NOW};

    add_rule(w, cpu_rule(RULE1, APP1, 0));
    w->now_reads[0] = over;
    for (int i = 0; i < 3; i++) { /* planned, but the database was away */
        wh_alert_plan(w->book, w->p, &world, &w->plan);
        assert_int_equal(w->plan.edges->nelts, 1);
    }
    assert_string_equal(tick(w, NOW, 0), "fire one ra;");
    assert_string_equal(tick(w, NOW, 0), "");
}

static void test_gone(void **state)
{
    world_t *w = make(*state);
    wh_alert_rule_t rule = cpu_rule(RULE1, APP1, 0);
    wh_alert_app_t *one = &APR_ARRAY_IDX(w->apps, 0, wh_alert_app_t);

    add_rule(w, rule);
    w->now_reads[0] = over;
    assert_string_equal(tick(w, NOW, 0), "fire one ra;");
    one->runs = 0;
    assert_string_equal(tick(w, NOW + TICK, 0), "resolve one ra app_stopped;");
    one->runs = 1;
    assert_string_equal(tick(w, NOW + 2 * TICK, 0), "fire one ra;");
    rule.enabled = 0;
    add_rule(w, rule);
    assert_string_equal(tick(w, NOW + 3 * TICK, 0), "resolve one ra rule_removed;");
    rule.enabled = 1;
    add_rule(w, rule);
    assert_string_equal(tick(w, NOW + 4 * TICK, 0), "fire one ra;");
    rule.deleted_at = NOW;
    add_rule(w, rule);
    assert_int_equal(wh_alert_book_count(w->book), 0);
    assert_string_equal(tick(w, NOW + 5 * TICK, 0), "resolve one ra rule_removed;");
    rule.deleted_at = 0;
    add_rule(w, rule);
    assert_string_equal(tick(w, NOW + 6 * TICK, 0), "fire one ra;");
    w->apps->nelts = 0;
    assert_string_equal(tick(w, NOW + 7 * TICK, 0), "resolve - ra app_deleted;");
}

static void test_events(void **state)
{
    world_t *w = make(*state);
    wh_alert_rule_t rule = cpu_rule(RULE3, "", 0);

    rule.kind = WH_ALERT_DEPLOYMENT_FAILED;
    add_rule(w, rule);
    APR_ARRAY_PUSH(w->open, wh_alert_open_t) = (wh_alert_open_t){
        .id = "x", .rule_id = RULE3, .app_id = APP1, .kind = WH_ALERT_DEPLOYMENT_FAILED};
    assert_string_equal(tick(w, NOW, 0), ""); /* F165: not the tick's to resolve */
    assert_int_equal(w->plan.looks, 0);
    rule.enabled = 0;
    add_rule(w, rule);
    assert_string_equal(tick(w, NOW, 0), "resolve one rc rule_removed;");
}

static void test_offline(void **state)
{
    world_t *w = make(*state);
    wh_alert_rule_t rule = cpu_rule(RULE1, "", 2);
    wh_alert_app_t *one = &APR_ARRAY_IDX(w->apps, 0, wh_alert_app_t);

    rule.kind = WH_ALERT_OFFLINE;
    rule.threshold = 0;
    add_rule(w, rule);
    one->away = 1;
    assert_string_equal(tick(w, NOW, 1), ""); /* R9: just begun, nobody is judged */
    assert_int_equal(wh_alert_book_states(w->book), 0);
    assert_string_equal(tick(w, NOW + TICK, 0), "");
    assert_string_equal(tick(w, NOW + TICK + 120 * S - 1, 0), "");
    assert_string_equal(tick(w, NOW + TICK + 120 * S, 0), "fire one ra;"); /* R2 */
    one->away = 0;
    assert_string_equal(tick(w, NOW + 10 * TICK, 0), "");
    assert_string_equal(tick(w, NOW + 10 * TICK + 120 * S, 0), "resolve one ra recovered;");
    assert_int_equal(w->reads, 0);
    APR_ARRAY_IDX(w->apps, 0, wh_alert_app_t).container = 0; /* files need no worker */
    one->away = 1;
    (void)tick(w, NOW + 100 * TICK, 0);
    assert_string_equal(tick(w, NOW + 200 * TICK, 0), "");
}

static void test_restart(void **state)
{
    world_t *w = make(*state);
    wh_alert_state_t s;

    add_rule(w, cpu_rule(RULE1, APP1, 5));
    /* As it is read back: the last tick was at 100 s, the first figures come at 140 s. */
    s = (wh_alert_state_t){.since = NOW, .missing_since = NOW + 100 * S};
    assert_true(wh_alert_book_put(w->book, RULE1, APP1, &s));
    w->now_reads[0] = none;
    assert_string_equal(tick(w, NOW + 130 * S, 1), "");
    assert_int_equal(w->plan.changes->nelts, 0);
    w->now_reads[0] = over;
    assert_string_equal(tick(w, NOW + 140 * S, 1), "");
    assert_int_equal(wh_alert_book_get(w->book, RULE1, APP1).since, NOW + 40 * S);
    assert_string_equal(tick(w, NOW + 340 * S - 1, 0), "");
    assert_string_equal(tick(w, NOW + 340 * S, 0), "fire one ra;");
}

/* G30: a plain model of the rule, tick by tick, beside the plan; values, gaps and restarts by
 * chance. No alert is missed, none is false, none fires twice. */
static void test_scripted(void **state)
{
    apr_pool_t *p = *state;
    world_t *w = make(p);
    int open = 0, fired = 0, resolved = 0;
    int counted = -1, missing = 0; /* ticks; -1 = not counting */
    int kind = 0, left = 0;
    unsigned seed = 7;

    add_rule(w, cpu_rule(RULE1, APP1, 2));
    w->now_reads[1] = equal;
    for (int i = 0; fired + resolved < 500; i++) {
        const char *want = "";

        if (left-- <= 0) {
            seed = seed * 1103515245u + 12345u;
            kind = (int)(seed >> 16) % 7; /* 6 = nothing is known */
            left = (int)(seed >> 20) % 9;
        }
        w->now_reads[0] = kind == 6 ? none : kind < 3 ? over : equal;
        missing += kind == 6;
        if (kind != 6) {
            counted = missing > 4 ? -1 : counted;
            counted = (kind < 3) == open ? -1 : counted + 1;
            missing = 0;
        }
        if (counted == 4) { /* two minutes */
            want = open ? "resolve one ra recovered;" : "fire one ra;";
            open = !open;
            fired += open;
            resolved += !open;
            counted = -1;
        }
        assert_string_equal(tick(w, NOW + i * TICK, 0), want);
        assert_int_equal(w->open->nelts, open);
    }
    assert_true(abs(fired - resolved) <= 1);
}

/* ---- documents ---- */

static const char *decode(apr_pool_t *p, const char *body, int partial, wh_alert_rule_t *rule)
{
    json_t *doc = json_loads(body, 0, NULL);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv = wh_alert_rule_decode(p, doc, partial, rule, &err);

    json_decref(doc);
    return rv == APR_SUCCESS ? "" : apr_pstrcat(p, err.code, " ", err.pointer, NULL);
}

static void test_decode(void **state)
{
    apr_pool_t *p = *state;
    wh_alert_rule_t r = {.id = RULE1, .app_id = "", .user_id = ""};

    assert_string_equal(decode(p, "{\"kind\":\"cpu\",\"threshold\":80.5}", 0, &r), "");
    assert_int_equal(r.threshold, 80500);
    assert_int_equal(r.sustain_s, 300);
    assert_string_equal(r.severity, "warning");
    assert_int_equal(r.enabled, 1);
    assert_string_equal(decode(p, "{\"kind\":\"cpu\"}", 0, &r), "missing_field /threshold");
    assert_string_equal(decode(p, "{\"kind\":\"load\"}", 0, &r), "kind_unknown /kind");
    assert_string_equal(decode(p, "{\"kind\":\"memory\",\"threshold\":100.001}", 0, &r),
                        "out_of_range /threshold");
    assert_string_equal(decode(p, "{\"kind\":\"offline\",\"threshold\":1}", 0, &r),
                        "threshold_unasked /threshold");
    assert_string_equal(decode(p, "{\"kind\":\"crashloop\",\"sustain_minutes\":1}", 0, &r),
                        "out_of_range /sustain_minutes");
    assert_string_equal(
        decode(p, "{\"kind\":\"error_rate\",\"threshold\":0.5,\"severity\":\"loud\"}", 0, &r),
        "severity_unknown /severity");
    assert_string_equal(
        decode(p, "{\"kind\":\"error_rate\",\"threshold\":0.5,\"sustain_minutes\":0}", 0, &r), "");
    assert_int_equal(r.threshold, 500);
    assert_int_equal(r.sustain_s, 0);
    assert_string_equal(decode(p, "{\"enabled\":false}", 1, &r), "");
    assert_int_equal(r.enabled, 0);
    assert_int_equal(r.threshold, 500);
    assert_string_equal(decode(p, "{\"kind\":\"cpu\"}", 1, &r), "kind_fixed /kind");
    assert_string_equal(wh_alert_number(p, 1250), "1.25");
    assert_string_equal(wh_alert_number(p, 80000), "80");
    assert_string_equal(wh_alert_source_type(p, WH_ALERT_DISK), "app.disk"); /* F164 */
    r = cpu_rule(RULE1, APP1, 5);
    assert_string_equal(wh_alert_message(p, &r, 93500),
                        "cpu is 93.5 % of a core, above 80 for 5 minutes.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F20 F21 F22 F162 both edges, to the microsecond", test_edges),
        UNIT("F22 one value on the other side ends the count", test_interrupted),
        UNIT("a count belongs to its edge", test_other_edge),
        UNIT("W9 a gap counts for neither edge", test_gap),
        UNIT("W9 a long gap ends the count, silence resolves nothing", test_long_gap),
        UNIT("R26 units, and rates that are not known yet", test_units),
        UNIT("F19 F156 F161 a plan over apps, own rules and those of all", test_plan),
        UNIT("another threshold is counted anew", test_threshold),
        UNIT("what was not written is planned again", test_not_written),
        UNIT("F157 apps that stop or go, rules that go", test_gone),
        UNIT("F23 F165 what is told by events", test_events),
        UNIT("F163 R2 R9 offline", test_offline),
        UNIT("W9 a restart is a gap", test_restart),
        UNIT("G30 500 edges against a plain model", test_scripted),
        UNIT("rules in and out", test_decode),
    };
    return UNIT_RUN(tests);
}
