/* What workers say of running apps, through the real handlers on a real database: figures,
 * violations, logs; and of builds. What is not a worker's own changes nothing. */
#include "t/unit/sched.h"

#include <stdio.h>
#include <sys/stat.h>

#include "libwh/wh_json.h"
#include "libwh/wh_log.h"

typedef struct stage_t {
    db_t *t;
    sched_t *s;
    wh_worker_t *w, *other;
    wh_app_t *a;
    const char *d, *j, *container;
} stage_t;

/* An app that runs on w, and a second worker that has nothing of it. */
static stage_t stage(db_t *t)
{
    stage_t g = {.t = t, .s = sched_make(t)};

    g.w = db_worker(t, 1);
    g.a = db_app(t, 1, WH_KIND_CONTAINER);
    g.d = db_id(t, 'd', 1);
    g.j = db_id(t, 'j', 1);
    sched_tick(g.s);
    sched_up(g.s, g.w, NULL);
    sched_begin(g.s, g.w, g.a, 1);
    g.other = db_worker(t, 2);
    sched_up(g.s, g.other, NULL);
    g.container = apr_psprintf(t->p, "c-%s-1", g.j);
    return g;
}

static void running(stage_t *g)
{
    assert_int_equal(sched_result(g->s, g->w->id, g->j, 1, "succeeded"), APR_SUCCESS);
    sched_tick(g->s);
    (void)sched_out(g->s);
}

static json_t *use(const stage_t *g, const char *app, const char *deployment)
{
    (void)g;
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "app", app, "deployment",
                     deployment, "cpu_millis", 250, "memory_bytes", 1000, "memory_limit_bytes",
                     2000, "net_rx_bytes", 1, "net_tx_bytes", 2, "disk_read_bytes", 3,
                     "disk_write_bytes", 4);
}

static int live(stage_t *g, const char *app)
{
    wh_stats_live_t out;

    return wh_stats_get(g->s->core.stats, app, wh_clock_mono(g->s->core.clock), &out);
}

static void test_stats(void **state)
{
    stage_t g = stage(*state);
    wh_app_t *b = db_app(g.t, 2, WH_KIND_CONTAINER);

    running(&g);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATS,
                               json_pack("{s:[o]}", "apps", use(&g, g.a->id, g.d))),
                     APR_SUCCESS);
    assert_int_equal(live(&g, g.a->id), 1);
    sched_pass(g.s, 45);
    assert_int_equal(live(&g, g.a->id), 1);
    wh_clock_fake_advance(&g.s->clock, 1);
    assert_int_equal(live(&g, g.a->id), 0);
    /* another worker's, another app's, another's deployment */
    assert_int_not_equal(sched_say(g.s, g.other->id, WH_MSG_APP_STATS,
                                   json_pack("{s:[o]}", "apps", use(&g, g.a->id, g.d))),
                         APR_SUCCESS);
    assert_int_not_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATS,
                                   json_pack("{s:[o]}", "apps", use(&g, b->id, g.d))),
                         APR_SUCCESS);
    assert_int_equal(live(&g, g.a->id), 0);
    assert_int_equal(live(&g, b->id), 0);
    /* among strangers what is its own is taken; more often than once a second is not looked at */
    sched_pass(g.s, 2);
    assert_int_not_equal(
        sched_say(g.s, g.w->id, WH_MSG_APP_STATS,
                  json_pack("{s:[o, o]}", "apps", use(&g, b->id, g.d), use(&g, g.a->id, g.d))),
        APR_SUCCESS);
    assert_int_equal(live(&g, g.a->id), 1);
    wh_stats_delete_app(g.s->core.stats, g.a->id);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATS,
                               json_pack("{s:[o]}", "apps", use(&g, g.a->id, g.d))),
                     APR_SUCCESS);
    assert_int_equal(live(&g, g.a->id), 0);
    sched_end(g.s);
}

static json_t *violation(const stage_t *g, const char *app, const char *container)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "app", app, "deployment", g->d, "container",
                     container, "rule", "oom", "detail", "three\x1b[1m in an hour");
}

static const char *observed(const stage_t *g)
{
    return db_value(
        g->t, apr_psprintf(g->t->p, "SELECT observed || ': ' || reason FROM apps WHERE id = '%s'",
                           g->a->id));
}

static json_t *status(const stage_t *g, const char *is)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "app", g->a->id, "deployment", g->d,
                     "container", g->container, "state", is, "reason", "", "restarts", 1);
}

static void desire(stage_t *g, const char *what)
{
    (void)db_value(g->t, apr_psprintf(g->t->p, "UPDATE apps SET desired = '%s' WHERE id = '%s'",
                                      what, g->a->id));
    sched_pass(g->s, 6);
    sched_tick(g->s);
}

