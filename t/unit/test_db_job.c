#include "t/unit/db.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_instance.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_plan.h"
#include "whdb/wh_db_release.h"
#include "whdb/wh_db_worker.h"

#define BEGIN(t) assert_ok(wh_dbc_begin((t)->dbc, (t)->p, &(t)->err), &(t)->err)
#define COMMIT(t) assert_ok(wh_dbc_commit((t)->dbc, &(t)->err), &(t)->err)
#define OK(t, call) assert_ok((call), &(t)->err)
#define NOTFOUND(call) assert_int_equal((call), APR_NOTFOUND)

static apr_status_t assign(db_t *t, const char *job, apr_int64_t worker, apr_int64_t seen,
                           apr_int64_t *epoch)
{
    apr_status_t rv;

    BEGIN(t);
    rv = wh_db_job_assign(t->dbc, t->p, job, worker, seen, DB_T(10), DB_T(70), epoch, &t->err);
    if (rv == APR_SUCCESS || rv == APR_NOTFOUND)
        COMMIT(t);
    else
        wh_dbc_rollback(t->dbc);
    return rv;
}

/* Brings deployment n to `deploy` on worker w; the claim that goes with it. */
static wh_db_claim_t started(db_t *t, int n, const wh_worker_t *w)
{
    wh_db_claim_t c = {.worker_id = w->id, .job_id = db_id(t, 'j', n)};

    OK(t, assign(t, c.job_id, w->id, 0, &c.epoch));
    BEGIN(t);
    OK(t, wh_db_job_ack(t->dbc, t->p, &c, DB_T(11), DB_T(71), DB_T(900), &t->err));
    OK(t, wh_db_deployment_start(t->dbc, t->p, db_id(t, 'd', n), &c, DB_T(11), &t->err));
    COMMIT(t);
    return c;
}

static apr_int64_t used_cpu(db_t *t, apr_int64_t id)
{
    wh_worker_t *w;

    OK(t, wh_db_worker_get(t->dbc, t->p, id, &w, &t->err));
    return w->used_cpu;
}

static void finish(db_t *t, const wh_db_claim_t *c, wh_job_event_e event)
{
    BEGIN(t);
    OK(t, wh_db_job_finish(t->dbc, t->p, c, event, DB_T(30), &t->err));
    COMMIT(t);
}

static void instance(db_t *t, const wh_db_claim_t *c, int n, const char *deployment)
{
    wh_instance_t i = {.id = db_id(t, 'i', n),
                       .deployment_id = deployment,
                       .container = apr_psprintf(t->p, "c%d", n),
                       .address = "127.0.0.1",
                       .port = 40000 + n,
                       .created_at = DB_T(25)};

    OK(t, wh_db_instance_insert(t->dbc, t->p, c, &i, &t->err));
}

/* Brings deployment n of an app to completed, its container running on w. */
static void live(db_t *t, const wh_app_t *a, int n, const wh_worker_t *w)
{
    wh_db_outcome_t done = {.conclusion = WH_CONCLUSION_SUCCEEDED};
    const char *id = db_deployment(t, a, n);
    wh_db_claim_t c = started(t, n, w);

    BEGIN(t);
    instance(t, &c, n, id);
    OK(t, wh_db_deployment_finalize(t->dbc, t->p, id, &c, NULL, "", &t->err));
    OK(t, wh_db_job_finish(t->dbc, t->p, &c, WH_JOB_EV_SUCCEED, DB_T(30), &t->err));
    OK(t, wh_db_deployment_complete(t->dbc, t->p, id, WH_DEPLOYMENT_FINALIZE, &done, DB_T(31),
                                    &t->err));
    COMMIT(t);
}

