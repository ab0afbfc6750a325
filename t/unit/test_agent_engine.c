#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "wh-agent/buildout.h"
#include "wh-agent/engine_json.h"
#include "wh-agent/frames.h"
#include "wh-agent/layers.h"

#define ID64 "ee771070f549a951a2e7e4ea626af9f1ceaae4515d46cc877ec736314d83ef74"

static void spec_of(apr_pool_t *p, wh_engine_spec_t *spec)
{
    apr_array_header_t *labels = apr_array_make(p, 1, sizeof(wh_engine_label_t));

    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){"wisehost.app", "a"};
    *spec = (wh_engine_spec_t){.name = "n",
                               .image = "sha256:" ID64,
                               .network = "wisehost-a",
                               .publish_address = "127.0.0.1",
                               .publish_port = 20001,
                               .port = 8080,
                               .memory_bytes = 536870912,
                               .cpu_millis = 1000,
                               .pids = 256,
                               .labels = labels};
}

static void test_spec(void **state)
{
    apr_pool_t *p = *state;
    wh_engine_spec_t spec;
    json_t *body, *host;

    spec_of(p, &spec);
    body = wh_json_own(p, wh_engine_json_spec(&spec));
    host = json_object_get(body, "HostConfig");
    assert_int_equal(json_integer_value(json_object_get(host, "Memory")), 536870912);
    assert_int_equal(json_integer_value(json_object_get(host, "NanoCpus")), 1000000000);
    assert_int_equal(json_integer_value(json_object_get(host, "PidsLimit")), 256);
    assert_string_equal(json_string_value(json_array_get(json_object_get(host, "CapDrop"), 0)),
                        "ALL");
    assert_int_equal(json_array_size(json_object_get(host, "CapAdd")), 7);
    assert_string_equal(json_string_value(json_array_get(json_object_get(host, "SecurityOpt"), 0)),
                        "no-new-privileges");
    assert_non_null(strstr(
        wh_json_text(p, body, NULL),
        "\"PortBindings\":{\"8080/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"20001\"}]}"));
    assert_non_null(strstr(wh_json_text(p, body, NULL), "\"Env\":[\"PORT=8080\"]"));
    spec.env = apr_array_make(p, 1, sizeof(wh_env_pair_t));
    APR_ARRAY_PUSH((apr_array_header_t *)(uintptr_t)spec.env, wh_env_pair_t) =
        (wh_env_pair_t){.name = "A", .value = "b\n\"c\" $d %s"};
    assert_non_null(strstr(wh_json_text(p, wh_json_own(p, wh_engine_json_spec(&spec)), NULL),
                           "\"Env\":[\"PORT=8080\",\"A=b\\n\\\"c\\\" $d %s\"]"));
    assert_non_null(strstr(wh_json_text(p, body, NULL), "\"Name\":\"no\",\"MaximumRetryCount\":0"));
    assert_null(json_object_get(host, "LogConfig"));
    spec.log_bytes = 1048576;
    assert_non_null(strstr(wh_json_text(p, wh_json_own(p, wh_engine_json_spec(&spec)), NULL),
                           "\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{\"max-size\":"
                           "\"1048576\",\"max-file\":\"2\"}}"));
    /* D3: what must never be asked has no place to be asked in. */
    for (const char *const *key =
             (const char *const[]){"Privileged", "Binds", "Mounts", "PidMode", "IpcMode", "UTSMode",
                                   "UsernsMode", "Devices", "VolumesFrom", "CgroupParent",
                                   "Sysctls", NULL};
         *key != NULL; key++)
        assert_null(json_object_get(host, *key));
}

