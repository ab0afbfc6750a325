/* Usage: buckets at their edges, averages to the unit, 200 kills and counters that begin anew
 * against a ledger, 90 days. Nothing sleeps. */
#include "t/unit/sched.h"

#include <stdlib.h>

#include "libwh/wh_usage.h"
#include "whdb/wh_db_usage.h"
#include "wh-scheduler/tick.h"
#include "wh-scheduler/times.h"
#include "wh-scheduler/usage.h"

#define NOW APR_INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define S APR_INT64_C(1000000)
#define DAY (86400 * S)

static apr_int64_t number(sched_t *s, const char *sql)
{
    const char *text = db_value(s->t, sql);

    return text != NULL ? apr_atoi64(text) : -1;
}

static void report(sched_t *s, int deployment, apr_int64_t cpu, apr_int64_t memory, apr_int64_t net)
{
    wh_msg_app_use_t u = {.app = s->a->id,
                          .deployment = db_id(s->t, 'd', deployment),
                          .cpu_millis = cpu,
                          .memory_bytes = memory,
                          .memory_limit_bytes = 1000,
                          .net_rx_bytes = net / 2,
                          .net_tx_bytes = net - net / 2};

    assert_int_equal(wh_stats_put(s->core.stats, 1, &u, s->clock.now, s->clock.mono), 1);
}

/* A container that lives: how far it is counted is kept. */
static void lives(sched_t *s, int n)
{
    db_t *t = s->t;

    db_deployment(t, s->a, n);
    db_sql(t, "UPDATE deployments SET status = 'completed', conclusion = 'succeeded'");
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO instances (id, app_id, deployment_id, worker_id, container,"
                           " address, port, state, created_at) VALUES ('%s', '%s', '%s', 1, 'c%d',"
                           " '127.0.0.1', 8080, 'running', 1)",
                           db_id(t, 'n', n), s->a->id, db_id(t, 'd', n), n));
}

static void look(sched_t *s)
{
    db_t *t = s->t;

    assert_ok(wh_usage_look(&s->core, t->p, s->clock.mono, s->clock.now, &t->err), &t->err);
}

/* As after kill -9: nothing of the process is left. */
static void kill_it(sched_t *s)
{
    wh_usage_forget(&s->core);
    s->core.usage = NULL;
    s->core.stats = wh_stats_make(s->t->p, WH_STATS_PARTS_MAX);
}

static void test_bucket(void **state)
{
    (void)state;
    assert_int_equal(wh_usage_bucket(NOW), NOW);
    assert_int_equal(wh_usage_bucket(NOW + 300 * S - 1), NOW);
    assert_int_equal(wh_usage_bucket(NOW + 300 * S), NOW + 300 * S);
    assert_int_equal(wh_usage_bucket(-1), -300 * S);
}

static void test_rows(void **state)
{
    sched_t *s = sched_case(*state);
    apr_time_t start;

    /* Samples at 0, 60, … 240 s of a bucket, the sixth in the next one. */
    wh_clock_fake_advance(&s->clock, wh_usage_bucket(s->clock.now) + 300 * S - s->clock.now);
    start = s->clock.now;
    report(s, 1, 0, 0, 1000);
    look(s); /* fresh: where the total stands is where counting begins */
    for (int i = 1; i <= 5; i++) {
        sched_pass(s, 59);
        report(s, 1, 100 * i, 10 * i, 1000 + 100 * i);
        look(s); /* not yet */
        assert_int_equal(number(s, "SELECT MAX(samples) FROM usage_buckets"), i);
        sched_pass(s, 1);
        look(s);
        assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), i + 1);
    }
    assert_int_equal(number(s, "SELECT COUNT(*) FROM usage_buckets"), 2);
    assert_int_equal(number(s, "SELECT MIN(bucket_start) FROM usage_buckets"), start);
    /* 0 100 200 300 400 */
    assert_string_equal(
        db_value(s->t, "SELECT samples || ' ' || cpu_sum || ' ' || cpu_max || ' ' || memory_sum"
                       " || ' ' || memory_max || ' ' || net_bytes FROM usage_buckets"
                       " ORDER BY bucket_start LIMIT 1"),
        "5 1000 400 100 40 400");
    assert_string_equal(
        db_value(s->t, "SELECT samples || ' ' || cpu_sum || ' ' || net_bytes FROM usage_buckets"
                       " ORDER BY bucket_start DESC LIMIT 1"),
        "1 500 100");
    sched_end(s);
}