static void test_static(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_worker_t *w = db_worker(t, 1);
    const char *id = db_deployment(t, a, 1);
    wh_release_t release = {.id = "0123", .files = 3, .bytes = 42, .created_at = DB_T(20)};
    wh_db_outcome_t done = {.conclusion = WH_CONCLUSION_SUCCEEDED};
    wh_db_commit_t commit = {.sha = "abc", .message = "fix", .author = "me", .at = DB_T(1)};
    wh_db_claim_t c = started(t, 1, w);
    wh_db_claim_t stale = c;
    wh_db_claim_t foreign = c;
    wh_db_job_scope_t *scope;
    wh_deployment_t *d;
    wh_job_t *j;

    stale.epoch--;
    foreign.worker_id++;
    assert_int_equal(c.epoch, 1);
    assert_int_equal(used_cpu(t, w->id), 0);
    OK(t, wh_db_deployment_set_phase(t->dbc, t->p, id, &c, WH_PHASE_BUILDING, &t->err));
    OK(t, wh_db_deployment_set_commit(t->dbc, t->p, id, &c, &commit, &t->err));
    OK(t, wh_db_job_check_processing(t->dbc, t->p, &c, &scope, &t->err));
    assert_string_equal(scope->slug, "app1");
    assert_string_equal(scope->deployment_id, id);
    assert_int_equal(scope->cancel_at, 0);

    NOTFOUND(wh_db_job_check_processing(t->dbc, t->p, &stale, &scope, &t->err));
    NOTFOUND(wh_db_job_check_processing(t->dbc, t->p, &foreign, &scope, &t->err));
    NOTFOUND(wh_db_deployment_set_phase(t->dbc, t->p, id, &stale, WH_PHASE_CHECKING, &t->err));
    NOTFOUND(wh_db_deployment_set_phase(t->dbc, t->p, id, &foreign, WH_PHASE_CHECKING, &t->err));
    NOTFOUND(wh_db_deployment_finalize(t->dbc, t->p, id, &stale, NULL, "{}", &t->err));
    NOTFOUND(wh_db_job_renew_lease(t->dbc, t->p, &stale, DB_T(99), &t->err));
    OK(t, wh_db_job_renew_lease(t->dbc, t->p, &c, DB_T(200), &t->err));
    OK(t, wh_db_job_renew_lease(t->dbc, t->p, &c, DB_T(100), &t->err));
    OK(t, wh_db_job_get(t->dbc, t->p, c.job_id, &j, &t->err));
    assert_true(j->lease_until == DB_T(200));
    assert_true(j->deadline_at == DB_T(900));
    assert_int_equal(j->status, WH_JOB_PROCESSING);

    assert_code(wh_db_deployment_finalize(t->dbc, t->p, id, &c, "0123", "{}", &t->err), &t->err,
                "foreign_key");
    OK(t, wh_db_release_put(t->dbc, t->p, &release, &t->err));
    BEGIN(t);
    OK(t, wh_db_deployment_finalize(t->dbc, t->p, id, &c, "0123", "{\"clone_ms\":5}", &t->err));
    OK(t, wh_db_job_finish(t->dbc, t->p, &c, WH_JOB_EV_SUCCEED, DB_T(30), &t->err));
    COMMIT(t);
    NOTFOUND(wh_db_deployment_set_phase(t->dbc, t->p, id, &c, WH_PHASE_CHECKING, &t->err));
    BEGIN(t);
    NOTFOUND(wh_db_job_finish(t->dbc, t->p, &c, WH_JOB_EV_FAIL, DB_T(31), &t->err));
    COMMIT(t);
    NOTFOUND(wh_db_deployment_complete(t->dbc, t->p, id, WH_DEPLOYMENT_DEPLOY,
                                       &(wh_db_outcome_t){.conclusion = WH_CONCLUSION_FAILED},
                                       DB_T(32), &t->err));
    assert_code(
        wh_db_deployment_complete(t->dbc, t->p, id, WH_DEPLOYMENT_DEPLOY, &done, DB_T(32), &t->err),
        &t->err, "db_check");
    OK(t, wh_db_deployment_complete(t->dbc, t->p, id, WH_DEPLOYMENT_FINALIZE, &done, DB_T(32),
                                    &t->err));
    OK(t, wh_db_deployment_latest_serving(t->dbc, t->p, a->id, "production", &d, &t->err));
    assert_string_equal(d->id, id);
    assert_int_equal(d->conclusion, WH_CONCLUSION_SUCCEEDED);
    assert_int_equal(d->phase, WH_PHASE_DONE);
    assert_int_equal(d->worker_id, w->id);
    assert_string_equal(d->release_id, "0123");
    assert_string_equal(d->timings, "{\"clone_ms\":5}");
    assert_string_equal(d->commit_sha, "abc");
    assert_string_equal(d->commit_ref, "main");
    assert_true(d->finished_at == DB_T(32));
    NOTFOUND(wh_db_deployment_latest_serving(t->dbc, t->p, a->id, "staging", &d, &t->err));
}

