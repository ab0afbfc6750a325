#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "t/unit/fake_engine.h"
#include "t/unit/unit.h"
#include "libwh/wh_sys.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/reach.h"
#include "wh-agent/reconcile.h"
#include "wh-agent/run.h"
#include "wh-agent/thread.h"

#define JOB "01hzzzzzzzzzzzzzzzzzzzzz01"
#define APP "01hzzzzzzzzzzzzzzzzzzzzz0a"
#define DEP "01hzzzzzzzzzzzzzzzzzzzzz0d"

static wh_agent_conf_t conf;
static wh_work_t work;
static wh_msg_job_t job;
static int phases;

static void on_phase(void *baton, wh_phase_e phase, const wh_msg_commit_t *commit)
{
    (void)baton;
    (void)commit;
    phases |= 1 << phase;
}

static void set_up(apr_pool_t *p)
{
    wh_identity_opts_t identity = {.conf = &conf, .clock = wh_sys_clock(), .rnd = wh_sys_rand()};
    wh_logs_opts_t logs = {.clock = wh_sys_clock()};
    wh_err_t err = WH_ERR_INIT;

    conf = (wh_agent_conf_t){.state_dir = apr_psprintf(p, "/tmp/wh-agent-run-%d", (int)getpid()),
                             .address = "127.0.0.1",
                             .engine_socket = "/fake",
                             .server_url = "http://127.0.0.1:1",
                             .ca_file = "",
                             .enrolment_token_file = "",
                             .publish_port_min = 30100,
                             .publish_port_max = 32100,
                             .images_kept = 5};
    job = (wh_msg_job_t){.job = JOB,
                         .epoch = 1,
                         .app = APP,
                         .slug = "hello",
                         .deployment = DEP,
                         .environment = "production",
                         .check_s = 1,
                         .snapshot = {.port = 8080,
                                      .health_path = "/",
                                      .memory_bytes = 1 << 29,
                                      .cpu_millis = 1000,
                                      .pids = 256}};
    work = (wh_work_t){.p = p,
                       .conf = &conf,
                       .clock = wh_sys_clock(),
                       .rnd = wh_sys_rand(),
                       .engine = fake_engine_open,
                       .job = &job,
                       .phase = on_phase};
    phases = 0;
    fake_engine_reset(p);
    assert_ok(wh_fsutil_mkdir(p, conf.state_dir, &err), &err);
    assert_ok(wh_identity_open(p, &identity, &work.identity, &err), &err);
    assert_ok(wh_logs_make(p, &logs, &work.logs, &err), &err);
}

static void test_exits(void **state)
{
    apr_pool_t *p = *state;
    wh_run_t run;
    wh_err_t err = WH_ERR_INIT;
    apr_array_header_t *lines;
    apr_int64_t dropped;

    set_up(p);
    fake.exit_at_check = 2;
    fake.exit_status = 3;
    assert_code(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err), &err,
                "container_exited");
    assert_non_null(strstr(err.text, "the container exited with status 3 after 0."));
    /* F224: it is removed, after its last words were taken. */
    assert_int_equal(fake.removes, 1);
    lines = wh_logs_take(work.logs, p, &dropped);
    assert_string_equal(APR_ARRAY_IDX(lines, lines->nelts - 1, wh_msg_line_t).text, "last word");
    assert_true(phases & 1 << WH_PHASE_CHECKING);
}

static void test_never_listens(void **state)
{
    apr_pool_t *p = *state;
    wh_run_t run;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    assert_code(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err), &err,
                "not_listening");
    assert_string_equal(err.text, "nothing listened on port 8080 within 1 s");
    assert_int_equal(fake.removes, 1);
}

static void test_start_hangs(void **state)
{
    apr_pool_t *p = *state;
    wh_run_t run;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    fake.start_hangs = 1;
    assert_code(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err), &err,
                "start_failed");
    assert_int_equal(fake.start_limit_s, work.job->start_s);
    assert_non_null(strstr(err.text, "in time"));
    assert_int_equal(fake.removes, 1);
}

static void test_differs(void **state)
{
    apr_pool_t *p = *state;
    wh_run_t run;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    fake.forbidden = "Privileged";
    assert_code(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err), &err,
                "start_failed");
    assert_non_null(strstr(err.text, "Privileged"));
    assert_int_equal(fake.starts, 0);
    assert_int_equal(fake.removes, 1);
}

