/* Several connections at once, each in a thread of its own. */
#include <pthread.h>
#include <stdlib.h>
#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_assign.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_plan.h"
#include "whdb/wh_db_schema.h"
#include "whdb/wh_db_token.h"
#include "whdb/wh_db_worker.h"

#define THREADS 4
#define ROUNDS 25

/* One thread's own view of the case: pool, connection and error are its own. */
typedef struct racer_t {
    db_t t;
    int n;
    wh_app_t *app;
    int won;
    int failed;
    pthread_t thread;
} racer_t;

static void race(db_t *t, wh_app_t *app, void *(*fn)(void *), racer_t r[THREADS])
{
    for (int i = 0; i < THREADS; i++) {
        apr_pool_t *p;

        apr_pool_create(&p, t->p);
        r[i] = (racer_t){.t = *t, .n = i, .app = app};
        r[i].t.p = p;
        r[i].t.dbc = NULL;
        assert_ok(wh_dbc_open(p, t->driver, t->params, &r[i].t.dbc, &t->err), &t->err);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&r[i].thread, NULL, fn, &r[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(r[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        if (r[i].failed)
            fail_msg("thread %d: %s: %s", i, r[i].t.err.code, r[i].t.err.text);
    }
}

static void *make_deployments(void *data)
{
    racer_t *r = data;

    for (int i = 0; i < ROUNDS && !r->failed; i++) {
        wh_db_deployment_new_t d = {
            .id = db_id(&r->t, 'd', r->n * 1000 + i),
            .job_id = db_id(&r->t, 'j', r->n * 1000 + i),
            .app_id = r->app->id,
            .environment = "production",
            .trigger = WH_TRIGGER_API,
            .snapshot = wh_model_snapshot_text(r->t.p, r->app),
            .now = DB_T(1),
        };
        apr_int64_t number;
        apr_status_t rv = wh_dbc_begin(r->t.dbc, r->t.p, &r->t.err);

        if (rv == APR_SUCCESS)
            rv = wh_db_deployment_create(r->t.dbc, r->t.p, &d, &number, &r->t.err);
        if (rv == APR_SUCCESS)
            rv = wh_dbc_commit(r->t.dbc, &r->t.err);
        r->failed = rv != APR_SUCCESS;
    }
    return NULL;
}

static void test_numbers(void **state)
{
    db_t *t = *state;
    wh_app_t *app = db_app(t, 1, WH_KIND_STATIC);
    racer_t r[THREADS];

    race(t, app, make_deployments, r);
    assert_string_equal(db_value(t, "SELECT COUNT(DISTINCT number) FROM deployments"
                                    " WHERE number BETWEEN 1 AND 100"),
                        "100");
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM jobs"), "100");
}

/* Places jobs of its own app on the one worker and ends them; `won` counts those that were placed.
 * The worker has room for two, so a third open job is one too many. */
static void *place_jobs(void *data)
{
    racer_t *r = data;
    db_t *t = &r->t;

    for (int i = 0; i < ROUNDS && !r->failed; i++) {
        wh_db_claim_t c = {.worker_id = 1, .job_id = db_id(t, 'j', r->n * 1000 + i)};
        apr_status_t rv = wh_dbc_begin(t->dbc, t->p, &t->err);

        if (rv == APR_SUCCESS)
            rv =
                wh_db_job_assign(t->dbc, t->p, c.job_id, 1, 0, DB_T(1), DB_T(9), &c.epoch, &t->err);
        if (rv == APR_NOTFOUND) {
            r->failed = wh_dbc_commit(t->dbc, &t->err) != APR_SUCCESS;
            continue;
        }
        if (rv == APR_SUCCESS)
            rv = wh_dbc_commit(t->dbc, &t->err);
        r->won++;
        if (rv == APR_SUCCESS &&
            strtol(db_value(t, "SELECT COUNT(*) FROM jobs WHERE status = 'assigned'"), NULL, 10) >
                2)
            rv = wh_err_set(&t->err, 500, "oversold", "more than two are placed at once");
        if (rv == APR_SUCCESS)
            rv = wh_dbc_begin(t->dbc, t->p, &t->err);
        if (rv == APR_SUCCESS)
            rv = wh_db_job_abandon(t->dbc, t->p, c.job_id, c.epoch, WH_JOB_EV_CANCEL, DB_T(2),
                                   &t->err);
        if (rv == APR_SUCCESS)
            rv = wh_dbc_commit(t->dbc, &t->err);
        r->failed = rv != APR_SUCCESS;
    }
    return NULL;
}

static void test_room(void **state)
{
    db_t *t = *state;
    racer_t r[THREADS];
    int won = 0;

    (void)db_worker(t, 1);
    db_sql(t, "UPDATE workers SET cpu_millis = 2000");
    for (int n = 0; n < THREADS; n++) {
        wh_app_t *app = db_app(t, n, WH_KIND_CONTAINER);

        for (int i = 0; i < ROUNDS; i++)
            (void)db_deployment(t, app, n * 1000 + i);
    }
    race(t, NULL, place_jobs, r);
    for (int i = 0; i < THREADS; i++)
        won += r[i].won;
    assert_true(won > 0);
    assert_string_equal(db_value(t, "SELECT used_cpu FROM workers"), "0");
}

/* A planner of its own: looks at the queue, plans, gives out, until nothing more goes. */
static void *plan_and_give(void *data)
{
    racer_t *r = data;
    db_t *t = &r->t;
    int idle = 0;

    while (idle < 5 && !r->failed) {
        wh_db_plan_opt_t opt = {.now = DB_T(5000), .limit = 60};
        wh_db_plan_t seen = {0};
        wh_db_place_t list[WH_SCHED_TICK_MAX];
        apr_array_header_t *placed = NULL;
        wh_sched_plan_t plan;
        int n = 0;
        apr_status_t rv = wh_db_plan_load(t->dbc, t->p, &opt, &seen, &t->err);

        if (rv == APR_SUCCESS)
            wh_sched_plan(t->p, &seen.in, &plan);
        for (int i = 0; rv == APR_SUCCESS && i < plan.actions->nelts; i++) {
            const wh_sched_action_t *a = &APR_ARRAY_IDX(plan.actions, i, wh_sched_action_t);

            if (a->what == WH_SCHED_ASSIGN)
                list[n++] = (wh_db_place_t){a->job->id, a->worker_id, a->job->epoch};
        }
        if (rv == APR_SUCCESS)
            rv = wh_dbc_begin(t->dbc, t->p, &t->err);
        if (rv == APR_SUCCESS)
            rv = wh_db_assign(t->dbc, t->p, list, n, DB_T(5000), DB_T(5060), &placed, &t->err);
        if (rv == APR_SUCCESS)
            rv = wh_dbc_commit(t->dbc, &t->err);
        r->failed = rv != APR_SUCCESS;
        r->won += r->failed ? 0 : placed->nelts;
        idle = !r->failed && placed->nelts == 0 ? idle + 1 : 0;
    }
    return NULL;
}

static void test_planners(void **state)
{
    db_t *t = *state;
    racer_t r[THREADS];
    int won = 0;

    for (int n = 1; n <= 3; n++)
        (void)db_worker(t, n);
    db_sql(t,
           "UPDATE workers SET cpu_millis = 64000, memory_bytes = 90 * CAST(536870912 AS BIGINT),"
           " max_jobs = 1024");
    for (int n = 0; n < 300; n++)
        (void)db_deployment(t, db_app(t, n, WH_KIND_CONTAINER), n);
    race(t, NULL, plan_and_give, r);
    for (int i = 0; i < THREADS; i++)
        won += r[i].won;
    /* 64 CPUs and 90 times the memory: 64 of each worker's. */
    assert_int_equal(won, 3 * 64);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM jobs WHERE status = 'assigned'"
                                    " AND epoch = 1"),
                        "192");
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM workers w WHERE used_cpu <> 64000"
                                    " OR used_cpu <> (SELECT SUM(j.cpu_millis) FROM jobs j"
                                    "  WHERE j.worker_id = w.id AND j.status = 'assigned')"
                                    " OR used_memory <> (SELECT SUM(j.memory_bytes) FROM jobs j"
                                    "  WHERE j.worker_id = w.id AND j.status = 'assigned')"),
                        "0");
}