/* One active deployment an app and environment, kept by the database itself. */
static void test_one_active(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_STATIC);
    wh_worker_t *w = db_worker(t, 1);
    wh_db_claim_t c2 = {.worker_id = w->id};
    wh_db_claim_t c1;

    (void)db_deployment(t, a, 1);
    (void)db_deployment(t, a, 2);
    c1 = started(t, 1, w);
    c2.job_id = db_id(t, 'j', 2);
    OK(t, assign(t, c2.job_id, w->id, 0, &c2.epoch));
    BEGIN(t);
    OK(t, wh_db_job_ack(t->dbc, t->p, &c2, DB_T(11), DB_T(71), DB_T(900), &t->err));
    assert_code(wh_db_deployment_start(t->dbc, t->p, db_id(t, 'd', 2), &c2, DB_T(11), &t->err),
                &t->err, "conflict");
    assert_code(wh_dbc_commit(t->dbc, &t->err), &t->err, "db_error");
    OK(t, wh_db_deployment_fail(t->dbc, t->p, db_id(t, 'd', 1), WH_DEPLOYMENT_DEPLOY,
                                "build_failed", "it did", &t->err));
    finish(t, &c1, WH_JOB_EV_FAIL);
    OK(t, wh_db_deployment_complete(t->dbc, t->p, db_id(t, 'd', 1), WH_DEPLOYMENT_FAIL,
                                    &(wh_db_outcome_t){.conclusion = WH_CONCLUSION_FAILED},
                                    DB_T(40), &t->err));
    {
        wh_deployment_t *d;
        OK(t, wh_db_deployment_get(t->dbc, t->p, db_id(t, 'd', 1), &d, &t->err));
        assert_string_equal(d->cause_code, "build_failed");
        assert_string_equal(d->cause_detail, "it did");
    }
    BEGIN(t);
    OK(t, wh_db_job_ack(t->dbc, t->p, &c2, DB_T(41), DB_T(71), DB_T(900), &t->err));
    OK(t, wh_db_deployment_start(t->dbc, t->p, db_id(t, 'd', 2), &c2, DB_T(41), &t->err));
    COMMIT(t);
}

/* Two planners, one job; and a worker's last room. */
static void test_assign(void **state)
{
    db_t *t = *state;
    wh_app_t *a[5];
    wh_worker_t *w = db_worker(t, 1);
    wh_worker_t *v = db_worker(t, 2);
    apr_int64_t epoch = 0;
    wh_db_claim_t c;
    wh_job_t *j;

    for (int i = 0; i < 5; i++) {
        a[i] = db_app(t, i, WH_KIND_CONTAINER);
        (void)db_deployment(t, a[i], i);
    }
    OK(t, assign(t, db_id(t, 'j', 0), w->id, 0, &epoch));
    assert_int_equal(epoch, 1);
    assert_int_equal(used_cpu(t, w->id), 1000);
    NOTFOUND(assign(t, db_id(t, 'j', 0), v->id, 0, &epoch));
    NOTFOUND(assign(t, db_id(t, 'j', 0), v->id, 1, &epoch));
    assert_int_equal(used_cpu(t, v->id), 0);
    for (int i = 1; i < 4; i++)
        OK(t, assign(t, db_id(t, 'j', i), w->id, 0, &epoch));
    assert_int_equal(used_cpu(t, w->id), 4000);
    NOTFOUND(assign(t, db_id(t, 'j', 4), w->id, 0, &epoch));
    assert_int_equal(used_cpu(t, w->id), 4000);

    /* Cancelled, offline, draining: not placed, nothing reserved. */
    OK(t, wh_db_worker_set_offline(t->dbc, t->p, v->id, DB_T(12), &t->err));
    NOTFOUND(assign(t, db_id(t, 'j', 4), v->id, 0, &epoch));
    OK(t, wh_db_worker_set_online(t->dbc, t->p, v->id, v, DB_T(13), &t->err));
    db_sql(t, "UPDATE workers SET admin_state = 'draining' WHERE id = 2");
    NOTFOUND(assign(t, db_id(t, 'j', 4), v->id, 0, &epoch));
    db_sql(t, "UPDATE workers SET admin_state = 'active' WHERE id = 2");
    OK(t, wh_db_job_cancel_request(t->dbc, t->p, db_id(t, 'd', 4), DB_T(14), &t->err));
    NOTFOUND(assign(t, db_id(t, 'j', 4), v->id, 0, &epoch));
    assert_int_equal(used_cpu(t, v->id), 0);

    /* F144 R10: what was placed on this worker by name waits for it; a copy of that snapshot which
     * went elsewhere (a move away from a draining worker) does not wait there. */
    db_sql(t, "UPDATE deployments SET snapshot = replace(snapshot, '\"spa\"',"
              " '\"placement\":{\"worker\":\"worker-1\"},\"spa\"') WHERE app_id = (SELECT id FROM "
              "apps WHERE slug = 'app1')");
    BEGIN(t);
    OK(t, wh_db_job_reassign(t->dbc, t->p, db_id(t, 'j', 1), 1, &t->err));
    COMMIT(t);
    OK(t, wh_db_job_get(t->dbc, t->p, db_id(t, 'j', 1), &j, &t->err));
    assert_int_equal(j->worker_id, w->id);
    NOTFOUND(assign(t, db_id(t, 'j', 1), v->id, 1, &epoch));
    OK(t, assign(t, db_id(t, 'j', 1), w->id, 1, &epoch));

    /* R10: back to pending, capacity free, the former worker's ack finds nothing. */
    c = (wh_db_claim_t){.worker_id = w->id, .job_id = db_id(t, 'j', 0), .epoch = 1};
    BEGIN(t);
    OK(t, wh_db_job_reassign(t->dbc, t->p, c.job_id, 1, &t->err));
    COMMIT(t);
    assert_int_equal(used_cpu(t, w->id), 3000);
    NOTFOUND(wh_db_job_ack(t->dbc, t->p, &c, DB_T(15), DB_T(75), DB_T(900), &t->err));
    OK(t, assign(t, c.job_id, v->id, 1, &epoch));
    assert_int_equal(epoch, 2);
    assert_int_equal(used_cpu(t, v->id), 1000);
    NOTFOUND(wh_db_job_ack(t->dbc, t->p, &c, DB_T(15), DB_T(75), DB_T(900), &t->err));
    c = (wh_db_claim_t){.worker_id = v->id, .job_id = c.job_id, .epoch = 2};
    OK(t, wh_db_job_ack(t->dbc, t->p, &c, DB_T(15), DB_T(75), DB_T(900), &t->err));
    BEGIN(t);
    NOTFOUND(wh_db_job_reassign(t->dbc, t->p, c.job_id, 2, &t->err));
    NOTFOUND(wh_db_job_abandon(t->dbc, t->p, c.job_id, 2, WH_JOB_EV_CANCEL, DB_T(16), &t->err));
    COMMIT(t);
    finish(t, &c, WH_JOB_EV_CANCELED);
    assert_int_equal(used_cpu(t, v->id), 0);
}

