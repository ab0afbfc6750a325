/* What should run where: owners that stop and start, containers that come back elsewhere, workers
 * that are emptied or removed. */
#include "t/unit/sched.h"

#include "whdb/wh_db_app.h"
#include "whdb/wh_db_fleet.h"
#include "whdb/wh_db_worker.h"

/* ---- what should run ---- */

static const char *names(sched_t *s)
{
    return db_value(s->t, "SELECT COUNT(*) FROM names");
}

static void test_desired(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    wh_worker_t *w = s->w;
    wh_app_t *a = s->a;
    const char *d1 = db_id(t, 'd', 1), *d2 = db_id(t, 'd', 2), *j2 = db_id(t, 'j', 2);

    sched_at_work(s, w, a);
    assert_int_equal(sched_result(s, w->id, db_id(t, 'j', 1), 1, "succeeded"), APR_SUCCESS);
    sched_tick(s);
    (void)sched_out(s);

    db_sql(t, "UPDATE apps SET desired = 'stopped'");
    sched_tick(s);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "settings %s-@1", d1));
    sched_tick(s);
    assert_string_equal(sched_out(s), "");
    sched_up(s, w, NULL);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "welcome %s-@2", d1));
    db_sql(t, "UPDATE apps SET desired = 'running'");
    sched_tick(s);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "settings %s+@2", d1));

    /* Superseded: the old one runs on until its stop job comes, and is gone from the list then. */
    sched_pass(s, 1);
    sched_begin(s, w, a, 2);
    assert_int_equal(sched_result(s, w->id, j2, 1, "succeeded"), APR_SUCCESS);
    (void)sched_out(s);
    sched_tick(s);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "settings %s+ %s+@2", d1, d2));
    sched_pass(s, 31);
    sched_tick(s);
    (void)sched_out(s);
    assert_int_equal(sched_ack(s, w->id, db_value(t, "SELECT id FROM jobs WHERE kind = 'stop'"), 1),
                     APR_SUCCESS);
    assert_int_equal(sched_result(s, w->id, db_value(t, "SELECT id FROM jobs WHERE kind = 'stop'"),
                                  1, "succeeded"),
                     APR_SUCCESS);
    (void)sched_out(s);
    sched_tick(s);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "settings %s+@2", d2));
    assert_string_equal(names(s), "4");
    sched_end(s);
}

/* Whoever comes back with its container at another port has its names moved there. */
static void test_place(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    wh_worker_t *w = s->w;
    wh_app_t *a = s->a;
    const char *place = "SELECT address || ':' || port FROM instances";
    const char *format = "{s:s,s:s,s:i,s:i,s:{},s:s,s:i,s:[],s:[],s:[{s:s,s:s,s:s,s:i,s:s}]}";
    const struct {
        const char *address;
        int port;
        const char *then;
        int moved;
    } rows[] = {
        {"127.0.0.1", 20001, "127.0.0.1:20001", 0},
        {"127.0.0.1", 20009, "127.0.0.1:20009", 1},
        {"127.0.0.1", 80, "127.0.0.1:20009", 0},
        {"10.0.0.9", 20010, "127.0.0.1:20009", 0},
    };

    sched_at_work(s, w, a);
    assert_int_equal(sched_result(s, w->id, db_id(t, 'j', 1), 1, "succeeded"), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sched_tick(s);
        wh_core_peer(&s->core, w->id)->ready = 0; /* as on a new connection */
        (void)sched_say(s, w->id, WH_MSG_HELLO,
                        json_pack(format, "version", "0.1.0", "name", w->name, "cpu_millis", 4000,
                                  "memory_bytes", 1 << 30, "labels", "engine", w->engine,
                                  "max_jobs", 2, "running", "results", "instances", "deployment",
                                  db_id(t, 'd', 1), "container",
                                  apr_psprintf(t->p, "c-%s-1", db_id(t, 'j', 1)), "address",
                                  rows[i].address, "port", rows[i].port, "state", "running"));
        assert_string_equal(db_value(t, place), rows[i].then);
        assert_int_equal(s->core.republish, rows[i].moved);
    }
    sched_end(s);
}

/* ---- emptying a worker ---- */

/* The newest deployment of an app: "id job trigger status/conclusion/cause". */
static const char *newest(sched_t *s, const wh_app_t *a, const char *what)
{
    return db_value(
        s->t, apr_psprintf(s->t->p,
                           "SELECT %s FROM deployments d JOIN jobs j ON j.deployment_id = d.id"
                           " AND j.kind = 'deploy' WHERE d.app_id = '%s'"
                           " ORDER BY d.number DESC LIMIT 1",
                           what, a->id));
}

static void admin(sched_t *s, const wh_worker_t *w, const char *state)
{
    db_sql(s->t,
           apr_psprintf(s->t->p,
                        "UPDATE workers SET admin_state = '%s', drain_at = %" APR_INT64_T_FMT
                        " WHERE id = %d",
                        state, strcmp(state, "draining") == 0 ? s->clock.now : 0, (int)w->id));
}

/* Two workers, an app that runs on the first. */
static sched_t *with_app(db_t *t, wh_worker_t **w, wh_worker_t **other, wh_app_t **a)
{
    sched_t *s = sched_case(t);

    *w = s->w;
    *a = s->a;
    *other = db_worker(t, 2);
    sched_tick(s);
    sched_up(s, *w, NULL);
    sched_away(s, *other);
    sched_begin(s, *w, *a, 1);
    assert_int_equal(sched_result(s, (*w)->id, db_id(t, 'j', 1), 1, "succeeded"), APR_SUCCESS);
    db_sql(t, "UPDATE deployments SET commit_sha = 'abc'");
    sched_tick(s);
    (void)sched_out(s);
    sched_pass(s, 1);
    return s;
}