/* What Podman 4.3.1 says of such a container, in short. */
static const char inspected[] =
    "{\"Id\":\"" ID64 "\",\"Created\":\"2026-11-21T03:22:23.16887098Z\",\"Image\":\"sha256:" ID64
    "\","
    "\"RestartCount\":2,\"Mounts\":[],\"State\":{\"Status\":\"running\",\"Running\":true,"
    "\"ExitCode\":0,"
    "\"OOMKilled\":false},\"Config\":{\"Labels\":{\"wisehost.app\":\"a\"}},\"HostConfig\":{"
    "\"Binds\":[],"
    "\"NetworkMode\":\"bridge\",\"PortBindings\":{\"8080/"
    "tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":"
    "\"20001\"}]},\"VolumesFrom\":null,\"CapAdd\":[],\"CapDrop\":[\"AUDIT_WRITE\",\"MKNOD\"],"
    "\"IpcMode\":\"shareable\",\"PidMode\":\"private\",\"Privileged\":false,\"SecurityOpt\":"
    "[\"no-new-privileges\"],\"UTSMode\":\"private\",\"UsernsMode\":\"\",\"CgroupParent\":\"\","
    "\"Devices\":[],\"Memory\":536870912,\"NanoCpus\":1000000000,\"PidsLimit\":256,"
    "\"OomKillDisable\":false}}";

static void test_seen(void **state)
{
    apr_pool_t *p = *state;
    wh_engine_spec_t spec;
    wh_engine_seen_t seen;
    wh_err_t err = WH_ERR_INIT;

    spec_of(p, &spec);
    assert_ok(wh_engine_json_seen(p, inspected, strlen(inspected), &seen, &err), &err);
    assert_true(seen.running);
    assert_int_equal(seen.restarts, 2);
    assert_int_equal(seen.publish_port, 20001);
    assert_int_equal(seen.created_at, APR_INT64_C(1795231343168870));
    assert_string_equal(wh_engine_label(seen.labels, "wisehost.app"), "a");
    assert_string_equal(wh_engine_label(seen.labels, "nothing"), "");
    assert_string_equal(wh_engine_json_differs(p, &spec, &seen), "");
    seen.label_bytes = 16385;
    assert_non_null(strstr(wh_engine_json_differs(p, &spec, &seen), "Labels"));
    seen.label_bytes = 16384;
    spec.pids = 100;
    assert_string_equal(wh_engine_json_differs(p, &spec, &seen), "PidsLimit");
    spec.pids = 256;
    spec.publish_port = 5;
    assert_string_equal(wh_engine_json_differs(p, &spec, &seen), "PortBindings");
    spec.publish_port = 20001;
    spec.image = "sha256:0";
    assert_string_equal(wh_engine_json_differs(p, &spec, &seen), "Image");
}

/* inspected with one member of HostConfig (or the top) set to something else. */
static const char *forbidden_by(apr_pool_t *p, const char *where, const char *member)
{
    json_t *doc = wh_json_own(p, json_loads(inspected, 0, NULL));
    json_t *with = wh_json_own(p, json_loads(member, 0, NULL));
    wh_engine_seen_t seen;
    const char *text;

    assert_non_null(with);
    json_object_update(where[0] != '\0' ? json_object_get(doc, where) : doc, with);
    text = wh_json_text(p, doc, NULL);
    assert_int_equal(wh_engine_json_seen(p, text, strlen(text), &seen, NULL), APR_SUCCESS);
    return seen.forbidden;
}