/* A full worker takes the next deployment of what runs there, for it goes where the former was. */
static void test_own_room(void **state)
{
    db_t *t = *state;
    wh_worker_t *w = db_worker(t, 1);
    wh_app_t *a[6];
    wh_db_claim_t c = {.worker_id = w->id, .job_id = db_id(t, 'j', 11)};
    apr_int64_t epoch;
    int n;

    for (int i = 1; i <= 5; i++)
        a[i] = db_app(t, i, WH_KIND_CONTAINER);
    for (int i = 1; i <= 4; i++)
        live(t, a[i], i, w);
    assert_int_equal(used_cpu(t, w->id), 4000);
    for (int i = 1; i <= 5; i++)
        (void)db_deployment(t, a[i], 10 + i);
    db_sql(t, "UPDATE deployments SET environment = 'staging' WHERE id LIKE '0d%12'");
    NOTFOUND(assign(t, db_id(t, 'j', 15), w->id, 0, &epoch));
    NOTFOUND(assign(t, db_id(t, 'j', 12), w->id, 0, &epoch));
    db_sql(t, "UPDATE jobs SET cpu_millis = 1001 WHERE id LIKE '0j%11'");
    NOTFOUND(assign(t, c.job_id, w->id, 0, &c.epoch));
    assert_int_equal(used_cpu(t, w->id), 4000);
    db_sql(t, "UPDATE jobs SET cpu_millis = 1000 WHERE id LIKE '0j%11'");
    OK(t, assign(t, c.job_id, w->id, 0, &c.epoch));
    assert_int_equal(used_cpu(t, w->id), 4000);
    NOTFOUND(assign(t, db_id(t, 'j', 15), w->id, 0, &epoch));
    BEGIN(t);
    OK(t, wh_db_worker_recount(t->dbc, t->p, w->id, &t->err));
    COMMIT(t);
    assert_int_equal(used_cpu(t, w->id), 4000);

    /* While both are there, both count. */
    BEGIN(t);
    OK(t, wh_db_job_ack(t->dbc, t->p, &c, DB_T(40), DB_T(71), DB_T(900), &t->err));
    OK(t, wh_db_deployment_start(t->dbc, t->p, db_id(t, 'd', 11), &c, DB_T(40), &t->err));
    instance(t, &c, 11, db_id(t, 'd', 11));
    OK(t, wh_db_job_finish(t->dbc, t->p, &c, WH_JOB_EV_SUCCEED, DB_T(41), &t->err));
    COMMIT(t);
    assert_int_equal(used_cpu(t, w->id), 5000);
    NOTFOUND(assign(t, db_id(t, 'j', 13), w->id, 0, &epoch));
    BEGIN(t);
    OK(t, wh_db_instance_stop_all(t->dbc, t->p, w->id, db_id(t, 'd', 1), DB_T(50), &n, &t->err));
    OK(t, wh_db_worker_recount(t->dbc, t->p, w->id, &t->err));
    COMMIT(t);
    assert_int_equal(used_cpu(t, w->id), 4000);

    /* Less room than before counts as before until the former is gone. */
    db_sql(t, "UPDATE jobs SET cpu_millis = 500 WHERE id LIKE '0j%13'");
    OK(t, assign(t, db_id(t, 'j', 13), w->id, 0, &epoch));
    assert_int_equal(used_cpu(t, w->id), 4000);
    BEGIN(t);
    OK(t,
       wh_db_job_abandon(t->dbc, t->p, db_id(t, 'j', 13), 1, WH_JOB_EV_CANCEL, DB_T(51), &t->err));
    COMMIT(t);
    assert_int_equal(used_cpu(t, w->id), 4000);
}

