/* Jobs given out in batches, and the windows on a long queue. */
#include <stdlib.h>
#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_assign.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_plan.h"
#include "whdb/wh_db_worker.h"

#define OK(t, call) assert_ok((call), &(t)->err)

/* Gives out what is named and returns the numbers of those that went, "1 2 3". */
static const char *give(db_t *t, const wh_db_place_t *list, int n)
{
    apr_array_header_t *placed = NULL;
    const char *text = "";

    OK(t, wh_dbc_begin(t->dbc, t->p, &t->err));
    OK(t, wh_db_assign(t->dbc, t->p, list, n, DB_T(1000), DB_T(1060), &placed, &t->err));
    OK(t, wh_dbc_commit(t->dbc, &t->err));
    for (int i = 0; i < placed->nelts; i++) {
        const wh_db_placed_t *d = &APR_ARRAY_IDX(placed, i, wh_db_placed_t);

        assert_string_equal(d->job.id, list[d->place].job_id);
        assert_int_equal(d->job.worker_id, list[d->place].worker_id);
        assert_int_equal(d->job.epoch, list[d->place].epoch + 1);
        assert_int_equal(d->job.status, WH_JOB_ASSIGNED);
        text = apr_psprintf(t->p, "%s%s%d", text, *text ? " " : "", atoi(d->job.id + 2));
    }
    return text;
}

static wh_db_place_t to(db_t *t, int n, apr_int64_t worker)
{
    return (wh_db_place_t){.job_id = db_id(t, 'j', n), .worker_id = worker};
}

/* The counters are the sums, whatever happened. */
static void assert_exact(db_t *t)
{
    const char *before = db_value(t, "SELECT SUM(used_cpu) + SUM(used_memory) FROM workers");

    OK(t, wh_dbc_begin(t->dbc, t->p, &t->err));
    for (int i = 1; i <= atoi(db_value(t, "SELECT MAX(id) FROM workers")); i++)
        OK(t, wh_db_worker_recount(t->dbc, t->p, i, &t->err));
    OK(t, wh_dbc_commit(t->dbc, &t->err));
    assert_string_equal(db_value(t, "SELECT SUM(used_cpu) + SUM(used_memory) FROM workers"),
                        before);
}

static void test_batch(void **state)
{
    db_t *t = *state;
    wh_app_t *apps[6];
    wh_db_place_t list[6];
    wh_deployment_t *d;
    wh_job_t *j;

    (void)db_worker(t, 1);
    (void)db_worker(t, 2);
    for (int n = 1; n <= 5; n++) {
        apps[n] = db_app(t, n, n == 5 ? WH_KIND_STATIC : WH_KIND_CONTAINER);
        (void)db_deployment(t, apps[n], n);
        list[n - 1] = to(t, n, 1 + n % 2);
    }
    OK(t, wh_db_deployment_set_wait(t->dbc, t->p, db_id(t, 'd', 2), "no_room", "none", &t->err));
    assert_string_equal(give(t, list, 5), "1 2 3 4 5");
    assert_exact(t);
    assert_string_equal(db_value(t, "SELECT used_cpu FROM workers WHERE id = 2"), "2000");
    OK(t, wh_db_deployment_get(t->dbc, t->p, db_id(t, 'd', 2), &d, &t->err));
    assert_string_equal(d->cause_code, "");
    OK(t, wh_db_job_get(t->dbc, t->p, db_id(t, 'j', 3), &j, &t->err));
    assert_int_equal(j->epoch, 1);
    assert_true(j->assigned_at == DB_T(1000) && j->lease_until == DB_T(1060));
    assert_string_equal(give(t, list, 5), ""); /* all have moved on */
    assert_string_equal(give(t, list, 0), "");
}

static apr_status_t begin(db_t *t, const wh_db_place_t *list, int n)
{
    apr_status_t rv;

    OK(t, wh_dbc_begin(t->dbc, t->p, &t->err));
    rv = wh_db_assign_begin(t->dbc, t->p, list, n, DB_T(1001), DB_T(1070), DB_T(2000), &t->err);
    if (rv == APR_SUCCESS)
        OK(t, wh_dbc_commit(t->dbc, &t->err));
    else
        wh_dbc_rollback(t->dbc);
    wh_err_clear(&t->err);
    return rv;
}

