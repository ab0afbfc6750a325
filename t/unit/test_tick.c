/* The rules of time at their edges, through the real tick and the real database: two minutes,
 * fifteen minutes, deadlines, clocks that jump. Nothing sleeps. */
#include "t/unit/sched.h"

#include "libwh/wh_json.h"
#include "whdb/wh_db_fleet.h"
#include "whdb/wh_db_worker.h"
#include "wh-scheduler/hub_msg.h"
#include "wh-scheduler/tick.h"

#define HOUR 3600
#define DAY 86400

static const char *worker_status(sched_t *s, const wh_worker_t *w)
{
    return db_value(s->t,
                    apr_psprintf(s->t->p, "SELECT status FROM workers WHERE id = %d", (int)w->id));
}

/* Ticks for so long, second by second at first, then up to the last one exactly. The worker says
 * it is alive every 30 s, as an agent does, while beat is set. */
static void live(sched_t *s, int seconds, const wh_worker_t *beat, const char *job)
{
    for (int i = 1; i <= seconds; i++) {
        sched_pass(s, 1);
        if (beat != NULL && i % 30 == 0) {
            sched_beat(s, beat->id, job != NULL ? sched_refs(NULL, job, 1) : NULL);
        }
        if (i % 10 == 0 || i == seconds) {
            sched_tick(s);
        }
    }
}

static void test_silent(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_make(t);
    wh_worker_t *w = db_worker(t, 1);

    sched_tick(s);
    sched_up(s, w, NULL);
    live(s, 120, NULL, NULL);
    assert_string_equal(worker_status(s, w), "online");
    live(s, 60, NULL, NULL); /* F149: the next look is a minute later */
    sched_tick(s);
    assert_string_equal(worker_status(s, w), "offline");
    assert_string_equal(sched_out(s), "welcome@1; close 1012@1");
    sched_end(s);
}

/* The edge itself: looks a microsecond apart. */
static void test_silent_edge(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_make(t);
    wh_worker_t *w = db_worker(t, 1);

    sched_tick(s);
    live(s, 200, NULL, NULL);
    sched_up(s, w, NULL);
    sched_pass(s, 50);
    sched_tick(s);
    sched_pass(s, 50);
    sched_tick(s);
    wh_clock_fake_advance(&s->clock, apr_time_from_sec(20));
    s->core.health_at.us = 0;
    sched_tick(s);
    assert_string_equal(worker_status(s, w),
                        "online"); /* F150: two minutes are not older than two minutes */
    wh_clock_fake_advance(&s->clock, 1);
    s->core.health_at.us = 0;
    sched_tick(s);
    assert_string_equal(worker_status(s, w), "offline");
    sched_end(s);
}

static void test_start(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_make(t);
    wh_worker_t *w = db_worker(t, 1); /* online by its row, silent for 1000 s */

    live(s, 119, NULL, NULL);
    assert_string_equal(worker_status(s, w), "online");
    live(s, 70, NULL, NULL);
    assert_string_equal(worker_status(s, w), "offline");
    sched_end(s);
}

static void test_lost(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    const char *used =
        apr_psprintf(t->p, "SELECT used_cpu FROM workers WHERE id = %d", (int)s->w->id);

    s->settings.clone_s = s->settings.build_s = s->settings.start_s = 100;
    sched_at_work(s, s->w, s->a);
    assert_string_equal(db_value(t, used), "1000");
    live(s, 90, s->w, db_id(t, 'j', 1)); /* its lease now ends 60 s after the 90th */
    sched_down(s, s->w->id);
    live(s, 809, NULL, NULL);
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 1)), "completed/failed/deadline");
    assert_string_equal(db_value(t, used), "0");
    sched_end(s);
}