static void test_forbidden(void **state)
{
    static const char *const members[][2] = {
        {"{\"Privileged\":true}", "Privileged"},
        {"{\"Binds\":[\"/etc:/etc\"]}", "Binds"},
        {"{\"Binds\":[\"" ID64 ":/data:rw\",\"/etc:/etc\"]}", "Binds"},
        {"{\"Binds\":[\"named:/data\"]}", "Binds"},
        {"{\"Binds\":[7]}", "Binds"},
        {"{\"Binds\":\"/etc:/etc\"}", "Binds"},
        {"{\"Mounts\":[{\"Type\":\"bind\"}]}", "Mounts"},
        {"{\"PidMode\":\"host\"}", "PidMode"},
        {"{\"PidMode\":\"container:x\"}", "PidMode"},
        {"{\"IpcMode\":\"host\"}", "IpcMode"},
        {"{\"UTSMode\":\"host\"}", "UTSMode"},
        {"{\"CgroupnsMode\":\"host\"}", "CgroupnsMode"},
        {"{\"NetworkMode\":\"host\"}", "NetworkMode"},
        {"{\"NetworkMode\":\"container:x\"}", "NetworkMode"},
        {"{\"UsernsMode\":\"host\"}", "UsernsMode"},
        {"{\"CapAdd\":[\"SYS_ADMIN\"]}", "CapAdd"},
        {"{\"CapAdd\":[\"CAP_CHOWN\",\"CAP_NET_RAW\"]}", "CapAdd"},
        {"{\"CapDrop\":[]}", "CapDrop"},
        {"{\"Devices\":[{\"PathOnHost\":\"/dev/sda\"}]}", "Devices"},
        {"{\"DeviceRequests\":[{}]}", "DeviceRequests"},
        {"{\"SecurityOpt\":[\"no-new-privileges\",\"seccomp=unconfined\"]}", "SecurityOpt"},
        {"{\"SecurityOpt\":[\"no-new-privileges\",\"label=disable\"]}", "SecurityOpt"},
        {"{\"SecurityOpt\":[]}", "SecurityOpt (no-new-privileges is missing)"},
        {"{\"SecurityOpt\":[\"no-new-privileges:false\"]}",
         "SecurityOpt (no-new-privileges is missing)"},
        {"{\"VolumesFrom\":[\"x\"]}", "VolumesFrom"},
        {"{\"CgroupParent\":\"/\"}", "CgroupParent"},
        {"{\"Sysctls\":{\"kernel.x\":\"1\"}}", "Sysctls"},
        {"{\"OomKillDisable\":true}", "OomKillDisable"},
        {"{\"PublishAllPorts\":true}", "PublishAllPorts"},
    };
    apr_pool_t *p = *state;

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        assert_string_equal(forbidden_by(p, "HostConfig", members[i][0]), members[i][1]);
    assert_string_equal(forbidden_by(p, "", "{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/\"}]}"),
                        "Mounts");
    assert_string_equal(forbidden_by(p, "", "{\"Mounts\":[{\"Type\":\"volume\"}]}"), "");
    assert_string_equal(
        forbidden_by(p, "HostConfig", "{\"Binds\":[\"" ID64 ":/data:rprivate,rw,nodev,exec\"]}"),
        ""); /* Podman's words for a VOLUME of the image */
    assert_string_equal(forbidden_by(p, "", "{\"HostConfig\":null}"), "HostConfig");
    assert_string_equal(forbidden_by(p, "HostConfig", "{\"CapAdd\":[\"CAP_CHOWN\",\"KILL\"]}"), "");
}