static const char *states(db_t *t)
{
    return apr_pstrcat(t->p, db_value(t, "SELECT COUNT(*) FROM jobs WHERE status = 'processing'"),
                       " ", db_value(t, "SELECT COUNT(*) FROM deployments WHERE status = 'deploy'"),
                       NULL);
}

/* Many begin in one go, or none of them does. */
static void test_begin(void **state)
{
    db_t *t = *state;
    wh_db_place_t list[4], wrong;
    wh_deployment_t *d;
    wh_job_t *j;

    (void)db_worker(t, 1);
    for (int n = 1; n <= 4; n++) {
        (void)db_deployment(t, db_app(t, n, WH_KIND_CONTAINER), n);
        list[n - 1] = to(t, n, 1);
    }
    assert_string_equal(give(t, list, 3), "1 2 3");
    for (int n = 0; n < 4; n++)
        list[n].epoch = 1;
    assert_int_equal(begin(t, list, 4), APR_NOTFOUND); /* the fourth was given to nobody */
    wrong = list[2];
    list[2].epoch = 2;
    assert_int_equal(begin(t, list, 3), APR_NOTFOUND);
    list[2] = wrong;
    list[2].worker_id = 2;
    assert_int_equal(begin(t, list, 3), APR_NOTFOUND);
    list[2] = list[1];
    assert_int_equal(begin(t, list, 3), APR_NOTFOUND); /* one of them twice */
    list[2] = wrong;
    db_sql(t, "UPDATE deployments SET status = 'deploy' WHERE number = 1 AND app_id ="
              " (SELECT app_id FROM jobs ORDER BY id LIMIT 1)");
    assert_int_equal(begin(t, list, 3), APR_NOTFOUND);
    db_sql(t, "UPDATE deployments SET status = 'prepare'");
    assert_string_equal(states(t), "0 0");
    assert_int_equal(begin(t, list, 3), APR_SUCCESS);
    assert_string_equal(states(t), "3 3");
    OK(t, wh_db_job_get(t->dbc, t->p, db_id(t, 'j', 2), &j, &t->err));
    assert_true(j->started_at == DB_T(1001) && j->lease_until == DB_T(1070) &&
                j->deadline_at == DB_T(2000));
    OK(t, wh_db_deployment_get(t->dbc, t->p, db_id(t, 'd', 2), &d, &t->err));
    assert_true(d->worker_id == 1 && d->phase == WH_PHASE_CLONING && d->started_at == DB_T(1001));
    assert_int_equal(begin(t, list, 3), APR_NOTFOUND); /* they have begun */
    assert_int_equal(wh_db_assign_begin(t->dbc, t->p, list, 1, 1, 1, 1, &t->err), APR_EGENERAL);
    wh_err_clear(&t->err);
}

/* What is said later is read later: who has moved on meanwhile is left out. */
static void test_offers(void **state)
{
    db_t *t = *state;
    wh_db_place_t list[6];
    apr_array_header_t *rows;
    const char *seen = "";

    (void)db_worker(t, 1);
    (void)db_worker(t, 2);
    for (int n = 1; n <= 5; n++) {
        (void)db_deployment(t, db_app(t, n, WH_KIND_CONTAINER), n);
        list[5 - n] = to(t, n, n == 5 ? 2 : 1);
    }
    assert_string_equal(give(t, list, 5), "5 4 3 2 1");
    for (int n = 0; n < 5; n++) {
        list[n].worker_id = 1;
        list[n].epoch = n == 1 ? 7 : 1;
    }
    db_sql(t, "UPDATE jobs SET cancel_at = 5 WHERE id LIKE '%3'");
    OK(t, wh_db_assign_offers(t->dbc, t->p, list, 5, &rows, &t->err));
    for (int i = 0; i < rows->nelts; i++) {
        const wh_db_placed_t *d = &APR_ARRAY_IDX(rows, i, wh_db_placed_t);

        seen = apr_psprintf(t->p, "%s%s@%d ", seen, d->slug, d->place);
        assert_true(d->job.worker_id == 1 && d->job.epoch == 1 && d->job.status == WH_JOB_ASSIGNED);
        assert_string_equal(d->environment, "production");
    }
    assert_string_equal(seen, "app2@3 app1@4 ");
}