/* R24: fifteen minutes without renewal, and its deadlines are over. */
static void test_lost_edge(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    const char *d = db_id(t, 'd', 1), *j = db_id(t, 'j', 1);

    s->settings.build_s = 900 - 300 - 120 - 60 + 30; /* 930 s in all */
    sched_at_work(s, s->w, s->a);
    sched_down(s, s->w->id);
    live(s, 900, NULL, NULL);
    assert_string_equal(sched_deployment(s, d), "deploy//"); /* within its deadlines: not stuck */
    live(s, 29, NULL, NULL);
    wh_clock_fake_advance(&s->clock, 999999);
    sched_tick(s);
    assert_string_equal(sched_deployment(s, d), "deploy//");
    wh_clock_fake_advance(&s->clock, 1);
    sched_tick(s);
    assert_string_equal(sched_deployment(s, d), "completed/failed/agent_lost");
    assert_string_equal(db_value(t, apr_psprintf(t->p, "SELECT used_cpu FROM workers WHERE id = %d",
                                                 (int)s->w->id)),
                        "0");
    (void)sched_out(s);
    /* A cancel was left for it. */
    sched_up(s, s->w, sched_refs(NULL, j, 1));
    assert_non_null(strstr(sched_out(s), apr_psprintf(t->p, "job_cancel %s 1", j)));
    sched_end(s);
}

/* A worker that is alive and says nothing of the job: each phase leaves less time. */
static void test_phase(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    const char *d = db_id(t, 'd', 1), *j = db_id(t, 'j', 1);

    sched_at_work(s, s->w, s->a);
    live(s, 10, s->w, j);
    assert_int_equal(sched_say(s, s->w->id, WH_MSG_JOB_STATUS,
                               json_pack("{s:s,s:i,s:s,s:i}", "job", j, "epoch", 1, "phase",
                                         "checking", "started_at", 1)),
                     APR_SUCCESS);
    live(s, 119, s->w, j); /* the check may take 60 s; a minute of grace */
    assert_string_equal(sched_deployment(s, d), "deploy//");
    (void)sched_out(s);
    live(s, 1, s->w, j);
    assert_string_equal(sched_deployment(s, d), "completed/failed/deadline");
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "job_cancel %s 1@1", j));
    sched_end(s);
}

/* ---- clocks that are set ---- */

static void jump(db_t *t, apr_interval_time_t step)
{
    sched_t *s = sched_case(t);
    wh_worker_t *idle = db_worker(t, 2);
    wh_app_t *b = db_app(t, 2, WH_KIND_CONTAINER);
    const char *j = db_id(t, 'j', 1);
    apr_int64_t lease;

    sched_at_work(s, s->w, s->a);
    sched_up(s, idle, NULL);
    live(s, 200, s->w, j);
    sched_up(s, idle, NULL);
    (void)db_deployment(t, b, 2);
    sched_tick(s); /* assigned, and not answered */
    assert_string_equal(sched_job(s, db_id(t, 'j', 2)), "assigned");
    (void)sched_out(s);

    wh_clock_fake_step(&s->clock, step);
    sched_tick(s);
    assert_string_equal(worker_status(s, s->w), "online");
    assert_string_equal(worker_status(s, idle), "online");
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 1)), "deploy//");
    assert_string_equal(sched_job(s, db_id(t, 'j', 2)), "assigned");
    assert_string_equal(sched_out(s), "");
    lease = apr_atoi64(
        db_value(t, apr_psprintf(t->p, "SELECT lease_until FROM jobs WHERE id = '%s'", j)));
    assert_in_range(lease - s->clock.now, 1, WH_SCHED_LEASE_US);

    /* And afterwards the rules hold as before: the one that is silent goes after two minutes, the
     * one that beats stays. */
    live(s, 30, s->w, j);
    assert_string_equal(worker_status(s, idle), "online");
    live(s, 180, s->w, j);
    assert_string_equal(worker_status(s, idle), "offline");
    assert_string_equal(worker_status(s, s->w), "online");
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 1)), "deploy//");
    assert_int_equal(sched_result(s, s->w->id, j, 1, "succeeded"), APR_SUCCESS);
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 1)), "completed/succeeded/");
    sched_end(s);
}

static void test_hour_on(void **state)
{
    jump(*state, apr_time_from_sec(HOUR));
}

static void test_hour_back(void **state)
{
    jump(*state, -apr_time_from_sec(HOUR));
}

static void test_day_on(void **state)
{
    jump(*state, apr_time_from_sec(DAY));
}

static void test_day_back(void **state)
{
    jump(*state, -apr_time_from_sec(DAY));
}

