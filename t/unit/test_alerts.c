/* Alerts through the real tick and the real database: edges by injected time, restarts in the
 * middle, one event for each edge whatever is killed when. Nothing sleeps. */
#include "t/unit/sched.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libwh/wh_id.h"
#include "libwh/wh_meter_file.h"
#include "whdb/wh_db_alert.h"
#include "whdb/wh_db_app.h"
#include "wh-scheduler/alerts.h"
#include "wh-scheduler/requests.h"
#include "wh-scheduler/tick.h"

#define VALUE(s, sql) db_value((s)->t, (sql))

static wh_alert_rule_t add_rule(sched_t *s, const char *app_id, wh_alert_kind_e kind,
                                apr_int64_t threshold, int minutes)
{
    static int n;
    db_t *t = s->t;
    wh_alert_rule_t r = {.id = db_id(t, 'r', ++n),
                         .user_id = "",
                         .app_id = app_id,
                         .kind = kind,
                         .threshold = threshold,
                         .sustain_s = 60 * minutes,
                         .severity = "warning",
                         .enabled = 1,
                         .created_at = s->clock.now,
                         .updated_at = s->clock.now};

    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_alert_rule_insert(t->dbc, t->p, &r, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    return r;
}

/* The agent's figures; 15 s of them. */
static void use(sched_t *s, apr_int64_t cpu_millis)
{
    wh_msg_app_use_t u = {.app = s->a->id,
                          .deployment = db_id(s->t, 'd', 1),
                          .cpu_millis = cpu_millis,
                          .memory_limit_bytes = 100};

    assert_int_equal(wh_stats_put(s->core.stats, 1, &u, s->clock.now, s->clock.mono), 1);
}

static void pass(sched_t *s, int seconds, apr_int64_t cpu_millis)
{
    for (int i = 0; i < seconds; i += 15) {
        sched_pass(s, 15);
        if (cpu_millis >= 0) {
            use(s, cpu_millis);
        }
        sched_tick(s);
    }
}

static void restart(sched_t *s)
{
    sched_restart(s);
    s->core.stats = wh_stats_make(s->t->p, WH_STATS_PARTS_MAX);
}

/* "kind/status …" of all alerts, and "kind!" or "kind." of all events: fired, ended. */
static const char *told(sched_t *s)
{
    db_t *t = s->t;
    const char *alerts =
        VALUE(s, t->pg ? "SELECT string_agg(kind || '/' || status, ' ' ORDER BY id)"
                         " FROM alerts"
                       : "SELECT group_concat(kind || '/' || status, ' ') FROM"
                         " (SELECT * FROM alerts ORDER BY id)");
    const char *events =
        VALUE(s, t->pg ? "SELECT string_agg(kind || CASE ended WHEN 1 THEN '.' ELSE '!' END, ' '"
                         " ORDER BY created_at, id) FROM notification_event"
                         " WHERE kind LIKE 'app.%'"
                       : "SELECT group_concat(kind || CASE ended WHEN 1 THEN '.' ELSE '!' END, ' ')"
                         " FROM (SELECT * FROM notification_event WHERE kind LIKE 'app.%'"
                         " ORDER BY created_at, id)");

    return apr_pstrcat(t->p, alerts ? alerts : "", " | ", events ? events : "", NULL);
}

static void test_life(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_CPU, 80000, 5);
    pass(s, 60, 900);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE since > 0"), "1");
    pass(s, 210, 900);
    assert_string_equal(told(s), " | ");
    pass(s, 60, 900);
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    assert_string_equal(VALUE(s, "SELECT message || ' ' || value FROM alerts"),
                        "cpu is 90 % of a core, above 80 for 5 minutes. 90000");
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states"), "0");
    pass(s, 600, 900);
    assert_string_equal(told(s), "cpu/active | app.cpu!"); /* F156 */
    pass(s, 270, 100);
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    pass(s, 90, 100);
    assert_string_equal(told(s), "cpu/resolved | app.cpu! app.cpu."); /* F157 */
    assert_string_equal(VALUE(s, "SELECT reason FROM alerts"), "recovered");
    sched_end(s);
}