static void test_silent(void **state)
{
    sched_t *s = sched_case(*state);

    report(s, 1, 5, 5, 0);
    look(s);
    sched_pass(s, 60); /* F3: what is older than 45 s is not sampled */
    look(s);
    assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), 1);
    sched_end(s);
}

/* Two containers one after the other and side by side, each with a total of its own. */
static void test_parts(void **state)
{
    sched_t *s = sched_case(*state);

    report(s, 1, 1, 1, 5000);
    look(s);
    sched_pass(s, 60);
    report(s, 1, 1, 1, 5100);
    report(s, 2, 1, 1, 30); /* new: from zero */
    look(s);
    assert_int_equal(number(s, "SELECT SUM(net_bytes) FROM usage_buckets"), 130);
    sched_pass(s, 60); /* the old one is gone: what it had is not counted again */
    report(s, 2, 1, 1, 50);
    look(s);
    assert_int_equal(number(s, "SELECT SUM(net_bytes) FROM usage_buckets"), 150);
    sched_pass(s, 60); /* it began anew */
    report(s, 2, 1, 1, 7);
    look(s);
    assert_int_equal(number(s, "SELECT SUM(net_bytes) FROM usage_buckets"), 157);
    kill_it(s);
    sched_pass(s, 10);
    report(s, 2, 1, 1, 9);
    look(s);
    assert_int_equal(number(s, "SELECT SUM(net_bytes) FROM usage_buckets"), 159);
    sched_end(s);
}

/* After a start the agents are not back yet: that costs less than a minute. */
static void test_after_start(void **state)
{
    sched_t *s = sched_case(*state);

    report(s, 1, 1, 1, 100);
    look(s);
    sched_pass(s, 59);
    kill_it(s);
    look(s); /* nobody has reported */
    sched_pass(s, 16);
    report(s, 1, 1, 1, 170);
    look(s);
    assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), 1);
    sched_pass(s, 4); /* all of them have */
    look(s);
    assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), 2);
    assert_int_equal(number(s, "SELECT SUM(net_bytes) FROM usage_buckets"), 70);
    for (int i = 1; i <= 60; i++) {
        sched_pass(s, 1);
        report(s, 1, 1, 1, 170);
        look(s);
        assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), i < 60 ? 2 : 3);
    }
    sched_end(s);
}

static void test_many(void **state)
{
    sched_t *s = sched_case(*state);
    wh_usage_sample_t taken;
    wh_usage_book_t *book = wh_usage_book_make(s->t->p, 0);

    for (int i = 1; i <= 50; i++) {
        wh_msg_app_use_t u = {.app = db_id(s->t, 'a', i),
                              .deployment = db_id(s->t, 'd', i),
                              .cpu_millis = i,
                              .net_rx_bytes = i};

        assert_int_equal(wh_stats_put(s->core.stats, i, &u, s->clock.now, s->clock.mono), 1);
    }
    wh_usage_sample(book, s->t->p, s->core.stats, s->clock.now, s->clock.mono, &taken);
    assert_int_equal(taken.rows->nelts, 50);
    assert_int_equal(taken.parts->nelts, 50);
    for (int i = 0; i < 50; i++) {
        const wh_usage_row_t *r = &APR_ARRAY_IDX(taken.rows, i, wh_usage_row_t);

        assert_int_equal(r->samples, 1);
        assert_int_equal(r->net_bytes, r->cpu_sum);
    }
    sched_end(s);
}

/* G31: what the containers really sent is the ledger; kills, counters that begin anew, new
 * deployments. At the end every byte is there once, and no minute but those cut off is missing. */
