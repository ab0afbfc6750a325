#include <unistd.h>
#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sys.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/job.h"
#include "wh-agent/thread.h"

#define ID(n) "01hzzzzzzzzzzzzzzzzzzzzz0" #n

static wh_agent_conf_t conf;
static wh_jobs_t *jobs;
static wh_results_t *results;
static wh_box_t *box;
static int changes;

static void on_changed(void *owner)
{
    (void)owner;
    changes++;
}

static void set_up(apr_pool_t *p)
{
    wh_identity_opts_t identity = {.conf = &conf, .clock = wh_sys_clock(), .rnd = wh_sys_rand()};
    wh_jobs_opts_t opts = {.conf = &conf,
                           .clock = wh_sys_clock(),
                           .rnd = wh_sys_rand(),
                           .mark = "WISEHOST_AGENT=unit",
                           .changed = on_changed,
                           .ended = on_changed};
    wh_err_t err = WH_ERR_INIT;
    static int n;

    conf = (wh_agent_conf_t){.state_dir =
                                 apr_psprintf(p, "/tmp/wh-agent-job-%d-%d", (int)getpid(), n++),
                             .server_url = "http://127.0.0.1:1",
                             .local_repo_root = "/nonexistent-root",
                             .git_program = "/usr/bin/git",
                             .enrolment_token_file = "",
                             .ca_file = "",
                             .max_jobs = 2};
    assert_ok(wh_fsutil_mkdir(p, conf.state_dir, &err), &err);
    assert_ok(wh_identity_open(p, &identity, &opts.identity, &err), &err);
    assert_ok(wh_results_open(p, conf.state_dir, &results, &err), &err);
    assert_ok(wh_box_make(p, NULL, &box, &err), &err);
    opts.results = results;
    opts.box = box;
    assert_ok(wh_jobs_make(p, &opts, &jobs, &err), &err);
    changes = 0;
}

static json_t *offer_app(apr_pool_t *p, const char *job, apr_int64_t epoch, const char *kind,
                         const char *app)
{
    json_t *offer =
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:{s:n, s:n}, s:{s:i, s:i, s:i, s:i}}",
                  "job", job, "epoch", (json_int_t)epoch, "kind", kind, "app", app, "slug", "hello",
                  "deployment", ID(d), "environment", "production", "commit", "sha", "ref",
                  "deadlines", "clone_s", 5, "build_s", 5, "start_s", 5, "check_s", 5);
    json_t *snapshot = json_pack(
        "{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:n, s:s, s:s}, s:{s:i, s:s, s:i, s:i, s:i, s:i}, s:b}",
        "slug", "hello", "kind", "static", "repository", "url", "/nonexistent-root/r.git", "branch",
        "main", "root_directory", "", "build", "build_command", "dockerfile", "Dockerfile",
        "output_directory", "", "run", "port", 8080, "health_path", "/", "replicas", 1,
        "cpu_millis", 1000, "memory_bytes", 536870912, "pids", 256, "spa", 0);

    json_object_set_new(offer, "snapshot", snapshot);
    return wh_json_own(p, offer);
}

/* Each of an app of its own. */
static json_t *offer_of(apr_pool_t *p, const char *job, apr_int64_t epoch, const char *kind)
{
    return offer_app(p, job, epoch, kind, job);
}

static void test_busy(void **state)
{
    apr_pool_t *p = *state;

    set_up(p);
    assert_null(wh_jobs_offer(jobs, offer_app(p, ID(1), 1, "deploy", ID(a))));
    assert_string_equal(wh_jobs_offer(jobs, offer_app(p, ID(2), 1, "deploy", ID(a))), "busy");
    /* The same job anew takes the place of what waited; a stop of the app is no deployment. */
    assert_null(wh_jobs_offer(jobs, offer_app(p, ID(1), 2, "deploy", ID(a))));
    assert_null(wh_jobs_offer(jobs, offer_app(p, ID(3), 1, "stop", ID(a))));
    assert_null(wh_jobs_offer(jobs, offer_app(p, ID(4), 1, "deploy", ID(b))));
    assert_string_equal(wh_jobs_offer(jobs, offer_app(p, ID(5), 1, "deploy", ID(b))), "busy");
    wh_jobs_free(jobs);
}