static void test_cancel(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_CONTAINER);
    wh_worker_t *w = db_worker(t, 1);
    const char *id = db_deployment(t, a, 1);
    apr_array_header_t *list;
    apr_int64_t epoch;
    wh_job_t *j;

    NOTFOUND(wh_db_job_cancel_request(t->dbc, t->p, "nothing", DB_T(1), &t->err));
    OK(t, assign(t, db_id(t, 'j', 1), w->id, 0, &epoch));
    OK(t, wh_db_job_cancel_request(t->dbc, t->p, id, DB_T(20), &t->err));
    OK(t, wh_db_job_cancel_request(t->dbc, t->p, id, DB_T(21), &t->err));
    OK(t, wh_db_job_list_cancel_requested(t->dbc, t->p, 10, &list, &t->err));
    assert_int_equal(list->nelts, 1);
    j = APR_ARRAY_IDX(list, 0, wh_job_t *);
    assert_true(j->cancel_at == DB_T(20));
    BEGIN(t);
    NOTFOUND(wh_db_job_abandon(t->dbc, t->p, j->id, 0, WH_JOB_EV_CANCEL, DB_T(22), &t->err));
    OK(t, wh_db_job_abandon(t->dbc, t->p, j->id, j->epoch, WH_JOB_EV_CANCEL, DB_T(22), &t->err));
    OK(t, wh_db_deployment_complete(
              t->dbc, t->p, id, WH_DEPLOYMENT_PREPARE,
              &(wh_db_outcome_t){.conclusion = WH_CONCLUSION_CANCELED, .cause_code = "canceled"},
              DB_T(22), &t->err));
    COMMIT(t);
    assert_int_equal(used_cpu(t, w->id), 0);
    OK(t, wh_db_job_by_deployment(t->dbc, t->p, id, &j, &t->err));
    assert_int_equal(j->epoch, 2);
    assert_int_equal(j->status, WH_JOB_CANCELED);
    assert_code(wh_db_job_cancel_request(t->dbc, t->p, id, DB_T(23), &t->err), &t->err,
                "already_completed");
    assert_int_equal(t->err.http, 409);
}

static void claim_name(db_t *t, const wh_app_t *a, const char *label, const char *deployment)
{
    wh_name_t n = {.label = label,
                   .app_id = a->id,
                   .environment = "production",
                   .kind = WH_NAME_PRODUCTION,
                   .deployment_id = deployment};

    OK(t, wh_db_name_claim(t->dbc, t->p, &n, DB_T(33), &t->err));
}