static void *redeem(void *data)
{
    racer_t *r = data;

    for (int i = 0; i < ROUNDS && !r->failed; i++) {
        apr_status_t rv =
            wh_db_token_onetime_redeem(r->t.dbc, r->t.p, apr_psprintf(r->t.p, "%064d", i),
                                       "enrolment", DB_T(2), NULL, &r->t.err);

        r->won += rv == APR_SUCCESS;
        r->failed = rv != APR_SUCCESS && rv != APR_NOTFOUND;
    }
    return NULL;
}

static void test_redeem(void **state)
{
    db_t *t = *state;
    racer_t r[THREADS];
    int won = 0;

    for (int i = 0; i < ROUNDS; i++) {
        const wh_db_onetime_t token = {.hash = apr_psprintf(t->p, "%064d", i),
                                       .purpose = "enrolment",
                                       .created_at = DB_T(1),
                                       .expires_at = DB_T(9)};

        assert_ok(wh_db_token_onetime_insert(t->dbc, t->p, &token, &t->err), &t->err);
    }
    race(t, NULL, redeem, r);
    for (int i = 0; i < THREADS; i++)
        won += r[i].won;
    assert_int_equal(won, ROUNDS);
}

static void *enrol(void *data)
{
    racer_t *r = data;

    for (int i = 0; i < ROUNDS && !r->failed; i++) {
        wh_worker_t w = {
            .public_id = db_id(&r->t, 'w', r->n * 1000 + i),
            .name = apr_psprintf(r->t.p, "w-%d-%d", r->n, i),
            .key_hash = apr_psprintf(r->t.p, "%064d", r->n * 1000 + i),
            .address = "127.0.0.1",
            .cpu_millis = 1,
            .memory_bytes = 1,
        };
        wh_worker_t *out;
        apr_status_t rv = wh_dbc_begin(r->t.dbc, r->t.p, &r->t.err);

        if (rv == APR_SUCCESS)
            rv = wh_db_worker_register(r->t.dbc, r->t.p, &w, DB_T(1), &out, NULL, &r->t.err);
        if (rv == APR_SUCCESS)
            rv = wh_dbc_commit(r->t.dbc, &r->t.err);
        r->failed = rv != APR_SUCCESS;
    }
    return NULL;
}