/* The clock was set while nobody looked: the scheduler was down. */
static void down(db_t *t, apr_interval_time_t step)
{
    sched_t *s = sched_case(t);
    const char *d = db_id(t, 'd', 1), *j = db_id(t, 'j', 1);

    sched_at_work(s, s->w, s->a);
    live(s, 30, s->w, j);
    wh_clock_fake_step(&s->clock, step);
    sched_restart(s);
    sched_tick(s);
    assert_string_equal(worker_status(s, s->w), "online");
    assert_string_equal(sched_deployment(s, d), "deploy//");
    live(s, 60, NULL, NULL);
    sched_up(s, s->w, sched_refs(NULL, j, 1));
    live(s, 60, s->w, j);
    assert_string_equal(sched_deployment(s, d), "deploy//");
    /* Its deadline is not further away than it ever was. */
    live(s, 1380, s->w, j);
    assert_string_equal(sched_deployment(s, d), "completed/failed/deadline");
    sched_end(s);
}

static void test_down_on(void **state)
{
    down(*state, apr_time_from_sec(DAY));
}

static void test_down_back(void **state)
{
    down(*state, -apr_time_from_sec(DAY));
}

/* The process was held up for twenty minutes: what came meanwhile is heard before anybody is
 * judged.
 */
static void test_held_up(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);

    sched_at_work(s, s->w, s->a);
    sched_pass(s, 1800);
    sched_tick(s);
    assert_string_equal(worker_status(s, s->w), "online");
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 1)), "deploy//");
    sched_end(s);
}

/* ---- a worker that drops ---- */

static void test_cascade(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    const char *up = apr_psprintf(t->p, "c-%s-1", db_id(t, 'j', 1));

    sched_at_work(s, s->w, s->a);
    assert_int_equal(sched_result(s, s->w->id, db_id(t, 'j', 1), 1, "succeeded"), APR_SUCCESS);
    assert_string_equal(sched_observed(s, s->a), "running//running");
    sched_down(s, s->w->id);
    assert_string_equal(worker_status(s, s->w), "offline"); /* F8: at once */
    assert_string_equal(sched_observed(s, s->a), "stopped/worker_offline/running");
    assert_string_equal(db_value(t, "SELECT state FROM instances"), "running");
    sched_up(s, s->w, NULL);
    assert_string_equal(sched_observed(s, s->a), "stopped/worker_offline/running");
    assert_int_equal(sched_say(s, s->w->id, WH_MSG_APP_STATUS,
                               json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "app", s->a->id, "deployment",
                                         db_id(t, 'd', 1), "container", up, "state", "running",
                                         "reason", "", "restarts", 0)),
                     APR_SUCCESS);
    assert_string_equal(sched_observed(s, s->a), "running//running");
    sched_end(s);
}

static void test_reassign(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    wh_worker_t *other = db_worker(t, 2);
    const char *j = db_id(t, 'j', 1);

    sched_offered(s, other);
    assert_non_null(strstr(sched_out(s), apr_psprintf(t->p, "job %s 1@1", j)));
    sched_up(s, other, NULL);
    sched_down(s, s->w->id);
    sched_tick(s);
    assert_non_null(strstr(sched_out(s), apr_psprintf(t->p, "job %s 2@2", j)));
    /* The one that dropped says yes after all: too late. */
    sched_up(s, s->w, NULL);
    assert_int_not_equal(sched_ack(s, s->w->id, j, 1), APR_SUCCESS);
    assert_string_equal(sched_job(s, j), "assigned");
    assert_int_equal(sched_ack(s, other->id, j, 2), APR_SUCCESS);
    assert_string_equal(sched_job(s, j), "processing");
    sched_end(s);
}

static void test_hold(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    wh_worker_t *other = db_worker(t, 2);
    wh_app_t *b = db_app(t, 2, WH_KIND_CONTAINER);
    const char *j = db_id(t, 'j', 1);

    s->settings.job_on_worker_loss = "hold";
    sched_offered(s, other);
    sched_up(s, other, NULL);
    sched_down(s, s->w->id);
    live(s, 300, other, NULL);
    assert_string_equal(sched_job(s, j), "assigned"); /* F10 */
    (void)sched_out(s);
    sched_up(s, s->w, NULL);
    assert_non_null(strstr(sched_out(s), apr_psprintf(t->p, "job %s 1@3", j))); /* R11 */
    assert_int_equal(sched_ack(s, s->w->id, j, 1), APR_SUCCESS);
    assert_int_equal(sched_result(s, s->w->id, j, 1, "failed"), APR_SUCCESS);

    (void)db_deployment(t, b, 2);
    sched_down(s, other->id);
    sched_tick(s);
    sched_up(s, other, NULL);
    sched_down(s, s->w->id);
    live(s, 899, other, NULL);
    assert_string_equal(sched_job(s, db_id(t, 'j', 2)), "assigned");
    live(s, 1, other, NULL);
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 2)),
                        "completed/failed/agent_lost"); /* F11 */
    sched_end(s);
}

