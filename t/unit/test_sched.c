#include "t/unit/sched_world.h"
#include "libwh/wh_drain.h"

static void test_nothing(void **state)
{
    world_t *w = world(*state);

    assert_string_equal(plan(w), "");
    worker(w, 1);
    assert_string_equal(plan(w), "");
    assert_int_equal(w->plan.next_at, 0);
}

static void test_order(void **state)
{
    world_t *w = world(*state);

    worker(w, 1)->max_jobs = 8;
    job(w, "old", "a");
    job(w, "new", "b");
    job(w, "urgent", "c")->priority = 5;
    job(w, "later", "d")->priority = -1;
    assert_string_equal(plan(w), "assign urgent 1; assign old 1; assign new 1; assign later 1");
}

static void test_hundred(void **state)
{
    world_t *w = world(*state);

    worker(w, 1)->max_jobs = 1000;
    for (int i = 0; i < 150; i++)
        job(w, apr_psprintf(w->p, "j%03d", i), apr_psprintf(w->p, "a%03d", i));
    plan(w);
    assert_int_equal(w->plan.actions->nelts, 100);
    assert_true(w->plan.more);
    assert_string_equal(APR_ARRAY_IDX(w->plan.actions, 99, wh_sched_action_t).job->id, "j099");
    w->in.n_jobs = 100;
    plan(w);
    assert_int_equal(w->plan.actions->nelts, 100);
    assert_false(w->plan.more);
}

static void test_emptiest(void **state)
{
    world_t *w = world(*state);

    worker(w, 1)->cpu_used = 1000;
    worker(w, 2)->memory_used = GIB; /* a quarter of memory weighs less than one of CPU */
    worker(w, 3)->running = 32;      /* more running apps weigh 15 % */
    job(w, "j1", "a");
    assert_string_equal(plan(w), "assign j1 2");
    worker(w, 4);
    assert_string_equal(plan(w), "assign j1 4");
    w->workers[3].active = 0;
    assert_string_equal(plan(w), "assign j1 2");
    w->workers[1].online = 0;
    assert_string_equal(plan(w), "assign j1 1");
}

static void test_spread(void **state)
{
    world_t *w = world(*state);

    worker(w, 1);
    worker(w, 2);
    for (int i = 0; i < 6; i++) {
        wh_sched_job_t *j = job(w, apr_psprintf(w->p, "j%d", i), apr_psprintf(w->p, "a%d", i));
        j->cpu_millis = 500;
        j->memory_bytes = GIB / 2;
        j->needs_engine = 1;
    }
    /* In turn, and never more than two jobs at once on either. */
    assert_string_equal(plan(w), "assign j0 1; assign j1 2; assign j2 1; assign j3 2");
}

static void test_capacity(void **state)
{
    world_t *w = world(*state);
    wh_sched_job_t *j;

    worker(w, 1)->cpu_used = 3500;
    j = job(w, "j1", "a");
    j->cpu_millis = 501;
    assert_string_equal(plan(w), "");
    j->cpu_millis = 500;
    assert_string_equal(plan(w), "assign j1 1");
    j->memory_bytes = 4 * GIB + 1;
    assert_string_equal(plan(w), "");
    j->memory_bytes = 0;
    j->needs_engine = 1;
    w->workers[0].engine = 0;
    assert_string_equal(plan(w), "");
    assert_int_equal(wh_sched_score(&w->workers[0], j, NULL), -1);
    /* A worker that tells nonsense of itself is no reason to overflow. */
    w->workers[0] = (wh_sched_worker_t){.id = 1, .online = 1, .active = 1, .engine = 1,
                                        .cpu_millis = APR_INT64_C(9007199254740991),
                                        .memory_bytes = APR_INT64_C(9007199254740991),
                                        .cpu_used = APR_INT64_C(9007199254740000),
                                        .memory_used = APR_INT64_C(9007199254740000)};
    assert_true(wh_sched_score(&w->workers[0], j, NULL) > 0);
}