/* W9: no figures, and what is said of that. */
static void test_missing(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_CPU, 80000, 2);
    pass(s, 300, -1);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE missing_since > 0"), "1");
    pass(s, 180, 900);
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    pass(s, 3600, -1); /* silence resolves nothing */
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE missing_since > 0"), "1");
    pass(s, 210, 100);
    assert_string_equal(told(s), "cpu/resolved | app.cpu! app.cpu.");
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states"), "0");
    sched_end(s);
}

static void test_restart(void **state)
{
    sched_t *s = sched_case(*state);
    apr_time_t since;

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_CPU, 80000, 5);
    pass(s, 180, 900);
    since = apr_atoi64(VALUE(s, "SELECT since FROM alert_states"));
    sched_pass(s, 40);
    restart(s);
    pass(s, 30, 900);
    assert_true(apr_atoi64(VALUE(s, "SELECT since FROM alert_states")) > since);
    pass(s, 60, 900);
    assert_string_equal(told(s), " | "); /* the gap does not count */
    pass(s, 120, 900);
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    restart(s);
    pass(s, 600, 900);
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    /* A clock that is set by an hour makes and ends nothing (G17). */
    pass(s, 60, 100);
    wh_clock_fake_step(&s->clock, apr_time_from_sec(3600));
    pass(s, 60, 100);
    assert_string_equal(told(s), "cpu/active | app.cpu!");
    pass(s, 240, 100);
    assert_string_equal(told(s), "cpu/resolved | app.cpu! app.cpu.");
    sched_end(s);
}

/* What httpd number n wrote just now: 100 requests of the last minute, so many of them errors, all
 * of them that slow; none when slow_us is 0. */
static void asked_at(sched_t *s, const char *state_dir, int n, int errors, apr_int64_t slow_us)
{
    wh_meter_sum_t sum = {{0}, {0}};
    char line[WH_METER_FILE_LINE];
    const char *dir = apr_pstrcat(s->t->p, state_dir, WH_METER_FILE_DIR, NULL);
    FILE *f;

    (void)mkdir(state_dir, 0750);
    (void)mkdir(dir, 0750);
    f = fopen(apr_psprintf(s->t->p, "%s/" WH_METER_FILE_BEGIN "%d" WH_METER_FILE_END, dir, n), "w");
    assert_non_null(f);
    sum.of[WH_METER_2XX] = 100 - (apr_uint64_t)errors;
    sum.of[WH_METER_5XX] = (apr_uint64_t)errors;
    sum.took[wh_meter_bucket(slow_us)] = 100;
    fwrite(line, wh_meter_file_head(line, s->clock.now), 1, f);
    if (slow_us > 0) {
        fwrite(line, wh_meter_file_app(line, s->a->id, &sum), 1, f);
    }
    fwrite(line, wh_meter_file_end(line, slow_us > 0), 1, f);
    assert_int_equal(fclose(f), 0);
}

static void asked(sched_t *s, int n, int errors, apr_int64_t slow_us)
{
    s->settings.state_dir = s->dir;
    asked_at(s, s->dir, n, errors, slow_us);
}

static void pass_asked(sched_t *s, int seconds, int errors, apr_int64_t slow_us)
{
    for (int i = 0; i < seconds; i += 15) {
        sched_pass(s, 15);
        asked(s, 1, errors, slow_us);
        sched_tick(s);
    }
}

/* What httpd counts: 5xx of all, the time that 95 of 100 did not exceed. */
static void test_requests(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_ERROR_RATE, 5000, 2);
    pass_asked(s, 300, 5, 1000); /* equal is not above */
    assert_string_equal(told(s), " | ");
    pass_asked(s, 90, 6, 1000);
    assert_string_equal(told(s), " | ");
    pass_asked(s, 60, 6, 1000);
    assert_string_equal(told(s), "error_rate/active | app.error_rate!");
    assert_string_equal(VALUE(s, "SELECT value FROM alerts"), "6000");
    asked(s, 2, 0, 1000); /* another httpd, without errors, that is silent from then on */
    pass_asked(s, 30, 6, 1000);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE since > 0"), "1");
    pass_asked(s, 60, 6, 1000); /* stale: it is not asked any more */
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states"), "0");
    pass_asked(s, 180, 0, 1000);
    assert_string_equal(told(s), "error_rate/resolved | app.error_rate! app.error_rate.");
    add_rule(s, s->a->id, WH_ALERT_LATENCY, 1000000, 0);
    pass_asked(s, 30, 0, 1000000); /* a second is what is asked for */
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alerts WHERE kind = 'latency'"), "0");
    pass_asked(s, 30, 0, 1900000);
    assert_string_equal(
        VALUE(s, "SELECT status || ' ' || value FROM alerts WHERE kind = 'latency'"),
        "active 1950000");
    sched_end(s);
}