static void test_register(void **state)
{
    db_t *t = *state;
    racer_t r[THREADS];

    race(t, NULL, enrol, r);
    assert_string_equal(db_value(t, "SELECT MAX(id) FROM workers"), "100");
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM workers"), "100");
}

static void *migrate(void *data)
{
    racer_t *r = data;
    int from = -1;

    r->failed =
        wh_db_schema_migrate(r->t.dbc, r->t.p, DB_T(r->n), &from, NULL, &r->t.err) != APR_SUCCESS;
    r->won = from == 0;
    return NULL;
}

static void test_migrate(void **state)
{
    db_t *t = *state;
    racer_t r[THREADS];

    race(t, NULL, migrate, r);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM schema_migrations"),
                        apr_itoa(t->p, wh_db_schema_needed()));
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("XN1 100 deployments by 4 at once are numbered 1 to 100", test_numbers),
        DB_CASE("F146 R32 a worker's last room is given once, and each count is exact", test_room),
        DB_CASE("F141 R32 4 planners at once: nothing oversold, nothing given twice",
                test_planners),
        DB_CASE("each one-time token is redeemed by one of 4", test_redeem),
        DB_CASE("XD12 100 workers that register at once have 100 ids", test_register),
        DB_CASE("XN10 4 programs migrate at once, and it happens once", test_migrate, .bare = 1),
    };

    return DB_RUN(cases);
}
