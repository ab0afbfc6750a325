#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_proto_msg.h"

#define JOB "01hzx0000000000000000000jb"
#define APP "01hzx0000000000000000000aa"
#define DEP "01hzx0000000000000000000dd"
#define SHA "9fceb02d0ae598e95dc970b74767f19372d61af8"
#define REL "e3b0c44298fc1c149afbf4c8996fb92427ae41e4"

static json_t *load(apr_pool_t *p, const char *text)
{
    wh_err_t err = WH_ERR_INIT;
    json_t *json;

    assert_ok(wh_json_load(p, text, strlen(text), NULL, &json, &err), &err);
    return json;
}

/* Decoding a text and encoding what was read gives the text again. */
#define ROUND_TRIP(type, text)                                                                    \
    do {                                                                                          \
        wh_msg_##type##_t round;                                                                  \
        wh_err_t round_err = WH_ERR_INIT;                                                         \
        assert_ok(wh_proto_msg_##type##_decode(p, load(p, text), &round, &round_err),             \
                  &round_err);                                                                    \
        assert_string_equal(                                                                      \
            wh_json_text(p, wh_json_own(p, wh_proto_msg_##type##_encode(&round)), NULL), text);   \
    } while (0)

#define REFUSED(type, text, where)                                                                \
    do {                                                                                          \
        wh_msg_##type##_t bad;                                                                    \
        wh_err_t bad_err = WH_ERR_INIT;                                                           \
        assert_code(wh_proto_msg_##type##_decode(p, load(p, text), &bad, &bad_err), &bad_err,     \
                    "bad_payload");                                                               \
        assert_string_equal(bad_err.pointer, where);                                              \
        assert_int_equal(bad_err.http, 400);                                                      \
    } while (0)

#define REF "\"job\":\"" JOB "\",\"epoch\":3"

static void test_link(void **state)
{
    apr_pool_t *p = *state;

    ROUND_TRIP(hello, "{\"version\":\"0.1.0\",\"name\":\"w1\",\"cpu_millis\":2000,\"memory_bytes\":"
                      "1024,\"labels\":{\"a\":\"b\"},\"engine\":\"podman 4.3.1\",\"max_jobs\":2,"
                      "\"running\":[{" REF "}],\"results\":[],\"instances\":[{\"deployment\":\"" DEP
                      "\",\"container\":\"c1\",\"address\":\"127.0.0.1\",\"port\":40000,\"state\":"
                      "\"running\"}]}");
    ROUND_TRIP(welcome, "{\"worker\":\"" APP "\",\"server_version\":\"0.1.0\",\"settings\":"
                        "{\"heartbeat_s\":30,\"stats_s\":15},\"desired\":[{\"deployment\":\"" DEP "\",\"app\":\"" APP
                        "\",\"desired\":\"running\"}]}");
    ROUND_TRIP(heartbeat, "{\"cpu_used_millis\":1,\"memory_used_bytes\":2,\"disk_free_bytes\":3,"
                          "\"running\":[{" REF "}]}");
    ROUND_TRIP(heartbeat, "{\"cpu_used_millis\":1,\"memory_used_bytes\":2,\"disk_free_bytes\":3,"
                          "\"refuses\":\"the disk is full\",\"running\":[]}");
    ROUND_TRIP(settings, "{\"heartbeat_s\":15}");
    ROUND_TRIP(settings, "{\"heartbeat_s\":15,\"desired\":[]}");
    ROUND_TRIP(settings, "{\"heartbeat_s\":15,\"desired\":[{\"deployment\":\"" DEP "\",\"app\":\"" APP
                         "\",\"desired\":\"stopped\"}]}");
    ROUND_TRIP(error, "{\"in_reply_to\":\"000102030405060708090a0b0c0d0e0f\",\"code\":"
                      "\"unknown_type\",\"message\":\"x\"}");
    REFUSED(hello, "{}", "/version");
    REFUSED(heartbeat, "{\"cpu_used_millis\":-1,\"memory_used_bytes\":2,\"disk_free_bytes\":3}",
            "/cpu_used_millis");
    REFUSED(heartbeat, "{\"cpu_used_millis\":1.5,\"memory_used_bytes\":2,\"disk_free_bytes\":3}",
            "/cpu_used_millis");
    REFUSED(heartbeat, "{\"cpu_used_millis\":1,\"memory_used_bytes\":2,\"disk_free_bytes\":3,"
                       "\"running\":[7]}", "/running/0");
    REFUSED(heartbeat, "{\"cpu_used_millis\":1,\"memory_used_bytes\":2,\"disk_free_bytes\":3,"
                       "\"running\":[{\"job\":\"../../../../../../../../..\",\"epoch\":1}]}",
            "/running/0/job");
    REFUSED(settings, "{\"heartbeat_s\":0}", "/heartbeat_s");
    REFUSED(error, "{\"in_reply_to\":\"x\",\"code\":\"y\"}", "/in_reply_to");
    REFUSED(settings, "[]", "");
}

#define JOB_HEAD "{" REF ",\"kind\":\"deploy\",\"app\":\"" APP "\",\"slug\":\"blog\",\"deployment\":\"" \
    DEP "\",\"environment\":\"production\","
#define SNAPSHOT                                                                                  \
    "\"snapshot\":{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"https://h/x\","    \
    "\"branch\":\"main\",\"root_directory\":\"\"},\"build\":{\"build_command\":null,"              \
    "\"dockerfile\":\"Dockerfile\",\"output_directory\":\"\"},\"run\":{\"port\":8080,"             \
    "\"health_path\":\"/\",\"replicas\":1,\"cpu_millis\":1000,\"memory_bytes\":536870912,"         \
    "\"pids\":256},\"spa\":false,\"clean_urls\":false}"
#define DEADLINES "\"deadlines\":{\"clone_s\":300,\"build_s\":900,\"start_s\":120,\"check_s\":60}"

static void test_job(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_msg_job_t m;

    ROUND_TRIP(job, JOB_HEAD SNAPSHOT ",\"commit\":{\"sha\":\"" SHA "\",\"ref\":null}," DEADLINES
                             "}");
    ROUND_TRIP(job, JOB_HEAD SNAPSHOT ",\"commit\":{\"sha\":null,\"ref\":\"main\"}," DEADLINES
                                      ",\"env\":[{\"name\":\"A\",\"value\":\"\",\"secret\":true,"
                                      "\"build\":false},{\"name\":\"B\",\"value\":\"x\\ny\","
                                      "\"secret\":false,\"build\":true}]}");
    REFUSED(job, JOB_HEAD SNAPSHOT "," DEADLINES ",\"env\":[{\"name\":\"A\"}]}", "/env/0/value");
    REFUSED(job, JOB_HEAD SNAPSHOT "," DEADLINES ",\"env\":[{\"name\":\"A=\",\"value\":\"\"}]}",
            "/env/0/name");
    REFUSED(job, JOB_HEAD SNAPSHOT "," DEADLINES ",\"env\":[7]}", "/env/0");
    ROUND_TRIP(ref, "{" REF "}");
    ROUND_TRIP(job_ack, "{" REF ",\"accepted\":true,\"reason\":null}");
    ROUND_TRIP(job_ack, "{" REF ",\"accepted\":false,\"reason\":\"no_engine\"}");
    assert_ok(wh_proto_msg_job_decode(p, load(p, "{" REF ",\"kind\":\"stop\",\"app\":\"" APP
                                                 "\",\"slug\":\"blog\",\"deployment\":\"" DEP
                                                 "\",\"environment\":\"production\"," DEADLINES
                                                 "}"), &m, &err), &err);
    assert_int_equal(m.kind, WH_JOB_KIND_STOP);
    assert_string_equal(m.commit_sha, "");
    REFUSED(ref, "{\"job\":\"" JOB "\",\"epoch\":0}", "/epoch");
    REFUSED(ref, "{\"job\":\"x\",\"epoch\":1}", "/job");
    REFUSED(ref, "{\"job\":7,\"epoch\":1}", "/job");
    REFUSED(job_ack, "{" REF "}", "/accepted");
    REFUSED(job_ack, "{" REF ",\"accepted\":1}", "/accepted");
    REFUSED(job, JOB_HEAD SNAPSHOT "}", "/deadlines");
    REFUSED(job, JOB_HEAD DEADLINES "}", "");
    REFUSED(job, JOB_HEAD SNAPSHOT ",\"commit\":{\"sha\":\"HEAD\"}," DEADLINES "}", "");
    REFUSED(job, JOB_HEAD SNAPSHOT ",\"commit\":{\"ref\":\"--upload-pack=x\"}," DEADLINES "}", "");
    REFUSED(job, "{" REF ",\"kind\":\"exec\"}", "/kind");
}

static void test_status(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_msg_job_status_t m;

    ROUND_TRIP(job_status, "{" REF ",\"phase\":\"cloning\",\"commit\":null,\"started_at\":12}");
    ROUND_TRIP(job_status, "{" REF ",\"phase\":\"uploading\",\"commit\":{\"sha\":\"" SHA
                           "\",\"message\":\"m\",\"author\":\"a\",\"at\":1},\"started_at\":12}");
    assert_ok(wh_proto_msg_job_status_decode(p, load(p, "{" REF ",\"phase\":\"uploading\"}"), &m,
                                             &err), &err);
    assert_int_equal(m.phase, WH_PHASE_SWITCHING);
    REFUSED(job_status, "{" REF ",\"phase\":\"queued\"}", "/phase");
    REFUSED(job_status, "{" REF ",\"phase\":\"done\"}", "/phase");
    REFUSED(job_status, "{" REF ",\"phase\":\"switching\"}", "/phase");
    REFUSED(job_status, "{" REF ",\"phase\":\"cloning\",\"commit\":{\"sha\":\"" SHA "0\"}}", "");
}

#define TIMINGS                                                                                   \
    "\"timings\":{\"clone_ms\":1,\"build_ms\":2,\"start_ms\":3,\"check_ms\":4,\"upload_ms\":5}}"

static void test_result(void **state)
{
    apr_pool_t *p = *state;

    ROUND_TRIP(job_result, "{" REF ",\"outcome\":\"succeeded\",\"cause\":null,\"commit\":null,"
                           "\"release\":\"" REL "\",\"image_digest\":null,\"instances\":[]," TIMINGS);
    ROUND_TRIP(job_result, "{" REF ",\"outcome\":\"failed\",\"cause\":{\"code\":\"build_failed\","
                           "\"detail\":\"make said no\"},\"commit\":{\"sha\":\"" SHA
                           "\",\"message\":\"\",\"author\":\"\",\"at\":0},\"release\":null,\"image_digest\":null,"
                           "\"instances\":[{\"container\":\"c\",\"address\":\"10.0.0.1\",\"port\":1}"
                           "]," TIMINGS);
    REFUSED(job_result, "{" REF ",\"outcome\":\"won\"}", "/outcome");
    REFUSED(job_result, "{" REF ",\"outcome\":\"failed\"}", "/cause");
    REFUSED(job_result, "{" REF ",\"outcome\":\"failed\",\"cause\":{\"code\":\"A B\"}}",
            "/cause/code");
    REFUSED(job_result, "{" REF ",\"outcome\":\"succeeded\",\"release\":\"../../x\"}", "/release");
    REFUSED(job_result, "{" REF ",\"outcome\":\"succeeded\",\"instances\":[{\"container\":\"c\","
                        "\"address\":\"a b\",\"port\":1}]}", "/instances/0/address");
    REFUSED(job_result, "{" REF ",\"outcome\":\"succeeded\",\"instances\":[{\"container\":\"c\","
                        "\"address\":\"::1\",\"port\":0}]}", "/instances/0/port");
    REFUSED(job_result, "{" REF ",\"outcome\":\"succeeded\",\"timings\":{\"clone_ms\":-1}}",
            "/timings/clone_ms");
}

static void test_logs(void **state)
{
    apr_pool_t *p = *state;
    wh_msg_build_log_t m;
    wh_err_t err = WH_ERR_INIT;
    char *line = apr_palloc(p, WH_MSG_LINE_BYTES + 2);
    json_t *big;

    ROUND_TRIP(build_log, "{" REF ",\"lines\":[[1,5,\"out\",\"a\"],[2,6,\"err\",\"\"],[9,7,\"sys\","
                          "\"b\"]],\"dropped\":3}");
    ROUND_TRIP(log_ack, "{\"job\":\"" JOB "\",\"seq\":0}");
    ROUND_TRIP(app_status, "{\"app\":\"" APP "\",\"deployment\":\"" DEP "\",\"container\":\"c\","
                           "\"state\":\"crashloop\",\"reason\":\"exit 1\",\"restarts\":4}");
    REFUSED(build_log, "{" REF ",\"lines\":[[1,5,\"out\"]]}", "/lines/0");
    REFUSED(build_log, "{" REF ",\"lines\":[[0,5,\"out\",\"a\"]]}", "/lines/0");
    REFUSED(build_log, "{" REF ",\"lines\":[[1,5,\"log\",\"a\"]]}", "/lines/0");
    REFUSED(build_log, "{" REF ",\"lines\":[[2,5,\"out\",\"a\"],[2,5,\"out\",\"b\"]]}", "/lines");
    REFUSED(build_log, "{" REF ",\"lines\":{}}", "/lines");
    REFUSED(app_status, "{\"app\":\"" APP "\",\"deployment\":\"" DEP "\",\"container\":\"c\","
                        "\"state\":\"gone\"}", "/state");
    memset(line, 'a', WH_MSG_LINE_BYTES + 1);
    line[WH_MSG_LINE_BYTES + 1] = '\0';
    big = wh_json_own(p, json_pack("{s:s, s:i, s:[[i, i, s, s]]}", "job", JOB, "epoch", 1, "lines",
                                   1, 1, "out", line));
    assert_code(wh_proto_msg_build_log_decode(p, big, &m, &err), &err, "bad_payload");
    big = wh_json_own(p, json_pack("{s:s, s:i, s:[[i, i, s, s]]}", "job", JOB, "epoch", 1, "lines",
                                   1, 1, "out", line + 1));
    assert_ok(wh_proto_msg_build_log_decode(p, big, &m, &err), &err);
    big = json_array();
    for (int i = 1; i <= WH_MSG_LINES_MAX + 1; i++)
        json_array_append_new(big, json_pack("[i, i, s, s]", i, i, "out", ""));
    big = wh_json_own(p, json_pack("{s:s, s:i, s:o}", "job", JOB, "epoch", 1, "lines", big));
    assert_code(wh_proto_msg_build_log_decode(p, big, &m, &err), &err, "bad_payload");
    json_array_remove(json_object_get(big, "lines"), 0);
    assert_ok(wh_proto_msg_build_log_decode(p, big, &m, &err), &err);
    assert_int_equal(m.lines->nelts, 5000);
}

#define WHERE "\"app\":\"" APP "\",\"deployment\":\"" DEP "\",\"container\":\"c\""
#define USE(cpu, memory)                                                                          \
    "{\"app\":\"" APP "\",\"deployment\":\"" DEP "\",\"cpu_millis\":" cpu ",\"memory_bytes\":"      \
    memory ",\"memory_limit_bytes\":536870912,\"net_rx_bytes\":3,\"net_tx_bytes\":4,"              \
    "\"disk_read_bytes\":5,\"disk_write_bytes\":6}"

static void test_apps(void **state)
{
    apr_pool_t *p = *state;
    wh_msg_app_stats_t m;
    wh_err_t err = WH_ERR_INIT;
    json_t *many = json_array(), *one = load(p, USE("1", "2")), *big;

    ROUND_TRIP(app_stats, "{\"apps\":[]}");
    ROUND_TRIP(app_stats, "{\"apps\":[" USE("250", "1048576") "," USE("0", "0") "]}");
    REFUSED(app_stats, "{}", "/apps");
    REFUSED(app_stats, "{\"apps\":[7]}", "/apps/0");
    REFUSED(app_stats, "{\"apps\":[" USE("1", "-1") "]}", "/apps/0/memory_bytes");
    REFUSED(app_stats, "{\"apps\":[" USE("1024001", "1") "]}", "/apps/0/cpu_millis");
    REFUSED(app_stats, "{\"apps\":[" USE("1", "70368744177665") "]}", "/apps/0/memory_bytes");
    REFUSED(app_stats, "{\"apps\":[" USE("1e3", "1") "]}", "/apps/0/cpu_millis");
    for (int i = 0; i < WH_MSG_APPS_MAX + 1; i++)
        json_array_append(many, one);
    big = wh_json_own(p, json_pack("{s:o}", "apps", many));
    assert_code(wh_proto_msg_app_stats_decode(p, big, &m, &err), &err, "bad_payload");
    json_array_remove(many, 0);
    assert_ok(wh_proto_msg_app_stats_decode(p, big, &m, &err), &err);
    assert_int_equal(m.apps->nelts, WH_MSG_APPS_MAX);
    ROUND_TRIP(violation, "{" WHERE ",\"rule\":\"oom\",\"detail\":\"three in an hour\"}");
    REFUSED(violation, "{" WHERE ",\"rule\":\"rude\"}", "/rule");
    REFUSED(violation, "{" WHERE "}", "/rule");
    ROUND_TRIP(runtime_log, "{" WHERE ",\"lines\":[[1,5,\"out\",\"a\"],[3,6,\"sys\",\"\"]],"
                            "\"dropped\":1}");
    REFUSED(runtime_log, "{" WHERE ",\"lines\":[[2,5,\"out\",\"a\"],[1,6,\"out\",\"\"]]}", "/lines");
    REFUSED(runtime_log, "{" WHERE ",\"lines\":[[2,-5,\"out\",\"a\"]]}", "/lines/0");
    REFUSED(runtime_log, "{" WHERE ",\"dropped\":-1}", "/dropped");
    REFUSED(runtime_log, "{\"app\":\"" APP "\",\"deployment\":\"" DEP "\",\"container\":\"a\\u0007\"}",
            "/container");
}

#define HELLO(name, memory, zone, jobs)                                                           \
    "{\"version\":\"0.1.0\",\"name\":\"" name "\",\"cpu_millis\":2000,\"memory_bytes\":" memory       \
    ",\"labels\":{},\"engine\":\"\",\"zone\":\"" zone "\",\"refuses\":\"no room\",\"max_jobs\":" jobs   \
    ",\"running\":[],\"results\":[],\"instances\":[]}"

static void test_hello_limits(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_msg_welcome_t welcome;
    wh_msg_heartbeat_t beat;

    ROUND_TRIP(hello, HELLO("w1", "0", "eu-1", "1024"));
    REFUSED(hello, HELLO("w1", "0", "eu", "1025"), "/max_jobs");
    REFUSED(hello, HELLO("w1", "0", "eu", "0"), "/max_jobs");
    REFUSED(hello, HELLO("w1", "-1", "eu", "1"), "/memory_bytes");
    REFUSED(hello, HELLO("w1", "70368744177665", "eu", "1"), "/memory_bytes");
    REFUSED(hello, HELLO("w\\u00011", "1", "eu", "1"), "/name");
    REFUSED(hello, HELLO("w\\n1", "1", "eu", "1"), "/name");
    REFUSED(hello, HELLO("w1", "1", "e\\u001bu", "1"), "/zone");
    /* An older hub names no stats_s, an older agent no reason. */
    assert_ok(wh_proto_msg_welcome_decode(p, load(p, "{\"worker\":\"" APP "\",\"server_version\":"
                                                     "\"\",\"settings\":{\"heartbeat_s\":30}}"),
                                          &welcome, &err), &err);
    assert_int_equal(welcome.stats_s, 15);
    assert_ok(wh_proto_msg_heartbeat_decode(p, load(p, "{\"cpu_used_millis\":1,\"memory_used_bytes"
                                                       "\":2,\"disk_free_bytes\":3}"), &beat, &err),
              &err);
    assert_string_equal(beat.refuses, "");
}

static void test_unknown_members(void **state)
{
    apr_pool_t *p = *state, *sub;
    wh_err_t err = WH_ERR_INIT;
    wh_msg_ref_t m;
    json_t *json = json_pack("{s:s, s:i, s:[b]}", "job", JOB, "epoch", 1, "later", 1);

    apr_pool_create(&sub, p);
    assert_ok(wh_proto_msg_ref_decode(sub, json, &m, &err), &err);
    json_decref(json); /* what was read stays as long as the pool */
    assert_string_equal(m.job, JOB);
    apr_pool_destroy(sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F97 hello, welcome, heartbeat, settings, error", test_link),
        UNIT("F90 F98 job, job_ack and the references to a job", test_job),
        UNIT("F98 job_status: the phases of a running job", test_status),
        UNIT("F99 job_result", test_result),
        UNIT("F103 F104 F7 build_log, log_ack, app_status", test_logs),
        UNIT("F96 F102 F103 app_stats, violation, runtime_log", test_apps),
        UNIT("hello: limits; members that an older end does not say", test_hello_limits),
        UNIT("unknown members are ignored, strings outlive the frame", test_unknown_members),
    };

    return UNIT_RUN(tests);
}