static void test_offer(void **state)
{
    apr_pool_t *p = *state;
    wh_msg_ref_t stale = {.job = ID(1), .epoch = 1};

    set_up(p);
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(1), 2, "deploy")));
    /* Offered again, the answer may have been lost: taken, once. */
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(1), 2, "deploy")));
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(2), 1, "deploy")));
    assert_non_null(wh_jobs_offer(jobs, offer_of(p, ID(3), 1, "deploy")));
    /* Stops do not queue behind deployments. */
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(4), 1, "stop")));
    /* Nothing runs before its go, and a go of a past epoch starts nothing. */
    assert_int_equal(wh_jobs_count_running(jobs), 0);
    assert_false(wh_jobs_go(jobs, &stale));
    assert_int_equal(wh_jobs_count_running(jobs), 0);
    assert_int_equal(wh_results_marked(conf.state_dir, p)->nelts, 0);
    assert_int_equal(wh_jobs_busy(jobs, p)->nelts, 3);
    /* What stops says what it stops: from its go on nobody wants that to run. */
    assert_null(wh_jobs_stops(jobs, &(wh_msg_ref_t){.job = ID(2), .epoch = 1}));
    assert_null(wh_jobs_stops(jobs, &(wh_msg_ref_t){.job = ID(4), .epoch = 2}));
    assert_non_null(wh_jobs_stops(jobs, &(wh_msg_ref_t){.job = ID(4), .epoch = 1}));
    /* The connection is gone, perhaps with a go on it: what waits is named by the next hello. Only
     * a cancel ends it. */
    wh_jobs_disconnected(jobs);
    assert_int_equal(wh_jobs_running(jobs, p)->nelts, 0);
    assert_int_equal(wh_jobs_held(jobs, p)->nelts, 3);
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(1), 2, "deploy")));
    assert_int_equal(wh_jobs_held(jobs, p)->nelts, 3);
    wh_jobs_cancel(jobs, &(wh_msg_ref_t){.job = ID(1), .epoch = 2});
    assert_int_equal(wh_jobs_held(jobs, p)->nelts, 2);
    assert_non_null(wh_jobs_offer(jobs, wh_json_own(p, json_object())));
    wh_jobs_free(jobs);
}

static void await_done(void)
{
    for (int i = 0; i < 1000 && wh_thread_running() > 0; i++)
        usleep(5000);
    wh_box_empty(box);
}

static const char *next(apr_pool_t *p, apr_int64_t *budget, json_t **payload)
{
    wh_msg_e type;

    *payload = wh_json_own(p, wh_jobs_next(jobs, p, budget, &type));
    return *payload != NULL ? wh_proto_type_name(type) : "";
}

static void test_run(void **state)
{
    apr_pool_t *p = *state;
    wh_msg_ref_t ref = {.job = ID(1), .epoch = 1};
    wh_msg_desired_t running;
    apr_int64_t budget = 1000000;
    json_t *payload;

    set_up(p);
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(1), 1, "deploy")));
    assert_true(wh_jobs_go(jobs, &ref));
    assert_int_equal(wh_jobs_count_running(jobs), 1);
    await_done();
    assert_int_equal(wh_jobs_count_running(jobs), 0);
    /* The phase goes first, then all lines, the result last. */
    assert_string_equal(next(p, &budget, &payload), "job_status");
    assert_string_equal(json_string_value(json_object_get(payload, "phase")), "cloning");
    assert_string_equal(next(p, &budget, &payload), "job_result");
    assert_string_equal(json_string_value(json_object_get(payload, "outcome")), "failed");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(payload, "cause"), "code")),
        "clone_failed");
    assert_string_equal(next(p, &budget, &payload), "");
    assert_int_equal(wh_results_marked(conf.state_dir, p)->nelts, 0);
    /* A new connection: told again, until it is acknowledged. Running it a second time is refused.
     */
    wh_jobs_disconnected(jobs);
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(1), 1, "deploy")));
    assert_true(wh_jobs_go(jobs, &ref));
    assert_int_equal(wh_jobs_count_running(jobs), 0);
    assert_string_equal(next(p, &budget, &payload), "job_status");
    assert_string_equal(next(p, &budget, &payload), "job_result");
    assert_false(wh_jobs_acked(jobs, p, &ref, &running));
    assert_int_equal(wh_jobs_busy(jobs, p)->nelts, 0);
    wh_jobs_disconnected(jobs);
    assert_string_equal(next(p, &budget, &payload), "");
    wh_jobs_free(jobs);
}

static void test_cancel(void **state)
{
    apr_pool_t *p = *state;
    wh_msg_ref_t waiting = {.job = ID(1), .epoch = 1}, unknown = {.job = ID(9), .epoch = 4};
    apr_int64_t budget = 1000;
    json_t *payload;

    set_up(p);
    assert_null(wh_jobs_offer(jobs, offer_of(p, ID(1), 1, "deploy")));
    wh_jobs_cancel(jobs, &waiting);
    assert_false(wh_jobs_go(jobs, &waiting));
    assert_string_equal(next(p, &budget, &payload), "job_result");
    assert_string_equal(json_string_value(json_object_get(payload, "outcome")), "canceled");
    /* One that is not known at all: nothing of it runs, and that is said. */
    wh_jobs_cancel(jobs, &unknown);
    assert_string_equal(next(p, &budget, &payload), "job_result");
    assert_string_equal(json_string_value(json_object_get(payload, "job")), ID(9));
    assert_int_equal(json_integer_value(json_object_get(payload, "epoch")), 4);
    assert_string_equal(next(p, &budget, &payload), "");
    assert_int_equal(changes, 2);
    /* After a restart of the agent too. */
    assert_int_equal(wh_results_open(p, conf.state_dir, &results, NULL), APR_SUCCESS);
    assert_int_equal(wh_results_refs(results, p)->nelts, 2);
    wh_jobs_free(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("two deployments of one app never run at once", test_busy),
        UNIT("nothing starts before its go; what waits for it outlives the connection", test_offer),
        UNIT("a job runs once, its result is repeated until acknowledged", test_run),
        UNIT("a cancel of what never began is answered at once", test_cancel),
    };
    return UNIT_RUN(tests);
}
