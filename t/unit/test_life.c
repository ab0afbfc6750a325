/* G29, short: thousands of random steps (deployments, cancellations, workers that come, go, refuse,
 * succeed, fail, repeat themselves; time; owners; restarts) against what must hold after each. The
 * seed is printed; WH_TEST_SEED runs it again, WH_TEST_STEPS says how many. */
#include "t/unit/sched.h"

#include <stdlib.h>

#define APPS 5
#define WORKERS 3
#define JOBS_MAX 4000

/* The reference: what this job's agents were told and said, by the rules of states.md alone. */
typedef struct model_t {
    sched_t *s;
    apr_uint64_t seed;
    wh_app_t *apps[APPS];
    wh_worker_t *workers[WORKERS];
    int up[WORKERS];
    int n;                      /* deployments made */
    const char *over[JOBS_MAX]; /* how it ended, once it has */
} model_t;

static unsigned pick(model_t *m, unsigned below)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(m->seed >> 33) % below;
}

static const char *one(model_t *m, const char *format, ...)
{
    va_list args;
    const char *sql;

    va_start(args, format);
    sql = apr_pvsprintf(m->s->t->p, format, args);
    va_end(args);
    return db_value(m->s->t, sql);
}

static void none(model_t *m, const char *what, const char *sql)
{
    const char *n = db_value(m->s->t, sql);

    if (strcmp(n, "0") != 0)
        fail_msg("%s: %s", what, n);
}

/* After every step. */
static void hold(model_t *m)
{
    none(m, "two active deployments of one app and environment",
         "SELECT COUNT(*) FROM (SELECT app_id FROM deployments WHERE status IN ('deploy', "
         "'finalize',"
         " 'fail') GROUP BY app_id, environment HAVING COUNT(*) > 1) x");
    none(m, "a job that is over with a deployment that is not",
         "SELECT COUNT(*) FROM jobs j JOIN deployments d ON d.id = j.deployment_id WHERE j.kind ="
         " 'deploy' AND j.status IN ('succeeded', 'failed', 'canceled') AND d.status <> "
         "'completed'");
    none(m, "a deployment that is over with a job that is not",
         "SELECT COUNT(*) FROM jobs j JOIN deployments d ON d.id = j.deployment_id WHERE j.kind ="
         " 'deploy' AND j.status IN ('pending', 'assigned', 'processing') AND d.status = "
         "'completed'");
    none(m, "a conclusion that contradicts its job",
         "SELECT COUNT(*) FROM jobs j JOIN deployments d ON d.id = j.deployment_id WHERE j.kind ="
         " 'deploy' AND (j.status = 'succeeded') <> (d.conclusion = 'succeeded')"
         " AND d.status = 'completed'");
    none(m, "two running deployments of one app",
         "SELECT COUNT(*) FROM (SELECT app_id FROM instances WHERE state = 'running'"
         " GROUP BY app_id HAVING COUNT(*) > 1) x");
    none(m, "capacity that does not add up",
         "SELECT COUNT(*) FROM workers w WHERE w.used_cpu <> COALESCE((SELECT SUM(CASE WHEN live >"
         " open THEN live ELSE open END) FROM (SELECT app_id, SUM(live) AS live, SUM(open) AS open"
         " FROM (SELECT worker_id, app_id, cpu_millis AS live, 0 AS open FROM instances WHERE state"
         " <> 'stopped' UNION ALL SELECT worker_id, app_id, 0, cpu_millis FROM jobs WHERE status IN"
         " ('assigned', 'processing')) p WHERE p.worker_id = w.id GROUP BY app_id) q), 0)");
}

/* What went out: a go is counted, and must be for a job that is not over. */
static void read_out(model_t *m)
{
    const char *at = sched_out(m->s);

    while ((at = strstr(at, "job_go 0j")) != NULL) {
        int n = atoi(at + strlen("job_go 0j"));

        if (n > 0 && n <= m->n && m->over[n] != NULL)
            fail_msg("job %d begins after it ended %s", n, m->over[n]);
        at++;
    }
}

/* A job that has ended stays as it ended. */
static void ended(model_t *m)
{
    for (int n = 1; n <= m->n; n++) {
        const char *now;

        if (m->over[n] == NULL && pick(m, 4) != 0)
            continue;
        if (m->over[n] != NULL && pick(m, 10) != 0)
            continue;
        now = sched_deployment(m->s, db_id(m->s->t, 'd', n));
        if (m->over[n] != NULL)
            assert_string_equal(now, m->over[n]);
        else if (strncmp(now, "completed", 9) == 0)
            m->over[n] = now;
    }
}