static void test_container(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_CONTAINER);
    wh_app_t *other = db_app(t, 2, WH_KIND_STATIC);
    wh_worker_t *w = db_worker(t, 1);
    const char *d1 = db_deployment(t, a, 1);
    const char *d2 = db_deployment(t, other, 2);
    wh_db_claim_t c = started(t, 1, w);
    wh_instance_t bad = {
        .id = "x", .deployment_id = d2, .container = "x", .address = "h", .port = 1};
    wh_db_observation_t o = {.deployment_id = d1,
                             .container = "c1",
                             .observed = WH_OBSERVED_CRASHLOOP,
                             .reason = "exit 1",
                             .restarts = 3};
    apr_array_header_t *list;
    wh_db_route_t *r;
    wh_name_t n = {.label = "app1", .environment = "production", .kind = WH_NAME_PRODUCTION};
    int count = 0;

    NOTFOUND(wh_db_instance_insert(t->dbc, t->p, &c, &bad, &t->err));
    BEGIN(t);
    instance(t, &c, 1, d1);
    instance(t, &c, 2, d1);
    OK(t, wh_db_deployment_finalize(t->dbc, t->p, d1, &c, NULL, "", &t->err));
    OK(t, wh_db_job_finish(t->dbc, t->p, &c, WH_JOB_EV_SUCCEED, DB_T(30), &t->err));
    COMMIT(t);
    bad.deployment_id = d1;
    NOTFOUND(wh_db_instance_insert(t->dbc, t->p, &c, &bad, &t->err));
    /* W7: what runs counts, after its job is over. */
    assert_int_equal(used_cpu(t, w->id), 2000);
    claim_name(t, a, "app1", d1);
    claim_name(t, a, "app1-id-0000001", d1);

    OK(t, wh_db_name_routes(t->dbc, t->p, NULL, &list, &t->err));
    assert_int_equal(list->nelts, 2);
    OK(t, wh_db_name_routes(t->dbc, t->p, a->id, &list, &t->err));
    assert_int_equal(list->nelts, 2);
    r = APR_ARRAY_IDX(list, 0, wh_db_route_t *);
    assert_string_equal(r->name, "app1");
    assert_int_equal(r->app_kind, WH_KIND_CONTAINER);
    assert_string_equal(r->release_id, "");
    assert_int_equal(r->upstreams->nelts, 2);
    assert_int_equal(APR_ARRAY_IDX(r->upstreams, 1, wh_db_upstream_t).port, 40002);

    /* A name of another app cannot be taken; the former target is kept as previous. */
    n.app_id = other->id;
    n.deployment_id = d2;
    assert_code(wh_db_name_claim(t->dbc, t->p, &n, DB_T(34), &t->err), &t->err, "name_taken");
    n.app_id = a->id;
    OK(t, wh_db_name_claim(t->dbc, t->p, &n, DB_T(35), &t->err));
    OK(t, wh_db_name_claim(t->dbc, t->p, &n, DB_T(36), &t->err));
    OK(t, wh_db_name_list_by_app(t->dbc, t->p, a->id, &list, &t->err));
    assert_int_equal(list->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(list, 0, wh_name_t *)->previous_id, d1);
    assert_string_equal(APR_ARRAY_IDX(list, 0, wh_name_t *)->deployment_id, d2);
    assert_true(APR_ARRAY_IDX(list, 0, wh_name_t *)->updated_at == DB_T(36));
    assert_string_equal(APR_ARRAY_IDX(list, 1, wh_name_t *)->previous_id, "");

    OK(t, wh_db_instance_set_observed(t->dbc, t->p, w->id, &o, &t->err));
    NOTFOUND(wh_db_instance_set_observed(t->dbc, t->p, w->id + 1, &o, &t->err));
    OK(t, wh_db_instance_list_by_deployment(t->dbc, t->p, d1, &list, &t->err));
    assert_int_equal(APR_ARRAY_IDX(list, 0, wh_instance_t *)->observed, WH_OBSERVED_CRASHLOOP);
    assert_int_equal(APR_ARRAY_IDX(list, 0, wh_instance_t *)->restarts, 3);

    /* Drained and stopped by a stop job. */
    OK(t, wh_db_instance_set_state(t->dbc, t->p, db_id(t, 'i', 1), WH_INSTANCE_RUNNING,
                                   WH_INSTANCE_DRAINING, DB_T(40), &t->err));
    NOTFOUND(wh_db_instance_set_state(t->dbc, t->p, db_id(t, 'i', 1), WH_INSTANCE_RUNNING,
                                      WH_INSTANCE_DRAINING, DB_T(40), &t->err));
    BEGIN(t);
    OK(t, wh_db_instance_stop_all(t->dbc, t->p, w->id, d1, DB_T(41), &count, &t->err));
    OK(t, wh_db_worker_recount(t->dbc, t->p, w->id, &t->err));
    COMMIT(t);
    assert_int_equal(count, 2);
    assert_int_equal(used_cpu(t, w->id), 0);
    OK(t, wh_db_instance_list_by_worker(t->dbc, t->p, w->id, &list, &t->err));
    assert_int_equal(list->nelts, 0);
    OK(t, wh_db_instance_list_by_app(t->dbc, t->p, a->id, &list, &t->err));
    assert_int_equal(list->nelts, 0);
    OK(t, wh_db_name_delete_by_app(t->dbc, t->p, a->id, &count, &t->err));
    assert_int_equal(count, 2);
}