static void test_kills(void **state)
{
    sched_t *s = sched_case(*state);
    apr_int64_t total = 0, ledger = 0;
    int deployment = 1, kills = 0, samples = 0;
    unsigned seed = 5;

    lives(s, 1);
    report(s, 1, 10, 10, 0);
    look(s);
    samples++;
    for (int i = 0; kills < 200; i++) {
        unsigned n;

        seed = seed * 1103515245u + 12345u;
        n = seed >> 16;
        sched_pass(s, 60);
        if (n % 11 == 0) {
            lives(s, ++deployment);
            total = 0;
        } else if (n % 7 == 0) {
            total = 0; /* the container was started again */
        }
        total += n % 1000;
        ledger += n % 1000;
        if (n % 3 == 0) {
            kill_it(s);
            kills++;
        }
        report(s, deployment, 10, 10, total);
        look(s);
        samples++;
    }
    /* A container that began anew and passed its former total between two looks is not to be told
     * from one that went on: at most that total is missing, nothing is ever counted twice. */
    assert_true(number(s, "SELECT SUM(net_bytes) FROM usage_buckets") <= ledger);
    assert_true(number(s, "SELECT SUM(net_bytes) FROM usage_buckets") >= ledger * 9 / 10);
    assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), samples);
    assert_int_equal(number(s, "SELECT SUM(cpu_sum) FROM usage_buckets"), 10 * samples);
    assert_true(number(s, "SELECT MAX(samples) FROM usage_buckets") <= 5);
    sched_end(s);
}

/* G17: the clock is set back by an hour: the row of that time is gone on with. */
static void test_clock(void **state)
{
    sched_t *s = sched_case(*state);
    apr_time_t now;

    lives(s, 1);
    for (int i = 0; i < 130; i++) {
        report(s, 1, 1, 1, i);
        sched_tick(s);
        sched_pass(s, 60);
        if (i == 64) {
            wh_clock_fake_step(&s->clock, -3600 * S);
        }
    }
    assert_ok(wh_times_look(&s->core, s->t->p, &now, &s->t->err), &s->t->err);
    assert_int_equal(number(s, "SELECT SUM(samples) FROM usage_buckets"), 130);
    assert_int_equal(number(s, "SELECT SUM(net_bytes) FROM usage_buckets"), 129);
    assert_true(number(s, "SELECT MAX(samples) FROM usage_buckets") <= 11);
    sched_end(s);
}

static void test_prune(void **state)
{
    sched_t *s = sched_case(*state);
    db_t *t = s->t;
    apr_time_t edge = wh_usage_bucket(s->clock.now + 600 * S - WH_USAGE_KEPT_US);

    for (int i = -30; i <= 1; i++) {
        db_sql(t, apr_psprintf(t->p,
                               "INSERT INTO usage_buckets VALUES ('a', %" APR_INT64_T_FMT
                               ", '', 1, 1, 1, 1, 1, 1, 1, 1)",
                               edge + i * WH_USAGE_BUCKET_US));
    }
    db_sql(t, "INSERT INTO usage_parts VALUES ('a', 'gone', 1, 5)");
    look(s);
    sched_pass(s, 599);
    look(s);
    assert_int_equal(number(s, "SELECT COUNT(*) FROM usage_buckets"), 32);
    sched_pass(s, 1);
    look(s);
    assert_int_equal(number(s, "SELECT COUNT(*) FROM usage_buckets"), 20); /* an hour of them */
    for (int i = 0; i < 5; i++) {
        look(s);
    }
    assert_int_equal(number(s, "SELECT MIN(bucket_start) FROM usage_buckets"), edge);
    assert_int_equal(number(s, "SELECT COUNT(*) FROM usage_buckets"), 2);
    assert_int_equal(number(s, "SELECT COUNT(*) FROM usage_parts"), 0);
    sched_end(s);
}