static void test_own_room(void **state)
{
    world_t *w = world(*state);
    wh_sched_job_t *j;

    worker(w, 1)->cpu_used = 4000;
    w->workers[0].memory_used = 4 * GIB;
    worker(w, 2)->cpu_used = 3999;
    j = job(w, "j1", "a");
    j->cpu_millis = 1000;
    j->memory_bytes = GIB;
    w->held[0] = (wh_sched_held_t){"b", "production", 1, 4000, 4 * GIB};
    w->held[1] = (wh_sched_held_t){"a", "staging", 1, 4000, 4 * GIB};
    w->held[2] = (wh_sched_held_t){"a", "production", 2, 999, 0};
    w->held[3] = (wh_sched_held_t){"a", "production", 1, 1000, GIB};
    w->in.n_held = 3;
    assert_string_equal(plan(w), "assign j1 2");
    w->in.n_held = 2;
    assert_string_equal(plan(w), "");
    w->in.n_held = 4;
    w->workers[1].online = 0;
    assert_string_equal(plan(w), "assign j1 1");
    j->cpu_millis = 1001;
    assert_string_equal(plan(w), "");
    j->cpu_millis = 1;
    j->memory_bytes = GIB + 1;
    assert_string_equal(plan(w), "");
}

static void test_why(void **state)
{
    world_t *w = world(*state);
    wh_sched_job_t *j = job(w, "j1", "a");

    j->cpu_millis = 1000;
    j->memory_bytes = GIB / 2;
    j->needs_engine = 1;
    assert_string_equal(why(w, 0), "no_worker: no worker is online");
    worker(w, 1)->online = 0;
    assert_string_equal(why(w, 0), "no_worker: no worker is online");
    j->cause_code = "no_worker";
    j->cause_detail = "no worker is online";
    assert_string_equal(why(w, 0), ""); /* it says so already */
    w->workers[0].online = 1;
    w->workers[0].active = 0;
    assert_string_equal(why(w, 0), "no_worker: no worker that is online takes new deployments");
    w->workers[0].active = 1;
    w->workers[0].engine = 0;
    assert_string_equal(why(w, 0), "no_engine: no worker with a container engine is online");
    w->workers[0].engine = 1;
    w->workers[0].cpu_used = 3500;
    worker(w, 2)->cpu_used = 3600;
    w->workers[1].memory_used = GIB;
    assert_string_equal(why(w, 0), "no_room: no worker has room for 1000 CPU millis and 512 MiB; "
                                   "the best has 500 CPU millis and 4096 MiB");
    w->held[0] = (wh_sched_held_t){"a", "production", 2, 550, GIB};
    w->in.n_held = 1;
    assert_string_equal(why(w, 0), "no_room: no worker has room for 1000 CPU millis and 512 MiB; "
                                   "the best has 950 CPU millis and 4096 MiB");
    w->workers[0].cpu_used = 9000; /* it offers less than it did */
    w->workers[1].online = 0;
    assert_string_equal(why(w, 0), "no_room: no worker has room for 1000 CPU millis and 512 MiB; "
                                   "the best has 0 CPU millis and 4096 MiB");
    w->workers[0].cpu_used = 0;
    w->workers[0].jobs = 2;
    assert_string_equal(why(w, 0),
                        "busy: the workers are at work on as many deployments as they may be");
    w->workers[0].jobs = 0;
    j->worker_id = 2;
    assert_string_equal(why(w, 0), "no_worker: the worker it is meant for is not online");
    j->worker_id = 0;
    assert_string_equal(why(w, 0), "");
    assert_int_equal(w->plan.actions->nelts, 1);
    w->busy[0] = (wh_sched_busy_t){.app_id = "a", .environment = "production", .number = 7};
    w->in.n_busy = 1;
    assert_string_equal(why(w, 0), "busy: deployment 7 of this app is under way");
    w->in.n_busy = 0;
    held(w, "j0", "a", WH_JOB_ASSIGNED)->number = 6;
    w->jobs[0].number = 8;
    assert_string_equal(why(w, 0), "busy: deployment 6 of this app is under way");
    j->cancel_at = T0;
    assert_string_equal(why(w, 0), "");
}

