/* Which deployments give up their names and releases, hour by hour, and which releases may go. */
#include "t/unit/sched.h"

#include "whdb/wh_db_gc.h"
#include "whdb/wh_db_release.h"
#include "wh-scheduler/retire.h"

#define DAY 86400
#define RELEASE "%040d"

/* n succeeded deployments that ended long ago, each with a release and a name of its own; the app's
 * name shows the last one. */
static void history(sched_t *s, const wh_app_t *app, int n)
{
    db_t *t = s->t;

    for (int i = 1; i <= n; i++) {
        const char *id = db_deployment(t, app, i);
        wh_release_t r = {.id = apr_psprintf(t->p, RELEASE, i), .files = 1, .created_at = DB_T(i)};

        assert_ok(wh_db_release_put(t->dbc, t->p, &r, &t->err), &t->err);
        db_sql(t, apr_psprintf(t->p,
                               "UPDATE deployments SET status = 'completed', phase = 'done',"
                               " conclusion = 'succeeded', release_id = '%s', finished_at = 1"
                               " WHERE id = '%s'",
                               r.id, id));
        db_sql(t, apr_psprintf(t->p,
                               "INSERT INTO names (label, app_id, environment, kind,"
                               " deployment_id, updated_at) VALUES ('own-%d', '%s', 'production',"
                               " 'deployment', '%s', 1)",
                               i, app->id, id));
    }
    db_sql(t, "UPDATE jobs SET status = 'canceled', finished_at = 1");
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO names (label, app_id, environment, kind, deployment_id,"
                           " updated_at) VALUES ('app', '%s', 'production', 'production', '%s', 1)",
                           app->id, db_id(t, 'd', n)));
}

/* "own-1 own-2 …": those that are left, and as many have their release. */
static const char *left(sched_t *s)
{
    const char *names =
        db_value(s->t, s->t->pg ? "SELECT COALESCE(string_agg(label, ' ' ORDER BY label), '')"
                                  " FROM names WHERE kind = 'deployment'"
                                : "SELECT COALESCE(group_concat(label, ' '), '') FROM"
                                  " (SELECT label FROM names WHERE kind = 'deployment'"
                                  " ORDER BY label)");

    assert_string_equal(
        db_value(s->t, "SELECT COUNT(*) FROM deployments WHERE release_id IS NOT NULL"),
        db_value(s->t, "SELECT COUNT(*) FROM names WHERE kind = 'deployment'"));
    return names;
}

static sched_t *make(db_t *t, int n)
{
    sched_t *s = sched_make(t);

    s->settings.releases_kept = 2;
    s->a = db_app(t, 1, WH_KIND_STATIC);
    history(s, s->a, n);
    return s;
}

/* As long as it takes until they are looked at again. */
static void an_hour_later(sched_t *s)
{
    sched_pass(s, (int)(WH_RETIRE_EVERY_US / APR_USEC_PER_SEC));
    sched_tick(s);
}

static void test_window(void **state)
{
    sched_t *s = make(*state, 6);

    sched_tick(s);
    assert_string_equal(left(s), "own-5 own-6");
    an_hour_later(s);
    assert_string_equal(left(s), "own-5 own-6");
    sched_end(s);
}

static void test_needed(void **state)
{
    db_t *t = *state;
    sched_t *s = make(t, 9);

    /* 1: shown by a branch; 2: shown before, a minute ago; 3: shown before, two days ago; 4: a
     * rollback waits; 5: a rollback that is over; 6: under way again; 7: a container still runs. */
    db_sql(t, apr_psprintf(t->p,
                           "UPDATE names SET previous_id = '%s', switched_at = %" APR_INT64_T_FMT
                           " WHERE label = 'app'",
                           db_id(t, 'd', 2), DB_T(1000 - 60)));
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO names (label, app_id, environment, kind, deployment_id,"
                           " previous_id, switched_at, updated_at) VALUES ('branch', '%s',"
                           " 'production', 'branch', '%s', '%s', %" APR_INT64_T_FMT ", 1)",
                           s->a->id, db_id(t, 'd', 1), db_id(t, 'd', 3), DB_T(1000 - 2 * DAY)));
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO switches (id, app_id, environment, deployment_id, kind,"
                           " created_at) VALUES ('w1', '%s', 'production', '%s', 'rollback', 1)",
                           s->a->id, db_id(t, 'd', 4)));
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO switches (id, app_id, environment, deployment_id, kind,"
                           " created_at, done_at) VALUES ('w2', '%s', 'production', '%s',"
                           " 'rollback', 1, 2)",
                           s->a->id, db_id(t, 'd', 5)));
    db_sql(t, apr_psprintf(t->p,
                           "UPDATE jobs SET status = 'pending', not_before = %" APR_INT64_T_FMT
                           " WHERE id = '%s'",
                           DB_T(100 * DAY), db_id(t, 'j', 6)));
    (void)db_worker(t, 1);
    db_sql(t, apr_psprintf(t->p,
                           "INSERT INTO instances (id, app_id, deployment_id, worker_id, container,"
                           " address, port, state, created_at) VALUES ('i1', '%s', '%s', 1, 'c',"
                           " '127.0.0.1', 20000, 'draining', 1)",
                           s->a->id, db_id(t, 'd', 7)));
    assert_ok(wh_retire_look(&s->core, t->p, wh_clock_mono(s->core.clock), s->clock.now, &t->err),
              &t->err);
    assert_string_equal(left(s), "own-1 own-2 own-4 own-6 own-7 own-8 own-9");
    sched_end(s);
}