/* A worker that keeps saying no loses the job to one that may say yes. */
static void test_refused(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    wh_worker_t *other = db_worker(t, 2);
    const char *j = db_id(t, 'j', 1);

    sched_offered(s, other);
    sched_up(s, other, NULL);
    (void)sched_out(s);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sched_refuse(s, s->w->id, j, 1), APR_SUCCESS);
        sched_pass(s, 1);
        sched_tick(s);
        assert_string_equal(sched_out(s), "");
        sched_pass(s, 1);
        sched_tick(s);
        assert_string_equal(sched_out(s), apr_psprintf(t->p, "job %s 1@1", j));
    }
    assert_int_equal(sched_refuse(s, s->w->id, j, 1), APR_SUCCESS);
    sched_tick(s);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "job %s 2@2", j));
    /* When all say no it goes round. */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sched_refuse(s, other->id, j, 2), APR_SUCCESS);
        sched_pass(s, 2);
        sched_tick(s);
    }
    assert_non_null(strstr(sched_out(s), apr_psprintf(t->p, "job %s 3@", j)));
    sched_end(s);
}

/* Acks in a row: jobs 1 to 3 of worker 1, each accepted or (a minus before it) not; 0 stands for a
 * connection that has gone. */
static apr_status_t acks(sched_t *s, const int *jobs, int n)
{
    db_t *t = s->t;
    wh_work_t works[3], *list[3];
    apr_status_t rv;

    for (int i = 0; i < n; i++) {
        int job = jobs[i] < 0 ? -jobs[i] : jobs[i];

        works[i] = (wh_work_t){.kind = WH_WORK_FRAME, .conn = job != 0 ? 1 : 99};
        works[i].msg.type = WH_MSG_JOB_ACK;
        works[i].msg.p = wh_json_own(t->p, json_pack("{s:s,s:i,s:b,s:s}", "job",
                                                     db_id(t, 'j', job != 0 ? job : 1), "epoch", 1,
                                                     "accepted", jobs[i] >= 0, "reason", ""));
        list[i] = &works[i];
    }
    rv = wh_hub_msg_job_acks(&s->core, t->p, list, n, s->clock.now, &t->err);
    wh_err_clear(&t->err);
    return rv;
}

static void test_acks(void **state)
{
    static const int all[] = {1, 2, 3}, refused[] = {1, -2, 3}, gone[] = {1, 2, 0}, one[] = {3};
    db_t *t = *state;
    sched_t *s = sched_make(t);
    wh_worker_t *w = db_worker(t, 1);

    sched_tick(s);
    w->max_jobs = 3;
    sched_up(s, w, NULL);
    for (int n = 1; n <= 3; n++) {
        (void)db_deployment(t, db_app(t, n, WH_KIND_STATIC), n);
    }
    sched_tick(s);
    (void)sched_out(s);
    assert_int_equal(acks(s, refused, 3), APR_NOTFOUND);
    assert_int_equal(acks(s, gone, 3), APR_NOTFOUND);
    assert_int_equal(acks(s, one, 1), APR_SUCCESS);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "job_go %s 1@1", db_id(t, 'j', 3)));
    assert_int_equal(acks(s, all, 3), APR_NOTFOUND); /* the third has begun: nothing is done */
    assert_string_equal(sched_out(s), "");
    assert_string_equal(sched_job(s, db_id(t, 'j', 1)), "assigned");
    assert_int_equal(acks(s, all, 2), APR_SUCCESS);
    assert_string_equal(sched_out(s), apr_psprintf(t->p, "job_go %s 1@1; job_go %s 1@1",
                                                   db_id(t, 'j', 1), db_id(t, 'j', 2)));
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 2)), "deploy//");
    sched_end(s);
}

/* ---- results ---- */