static void test_violation(void **state)
{
    stage_t g = stage(*state);
    wh_app_t *b = db_app(g.t, 2, WH_KIND_CONTAINER);

    running(&g);
    assert_string_equal(observed(&g), "running: ");
    assert_int_not_equal(
        sched_say(g.s, g.other->id, WH_MSG_VIOLATION, violation(&g, g.a->id, g.container)),
        APR_SUCCESS);
    assert_int_not_equal(
        sched_say(g.s, g.w->id, WH_MSG_VIOLATION, violation(&g, b->id, g.container)), APR_SUCCESS);
    assert_int_not_equal(sched_say(g.s, g.w->id, WH_MSG_VIOLATION, violation(&g, g.a->id, "c")),
                         APR_SUCCESS);
    assert_string_equal(observed(&g), "running: ");
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_VIOLATION, violation(&g, g.a->id, g.container)),
                     APR_SUCCESS);
    assert_string_equal(observed(&g), "violated: oom: three in an hour");
    /* it stays so whatever the container does, over connections and restarts … */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            sched_say(g.s, g.w->id, WH_MSG_APP_STATUS, status(&g, i == 1 ? "starting" : "running")),
            APR_SUCCESS);
        assert_string_equal(observed(&g), "violated: oom: three in an hour");
        sched_down(g.s, g.w->id);
        assert_string_equal(observed(&g), "stopped: worker_offline");
        if (i == 1) {
            sched_restart(g.s);
        }
        sched_up(g.s, g.w, NULL);
    }
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATUS, status(&g, "running")),
                     APR_SUCCESS);
    assert_string_equal(observed(&g), "violated: oom: three in an hour");
    /* … until its owner starts it anew */
    desire(&g, "stopped");
    assert_string_equal(observed(&g), "stopped: ");
    desire(&g, "running");
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATUS, status(&g, "running")),
                     APR_SUCCESS);
    assert_string_equal(observed(&g), "running: ");
    sched_end(g.s);
}

/* … or deploys it. */
static void test_violation_over(void **state)
{
    stage_t g = stage(*state);

    running(&g);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_VIOLATION, violation(&g, g.a->id, g.container)),
                     APR_SUCCESS);
    sched_down(g.s, g.other->id);
    sched_begin(g.s, g.w, g.a, 2);
    assert_string_equal(observed(&g), "violated: oom: three in an hour");
    assert_int_equal(sched_result(g.s, g.w->id, db_id(g.t, 'j', 2), 1, "succeeded"), APR_SUCCESS);
    sched_tick(g.s);
    assert_string_equal(observed(&g), "running: ");
    /* the old container has nothing to say of the app any more */
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_VIOLATION, violation(&g, g.a->id, g.container)),
                     APR_SUCCESS);
    assert_string_equal(observed(&g), "running: ");
    sched_end(g.s);
}

static json_t *status_of(const stage_t *g, const char *app, const char *deployment)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "app", app, "deployment", deployment,
                     "container", g->container, "state", "crashloop", "reason", "exit\n 1",
                     "restarts", 3);
}

static void test_status(void **state)
{
    stage_t g = stage(*state);
    wh_app_t *b = db_app(g.t, 2, WH_KIND_CONTAINER);

    running(&g);
    assert_int_not_equal(
        sched_say(g.s, g.other->id, WH_MSG_APP_STATUS, status_of(&g, g.a->id, g.d)), APR_SUCCESS);
    assert_int_not_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATUS, status_of(&g, b->id, g.d)),
                         APR_SUCCESS);
    assert_int_not_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATUS, status_of(&g, g.a->id, g.j)),
                         APR_SUCCESS);
    assert_string_equal(observed(&g), "running: ");
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_APP_STATUS, status_of(&g, g.a->id, g.d)),
                     APR_SUCCESS);
    assert_string_equal(observed(&g), "crashloop: exit  1");
    sched_end(g.s);
}

static json_t *printed(const stage_t *g, int from, int n)
{
    json_t *lines = json_array();

    for (int i = 0; i < n; i++) {
        json_array_append_new(lines, json_pack("[i, i, s, s]", from + i, 7, "out", "x"));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:i}", "app", g->a->id, "deployment", g->d, "container",
                     "c", "lines", lines, "dropped", 0);
}

static json_t *built(const stage_t *g, int from, int n)
{
    json_t *json = printed(g, from, n);

    json_object_set_new(json, "job", json_string(g->j));
    json_object_set_new(json, "epoch", json_integer(1));
    return json;
}