static void test_preset(void **state)
{
    world_t *w = world(*state);

    worker(w, 1);
    worker(w, 2)->cpu_used = 3000;
    job(w, "j1", "a")->worker_id = 2;
    job(w, "j2", "b")->worker_id = 9;
    assert_string_equal(plan(w), "assign j1 2");
}

static void test_supersede(void **state)
{
    world_t *w = world(*state);

    worker(w, 1);
    job(w, "d1", "a");
    job(w, "d2", "a");
    job(w, "d3", "a");
    job(w, "other", "b");
    job(w, "staging", "a")->environment = "staging";
    w->in.n_workers = 0;
    assert_string_equal(plan(w), "skip d1 d3; skip d2 d3");
    w->in.n_workers = 1;
    assert_string_equal(plan(w), "skip d1 d3; skip d2 d3; assign d3 1; assign other 1");
    /* One that is to be canceled neither supersedes nor is placed. */
    w->jobs[2].cancel_at = T0;
    assert_string_equal(plan(w), "skip d1 d2; assign d2 1; assign other 1");
}

static void test_one_active(void **state)
{
    world_t *w = world(*state);

    worker(w, 1)->max_jobs = 8;
    held(w, "running", "a", WH_JOB_PROCESSING);
    held(w, "assigned", "b", WH_JOB_ASSIGNED);
    job(w, "d2", "a");
    job(w, "d3", "a");
    job(w, "b2", "b");
    job(w, "c2", "c");
    w->busy[0] = (wh_sched_busy_t){.app_id = "c", .environment = "production", .number = 1};
    w->in.n_busy = 1;
    assert_string_equal(plan(w), "skip d2 d3");
    w->jobs[0].status = WH_JOB_SUCCEEDED;
    w->in.n_busy = 0;
    assert_string_equal(plan(w), "skip d2 d3; assign d3 1; assign c2 1");
    w->jobs[1].status = WH_JOB_CANCELED;
    assert_string_equal(plan(w), "skip d2 d3; assign d3 1; assign b2 1; assign c2 1");
}

static void test_stop_jobs(void **state)
{
    world_t *w = world(*state);
    wh_sched_job_t *j;

    worker(w, 1)->active = 0; /* draining: no new deployments, but stops */
    w->workers[0].jobs = 2;
    held(w, "running", "a", WH_JOB_PROCESSING);
    j = job(w, "stop1", "a");
    j->kind = WH_JOB_KIND_STOP;
    j->worker_id = 1;
    j->not_before = T0 + S(10);
    assert_string_equal(plan(w), "");
    assert_int_equal(w->plan.next_at, T0 + S(10));
    w->in.now = T0 + S(10);
    assert_string_equal(plan(w), "assign stop1 1");
    w->workers[0].online = 0;
    assert_string_equal(plan(w), "");
}

static void test_worker_drops(void **state)
{
    world_t *w = world(*state);

    worker(w, 1);
    worker(w, 2);
    held(w, "j1", "a", WH_JOB_ASSIGNED);
    assert_string_equal(plan(w), "");
    w->workers[0].online = 0;
    assert_string_equal(plan(w), "");
    assert_int_equal(w->plan.next_at, T0 + S(60));
    w->in.now = T0 + S(60);
    assert_string_equal(plan(w), "release j1");
    w->in.hold_on_loss = 1;
    assert_string_equal(plan(w), "");
    assert_int_equal(w->plan.next_at, T0 + S(900));
    w->in.now = T0 + S(900) - 1;
    assert_string_equal(plan(w), "");
    w->in.now = T0 + S(900);
    assert_string_equal(plan(w), "lost j1"); /* F10, then F11 */
    w->in.hold_on_loss = 0;
    w->workers[0].online = 1; /* it is back: the job is sent again on its connection */
    assert_string_equal(plan(w), "");
}