static void test_query(void **state)
{
    db_t *t = *state;
    wh_usage_query_t q;
    apr_time_t now = NOW + 100 * DAY + 17;

    assert_ok(wh_usage_query(NULL, NULL, 0, now, &q, &t->err), &t->err);
    assert_int_equal(q.to, wh_usage_bucket(now) + 300 * S);
    assert_int_equal(q.from, wh_usage_bucket(now) - DAY);
    assert_int_equal(q.step, 300 * S);
    /* F27: the window's edge, whatever is asked for. */
    assert_ok(wh_usage_query("2026-01-01T00:00:00Z", NULL, 86400, now, &q, &t->err), &t->err);
    assert_int_equal(q.from, wh_usage_bucket(now - 90 * DAY) + 300 * S);
    assert_ok(wh_usage_query("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", 0, now, &q, &t->err),
              &t->err);
    assert_int_equal(q.from, q.to);
    assert_code(wh_usage_query("yesterday", NULL, 0, now, &q, &t->err), &t->err, "bad_parameter");
    assert_code(wh_usage_query(NULL, NULL, 301, now, &q, &t->err), &t->err, "bad_parameter");
    assert_code(wh_usage_query("2026-02-01T00:00:00Z", NULL, 300, now, &q, &t->err), &t->err,
                "bad_parameter");
    assert_code(
        wh_usage_query("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", 300, now, &q, &t->err),
        &t->err, "bad_parameter");
}

static void test_sum(void **state)
{
    db_t *t = *state;
    wh_usage_query_t q = {.from = NOW, .to = NOW + 900 * S, .step = 600 * S};
    apr_array_header_t *rows;
    const wh_usage_row_t *r;

    db_sql(t,
           "INSERT INTO usage_buckets VALUES ('a', 1767225600000000, '', 5, 10, 3, 100, 30, 7, 2,"
           " 1000), ('a', 1767225900000000, '', 2, 5, 4, 11, 9, 1, 1, 1), ('a', "
           "1767226200000000, '', 1, 1, 1, 1, 1, 1, 1, 1), ('a', 1767226500000000, '', 1, 9, 9,"
           " 9, 9, 9, 9, 9), ('b', 1767225600000000, '', 1, 9, 9, 9, 9, 9, 9, 9)");
    assert_ok(wh_db_usage_sum(t->dbc, t->p, "a", &q, &rows, &t->err), &t->err);
    assert_int_equal(rows->nelts, 2);
    r = (const wh_usage_row_t *)rows->elts;
    assert_int_equal(r[0].start, NOW);
    assert_int_equal(r[0].samples, 7);
    assert_int_equal(r[0].cpu_sum, 15);
    assert_int_equal(r[0].cpu_max, 4);
    assert_int_equal(r[0].net_bytes, 1001);
    assert_int_equal(r[1].start, NOW + 600 * S);
    assert_int_equal(r[1].samples, 1);
    {
        json_t *doc = wh_usage_json(t->p, "blog", &q, rows);
        char *text = json_dumps(json_object_get(doc, "total"), JSON_COMPACT | JSON_SORT_KEYS);

        /* 16 of 8 samples, 112 of 8: no rounding is hidden anywhere */
        assert_string_equal(text, "{\"cpu_millis_avg\":2,\"cpu_millis_max\":4,\"memory_bytes_avg\":"
                                  "14,\"memory_bytes_max\":30,\"net_bytes\":1002,"
                                  "\"net_bytes_per_s_avg\":1,\"net_bytes_per_s_max\":2,"
                                  "\"samples\":8}");
        free(text);
        json_decref(doc);
    }
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F172 a bucket is five minutes of UTC", test_bucket, .only = 's'),
        DB_CASE("F24 F25 F167 F169 F170 F171 R1 rows, sample by sample", test_rows),
        DB_CASE("F168 only what is known is sampled", test_silent),
        DB_CASE("F171 totals of containers that come, go and begin anew", test_parts),
        DB_CASE("the first sample after a start waits for the agents, not for a minute",
                test_after_start),
        DB_CASE("F167 every app once", test_many, .only = 's'),
        DB_CASE("G31 200 kills against a ledger", test_kills),
        DB_CASE("G17 a clock that is set back", test_clock),
        DB_CASE("F26 F166 F173 90 days, in parts", test_prune),
        DB_CASE("F27 what may be asked for", test_query, .only = 's'),
        DB_CASE("steps are sums, averages are exact", test_sum),
    };

    return DB_RUN(cases);
}