static void say(model_t *m)
{
    int w = (int)pick(m, WORKERS);
    apr_int64_t id = m->workers[w]->id;
    const char *job, *row;
    apr_int64_t epoch;

    row = one(m,
              "SELECT id || ' ' || epoch FROM jobs WHERE worker_id = %d AND status IN ('assigned',"
              " 'processing') ORDER BY created_at LIMIT 1 OFFSET %u",
              (int)id, pick(m, 2));
    if (row == NULL || !m->up[w])
        return;
    job = apr_pstrmemdup(m->s->t->p, row, 26);
    epoch = apr_atoi64(row + 27) + (pick(m, 10) == 0 ? 1 : 0); /* now and then not its epoch */
    switch (pick(m, 5)) {
    case 0:
    case 1:
        (void)sched_ack(m->s, id, job, epoch);
        break;
    case 2:
        (void)sched_refuse(m->s, id, job, epoch);
        break;
    case 3:
        (void)sched_result(m->s, id, job, epoch, "succeeded");
        break;
    default:
        (void)sched_result(m->s, id, job, epoch, pick(m, 2) ? "failed" : "canceled");
        break;
    }
}

static void link_step(model_t *m)
{
    int w = (int)pick(m, WORKERS);

    if (m->up[w]) {
        sched_down(m->s, m->workers[w]->id);
        m->up[w] = 0;
        return;
    }
    /* It comes back knowing its job, or having lost it. */
    {
        const char *row = one(m,
                              "SELECT id || ' ' || epoch FROM jobs WHERE worker_id = %d"
                              " AND status = 'processing' ORDER BY id LIMIT 1",
                              (int)m->workers[w]->id);
        json_t *running =
            row != NULL && pick(m, 2)
                ? sched_refs(NULL, apr_pstrmemdup(m->s->t->p, row, 26), apr_atoi64(row + 27))
                : NULL;

        sched_up(m->s, m->workers[w], running);
        m->up[w] = 1;
    }
}

static void step(model_t *m)
{
    switch (pick(m, 16)) {
    case 0:
    case 1:
    case 2:
        if (m->n + 1 < JOBS_MAX)
            (void)db_deployment(m->s->t, m->apps[pick(m, APPS)], ++m->n);
        break;
    case 3:
        if (m->n > 0)
            db_sql(m->s->t, apr_psprintf(m->s->t->p,
                                         "UPDATE jobs SET cancel_at = 1 WHERE id = '%s' AND status"
                                         " IN ('pending', 'assigned', 'processing')",
                                         db_id(m->s->t, 'j', m->n - (int)pick(m, 3))));
        break;
    case 4:
        link_step(m);
        break;
    case 5:
        sched_pass(m->s, (int)pick(m, 50));
        break;
    case 6:
        if (pick(m, 8) == 0)
            wh_clock_fake_step(&m->s->clock,
                               apr_time_from_sec((int)pick(m, 7200)) - apr_time_from_sec(3600));
        break;
    case 7:
        if (pick(m, 8) == 0) {
            sched_restart(m->s);
            memset(m->up, 0, sizeof(m->up));
        }
        break;
    case 8:
        db_sql(m->s->t,
               apr_psprintf(m->s->t->p, "UPDATE workers SET admin_state = '%s' WHERE id = %d",
                            pick(m, 4) == 0 ? "draining" : "active",
                            (int)m->workers[pick(m, WORKERS)]->id));
        break;
    default:
        say(m);
        break;
    }
    sched_tick(m->s);
    read_out(m);
}

static void test_life(void **state)
{
    db_t *t = *state;
    const char *seed = getenv("WH_TEST_SEED"), *steps = getenv("WH_TEST_STEPS");
    int n = steps != NULL ? atoi(steps) : 400;
    model_t *m = apr_pcalloc(t->p, sizeof(*m));

    m->seed = seed != NULL ? strtoull(seed, NULL, 10) : (apr_uint64_t)apr_time_now();
    printf("# WH_TEST_SEED=%llu\n", (unsigned long long)m->seed);
    m->s = sched_make(t);
    for (int i = 0; i < APPS; i++)
        m->apps[i] = db_app(t, i + 1, WH_KIND_CONTAINER);
    for (int i = 0; i < WORKERS; i++)
        m->workers[i] = db_worker(t, i + 1);
    sched_tick(m->s);
    for (int i = 0; i < n; i++) {
        step(m);
        hold(m);
        if (i % 20 == 0)
            ended(m);
    }
    /* Left alone, everything comes to an end. */
    for (int i = 0; i < 60; i++) {
        sched_pass(m->s, 45);
        sched_tick(m->s);
        hold(m);
    }
    none(m, "jobs that run for ever", "SELECT COUNT(*) FROM jobs WHERE status = 'processing'");
    sched_end(m->s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("G29 random lives of jobs keep the rules", test_life),
    };

    return DB_RUN(cases);
}