static void test_no_network(void **state)
{
    apr_pool_t *p = *state;
    wh_run_t run;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    fake.fail_at = 2; /* after what a former attempt may have left is removed */
    assert_code(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err), &err,
                "start_failed");
    assert_non_null(strstr(err.text, "the app's own network cannot be made"));
    assert_null(strstr(fake.log, "create"));
    assert_int_equal(fake.n, 0);
}

/* G14: whichever call fails, the job fails in order and nothing of it is left. */
static void test_every_failure(void **state)
{
    apr_pool_t *p = *state;
    int failed = 0;

    for (int n = 1; n < 12; n++) {
        wh_run_t run = {.container = NULL};
        wh_err_t err = WH_ERR_INIT;
        int left = 0;

        set_up(p);
        fake.fail_at = n;
        fake.exit_at_check = 1;
        assert_int_not_equal(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err),
                             APR_SUCCESS);
        assert_true(err.text[0] != '\0');
        if (fake.calls < n)
            break;
        failed++;
        for (int i = 0; i < fake.n; i++)
            left += fake.all[i].exists;
        /* Only when the removing itself is what failed may it stay, for the next pass. */
        if (left > 0)
            assert_non_null(strstr(fake.log, "remove"));
    }
    assert_true(failed >= 6);
}

/* Something that answers like a container: takes what comes at the port that was chosen. */
static void answer(void *data)
{
    const char *reply = data;
    int fd = -1;

    for (int tries = 0; tries < 500; tries++) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1, c;

        if (fake.n == 0 || !fake.all[0].running) {
            usleep(5000);
            continue;
        }
        in.sin_port = htons((uint16_t)fake.all[0].spec.publish_port);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(fd, 8) != 0)
            break;
        while ((c = accept(fd, NULL, NULL)) >= 0) {
            char buf[1024];
            int last = read(c, buf, sizeof(buf)) > 0 && strstr(reply, "200") != NULL;

            if (write(c, reply, strlen(reply)) < 0)
                last = 1;
            close(c);
            if (last || !fake.all[0].exists)
                break;
        }
        break;
    }
    if (fd >= 0)
        close(fd);
}

static void test_comes_up(void **state)
{
    static char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    apr_pool_t *p = *state;
    wh_run_t run;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    job.check_s = 10;
    assert_ok(wh_thread_start(answer, reply, &err), &err);
    assert_ok(wh_run_container(&work, &fake.engine, "sha256:x", &run, &err), &err);
    assert_string_equal(run.container, "made0");
    assert_string_equal(run.address, "127.0.0.1");
    assert_in_range(run.port, 30100, 32100);
    assert_int_equal(fake.removes, 0);
    assert_string_equal(wh_engine_label(fake.all[0].labels, WH_ENGINE_LABEL_DEPLOYMENT), DEP);
    assert_string_equal(wh_engine_label(fake.all[0].labels, WH_ENGINE_LABEL_AGENT),
                        wh_identity_agent_id(work.identity));
    assert_string_equal(wh_engine_label(fake.all[0].labels, WH_ENGINE_LABEL_PUBLISHED),
                        apr_psprintf(p, "127.0.0.1:%d", (int)run.port));
}

static void test_stop(void **state)
{
    const wh_engine_label_t mine[] = {{WH_ENGINE_LABEL_AGENT, "me"},
                                      {WH_ENGINE_LABEL_APP, APP},
                                      {WH_ENGINE_LABEL_DEPLOYMENT, DEP},
                                      {WH_ENGINE_LABEL_JOB, JOB}};
    const wh_engine_label_t other[] = {{WH_ENGINE_LABEL_AGENT, "you"},
                                       {WH_ENGINE_LABEL_APP, APP},
                                       {WH_ENGINE_LABEL_DEPLOYMENT, DEP},
                                       {WH_ENGINE_LABEL_JOB, JOB}};
    wh_run_stop_t what = {.agent = "me", .app = APP, .deployment = DEP, .grace_s = 1};
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;

    fake_engine_reset(p);
    fake_engine_add("a", 1, 0, mine, 4);
    fake_engine_add("b", 0, 0, mine, 4);
    fake_engine_add("c", 1, 0, other, 4);
    assert_ok(wh_run_stop(&fake.engine, p, &what, &err), &err);
    assert_false(fake.all[0].exists);
    assert_false(fake.all[1].exists);
    assert_true(fake.all[2].exists && fake.all[2].running);
    assert_int_equal(fake.stops, 1);
    assert_int_equal(fake.networks_removed, 0); /* another agent's container uses it */
    fake.all[2].exists = 0;
    assert_ok(wh_run_stop(&fake.engine, p, &what, &err), &err);
    assert_int_equal(fake.networks_removed, 1);
}