static void test_replies(void **state)
{
    static const char *const bad[] = {"",         "{",   "[]", "{\"Id\":1}", "{\"Id\":\"x\"}",
                                      "nonsense", "null"};
    static const char list[] =
        "[{\"Id\":\"a\",\"Created\":5,\"State\":\"running\",\"Labels\":{\"k\":\"v\",\"n\":1}},"
        "{\"Id\":\"b\",\"State\":\"exited\",\"Labels\":null,\"RepoTags\":[\"t:1\",2]}]";
    apr_pool_t *p = *state;
    apr_array_header_t *items;
    wh_engine_seen_t seen;
    wh_err_t err = WH_ERR_INIT;
    const char *name, *api;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_code(wh_engine_json_seen(p, bad[i], strlen(bad[i]), &seen, &err), &err,
                    "engine_error");
    assert_ok(wh_engine_json_list(p, list, strlen(list), &items, &err), &err);
    assert_int_equal(items->nelts, 2);
    assert_true(APR_ARRAY_IDX(items, 0, wh_engine_item_t).running);
    assert_string_equal(wh_engine_label(APR_ARRAY_IDX(items, 0, wh_engine_item_t).labels, "k"),
                        "v");
    assert_int_equal(APR_ARRAY_IDX(items, 1, wh_engine_item_t).tags->nelts, 1);
    assert_code(wh_engine_json_list(p, "{}", 2, &items, &err), &err, "engine_error");
    assert_code(wh_engine_json_list(p, "[{}]", 4, &items, &err), &err, "engine_error");

#define VERSION(body) wh_engine_json_version(p, body, strlen(body), &name, &api, &err)
    assert_ok(VERSION("{\"Components\":[{\"Name\":\"Podman Engine\"}],\"Version\":\"4.3.1\","
                      "\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.24\"}"),
              &err);
    assert_string_equal(name, "podman 4.3.1");
    assert_string_equal(api, "v1.41");
    assert_ok(VERSION("{\"Components\":[{\"Name\":\"Engine\"}],\"Version\":\"29.0\\u001b[31m\","
                      "\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}"),
              &err);
    assert_string_equal(name, "docker 29.0");
    assert_string_equal(api, "v1.44");
    assert_ok(VERSION("{\"Version\":\"1\",\"ApiVersion\":\"1.40\"}"), &err);
    assert_string_equal(api, "v1.40");
    assert_code(VERSION("{\"ApiVersion\":\"1.41/../x\"}"), &err, "engine_error");
    assert_code(VERSION("{}"), &err, "engine_error");
    assert_string_equal(wh_engine_json_message(p, "{\"message\":\"no\\nsuch\"}", 22), "no such");
    assert_int_equal(wh_engine_json_int(p, "{\"StatusCode\":3}", 16, "StatusCode"), 3);
    assert_int_equal(wh_engine_json_int(p, "{\"StatusCode\":\"3\"}", 18, "StatusCode"), -1);
}

typedef struct text_t {
    char text[4096];
} text_t;

static void take_text(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    text_t *t = baton;

    (void)apr_snprintf(t->text + strlen(t->text), sizeof(t->text) - strlen(t->text), "%s[%.*s]",
                       wh_model_stream_text(stream), (int)n, buf);
}

static void test_frames(void **state)
{
    static const char log[] =
        "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\3err\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\2ok";
    wh_frames_t frames;

    (void)state;
    for (size_t step = 1; step < sizeof(log); step++) {
        text_t got = {""};
        char *in, *out;

        wh_frames_init(&frames, take_text, &got);
        for (size_t at = 0; at < sizeof(log) - 1; at += step) {
            size_t n = sizeof(log) - 1 - at;

            assert_int_equal(wh_frames_feed(&frames, log + at, n < step ? n : step), 0);
        }
        /* Joined again, whatever the pieces were. */
        for (in = out = got.text; *in != '\0';)
            if (strncmp(in, "][out]", 6) == 0 || strncmp(in, "]out[", 5) == 0 ||
                strncmp(in, "]err[", 5) == 0)
                in += 5;
            else
                *out++ = *in++;
        *out = '\0';
        assert_non_null(strstr(got.text, "out[hello"));
        assert_non_null(strstr(got.text, "err"));
    }
    {
        text_t got = {""};

        wh_frames_init(&frames, take_text, &got);
        assert_int_equal(wh_frames_feed(&frames, log, sizeof(log) - 1), 0);
        assert_string_equal(got.text, "out[hello]err[err]out[ok]");
        wh_frames_init(&frames, take_text, &got);
        assert_int_equal(wh_frames_feed(&frames, "\3\0\0\0\0\0\0\1x", 9), -1);
        assert_int_equal(wh_frames_feed(&frames, log, 5), -1);
        wh_frames_init(&frames, take_text, &got);
        assert_int_equal(wh_frames_feed(&frames, "plain text without frames", 25), -1);
    }
}