static void test_result_twice(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);
    const char *d = db_id(t, 'd', 1), *j = db_id(t, 'j', 1);

    sched_at_work(s, s->w, s->a);
    assert_int_equal(sched_result(s, s->w->id, j, 2, "succeeded"), APR_SUCCESS); /* not its epoch */
    assert_string_equal(sched_job(s, j), "processing");
    assert_int_equal(sched_result(s, s->w->id, j, 1, "failed"), APR_SUCCESS);
    assert_int_equal(sched_result(s, s->w->id, j, 1, "succeeded"), APR_SUCCESS);
    assert_string_equal(sched_deployment(s, d), "completed/failed/build_failed");
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM instances"), "0");
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM jobs WHERE kind = 'stop'"), "1");
    sched_end(s);
}

/* A worker that is full to the brim: the next deployment does not wait for the grace of the last.
 */
static void test_full(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);

    s->w->cpu_millis = 1000;
    sched_tick(s);
    sched_up(s, s->w, NULL);
    for (int n = 1; n <= 3; n++) {
        sched_begin(s, s->w, s->a, n);
        assert_int_equal(sched_result(s, s->w->id, db_id(t, 'j', n), 1, "succeeded"), APR_SUCCESS);
        assert_string_equal(sched_deployment(s, db_id(t, 'd', n)), "completed/succeeded/");
    }
    /* Another app waits for real room. */
    (void)db_deployment(t, db_app(t, 2, WH_KIND_CONTAINER), 4);
    sched_tick(s);
    assert_string_equal(sched_deployment(s, db_id(t, 'd', 4)), "prepare//no_room");
    sched_end(s);
}

/* What is asked for while a tick is under way does not wait for its end and the next one. */
static void test_asked(void **state)
{
    db_t *t = *state;
    sched_t *s = sched_case(t);

    sched_tick(s);
    db_sql(t, "UPDATE apps SET republish = 7");
    assert_ok(wh_tick_run(&s->core, t->p, 0, &t->err), &t->err);
    assert_string_equal(db_value(t, "SELECT republish FROM apps"), "7"); /* nobody asked yet */
    wh_mailbox_poke(s->core.box);
    assert_ok(wh_tick_run(&s->core, t->p, 0, &t->err), &t->err);
    assert_string_equal(db_value(t, "SELECT republish FROM apps"), "0");
    assert_true(wh_mailbox_poked(s->core.box)); /* and the next tick comes all the same */
    sched_end(s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("F149 F150 a connected worker is offline after two silent minutes", test_silent),
        DB_CASE("F150 the edge of two minutes", test_silent_edge),
        DB_CASE("R9 after a start nobody is judged before two minutes", test_start),
        DB_CASE("states 4 beyond its deadlines a job fails and gives its room back", test_lost),
        DB_CASE("F148 R24 the edge of fifteen minutes, and never within its deadlines",
                test_lost_edge),
        DB_CASE("states 4 a worker that is silent in one phase", test_phase),
        DB_CASE("G17 XN9 the clock is set on by an hour", test_hour_on),
        DB_CASE("G17 XN9 the clock is set back by an hour", test_hour_back),
        DB_CASE("G17 XN9 the clock is set on by a day", test_day_on),
        DB_CASE("G17 XN9 the clock is set back by a day", test_day_back),
        DB_CASE("XN9 the clock is set on by a day while the scheduler is down", test_down_on),
        DB_CASE("XN9 the clock is set back by a day while the scheduler is down", test_down_back),
        DB_CASE("R24 a scheduler that was held up hears first and judges then", test_held_up),
        DB_CASE("F8 F9 R9 the cascade and the way back", test_cascade),
        DB_CASE("R10 reassign: an assigned job goes to another worker", test_reassign),
        DB_CASE("F10 F11 hold: it waits for its worker, for fifteen minutes", test_hold),
        DB_CASE("a job that is refused again and again goes elsewhere", test_refused),
        DB_CASE("acks in a row: all of them in one go, or none", test_acks),
        DB_CASE("XE14 stale, repeated and contradicting results", test_result_twice),
        DB_CASE("the grace of a replaced container holds nobody up", test_full),
        DB_CASE("what is asked for in the middle of a tick", test_asked),
    };

    return DB_RUN(cases);
}