static apr_array_header_t *desired_of(apr_pool_t *p, const char *deployment, wh_desired_e desired)
{
    apr_array_header_t *out = apr_array_make(p, 1, sizeof(wh_msg_desired_t));

    APR_ARRAY_PUSH(out, wh_msg_desired_t) =
        (wh_msg_desired_t){.deployment = deployment, .app = APP, .desired = desired};
    return out;
}

static void test_decide(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *labels = apr_array_make(p, 2, sizeof(wh_engine_label_t));
    apr_array_header_t *ids = apr_array_make(p, 1, sizeof(const char *));
    wh_engine_item_t item = {
        .id = "c", .running = 1, .created_at = apr_time_from_sec(100), .labels = labels};
    wh_reconcile_in_t in = {.desired = desired_of(p, DEP, WH_DESIRED_RUNNING),
                            .asked_at = apr_time_from_sec(1000),
                            .may_remove = 1};

    APR_ARRAY_PUSH(labels, wh_engine_label_t) =
        (wh_engine_label_t){WH_ENGINE_LABEL_DEPLOYMENT, DEP};
    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){WH_ENGINE_LABEL_JOB, JOB};
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
    item.running = 0;
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_START);
    APR_ARRAY_PUSH(ids, const char *) = "c";
    in.resting = ids;
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
    in.resting = NULL;
    in.desired = desired_of(p, DEP, WH_DESIRED_STOPPED);
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
    item.running = 1;
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_STOP);
    in.desired = desired_of(p, "another", WH_DESIRED_RUNNING);
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_REMOVE);
    /* Made after the hub told what it wants: too young to judge. */
    item.created_at = apr_time_from_sec(999);
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
    item.created_at = apr_time_from_sec(100);
    in.may_remove = 0;
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
    in.may_remove = 1;
    /* Its job runs, or its result is not acknowledged. */
    apr_array_clear(ids);
    APR_ARRAY_PUSH(ids, const char *) = JOB;
    in.busy = ids;
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
}

/* The container of a build whose job began while a pass was on its way is not taken for one that is
 * over: with it the build would die. */
static void test_decide_hold(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *labels = apr_array_make(p, 2, sizeof(wh_engine_label_t));
    wh_engine_item_t item = {.id = "h", .running = 1, .labels = labels};
    wh_reconcile_in_t in = {.busy_at = apr_time_from_sec(1000)};

    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){WH_ENGINE_LABEL_JOB, JOB};
    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){WH_ENGINE_LABEL_HOLD, "1"};
    item.created_at = apr_time_from_sec(997);
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_REMOVE);
    item.created_at = apr_time_from_sec(998);
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
    item.created_at = apr_time_from_sec(1001);
    assert_int_equal(wh_reconcile_decide(&in, &item), WH_RECONCILE_KEEP);
}

/* One that runs and that nobody can reach is stopped; after that it is like any that fell. */
static void test_cut_off(void **state)
{
    const wh_engine_label_t away[] = {{WH_ENGINE_LABEL_AGENT, "me"},
                                      {WH_ENGINE_LABEL_DEPLOYMENT, DEP},
                                      {WH_ENGINE_LABEL_PUBLISHED, "127.0.0.1:9"}};
    apr_pool_t *p = *state;
    wh_reconcile_in_t in = {.asked_at = apr_time_from_sec(1000)};
    wh_reconcile_opts_t opts = {.conf = &conf,
                                .clock = wh_sys_clock(),
                                .engine = fake_engine_open,
                                .agent = "me",
                                .in = &in};
    apr_array_header_t *seen;
    const char *name;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    assert_ok(wh_restarts_make(p, 0, &in.restarts, &err), &err);
    in.desired = desired_of(p, DEP, WH_DESIRED_RUNNING);
    fake_engine_add("one", 1, 0, away, 3);
    fake.cut_off = 1;
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    assert_int_equal(fake.stops, 1);
    assert_false(fake.all[0].running);
    assert_string_equal(APR_ARRAY_IDX(seen, 0, wh_reconcile_seen_t).reason,
                        "its network did not come up");
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    assert_false(fake.all[0].running); /* it has its pause */
    fake.all[0].running = 1;
    fake.cut_off = 0;
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    fake.cut_off = 1; /* once it was reached, nobody looks any more */
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    assert_int_equal(fake.stops, 1);
    assert_true(fake.all[0].running);
}