static const char *elsewhere(sched_t *s)
{
    return apr_pstrcat(s->t->p, s->dir, "/elsewhere", NULL);
}

static void share(sched_t *s)
{
    db_t *t = s->t;

    assert_ok(wh_requests_share(t->dbc, t->p, elsewhere(s), s->clock.now, &t->err), &t->err);
}

/* Front ends of two machines, one of which stands by: here nobody sees an error, there everybody.
 */
static void test_fronts(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    asked_at(s, elsewhere(s), 7, 100, 1000);
    share(s);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM front_requests"), "0"); /* no rule asks */
    add_rule(s, s->a->id, WH_ALERT_ERROR_RATE, 5000, 2);
    for (int i = 0; i < 180; i += 15) {
        asked_at(s, elsewhere(s), 7, 20, 1000);
        share(s);
        pass_asked(s, 15, 0, 1000);
    }
    assert_string_equal(told(s), "error_rate/active | app.error_rate!");
    assert_string_equal(VALUE(s, "SELECT value FROM alerts"), "10000"); /* 20 of 200 */
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM front_requests"), "1");
    pass_asked(s, 240, 0, 1000); /* what is stale there is stale here */
    assert_string_equal(told(s), "error_rate/resolved | app.error_rate! app.error_rate.");
    asked_at(s, elsewhere(s), 1, 100, 1000); /* of the name of our own: who just stood by */
    share(s);
    pass_asked(s, 30, 2, 1000);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states"), "0");
    sched_pass(s, 2 * 86400);
    share(s);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM front_requests"), "0");
    sched_end(s);
}

/* A file that nobody wrote for a day goes; what is not of ours stays. */
static void test_left_files(void **state)
{
    static const char *const names[] = {"httpd-3.requests", "httpd-3.requests.new", "httpd-3.pid",
                                        "other.requests"};
    sched_t *s = sched_case(*state);
    db_t *t = s->t;
    apr_hash_t *sums;

    asked(s, 2, 0, 1000);
    for (int late = 0; late <= 1; late++) {
        for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
            const char *path = apr_pstrcat(t->p, s->dir, WH_METER_FILE_DIR "/", names[i], NULL);
            struct timespec at = {.tv_sec = apr_time_sec(s->clock.now) - 86390 - 20 * late};
            const struct timespec both[] = {at, at};
            FILE *f = fopen(path, "a");

            assert_non_null(f);
            assert_int_equal(fclose(f), 0);
            assert_int_equal(utimensat(AT_FDCWD, path, both, 0), 0);
            assert_ok(wh_requests_read(t->dbc, t->p, s->dir, s->clock.now, &sums, &t->err),
                      &t->err);
            assert_non_null(sums);
            assert_int_equal(access(path, F_OK), late && i < 2 ? -1 : 0);
        }
    }
    sched_end(s);
}

/* W9: an httpd that does not write any more, an app that nobody asks: neither edge is counted. */
static void test_not_asked(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_ERROR_RATE, 5000, 2);
    pass_asked(s, 180, 50, 1000);
    assert_string_equal(told(s), "error_rate/active | app.error_rate!");
    pass(s, 45, -1);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE missing_since > 0"), "0");
    pass(s, 600, -1); /* no news */
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE missing_since > 0"), "1");
    pass_asked(s, 600, 0, 0); /* nobody asks */
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states WHERE missing_since > 0"), "1");
    assert_string_equal(told(s), "error_rate/active | app.error_rate!");
    pass_asked(s, 180, 0, 1000);
    assert_string_equal(told(s), "error_rate/resolved | app.error_rate! app.error_rate.");
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alert_states"), "0");
    sched_end(s);
}