static void test_drain(void **state)
{
    db_t *t = *state;
    wh_worker_t *w, *other;
    wh_app_t *a;
    sched_t *s = with_app(t, &w, &other, &a);
    const char *job;

    admin(s, w, "draining");
    sched_tick(s);
    assert_string_equal(newest(s, a, "d.trigger_kind"), "drain");
    assert_string_equal(newest(s, a, "d.commit_sha"), "abc");
    assert_string_equal(newest(s, a, "d.status"), "prepare");
    assert_string_equal(newest(s, a, "d.cause_code"), "no_worker"); /* and says why it stays */
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments"), "2");
    (void)sched_out(s);

    sched_up(s, other, NULL);
    sched_tick(s);
    job = newest(s, a, "j.id");
    assert_non_null(strstr(sched_out(s), apr_psprintf(t->p, "job %s 1@2", job)));
    assert_int_equal(sched_ack(s, other->id, job, 1), APR_SUCCESS);
    assert_string_equal(db_value(t, "SELECT state FROM instances"), "running");
    sched_pass(s, 1);
    assert_int_equal(sched_result(s, other->id, job, 1, "succeeded"), APR_SUCCESS);
    /* Start-first: the old one goes thirty seconds after the switch. */
    assert_string_equal(db_value(t, "SELECT state FROM instances ORDER BY worker_id"), "draining");
    assert_string_equal(db_value(t, "SELECT status || worker_id FROM jobs WHERE kind = 'stop'"),
                        "pending1");
    sched_pass(s, 31);
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT status || worker_id FROM jobs WHERE kind = 'stop'"),
                        "assigned1");
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments"), "2");
    sched_end(s);
}

static void test_undrain(void **state)
{
    db_t *t = *state;
    wh_worker_t *w, *other;
    wh_app_t *a;
    sched_t *s = with_app(t, &w, &other, &a);

    admin(s, w, "draining");
    sched_tick(s);
    assert_string_equal(newest(s, a, "d.status"), "prepare");
    admin(s, w, "active");
    sched_tick(s);
    assert_string_equal(newest(s, a, "d.conclusion || '/' || d.cause_code"), "skipped/undrained");
    assert_string_equal(db_value(t, "SELECT state FROM instances"), "running");
    assert_string_equal(sched_observed(s, a), "running//running");

    /* A move that fails is made once in a drain, and again in the next one. */
    sched_pass(s, 1);
    sched_up(s, other, NULL);
    admin(s, w, "draining");
    sched_tick(s);
    assert_int_equal(sched_ack(s, other->id, newest(s, a, "j.id"), 1), APR_SUCCESS);
    assert_int_equal(sched_result(s, other->id, newest(s, a, "j.id"), 1, "failed"), APR_SUCCESS);
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments"), "3");
    sched_pass(s, 1);
    admin(s, w, "draining");
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments"), "4");
    sched_end(s);
}

static void test_removed(void **state)
{
    db_t *t = *state;
    wh_worker_t *w, *other, *row;
    wh_app_t *a;
    sched_t *s = with_app(t, &w, &other, &a);
    const char *job;

    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_worker_get(t->dbc, t->p, w->id, &row, &t->err), &t->err);
    assert_ok(wh_db_fleet_remove(t->dbc, t->p, row, s->clock.now, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    assert_string_equal(sched_observed(s, a), "stopped/worker_removed/running");
    sched_up(s, other, NULL);
    sched_tick(s);
    job = newest(s, a, "j.id");
    assert_string_equal(newest(s, a, "d.trigger_kind || j.status"), "drainassigned");
    assert_int_equal(sched_ack(s, other->id, job, 1), APR_SUCCESS);
    assert_int_equal(sched_result(s, other->id, job, 1, "succeeded"), APR_SUCCESS);
    assert_string_equal(sched_observed(s, a), "running//running");
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments"), "2");
    sched_end(s);
}

/* Placed on the removed worker by name: it does not wait in silence, and moves as soon as its owner
 * says where. */
static void test_removed_place(void **state)
{
    db_t *t = *state;
    wh_worker_t *w, *other, *row;
    wh_app_t *a, *now;
    sched_t *s = with_app(t, &w, &other, &a);

    db_sql(t, apr_psprintf(t->p,
                           "UPDATE apps SET place_worker = (SELECT name FROM workers WHERE"
                           " id = %d)",
                           (int)w->id));
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_worker_get(t->dbc, t->p, w->id, &row, &t->err), &t->err);
    assert_ok(wh_db_fleet_remove(t->dbc, t->p, row, s->clock.now, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    sched_up(s, other, NULL);
    sched_tick(s);
    sched_tick(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM deployments"), "1");
    assert_ok(wh_db_app_by_id(t->dbc, t->p, a->id, &now, &t->err), &t->err);
    assert_int_equal(now->observed, WH_OBSERVED_STOPPED);
    assert_non_null(strstr(now->reason, "worker_removed: the app is placed on \""));
    assert_non_null(strstr(now->reason, row->name));
    db_sql(t, "UPDATE apps SET place_worker = ''");
    sched_tick(s);
    assert_string_equal(newest(s, a, "d.trigger_kind || j.status"), "drainassigned");
    sched_end(s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("an owner stops and starts an app: the worker is told", test_desired),
        DB_CASE("R9 a container that came back elsewhere: names follow", test_place),
        DB_CASE("drain: an app moves start-first, or says why it stays", test_drain),
        DB_CASE("undrain: what has not begun is taken back", test_undrain),
        DB_CASE("the apps of a removed worker move as well", test_removed),
        DB_CASE("an app placed on a removed worker by name says so", test_removed_place),
    };

    return DB_RUN(cases);
}