/* Who loses is left out, and the rest goes. */
static void test_losers(void **state)
{
    db_t *t = *state;
    wh_db_place_t list[8];

    (void)db_worker(t, 1);
    (void)db_worker(t, 2);
    for (int n = 1; n <= 7; n++)
        (void)db_deployment(t, db_app(t, n, WH_KIND_CONTAINER), n);
    db_sql(t, "UPDATE jobs SET cancel_at = 5 WHERE id LIKE '%1'");
    db_sql(t, "UPDATE jobs SET epoch = 3 WHERE id LIKE '%2'");
    db_sql(t, "UPDATE jobs SET worker_id = 2 WHERE id LIKE '%3'");
    db_sql(t, "UPDATE jobs SET status = 'canceled' WHERE id LIKE '%4'");
    for (int n = 1; n <= 7; n++)
        list[n - 1] = to(t, n, n == 5 ? 77 : 1); /* there is no worker 77 */
    list[7] = (wh_db_place_t){.job_id = "no such job", .worker_id = 1};
    assert_string_equal(give(t, list, 8), "6 7");
    assert_exact(t);
    list[0] = to(t, 3, 2);
    list[1] = to(t, 2, 2);
    list[1].epoch = 3;
    assert_string_equal(give(t, list, 2), "3 2");
    assert_exact(t);
}

static void test_worker_state(void **state)
{
    static const char *const no[] = {"status = 'offline'", "admin_state = 'draining'",
                                     "admin_state = 'removed'", "refuses = 'full'"};
    db_t *t = *state;
    wh_db_place_t one;

    (void)db_worker(t, 1);
    (void)db_deployment(t, db_app(t, 1, WH_KIND_CONTAINER), 1);
    one = to(t, 1, 1);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        db_sql(t, apr_pstrcat(t->p, "UPDATE workers SET ", no[i], NULL));
        assert_string_equal(give(t, &one, 1), "");
        db_sql(t, "UPDATE workers SET status = 'online', admin_state = 'active', refuses = ''");
    }
    assert_string_equal(give(t, &one, 1), "1");
    assert_exact(t);
}

/* 4 CPUs: the fifth of a batch finds no room, a smaller one behind it does; stop jobs need none. */
static void test_room(void **state)
{
    db_t *t = *state;
    wh_db_place_t list[8];

    (void)db_worker(t, 1);
    for (int n = 1; n <= 6; n++)
        (void)db_deployment(t, db_app(t, n, WH_KIND_CONTAINER), n);
    db_sql(t, "UPDATE jobs SET cpu_millis = 900");
    db_sql(t, "UPDATE jobs SET cpu_millis = 1000 WHERE id LIKE '%5'");
    db_sql(t, "UPDATE jobs SET cpu_millis = 400 WHERE id LIKE '%6'");
    OK(t, wh_db_job_insert_stop(t->dbc, t->p, db_id(t, 'j', 7), db_id(t, 'd', 1), 1, DB_T(1),
                                DB_T(1), &t->err));
    for (int n = 1; n <= 7; n++)
        list[n - 1] = to(t, n, 1);
    assert_string_equal(give(t, list, 7), "1 2 3 4 6 7");
    assert_string_equal(db_value(t, "SELECT used_cpu FROM workers"), "4000");
    assert_exact(t);
}

/* A redeployment has the room of what it replaces; two environments of one app are two things. */
static void test_own_room(void **state)
{
    db_t *t = *state;
    wh_db_place_t list[3];

    (void)db_worker(t, 1);
    for (int n = 1; n <= 3; n++)
        (void)db_deployment(t, db_app(t, n, WH_KIND_CONTAINER), n);
    db_sql(t, "UPDATE workers SET used_cpu = 3000, used_memory = 3 * 536870912");
    db_sql(t,
           "INSERT INTO instances (id, app_id, deployment_id, worker_id, container, address, port,"
           " state, cpu_millis, memory_bytes, created_at) SELECT 'i' || substr(id, 2), app_id,"
           " id, 1, id, '127.0.0.1', 1, 'running', 1000, 536870912, 1 FROM deployments");
    db_sql(t, "UPDATE deployments SET environment = 'staging' WHERE id LIKE '%3'");
    assert_exact(t);
    db_sql(t, "UPDATE jobs SET cpu_millis = 1500 WHERE id LIKE '%1'");
    for (int n = 1; n <= 3; n++)
        list[n - 1] = to(t, n, 1);
    assert_string_equal(give(t, list, 3), "1 2 3");
    assert_string_equal(db_value(t, "SELECT used_cpu FROM workers"), "3500");
    assert_exact(t);
}