static void test_lost(void **state)
{
    world_t *w = world(*state);
    wh_sched_job_t *j;

    worker(w, 1);
    j = held(w, "j1", "a", WH_JOB_PROCESSING);
    w->in.now = T0 + S(899);
    assert_string_equal(plan(w), "");
    assert_int_equal(w->plan.next_at, T0 + S(900));
    w->in.now = T0 + S(900);
    assert_string_equal(plan(w), "lost j1");
    /* Each heartbeat moves the end: a job that runs for hours is never stuck. */
    j->lease_until = T0 + S(899) + WH_SCHED_LEASE_US;
    assert_string_equal(plan(w), "");
    w->in.now = T0 + S(899 + 900);
    assert_string_equal(plan(w), "lost j1");
    /* Within its deadlines it may be silent for longer. */
    j->deadline_at = T0 + S(3600);
    assert_string_equal(plan(w), "");
    w->in.now = T0 + S(3600) - 1;
    assert_string_equal(plan(w), "");
    w->in.now = T0 + S(3600);
    assert_string_equal(plan(w), "lost j1");
}

static void test_phases(void **state)
{
    static const wh_sched_limits_t limits = {S(300), S(900), S(120), S(60)};

    (void)state;
    assert_int_equal(wh_sched_phase_left(WH_PHASE_QUEUED, &limits), S(1380));
    assert_int_equal(wh_sched_phase_left(WH_PHASE_CLONING, &limits), S(1380));
    assert_int_equal(wh_sched_phase_left(WH_PHASE_BUILDING, &limits), S(1080));
    assert_int_equal(wh_sched_phase_left(WH_PHASE_STARTING, &limits), S(180));
    assert_int_equal(wh_sched_phase_left(WH_PHASE_CHECKING, &limits), S(60));
    assert_int_equal(wh_sched_phase_left(WH_PHASE_SWITCHING, &limits), S(900));
}

/* A worker that said no is asked again when there is no other. */
static void test_avoid(void **state)
{
    world_t *w = world(*state);
    static const wh_sched_avoid_t avoid[] = {{"j1", 1}, {"j9", 2}};

    worker(w, 1);
    job(w, "j1", "a");
    w->in.avoid = avoid;
    w->in.n_avoid = 2;
    assert_string_equal(plan(w), "assign j1 1");
    worker(w, 2)->cpu_used = 3900;
    assert_string_equal(plan(w), "assign j1 2");
}

static void test_deadline(void **state)
{
    world_t *w = world(*state);
    wh_sched_job_t *j;

    worker(w, 1);
    j = held(w, "j1", "a", WH_JOB_PROCESSING);
    j->deadline_at = T0 + S(1380);
    j->lease_until = T0 + S(1440) + WH_SCHED_LEASE_US;
    w->in.now = T0 + S(1439);
    assert_string_equal(plan(w), "");
    assert_int_equal(w->plan.next_at, T0 + S(1440));
    w->in.now = T0 + S(1440);
    assert_string_equal(plan(w), "deadline j1");
    job(w, "j2", "a"); /* the next one waits until this one is really over */
    assert_string_equal(plan(w), "deadline j1");
}

static void test_never_again(void **state)
{
    world_t *w = world(*state);

    worker(w, 1);
    held(w, "j1", "a", WH_JOB_FAILED);
    held(w, "j2", "b", WH_JOB_CANCELED);
    held(w, "j3", "c", WH_JOB_SUCCEEDED);
    w->in.now = T0 + S(100000);
    assert_string_equal(plan(w), "");
}