static apr_status_t load(db_t *t, wh_sched_in_t *in)
{
    wh_db_plan_opt_t opt = {.now = DB_T(80), .limit = 100};
    wh_db_plan_t plan = {.in = {.hold_on_loss = in->hold_on_loss}};
    apr_status_t rv = wh_db_plan_load(t->dbc, t->p, &opt, &plan, &t->err);

    *in = plan.in;
    return rv;
}

/* Why a deployment waits stands in its row until it is assigned. */
static void test_wait(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_CONTAINER);
    wh_worker_t *w = db_worker(t, 1);
    const char *id = db_deployment(t, a, 1);
    wh_sched_in_t in = {0};
    wh_deployment_t *d;
    apr_int64_t epoch;

    OK(t, wh_db_deployment_set_wait(t->dbc, t->p, id, "no_worker", "none is", &t->err));
    OK(t, wh_db_deployment_set_wait(t->dbc, t->p, id, "no_room", "none has", &t->err));
    OK(t, load(t, &in));
    assert_string_equal(in.jobs[0].cause_code, "no_room");
    assert_string_equal(in.jobs[0].cause_detail, "none has");
    OK(t, assign(t, db_id(t, 'j', 1), w->id, 0, &epoch));
    OK(t, wh_db_deployment_get(t->dbc, t->p, id, &d, &t->err));
    assert_string_equal(d->cause_code, "");
    assert_string_equal(d->cause_detail, "");
    a = db_app(t, 2, WH_KIND_CONTAINER);
    live(t, a, 2, w);
    (void)db_deployment(t, a, 3);
    OK(t, wh_db_deployment_set_wait(t->dbc, t->p, db_id(t, 'd', 2), "busy", "x", &t->err));
    OK(t, wh_db_deployment_get(t->dbc, t->p, db_id(t, 'd', 2), &d, &t->err));
    assert_string_equal(d->cause_code, "");
    OK(t, load(t, &in));
    assert_int_equal(in.n_held, 1);
    assert_string_equal(in.held[0].app_id, db_id(t, 'a', 2));
    assert_string_equal(in.held[0].environment, "production");
    assert_int_equal(in.held[0].worker_id, w->id);
    assert_int_equal(in.held[0].cpu_millis, 1000);
    assert_int_equal(in.held[0].memory_bytes, 536870912);
}

static void test_stop_jobs(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_CONTAINER);
    wh_worker_t *w = db_worker(t, 1);
    const char *d1 = db_deployment(t, a, 1);
    wh_db_claim_t c = {.worker_id = w->id, .job_id = db_id(t, 's', 1)};
    apr_array_header_t *list;
    wh_job_t *j;

    OK(t, wh_db_job_insert_stop(t->dbc, t->p, c.job_id, d1, w->id, DB_T(50), DB_T(40), &t->err));
    OK(t, wh_db_job_insert_stop(t->dbc, t->p, db_id(t, 's', 2), d1, w->id, DB_T(60), DB_T(41),
                                &t->err));
    NOTFOUND(wh_db_job_get(t->dbc, t->p, db_id(t, 's', 2), &j, &t->err));
    OK(t, wh_db_job_get(t->dbc, t->p, c.job_id, &j, &t->err));
    assert_true(j->not_before == DB_T(50));
    assert_int_equal(j->kind, WH_JOB_KIND_STOP);
    assert_string_equal(j->app_id, a->id);
    NOTFOUND(assign(t, c.job_id, w->id + 1, 0, &c.epoch));
    OK(t, wh_db_worker_set_offline(t->dbc, t->p, w->id, DB_T(42), &t->err));
    OK(t, assign(t, c.job_id, w->id, 0, &c.epoch));
    OK(t, wh_db_job_list_by_worker_assigned(t->dbc, t->p, w->id, &list, &t->err));
    assert_int_equal(list->nelts, 1);
    BEGIN(t);
    OK(t, wh_db_job_reassign(t->dbc, t->p, c.job_id, c.epoch, &t->err));
    COMMIT(t);
    OK(t, wh_db_job_get(t->dbc, t->p, c.job_id, &j, &t->err));
    assert_int_equal(j->worker_id, w->id);
    OK(t, assign(t, c.job_id, w->id, 1, &c.epoch));
    assert_int_equal(c.epoch, 2);
    OK(t, wh_db_job_ack(t->dbc, t->p, &c, DB_T(51), DB_T(100), DB_T(200), &t->err));
    OK(t, wh_db_job_list_by_worker_processing(t->dbc, t->p, w->id, &list, &t->err));
    assert_int_equal(list->nelts, 1);
    OK(t, wh_db_job_list_expired(t->dbc, t->p, DB_T(100), DB_T(150), 10, &list, &t->err));
    assert_int_equal(list->nelts, 0);
    OK(t, wh_db_job_list_expired(t->dbc, t->p, DB_T(100), DB_T(201), 10, &list, &t->err));
    assert_int_equal(list->nelts, 1);
    OK(t, wh_db_job_list_expired(t->dbc, t->p, DB_T(101), DB_T(150), 10, &list, &t->err));
    assert_int_equal(list->nelts, 1);
    finish(t, &c, WH_JOB_EV_FAIL);
    OK(t, wh_db_job_insert_stop(t->dbc, t->p, db_id(t, 's', 3), d1, w->id, DB_T(90), DB_T(80),
                                &t->err));
    OK(t, wh_db_job_get(t->dbc, t->p, c.job_id, &j, &t->err));
    assert_int_equal(j->status, WH_JOB_PENDING);
    assert_true(j->not_before == DB_T(90));
    assert_int_equal(j->epoch, 2);
}