static void test_buildout(void **state)
{
    static const char out[] =
        "{\"stream\":\"STEP 1/2\\n\"}\r\n{\"status\":\"Pulling\",\"id\":\"x\"}\n"
        "{\"status\":\"Downloading\",\"progress\":\"[=>]\"}\n\nnot json\n"
        "{\"aux\":{\"ID\":\"sha256:" ID64 "\"}}\n{\"aux\":{\"ID\":\"sha256:short\"}}\n"
        "{\"errorDetail\":{\"message\":\"exit status 1\"},\"error\":\"\"}";
    apr_pool_t *p = *state;
    wh_buildout_t b;

    for (size_t step = 1; step < sizeof(out); step += 7) {
        text_t got = {""};

        assert_int_equal(wh_buildout_init(p, &b, take_text, &got), APR_SUCCESS);
        for (size_t at = 0; at < sizeof(out) - 1; at += step) {
            size_t n = sizeof(out) - 1 - at;

            assert_int_equal(wh_buildout_feed(&b, out + at, n < step ? n : step), 0);
        }
        wh_buildout_end(&b);
        assert_string_equal(b.image, "sha256:" ID64);
        assert_string_equal(b.error, "exit status 1");
        assert_string_equal(got.text, "out[STEP 1/2\n]out[x: Pulling\n]out[not json]out[\n]"
                                      "err[exit status 1]err[\n]");
    }
}

static void test_layers(void **state)
{
    wh_layers_t l;

    wh_layers_init(*state, &l);
    wh_layers_feed(&l, "STEP 1/3: FROM scratch\n");
    wh_layers_feed(&l, "--> e5363288825\n");
    wh_layers_feed(&l, "--> Using cache 71607ca1797a0c7a\n");
    wh_layers_feed(&l, "--> 71607ca1797\n");
    wh_layers_feed(&l, " ---> 0123456789ab\r\nand --> 9999999999\n");
    wh_layers_feed(&l, "--> short\n--> e53632\n--> ../../x0000\n-->\n--> E5363288825\n");
    assert_int_equal(l.ids->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(l.ids, 0, const char *), "e5363288825");
    assert_string_equal(APR_ARRAY_IDX(l.ids, 1, const char *), "0123456789ab");
    for (int i = 0; i < 1000; i++)
        wh_layers_feed(&l, "--> e5363288825\n");
    assert_int_equal(l.ids->nelts, WH_LAYERS_MAX);
}

static void test_buildout_error(void **state)
{
    static const char out[] =
        "{\"error\":\"Unknown instruction: \\\"X\\\" &imagebuilder.Step{Env:[]}\"}\n";
    apr_pool_t *p = *state;
    text_t got = {""};
    wh_buildout_t b;

    assert_int_equal(wh_buildout_init(p, &b, take_text, &got), APR_SUCCESS);
    wh_buildout_feed(&b, out, strlen(out));
    assert_string_equal(b.error, "Unknown instruction: \"X\"");
}

static void test_buildout_long(void **state)
{
    apr_pool_t *p = *state;
    text_t got = {""};
    wh_buildout_t b;
    char *big = apr_palloc(p, 300000);

    memset(big, 'x', 300000);
    assert_int_equal(wh_buildout_init(p, &b, take_text, &got), APR_SUCCESS);
    wh_buildout_feed(&b, big, 300000);
    wh_buildout_feed(&b, "\n{\"stream\":\"after\"}\n", 20);
    assert_string_equal(got.text, "out[after]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F215 a container is asked for with labels and limits, and nothing that D3 forbids",
             test_spec),
        UNIT("D3 what is inspected is compared with what was asked", test_seen),
        UNIT("D3 each forbidden setting is found", test_forbidden),
        UNIT("an engine's replies are read by type", test_replies),
        UNIT("log frames are taken apart in pieces of any size", test_frames),
        UNIT("F279 a build's output is text, image and error", test_buildout),
        UNIT("an error is one sentence", test_buildout_error),
        UNIT("a line without end does not fill the memory", test_buildout_long),
        UNIT("the layers that a build made, not those that it found", test_layers),
    };
    return UNIT_RUN(tests);
}