static void test_runtime(void **state)
{
    stage_t g = stage(*state);
    apr_int64_t stored, left_out, asked;

    /* while its job starts it, and while it runs: asked of the database once */
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 1, 10)), APR_SUCCESS);
    asked = wh_claims_asked(g.s->core.claims);
    for (int i = 1; i < 20; i++) {
        assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 1 + 10 * i, 10)),
                         APR_SUCCESS);
    }
    assert_int_equal(wh_claims_asked(g.s->core.claims), asked);
    running(&g);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 206, 10)),
                     APR_SUCCESS);
    assert_int_equal(wh_claims_asked(g.s->core.claims), asked + 1);
    /* another's is refused, and so is asking again */
    for (int i = 0; i < 5; i++) {
        assert_int_not_equal(sched_say(g.s, g.other->id, WH_MSG_RUNTIME_LOG, printed(&g, 1, 1)),
                             APR_SUCCESS);
    }
    assert_int_equal(wh_claims_asked(g.s->core.claims), asked + 2);
    wh_applog_sums(g.s->core.app_logs, &stored, &left_out);
    assert_int_equal(stored, 210);
    assert_int_equal(left_out, 5);
    /* what is over is dropped at once, and counted (XE18) */
    assert_ok(wh_db_instance_stop_all(g.t->dbc, g.t->p, g.w->id, g.d, DB_T(1), NULL, &g.t->err),
              &g.t->err);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 216, 3)), APR_SUCCESS);
    assert_int_equal(g.s->core.late_lines, 3);
    wh_applog_sums(g.s->core.app_logs, &stored, &left_out);
    assert_int_equal(stored, 210);
    sched_end(g.s);
}

static void test_build(void **state)
{
    stage_t g = stage(*state);
    apr_int64_t stored, left_out;

    (void)sched_out(g.s);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_BUILD_LOG, built(&g, 1, 3)), APR_SUCCESS);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_BUILD_LOG, built(&g, 2, 3)), APR_SUCCESS);
    assert_int_equal(sched_say(g.s, g.other->id, WH_MSG_BUILD_LOG, built(&g, 9, 1)), APR_SUCCESS);
    assert_int_equal(g.s->core.late_lines, 1); /* another's: nowhere stored */
    wh_logseg_sums(g.s->core.logs, &stored, &left_out);
    assert_int_equal(stored, 4);
    running(&g);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_BUILD_LOG, built(&g, 5, 1)), APR_SUCCESS);
    assert_int_equal(g.s->core.late_lines, 2);
    wh_logseg_sums(g.s->core.logs, &stored, &left_out);
    assert_int_equal(stored, 4);
    sched_end(g.s);
}

/* ---- what a worker can make us log ---- */

static void count_line(void *baton, int level, const char *tag, const char *line)
{
    (void)level;
    (void)tag;
    assert_null(strchr(line, '\n'));
    ++*(int *)baton;
}

static void many(stage_t *g, apr_int64_t worker, int *lines)
{
    wh_log_set_sink(count_line, lines);
    for (int i = 0; i < 400; i++) {
        (void)sched_say(
            g->s, worker, WH_MSG_ERROR,
            json_pack("{s:s, s:s, s:s}", "in_reply_to", "", "code", "x\n", "message", "a\nline"));
        (void)sched_say(g->s, worker, WH_MSG_BUILD_LOG, built(g, 1 + i, 1));
        (void)sched_say(g->s, worker, WH_MSG_VIOLATION,
                        violation(g, g->a->id, i % 2 ? g->container : "c"));
        (void)sched_result(g->s, worker, g->j, 1, "failed");
    }
    wh_log_set_sink(NULL, NULL);
}

static void test_noise(void **state)
{
    stage_t g = stage(*state);
    int lines = 0;

    running(&g);
    many(&g, g.w->id, &lines);
    assert_in_range(lines, 1, 100);
    lines = 0;
    sched_pass(g.s, 10);
    many(&g, g.w->id, &lines);
    assert_in_range(lines, 10, 12); /* and how many were left out */
    /* the neighbour's are said all the same */
    lines = 0;
    many(&g, g.other->id, &lines);
    assert_in_range(lines, 90, 100);
    sched_end(g.s);
}

/* 1024 containers in each: one a connection is enough. */
static void test_hello_once(void **state)
{
    stage_t g = stage(*state);

    assert_int_not_equal(
        sched_say(g.s, g.w->id, WH_MSG_HELLO,
                  json_pack("{s:s,s:s,s:i,s:i,s:{},s:s,s:i,s:[],s:[],s:[]}", "version", "9", "name",
                            g.w->name, "cpu_millis", 7, "memory_bytes", 7, "labels", "engine", "",
                            "max_jobs", 1, "running", "results", "instances")),
        APR_SUCCESS);
    assert_string_not_equal(
        db_value(g.t, apr_psprintf(g.t->p, "SELECT cpu_millis FROM workers WHERE id = %d",
                                   (int)g.w->id)),
        "7");
    sched_end(g.s);
}

