#include "t/unit/sched_world.h"

/* ---- zones, labels, workers that refuse ---- */

static void labels(world_t *w, int i, const char *text)
{
    w->jobs[i].labels_text = text;
    w->jobs[i].labels = wh_sched_labels(w->p, text);
}

static void test_zone(void **state)
{
    world_t *w = world(*state);

    job(w, "j1", "a")->zone = "north";
    worker(w, 1)->zone = "south";
    worker(w, 2); /* of no zone */
    assert_string_equal(plan(w), "");
    assert_string_equal(why(w, 0), "no_match: no worker of zone north is online");
    w->jobs[0].worker_id = 1;
    assert_string_equal(why(w, 0), "no_match: the worker it is meant for is not of zone north");
    w->jobs[0].worker_id = 0;
    worker(w, 3)->zone = "north";
    w->workers[2].cpu_used = 3900; /* the fullest, and the only one */
    assert_string_equal(plan(w), "assign j1 3");
    w->workers[2].online = 0;
    assert_string_equal(why(w, 0), "no_match: no worker of zone north is online");
    w->jobs[0].zone = "";
    assert_string_equal(plan(w), "assign j1 1");
}

static void test_labels(void **state)
{
    world_t *w = world(*state);

    job(w, "j1", "a");
    labels(w, 0, "{\"disk\":\"ssd\",\"arch\":\"arm\"}");
    worker(w, 1)->labels = wh_sched_labels(w->p, "{\"disk\":\"ssd\"}");
    worker(w, 2)->labels = wh_sched_labels(w->p, "{\"disk\":\"hdd\",\"arch\":\"arm\"}");
    worker(w, 3)->labels = wh_sched_labels(w->p, "{\"Disk\":\"ssd\",\"arch\":\"arm\"}");
    assert_string_equal(why(w, 0), "no_match: no worker that is online has the labels"
                                   " {\"disk\":\"ssd\",\"arch\":\"arm\"}");
    w->jobs[0].worker_id = 1;
    assert_string_equal(why(w, 0), "no_match: the worker it is meant for does not have the labels"
                                   " {\"disk\":\"ssd\",\"arch\":\"arm\"}");
    w->jobs[0].worker_id = 0;
    worker(w, 4)->labels =
        wh_sched_labels(w->p, "{\"arch\":\"arm\",\"more\":\"\",\"disk\":\"ssd\"}");
    assert_string_equal(plan(w), "assign j1 4");
    labels(w, 0, "{}");
    assert_string_equal(plan(w), "assign j1 1");
    labels(w, 0, "");
    assert_string_equal(plan(w), "assign j1 1");
    labels(w, 0, "{\"more\":\"\"}");
    assert_string_equal(plan(w), "assign j1 4");
    /* What cannot be read matches nothing: neither as a wish nor as a property. */
    labels(w, 0, "[]");
    assert_string_equal(plan(w), "");
    labels(w, 0, "{\"more\":1}");
    assert_string_equal(plan(w), "");
    w->workers[0].labels = wh_sched_labels(w->p, "{\"more\":");
    labels(w, 0, "{\"more\":\"\"}");
    assert_string_equal(plan(w), "assign j1 4");
}

static void test_refuses(void **state)
{
    world_t *w = world(*state);

    worker(w, 1)->refuses = "less than 1 GiB of disk is free";
    job(w, "j1", "a");
    assert_string_equal(plan(w), "");
    assert_string_equal(why(w, 0), "no_worker: no worker that is online takes new deployments at"
                                   " the moment: less than 1 GiB of disk is free");
    job(w, "stop", "b")->kind = WH_JOB_KIND_STOP;
    w->jobs[1].worker_id = 1;
    assert_string_equal(plan(w), "assign stop 1");
    worker(w, 2);
    assert_string_equal(plan(w), "assign j1 2; assign stop 1");
    w->jobs[0].worker_id = 1; /* pinned is no reason to overrule it */
    assert_string_equal(plan(w), "assign stop 1");
    w->workers[0].refuses = "";
    assert_string_equal(plan(w), "assign j1 1; assign stop 1");
}

/* Newer deployments that are not in the input are known by their number. */
static void test_unseen(void **state)
{
    world_t *w = world(*state);

    worker(w, 1);
    job(w, "d1", "a")->number = 4;
    w->busy[0] = (wh_sched_busy_t){.app_id = "a", .environment = "production", .newest = 9};
    w->in.n_busy = 1;
    assert_string_equal(plan(w), "skip d1 ");
    w->busy[0].newest = 4;
    assert_string_equal(plan(w), "assign d1 1");
    w->busy[0].number = 3;
    assert_string_equal(why(w, 0), "busy: deployment 3 of this app is under way");
}

static void test_adds(void **state)
{
    (void)state;
    assert_int_equal(wh_sched_adds(0, 0, 5), 5);
    assert_int_equal(wh_sched_adds(5, 0, 5), 0);
    assert_int_equal(wh_sched_adds(5, 0, 8), 3);
    assert_int_equal(wh_sched_adds(8, 0, 5), 0);
    assert_int_equal(wh_sched_adds(5, 5, 5), 5);
    assert_int_equal(wh_sched_adds(7, 5, 5), 3);
    assert_int_equal(wh_sched_adds(5, 7, 0), 0);
}