/* Killed at random, 60 times: what fires and ends is each told once. */
static void test_kills(void **state)
{
    sched_t *s = sched_case(*state);
    unsigned seed = 11;
    int kills = 0;

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_CPU, 80000, 1);
    for (int i = 0; i < 300; i++) {
        pass(s, 30, (i / 9) % 2 ? 900 : 100);
        seed = seed * 1103515245u + 12345u;
        if ((seed >> 16) % 5 == 0) {
            restart(s);
            kills++;
        }
    }
    assert_true(kills > 40);
    pass(s, 300, 100);
    assert_true(atoi(VALUE(s, "SELECT COUNT(*) FROM alerts")) >= 10);
    assert_string_equal(VALUE(s, "SELECT COUNT(*) FROM alerts WHERE status <> 'resolved'"), "0");
    assert_string_equal(VALUE(s, "SELECT (SELECT COUNT(*) FROM notification_event WHERE ended = 0"
                                 " AND kind LIKE 'app.%')"
                                 " - (SELECT COUNT(*) FROM alerts)"),
                        "0");
    assert_string_equal(VALUE(s, "SELECT (SELECT COUNT(*) FROM notification_event WHERE ended = 1"
                                 " AND kind LIKE 'app.%')"
                                 " - (SELECT COUNT(*) FROM alerts)"),
                        "0");
    sched_end(s);
}

static void resolve(sched_t *s)
{
    db_t *t = s->t;
    apr_array_header_t *ends = apr_array_make(t->p, 1, sizeof(wh_db_alert_end_t));
    int n = 0;

    APR_ARRAY_PUSH(ends, wh_db_alert_end_t) = (wh_db_alert_end_t){
        .id = VALUE(s, "SELECT id FROM alerts WHERE status <> 'resolved'"), .reason = "by_hand"};
    for (int i = 0; i < 2; i++) {
        assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
        assert_ok(wh_db_alert_resolve(t->dbc, t->p, ends, s->clock.now, &n, &t->err), &t->err);
        assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
        assert_int_equal(n, i == 0);
    }
}

static void test_by_hand(void **state)
{
    sched_t *s = sched_case(*state);
    db_t *t = s->t;
    const char *id;

    sched_tick(s);
    add_rule(s, s->a->id, WH_ALERT_CPU, 80000, 1);
    pass(s, 120, 900);
    id = VALUE(s, "SELECT id FROM alerts");
    assert_ok(wh_db_alert_acknowledge(t->dbc, t->p, id, "me", s->clock.now, &t->err), &t->err);
    assert_int_equal(wh_db_alert_acknowledge(t->dbc, t->p, id, "me", s->clock.now, &t->err),
                     APR_NOTFOUND);
    pass(s, 300, 900);
    assert_string_equal(told(s), "cpu/acknowledged | app.cpu!"); /* it stays that one alert */
    resolve(s);
    assert_string_equal(told(s), "cpu/resolved | app.cpu! app.cpu.");
    pass(s, 30, 900);
    assert_string_equal(told(s), "cpu/resolved | app.cpu! app.cpu.");
    pass(s, 90, 900); /* it is over all the same: a new one, after the whole time */
    assert_string_equal(told(s), "cpu/resolved cpu/active | app.cpu! app.cpu. app.cpu!");
    sched_end(s);
}