static void test_plan(void **state)
{
    db_t *t = *state;
    wh_app_t *a = db_app(t, 1, WH_KIND_CONTAINER);
    wh_app_t *b = db_app(t, 2, WH_KIND_STATIC);
    wh_worker_t *w = db_worker(t, 1);
    wh_sched_in_t in = {.hold_on_loss = 1};
    wh_db_claim_t c;

    (void)db_deployment(t, a, 1);
    (void)db_deployment(t, a, 2);
    (void)db_deployment(t, b, 3);
    db_sql(t, "UPDATE jobs SET priority = 5 WHERE id LIKE '0j%3'");
    c = started(t, 1, w);
    OK(t, load(t, &in));
    assert_int_equal(in.hold_on_loss, 1);
    assert_true(in.now == DB_T(80));
    assert_int_equal(in.n_workers, 1);
    assert_int_equal(in.workers[0].online, 1);
    assert_int_equal(in.workers[0].active, 1);
    assert_int_equal(in.workers[0].engine, 1);
    assert_int_equal(in.workers[0].jobs, 1);
    assert_int_equal(in.workers[0].running, 0);
    assert_int_equal(in.workers[0].cpu_used, 1000);
    assert_int_equal(in.n_jobs, 3);
    assert_string_equal(in.jobs[0].id, db_id(t, 'j', 3));
    assert_int_equal(in.jobs[0].needs_engine, 0);
    assert_int_equal(in.jobs[0].cpu_millis, 0);
    assert_string_equal(in.jobs[1].id, db_id(t, 'j', 2));
    assert_int_equal(in.jobs[1].number, 2);
    assert_int_equal(in.jobs[1].deployment_status, WH_DEPLOYMENT_PREPARE);
    assert_string_equal(in.jobs[2].id, c.job_id);
    assert_int_equal(in.jobs[2].status, WH_JOB_PROCESSING);
    assert_int_equal(in.jobs[2].needs_engine, 1);
    assert_int_equal(in.jobs[2].cpu_millis, 1000);
    assert_true(in.jobs[2].lease_until == DB_T(71));
    assert_int_equal(in.n_busy, 2);
    assert_string_equal(in.busy[0].app_id, a->id);
    assert_string_equal(in.busy[0].environment, "production");
    assert_int_equal(in.busy[0].number, 1);
    assert_int_equal(in.busy[0].newest, 2);
    assert_int_equal(in.busy[1].number, 0);
    assert_int_equal(in.busy[1].newest, 1);
    assert_int_equal(in.n_held, 0);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F183 D12 a static deployment from prepare to completed, fenced", test_static),
        DB_CASE("XN1 one active deployment an app and environment", test_one_active),
        DB_CASE("F146 F147 R10 R32 assign, capacity, reassign", test_assign),
        DB_CASE("F146 F147 a redeploy has the room of what it replaces, nothing else has",
                test_own_room),
        DB_CASE("XN4 cancel before anything began, and too late", test_cancel),
        DB_CASE("instances, names and routes of a container", test_container),
        DB_CASE("stop jobs belong to one worker and come back", test_stop_jobs),
        DB_CASE("why a deployment waits, until it is assigned", test_wait),
        DB_CASE("F141 F142 F143 the planner's snapshot", test_plan),
    };

    return DB_RUN(cases);
}