static void test_reach(void **state)
{
    (void)state;
    assert_true(wh_reach_look("127.0.0.1", 9)); /* refused: somebody is there to refuse */
    assert_true(wh_reach_look("not an address", 9));
    /* Not this machine's now: its own network is away, which is no container's fault. */
    assert_true(wh_reach_look("2001:db8::1", 9));
    assert_true(wh_reach_look("240.0.0.1", 9));
    assert_true(wh_reach_look("192.0.2.1", 9));
}

static void test_pass(void **state)
{
    const wh_engine_label_t wanted[] = {{WH_ENGINE_LABEL_AGENT, "me"},
                                        {WH_ENGINE_LABEL_APP, APP},
                                        {WH_ENGINE_LABEL_DEPLOYMENT, DEP},
                                        {WH_ENGINE_LABEL_PUBLISHED, "127.0.0.1:20005"}};
    const wh_engine_label_t stray[] = {{WH_ENGINE_LABEL_AGENT, "me"},
                                       {WH_ENGINE_LABEL_DEPLOYMENT, "x"}};
    const wh_engine_label_t foreign[] = {{WH_ENGINE_LABEL_AGENT, "you"},
                                         {WH_ENGINE_LABEL_DEPLOYMENT, "x"}};
    apr_pool_t *p = *state;
    wh_reconcile_in_t in = {.asked_at = apr_time_from_sec(1000), .may_remove = 1};
    wh_reconcile_opts_t opts = {.conf = &conf,
                                .clock = wh_sys_clock(),
                                .engine = fake_engine_open,
                                .agent = "me",
                                .in = &in};
    apr_array_header_t *seen;
    const wh_reconcile_seen_t *s;
    const char *name;
    wh_err_t err = WH_ERR_INIT;

    set_up(p);
    in.desired = desired_of(p, DEP, WH_DESIRED_RUNNING);
    fake_engine_add("wanted", 0, 0, wanted, 4);
    fake_engine_add("stray", 1, 0, stray, 2);
    fake_engine_add("foreign", 1, 0, foreign, 2);
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    assert_string_equal(name, "fake 1");
    assert_true(fake.all[0].running);
    assert_false(fake.all[1].exists);
    assert_true(fake.all[2].exists && fake.all[2].running);
    assert_int_equal(seen->nelts, 1);
    s = &APR_ARRAY_IDX(seen, 0, wh_reconcile_seen_t);
    assert_string_equal(s->container, "wanted");
    assert_string_equal(s->address, "127.0.0.1");
    assert_int_equal(s->port, 20005);
    assert_int_equal(s->state, WH_OBSERVED_RUNNING);
    /* Down, with nobody saying what should run: only said. */
    fake.all[0].running = 0;
    fake.all[0].exit_status = 2;
    opts.in = NULL;
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    s = &APR_ARRAY_IDX(seen, 0, wh_reconcile_seen_t);
    assert_int_equal(s->state, WH_OBSERVED_STOPPED);
    assert_string_equal(s->reason, "it exited with status 2");
    /* With a memory of ends: seen running, then down, it waits for its second. */
    fake.all[0].running = 1;
    opts.in = &in;
    assert_ok(wh_restarts_make(p, apr_time_now(), &in.restarts, &err), &err);
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    fake.all[0].running = 0;
    assert_ok(wh_reconcile_pass(p, &opts, &seen, &name, &err), &err);
    s = &APR_ARRAY_IDX(seen, 0, wh_reconcile_seen_t);
    assert_int_equal(s->state, WH_OBSERVED_STARTING);
    assert_string_equal(s->reason, "it exited with status 2");
    assert_false(fake.all[0].running);
    assert_true(wh_restarts_wait(in.restarts, wh_clock_mono(wh_sys_clock()), 30000000) <= 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F219 F224 a container that exits fails the deployment and is removed", test_exits),
        UNIT("F219 one that never listens: said with its port and time", test_never_listens),
        UNIT("a start has the job's own deadline", test_start_hangs),
        UNIT("D3 a container that differs from what was asked is never started", test_differs),
        UNIT("G14 each failing call of the engine leaves nothing", test_every_failure),
        UNIT("F218 F220 it answers from outside: up", test_comes_up),
        UNIT("a stop ends ours alone", test_stop),
        UNIT("what to do with a container", test_decide),
        UNIT("a build that began during the pass keeps its container", test_decide_hold),
        UNIT("a pass starts what is wanted, removes the stray, never touches the foreign",
             test_pass),
        UNIT("without a network of its own an app is not started", test_no_network),
        UNIT("one that is cut off from its network is started anew", test_cut_off),
        UNIT("whether anybody can be there", test_reach),
    };
    return UNIT_RUN(tests);
}