static void test_refuses(void **state)
{
    stage_t g = stage(*state);
    const char *sql =
        apr_psprintf(g.t->p, "SELECT refuses FROM workers WHERE id = %d", (int)g.w->id);

    sched_pass(g.s, 30);
    assert_int_equal(
        sched_say(g.s, g.w->id, WH_MSG_HEARTBEAT,
                  json_pack("{s:i, s:i, s:i, s:s}", "cpu_used_millis", 1, "memory_used_bytes", 1,
                            "disk_free_bytes", 1, "refuses", "the disk\n is full")),
        APR_SUCCESS);
    sched_pass(g.s, 1);
    sched_tick(g.s);
    assert_string_equal(db_value(g.t, sql), "the disk  is full");
    sched_pass(g.s, 30);
    sched_beat(g.s, g.w->id, NULL);
    sched_pass(g.s, 1);
    sched_tick(g.s);
    assert_string_equal(db_value(g.t, sql), "");
    sched_end(g.s);
}

/* An agent tells of its disk right after its hello; what comes on top of that is too soon. */
static void test_first_beat(void **state)
{
    stage_t g = stage(*state);
    const char *sql =
        apr_psprintf(g.t->p, "SELECT disk_free_bytes FROM workers WHERE id = %d", (int)g.w->id);

    for (int i = 5; i <= 6; i++) {
        assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_HEARTBEAT,
                                   json_pack("{s:i, s:i, s:i}", "cpu_used_millis", 1,
                                             "memory_used_bytes", 1, "disk_free_bytes", i)),
                         APR_SUCCESS);
    }
    sched_pass(g.s, 1);
    sched_tick(g.s);
    assert_string_equal(db_value(g.t, sql), "5");
    sched_end(g.s);
}

/* How many log directories of apps there are. */
static int logs(const stage_t *g)
{
    struct stat st;
    const char *path = apr_pstrcat(g->t->p, g->s->settings.logs_dir, "/apps/", g->a->id, NULL);

    return stat(path, &st) == 0;
}

static void test_gone(void **state)
{
    stage_t g = stage(*state);
    const char *stop;

    running(&g);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 1, 10)), APR_SUCCESS);
    assert_int_equal(logs(&g), 1);
    (void)db_value(g.t,
                   apr_psprintf(g.t->p,
                                "UPDATE apps SET deleted_at = %" APR_INT64_T_FMT " WHERE id = '%s'",
                                g.s->clock.now, g.a->id));
    sched_tick(g.s);
    sched_tick(g.s);
    assert_int_equal(logs(&g), 1); /* its container still runs, and may print */
    stop = db_value(g.t, "SELECT id FROM jobs WHERE kind = 'stop'");
    assert_int_equal(sched_ack(g.s, g.w->id, stop, 1), APR_SUCCESS);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 11, 10)), APR_SUCCESS);
    assert_int_equal(sched_result(g.s, g.w->id, stop, 1, "succeeded"), APR_SUCCESS);
    sched_tick(g.s);
    assert_int_equal(logs(&g), 0);
    assert_int_equal(sched_say(g.s, g.w->id, WH_MSG_RUNTIME_LOG, printed(&g, 21, 10)), APR_SUCCESS);
    assert_int_equal(logs(&g), 0);
    /* what was left behind is found at the next start */
    assert_int_equal(
        mkdir(apr_pstrcat(g.t->p, g.s->settings.logs_dir, "/apps/", g.a->id, NULL), 0750), 0);
    sched_tick(g.s);
    assert_int_equal(logs(&g), 1);
    sched_restart(g.s);
    sched_tick(g.s);
    assert_int_equal(logs(&g), 0);
    sched_end(g.s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F96 F3 figures only of what runs here, for 45 s", test_stats),
        DB_CASE("F102 R34 a violation shows, of one's own live container only", test_violation),
        DB_CASE("XE13 a status is taken of one's own container and its app only", test_status),
        DB_CASE("R34 a violation ends with the next deployment", test_violation_over),
        DB_CASE("F103 what a deleted app printed is removed when nothing of it is left", test_gone),
        DB_CASE("F103 XE18 lines of running apps: whose, asked once, dropped when over",
                test_runtime),
        DB_CASE("F104 XE18 lines of builds: whose, once, dropped when over", test_build),
        DB_CASE("XM2 what a worker can make us log has a measure", test_noise),
        DB_CASE("a connection has one hello", test_hello_once),
        DB_CASE("a worker says why it takes no builds", test_refuses),
        DB_CASE("XE16 the first heartbeat counts at once, the next not before a second",
                test_first_beat),
    };

    return DB_RUN(cases);
}