/* ---- random snapshots ---- */

static unsigned dice(unsigned *seed, unsigned sides)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % sides;
}

static void random_world(world_t *w, unsigned *seed)
{
    static const char *const zones[] = {"", "north", "south"};
    static const char *const wishes[] = {"", "{\"d\":\"ssd\"}", "{\"d\":\"ssd\",\"a\":\"arm\"}"};
    int n = 1 + (int)dice(seed, 8), jobs = (int)dice(seed, 150);

    for (int i = 1; i <= n; i++) {
        wh_sched_worker_t *wk = worker(w, i);

        wk->online = dice(seed, 5) != 0;
        wk->active = dice(seed, 6) != 0;
        wk->engine = dice(seed, 4) != 0;
        wk->zone = zones[dice(seed, 3)];
        wk->labels = wh_sched_labels(w->p, wishes[dice(seed, 3)]);
        wk->refuses = dice(seed, 6) == 0 ? "full" : "";
        wk->cpu_used = dice(seed, 4001);
        wk->max_jobs = 1 + (int)dice(seed, 40);
        wk->jobs = (int)dice(seed, 4);
    }
    for (int i = 0; i < jobs; i++) {
        wh_sched_job_t *j =
            job(w, apr_psprintf(w->p, "j%03d", i), apr_psprintf(w->p, "a%u", dice(seed, 120)));

        j->priority = dice(seed, 3);
        j->created_at = T0 - dice(seed, 1000);
        j->needs_engine = (int)dice(seed, 2);
        j->cpu_millis = dice(seed, 900);
        j->memory_bytes = dice(seed, 512) * (apr_int64_t)WH_MIB;
        j->worker_id = dice(seed, 10) == 0 ? 1 + dice(seed, (unsigned)n) : 0;
        j->zone = zones[dice(seed, 8) < 6 ? 0 : 1 + dice(seed, 2)];
        labels(w, i, wishes[dice(seed, 8) < 6 ? 0 : 1 + dice(seed, 2)]);
    }
}

/* Each assignment is one that its worker may have, in order, and what they add up to fits. */
static void check_assignments(world_t *w)
{
    apr_int64_t cpu[9] = {0}, memory[9] = {0};
    const wh_sched_job_t *last = NULL;
    int n[9] = {0};

    for (int i = 0; i < w->plan.actions->nelts; i++) {
        const wh_sched_action_t *a = &APR_ARRAY_IDX(w->plan.actions, i, wh_sched_action_t);
        const wh_sched_worker_t *wk;

        if (a->what != WH_SCHED_ASSIGN)
            continue;
        assert_in_range(a->worker_id, 1, w->in.n_workers);
        wk = &w->workers[a->worker_id - 1];
        assert_int_not_equal(wh_sched_score(wk, a->job, NULL), -1);
        assert_true(a->job->worker_id == 0 || a->job->worker_id == wk->id);
        assert_true(!last || last->priority > a->job->priority ||
                    (last->priority == a->job->priority && last->created_at <= a->job->created_at));
        last = a->job;
        cpu[wk->id] += a->job->cpu_millis;
        memory[wk->id] += a->job->memory_bytes;
        n[wk->id]++;
    }
    for (int i = 0; i < w->in.n_workers; i++) {
        const wh_sched_worker_t *wk = &w->workers[i];

        assert_true(cpu[wk->id] == 0 || wk->cpu_used + cpu[wk->id] <= wk->cpu_millis);
        assert_true(memory[wk->id] == 0 || wk->memory_used + memory[wk->id] <= wk->memory_bytes);
        assert_true(n[wk->id] == 0 || wk->jobs + n[wk->id] <= wk->max_jobs);
    }
}

/* Who waits says why, once; who was placed does not; nobody is left without either. */
static void check_everybody(world_t *w)
{
    for (int i = 0; i < w->in.n_jobs && !w->plan.more; i++) {
        int said = 0;

        for (int n = 0; n < w->plan.actions->nelts; n++)
            said += APR_ARRAY_IDX(w->plan.actions, n, wh_sched_action_t).job == &w->jobs[i];
        for (int n = 0; n < w->plan.waits->nelts; n++)
            said += APR_ARRAY_IDX(w->plan.waits, n, wh_sched_wait_t).job == &w->jobs[i];
        assert_int_equal(said, 1);
    }
}

static void test_random(void **state)
{
    unsigned seed = 20261121;

    for (int round = 0; round < 2000; round++) {
        apr_pool_t *p;
        world_t *w;

        apr_pool_create(&p, *state);
        w = world(p);
        random_world(w, &seed);
        (void)plan(w);
        check_assignments(w);
        check_everybody(w);
        apr_pool_destroy(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("placement by zone", test_zone),
        UNIT("placement by labels: each must be the worker's", test_labels),
        UNIT("a worker that refuses takes no deployment, and the cause says why", test_refuses),
        UNIT("R7 a newer deployment counts although it is not in the window", test_unseen),
        UNIT("F146 what a job adds to what its app and environment hold", test_adds),
        UNIT("F136 F143 F146 2000 random snapshots: nothing oversold, order kept, nobody forgotten",
             test_random),
    };

    return UNIT_RUN(tests);
}