static void test_rules(void **state)
{
    sched_t *s = sched_case(*state);
    db_t *t = s->t;
    wh_alert_rule_t r;

    sched_tick(s);
    r = add_rule(s, s->a->id, WH_ALERT_CPU, 80000, 1);
    pass(s, 120, 900);
    r.threshold = 95000;
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_alert_rule_update(t->dbc, t->p, &r, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    pass(s, 120, 900); /* the next tick works by what was written before it */
    assert_string_equal(told(s), "cpu/resolved | app.cpu! app.cpu.");
    add_rule(s, "", WH_ALERT_CPU, 10000, 0); /* of all apps: this one has its own */
    pass(s, 60, 900);
    r.deleted_at = s->clock.now;
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_alert_rule_update(t->dbc, t->p, &r, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    pass(s, 60, 900);
    assert_string_equal(told(s), "cpu/resolved cpu/active | app.cpu! app.cpu. app.cpu!");
    db_sql(t, "UPDATE apps SET deleted_at = 5");
    wh_alerts_forget(&s->core);
    assert_ok(wh_alerts_look(&s->core, t->p, s->clock.mono, s->clock.now, &t->err), &t->err);
    assert_string_equal(VALUE(s, "SELECT reason FROM alerts ORDER BY id DESC LIMIT 1"),
                        "app_deleted");
    sched_end(s);
}

static void observe(sched_t *s, wh_observed_e observed, const char *reason)
{
    sched_pass(s, 1);
    assert_ok(wh_db_app_set_observed(s->t->dbc, s->t->p, s->a->id, observed, reason, s->clock.now,
                                     &s->t->err),
              &s->t->err);
}

static void test_crashloop(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    observe(s, WH_OBSERVED_CRASHLOOP, "exit 1");
    assert_string_equal(told(s), "crashloop/active | app.crashloop!"); /* at once, without a tick */
    observe(s, WH_OBSERVED_CRASHLOOP, "exit 2");
    observe(s, WH_OBSERVED_STARTING, "");
    observe(s, WH_OBSERVED_CRASHLOOP, "exit 3");
    assert_string_equal(told(s), "crashloop/active | app.crashloop!"); /* F154 */
    observe(s, WH_OBSERVED_STOPPED, "worker_offline");
    assert_string_equal(told(s), "crashloop/active | app.crashloop!"); /* nobody knows */
    observe(s, WH_OBSERVED_RUNNING, "");
    assert_string_equal(told(s), "crashloop/resolved | app.crashloop! app.crashloop.");
    db_sql(s->t, "UPDATE alert_rules SET enabled = 0 WHERE kind = 'crashloop'");
    observe(s, WH_OBSERVED_CRASHLOOP, "exit 1");
    assert_string_equal(told(s), "crashloop/resolved | app.crashloop! app.crashloop.");
    sched_end(s);
}

static void test_deployment(void **state)
{
    sched_t *s = sched_case(*state);

    sched_at_work(s, s->w, s->a);
    assert_ok(sched_result(s, s->w->id, db_id(s->t, 'j', 1), 1, "failed"), &s->t->err);
    assert_string_equal(told(s), "deployment_failed/active | app.deployment_failed!");
    assert_string_equal(VALUE(s, "SELECT title FROM alerts"), "Deployment 1 of production failed");
    sched_begin(s, s->w, s->a, 2);
    assert_ok(sched_result(s, s->w->id, db_id(s->t, 'j', 2), 1, "failed"), &s->t->err);
    assert_string_equal(told(s), "deployment_failed/active | app.deployment_failed!");
    sched_pass(s, 1);
    sched_begin(s, s->w, s->a, 3);
    assert_ok(sched_result(s, s->w->id, db_id(s->t, 'j', 3), 1, "succeeded"), &s->t->err);
    sched_tick(s);
    assert_string_equal(told(s), "deployment_failed/resolved | app.deployment_failed!"
                                 " app.deployment_failed.");
    sched_end(s);
}

static void test_offline(void **state)
{
    sched_t *s = sched_case(*state);

    sched_tick(s);
    observe(s, WH_OBSERVED_STOPPED, "worker_offline");
    pass(s, 60, -1);
    pass(s, 240, -1);
    assert_string_equal(told(s), " | ");
    pass(s, 90, -1); /* R2: five minutes, of the rule that is there from the start */
    assert_string_equal(told(s), "offline/active | app.offline!");
    observe(s, WH_OBSERVED_RUNNING, "");
    pass(s, 360, -1);
    assert_string_equal(told(s), "offline/resolved | app.offline! app.offline.");
    sched_end(s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F156 F157 F158 F162 F164 an alert fires and resolves, each edge told once",
                test_life),
        DB_CASE("W9 what is missing is stated", test_missing),
        DB_CASE("W9 G17 a restart, a clock that is set", test_restart),
        DB_CASE("R26 error rates and latencies, by the figures of httpd", test_requests),
        DB_CASE("R26 of front ends on other machines, too", test_fronts),
        DB_CASE("files of an httpd that is gone are taken away after a day", test_left_files),
        DB_CASE("W9 an httpd that says nothing, an app that nobody asks", test_not_asked),
        DB_CASE("killed at random: none twice, none forgotten", test_kills),
        DB_CASE("acknowledged, resolved by hand", test_by_hand),
        DB_CASE("F161 rules that change, rules of all apps", test_rules),
        DB_CASE("F154 F165 crash loops", test_crashloop),
        DB_CASE("F100 F165 failed deployments", test_deployment),
        DB_CASE("F163 R2 offline", test_offline),
    };

    return DB_RUN(cases);
}