static void test_windows(void **state)
{
    db_t *t = *state;
    wh_db_plan_opt_t opt = {.now = DB_T(2000), .limit = 4};
    wh_db_plan_t plan = {0};
    const char *seen = "";

    (void)db_worker(t, 1);
    for (int n = 1; n <= 10; n++)
        (void)db_deployment(t, db_app(t, n, WH_KIND_STATIC), n);
    db_sql(t, "UPDATE jobs SET priority = 1 WHERE id LIKE '%9'");
    db_sql(t, "UPDATE jobs SET created_at = 7 WHERE id LIKE '%5' OR id LIKE '%6'");
    db_sql(t, "UPDATE jobs SET not_before = 9000000000000000 WHERE id LIKE '%2'");
    for (int i = 0; i < 5; i++) {
        wh_sched_job_t *last;

        OK(t, wh_db_plan_load(t->dbc, t->p, &opt, &plan, &t->err));
        for (int n = 0; n < plan.n_pending; n++)
            seen = apr_psprintf(t->p, "%s%d ", seen, atoi(plan.jobs[n].id + 2));
        seen = apr_pstrcat(t->p, seen, "| ", NULL);
        if (plan.n_pending < opt.limit)
            break;
        last = apr_pmemdup(t->p, &plan.jobs[plan.n_pending - 1], sizeof(*last));
        opt.after = last;
    }
    assert_string_equal(seen, "9 5 6 1 | 3 4 7 8 | 10 | ");
    /* A stop job of a worker that is away does not stand in the queue. */
    OK(t, wh_db_job_insert_stop(t->dbc, t->p, db_id(t, 's', 1), db_id(t, 'd', 1), 1, DB_T(1),
                                DB_T(1), &t->err));
    opt = (wh_db_plan_opt_t){.now = DB_T(2000), .limit = 100};
    OK(t, wh_db_plan_load(t->dbc, t->p, &opt, &plan, &t->err));
    assert_int_equal(plan.n_pending, 10);
    OK(t, wh_db_worker_set_offline(t->dbc, t->p, 1, DB_T(3), &t->err));
    OK(t, wh_db_plan_load(t->dbc, t->p, &opt, &plan, &t->err));
    assert_int_equal(plan.n_pending, 9);
    assert_int_equal(plan.in.n_workers, 1);
    wh_db_plan_given(&plan, &plan.jobs[0], 1, 10, 20);
    assert_int_equal(plan.in.jobs[0].status, WH_JOB_ASSIGNED);
    assert_int_equal(plan.in.workers[0].jobs, 1);
    assert_int_equal(plan.in.workers[0].cpu_used, 10);
}

static void test_waits(void **state)
{
    db_t *t = *state;
    wh_db_wait_t list[2] = {
        {db_id(t, 'd', 1), "no_match", "no worker of zone \"\xc3\xa4\" is online"},
        {db_id(t, 'd', 2), "busy", "it's"}};
    wh_deployment_t *d;
    int rows = 9;

    for (int n = 1; n <= 2; n++)
        (void)db_deployment(t, db_app(t, n, WH_KIND_STATIC), n);
    OK(t, wh_db_assign_waits(t->dbc, t->p, list, 0, &rows, &t->err));
    assert_int_equal(rows, 0);
    OK(t, wh_db_assign_waits(t->dbc, t->p, list, 2, &rows, &t->err));
    assert_int_equal(rows, 2);
    OK(t, wh_db_deployment_get(t->dbc, t->p, list[0].deployment_id, &d, &t->err));
    assert_string_equal(d->cause_code, "no_match");
    assert_string_equal(d->cause_detail, list[0].detail);
    OK(t, wh_db_assign_waits(t->dbc, t->p, list, 2, &rows, &t->err));
    assert_int_equal(rows, 0);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F145 F146 R32 a batch of assignments is what each alone would be", test_batch),
        DB_CASE("R32 what lost its compare-and-set is left out, the rest goes", test_losers),
        DB_CASE("F146 nothing to a worker that is away, draining, removed, or refuses",
                test_worker_state),
        DB_CASE("F146 W7 the batch itself fills its workers", test_room),
        DB_CASE("W7 a redeployment has the room of what it replaces", test_own_room),
        DB_CASE("F143 a long queue in windows: order, no gap, nothing twice", test_windows),
        DB_CASE("many begin in one go, or none", test_begin),
        DB_CASE("R11 what is said later is read later", test_offers),
        DB_CASE("why they wait is written for all at once", test_waits),
    };

    return DB_RUN(cases);
}