static void test_stale(void **state)
{
    (void)state;
    assert_false(wh_sched_worker_stale(T0 + S(120), T0, 0));
    assert_true(wh_sched_worker_stale(T0 + S(121), T0, 0));
    assert_false(wh_sched_worker_stale(T0 + S(121), T0 - S(9999), T0 + S(1)));
    assert_true(wh_sched_worker_stale(T0 + S(122), T0 - S(9999), T0 + S(1)));
}

static void test_many(void **state)
{
    enum { N = 20000 };
    apr_pool_t *p = *state;
    wh_sched_job_t *jobs = apr_pcalloc(p, N * sizeof(*jobs));
    wh_sched_in_t in = {.now = T0, .n_jobs = N, .jobs = jobs};
    wh_sched_plan_t out;

    /* 200 apps with 100 pushes each: all but the newest of each go in one plan. */
    for (int i = 0; i < N; i++) {
        jobs[i] = (wh_sched_job_t){.app_id = apr_psprintf(p, "app%d", i % 200),
                                   .environment = "production", .number = i + 1,
                                   .created_at = T0 + i};
        jobs[i].id = jobs[i].deployment_id = apr_psprintf(p, "j%d", i);
    }
    wh_sched_plan(p, &in, &out);
    assert_int_equal(out.actions->nelts, N - 200);
}

static void test_drain_rows(void **state)
{
    wh_drain_app_t a = {.app_id = "a", .environment = "production", .since = T0};
    wh_drain_app_t b = a;

    (void)state;
    b.environment = "staging";
    assert_int_equal(wh_drain_judge(&a, NULL), WH_DRAIN_MOVE);
    assert_int_equal(wh_drain_judge(&a, &b), WH_DRAIN_MOVE);
    assert_int_equal(wh_drain_judge(&a, &a), WH_DRAIN_SAME);
    a.failed_at = T0 - 1;
    assert_int_equal(wh_drain_judge(&a, NULL), WH_DRAIN_MOVE);
    a.failed_at = T0;
    assert_int_equal(wh_drain_judge(&a, NULL), WH_DRAIN_FAILED);
    a.open = 1;
    assert_int_equal(wh_drain_judge(&a, NULL), WH_DRAIN_WAIT);
    a.desired = WH_DESIRED_STOPPED;
    assert_int_equal(wh_drain_judge(&a, NULL), WH_DRAIN_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F140 nothing to do is an empty plan", test_nothing),
        UNIT("F143 by priority, then by age", test_order),
        UNIT("F142 at most 100 a tick, and it says that there is more", test_hundred),
        UNIT("F136 F139 the emptiest worker by weighted CPU, memory and apps", test_emptiest),
        UNIT("F136 assignments of one plan fill the workers they go to", test_spread),
        UNIT("F146 nothing goes where it has no room", test_capacity),
        UNIT("F146 a redeploy has the room of what it replaces, nothing else has", test_own_room),
        UNIT("what waits says why, once", test_why),
        UNIT("F144 a preset worker is honoured", test_preset),
        UNIT("R7 of those that wait only the newest stays", test_supersede),
        UNIT("F183 one active deployment an app and environment", test_one_active),
        UNIT("F223 stop jobs go to their worker, when their time has come", test_stop_jobs),
        UNIT("F10 R10 an assigned job is placed again when its worker drops, or held",
             test_worker_drops),
        UNIT("F148 R24 fifteen minutes without renewal is lost, never within", test_lost),
        UNIT("F148 each phase that is over leaves less for the rest", test_phases),
        UNIT("a worker that did not take a job is the last to be asked again", test_avoid),
        UNIT("what is done about an app on a draining worker", test_drain_rows),
        UNIT("F148 beyond all deadlines and a minute it is failed", test_deadline),
        UNIT("F12 F14 F137 what failed is never run again by itself", test_never_again),
        UNIT("F150 R9 offline after two minutes, counted from the scheduler's start too",
             test_stale),
        UNIT("XC22 a flood of pushes is coalesced in one plan", test_many),
    };

    return UNIT_RUN(tests);
}