static void test_young(void **state)
{
    db_t *t = *state;
    sched_t *s = make(t, 5);

    db_sql(t, apr_psprintf(t->p, "UPDATE deployments SET finished_at = %" APR_INT64_T_FMT,
                           DB_T(1000)));
    sched_tick(s);
    assert_string_equal(left(s), "own-1 own-2 own-3 own-4 own-5");
    for (int hour = 0; hour < 23; hour++)
        an_hour_later(s);
    assert_string_equal(left(s), "own-1 own-2 own-3 own-4 own-5");
    an_hour_later(s);
    assert_string_equal(left(s), "own-4 own-5");
    sched_end(s);
}

static void test_deleted(void **state)
{
    db_t *t = *state;
    sched_t *s = make(t, 3);

    db_sql(t, apr_psprintf(t->p, "UPDATE apps SET deleted_at = %" APR_INT64_T_FMT, DB_T(1000)));
    sched_tick(s); /* its names go at once */
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM names"), "0");
    assert_string_equal(
        db_value(t, "SELECT COUNT(*) FROM deployments WHERE release_id IS NOT NULL"), "3");
    for (int hour = 0; hour < 24; hour++)
        an_hour_later(s);
    assert_string_equal(left(s), "");
    sched_end(s);
}

/* More apps than one tick looks at. */
static void test_many(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_make(t);
    int n = 2 * WH_RETIRE_APPS + 1;

    for (int i = 1; i <= n; i++) {
        const char *id = db_deployment(t, db_app(t, i, WH_KIND_STATIC), i);
        wh_release_t r = {.id = apr_psprintf(t->p, RELEASE, i), .files = 1, .created_at = DB_T(i)};

        assert_ok(wh_db_release_put(t->dbc, t->p, &r, &t->err), &t->err);
        db_sql(t, apr_psprintf(t->p,
                               "UPDATE deployments SET status = 'completed', phase = 'done',"
                               " conclusion = 'failed', release_id = '%s', finished_at = 1"
                               " WHERE id = '%s'",
                               r.id, id));
    }
    db_sql(t, "UPDATE jobs SET status = 'canceled', finished_at = 1");
    for (int i = 0; i < 3; i++) {
        assert_string_not_equal(
            db_value(t, "SELECT COUNT(*) FROM deployments WHERE release_id IS NOT NULL"), "0");
        sched_tick(s);
    }
    assert_string_equal(
        db_value(t, "SELECT COUNT(*) FROM deployments WHERE release_id IS NOT NULL"), "0");
    sched_end(s);
}

static int needless(db_t *t, apr_time_t before)
{
    apr_array_header_t *ids;

    assert_ok(wh_db_gc_releases(t->dbc, t->p, before, 100, &ids, &t->err), &t->err);
    return ids->nelts;
}

static void test_releases(void **state)
{
    db_t *t = *state;
    wh_release_t r = {.id = apr_psprintf(t->p, RELEASE, 7), .files = 1, .created_at = DB_T(50)};
    const char *d = db_deployment(t, db_app(t, 1, WH_KIND_STATIC), 1);
    int gone = 0;

    assert_ok(wh_db_release_put(t->dbc, t->p, &r, &t->err), &t->err);
    assert_int_equal(needless(t, DB_T(50)), 0);
    assert_int_equal(needless(t, DB_T(51)), 1);
    /* A job that was there when it was committed may still name it. */
    (void)db_worker(t, 1);
    db_sql(t, "UPDATE jobs SET status = 'processing', worker_id = 1");
    assert_int_equal(needless(t, DB_T(51)), 0);
    db_sql(t, apr_psprintf(t->p, "UPDATE jobs SET created_at = %" APR_INT64_T_FMT, DB_T(60)));
    assert_int_equal(needless(t, DB_T(51)), 1); /* that one came later */
    r.created_at = DB_T(70);
    assert_ok(wh_db_release_put(t->dbc, t->p, &r, &t->err), &t->err);
    assert_string_equal(db_value(t, "SELECT created_at FROM releases"),
                        apr_psprintf(t->p, "%" APR_INT64_T_FMT, DB_T(50)));
    assert_int_equal(needless(t, DB_T(80)), 0); /* it was committed once more */
    db_sql(t, "UPDATE jobs SET status = 'failed'");
    db_sql(t,
           apr_psprintf(t->p, "UPDATE deployments SET release_id = '%s' WHERE id = '%s'", r.id, d));
    assert_int_equal(needless(t, DB_T(80)), 0);
    assert_ok(wh_db_gc_release_delete(t->dbc, t->p, r.id, DB_T(80), &gone, &t->err), &t->err);
    assert_int_equal(gone, 0);
    db_sql(t, "UPDATE deployments SET release_id = NULL");
    assert_ok(wh_db_gc_release_delete(t->dbc, t->p, r.id, DB_T(70), &gone, &t->err), &t->err);
    assert_int_equal(gone, 0);
    assert_ok(wh_db_gc_release_delete(t->dbc, t->p, r.id, DB_T(71), &gone, &t->err), &t->err);
    assert_int_equal(gone, 1);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("the newest two stay, the others lose name and release", test_window),
        DB_CASE("what a name, a switch, a job or a container needs stays", test_needed),
        DB_CASE("what ended within a day stays", test_young),
        DB_CASE("nothing of a deleted app stays for longer than a day", test_deleted),
        DB_CASE("a few apps a tick, and all of them in the end", test_many),
        DB_CASE("a release goes when no deployment has it and no job may name it", test_releases),
    };

    return DB_RUN(cases);
}
