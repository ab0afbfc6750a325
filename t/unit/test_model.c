#include <stdio.h>
#include <stdlib.h>

#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_model.h"

#define NEW "{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"https://h/x\"}"

static json_t *load(apr_pool_t *p, const char *text)
{
    wh_err_t err = WH_ERR_INIT;
    json_t *json;

    assert_ok(wh_json_load(p, text, strlen(text), NULL, &json, &err), &err);
    return json;
}

static apr_status_t decode(apr_pool_t *p, const char *text, int patch, wh_app_t *app,
                           wh_err_t *err)
{
    wh_model_app_opt_t opt = {.patch = patch, .local_repo_root = "/srv/git"};

    return wh_model_app_decode(p, load(p, text), &opt, app, err);
}

static void test_texts(void **state)
{
    wh_job_status_e job;
    wh_conclusion_e conclusion;

    (void)state;
    for (int i = 0; i <= WH_JOB_CANCELED; i++) {
        assert_true(wh_model_job_status_of(wh_model_job_status_text((wh_job_status_e)i), &job));
        assert_int_equal(job, i);
        assert_int_equal(wh_model_job_terminal(job), i >= WH_JOB_SUCCEEDED);
    }
    assert_true(wh_model_conclusion_of("", &conclusion));
    assert_int_equal(conclusion, WH_CONCLUSION_NONE);
    assert_false(wh_model_conclusion_of("Succeeded", &conclusion));
    assert_false(wh_model_conclusion_of(NULL, &conclusion));
    assert_string_equal(wh_model_phase_text(WH_PHASE_SWITCHING), "switching");
    assert_string_equal(wh_model_kind_text((wh_kind_e)77), "?");
    assert_string_equal(wh_model_kind_text((wh_kind_e)-1), "?");
    assert_string_equal(wh_model_deployment_status_text(WH_DEPLOYMENT_FAIL), "fail");
}

static void test_app_defaults(void **state)
{
    wh_err_t err = WH_ERR_INIT;
    wh_app_t app;

    assert_ok(decode(*state, NEW "}", 0, &app, &err), &err);
    assert_string_equal(app.slug, "blog");
    assert_string_equal(app.name, "blog");
    assert_int_equal(app.kind, WH_KIND_STATIC);
    assert_string_equal(app.repo_url, "https://h/x");
    assert_string_equal(app.repo_branch, "main");
    assert_string_equal(app.repo_root, "");
    assert_string_equal(app.build_command, "");
    assert_string_equal(app.build_dockerfile, "Dockerfile");
    assert_string_equal(app.build_output, "");
    assert_int_equal(app.run_port, 8080);
    assert_string_equal(app.run_health_path, "/");
    assert_int_equal(app.run_replicas, 1);
    assert_int_equal(app.run_cpu_millis, 1000);
    assert_int_equal(app.run_memory_bytes, 536870912);
    assert_int_equal(app.run_pids, 256);
    assert_false(app.spa);
    assert_false(app.serve.clean_urls || app.serve.sticky || app.serve.maintenance);
    assert_int_equal(app.serve.timeout_s, 0);
    assert_int_equal(app.serve.hold_s, 10);
    assert_int_equal(app.serve.grace_s, 30);
    assert_int_equal(app.serve.previous_s, 86400);
    assert_int_equal(app.preview_max, 0);
    assert_int_equal(app.preview_ttl_s, 604800);
    assert_int_equal(app.sync_kind, WH_SYNC_WEBHOOK);
    assert_int_equal(app.sync_every_s, 60);
    assert_int_equal(app.desired, WH_DESIRED_RUNNING);
    assert_int_equal(app.observed, WH_OBSERVED_UNKNOWN);
    assert_int_equal(app.version, 1);
}

#define FULL                                                                                      \
    "{\"slug\":\"shop\",\"name\":\"The Shop\",\"kind\":\"container\",\"repository\":{\"url\":\""   \
    "/srv/git/shop.git\",\"branch\":\"release/1\",\"root_directory\":\"web\"},\"build\":{\""       \
    "build_command\":\"make\\nmake install\",\"dockerfile\":\"c/Dockerfile\",\""                   \
    "output_directory\":\"dist\"},\"run\":{\"port\":3000,\"health_path\":\"/healthz?x=1\",\""      \
    "replicas\":2,\"cpu_millis\":250,\"memory_bytes\":67108864,\"pids\":64},\"placement\":{\""      \
    "worker\":\"w1\",\"labels\":{\"disk\":\"ssd\"}},\"spa\":true,\"serve\":{\"clean_urls\":true,\"" \
    "sticky\":true,\"maintenance\":true,\"timeout_seconds\":5,\"hold_seconds\":0,\""             \
    "grace_seconds\":60,\"previous_assets_seconds\":7},\"previews\":{\"max\":3,\"ttl_seconds\":"  \
    "3600},\"sync\":{\"type\":\"polling\",\"every_seconds\":30},\"desired\":\"stopped\"}"

static void test_app_full(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    apr_array_header_t *urls = apr_array_make(p, 1, sizeof(const char *));
    wh_snapshot_t s, again;
    wh_app_t app;
    json_t *json;

    assert_ok(decode(p, FULL, 0, &app, &err), &err);
    assert_string_equal(app.build_command, "make\nmake install");
    assert_int_equal(app.run_replicas, 2);
    assert_int_equal(app.desired, WH_DESIRED_STOPPED);
    app.id = "01hzx0000000000000000000aa";
    app.created_at = app.updated_at = APR_INT64_C(1767225600000001);
    APR_ARRAY_PUSH(urls, const char *) = "http://shop.localhost:8080/";
    json = wh_json_own(p, wh_model_app_json(p, &app, urls));
    assert_string_equal(
        wh_json_text(p, json, NULL),
        "{\"id\":\"01hzx0000000000000000000aa\",\"slug\":\"shop\",\"name\":\"The Shop\",\"kind\":"
        "\"container\",\"repository\":{\"url\":\"/srv/git/shop.git\",\"branch\":\"release/1\","
        "\"root_directory\":\"web\"},\"image\":null,\"build\":{\"preset\":null,\"install_command\":null,"
        "\"build_command\":\"make\\nmake install\",\"start_command\":null,"
        "\"pre_deploy_command\":null,\"dockerfile\":\"c/Dockerfile\",\"output_directory\":\"dist\","
        "\"runner_image\":null,\"timeout_seconds\":null,\"memory_bytes\":null,\"submodules\":false,"
        "\"lfs\":false},\"run\":{\"port\":3000,"
        "\"health_path\":\"/healthz?x=1\",\"replicas\":2,\"cpu_millis\":250,\"memory_bytes\":"
        "67108864,\"pids\":64},\"placement\":{\"worker\":\"w1\",\"zone\":null,\"labels\":{\"disk\":"
        "\"ssd\"}},\"spa\":true,\"serve\":{\"clean_urls\":true,\"sticky\":true,\"maintenance\":true,"
        "\"timeout_seconds\":5,\"hold_seconds\":0,\"grace_seconds\":60,"
        "\"previous_assets_seconds\":7},\"previews\":{\"max\":3,\"ttl_seconds\":3600},"
        "\"sync\":{\"type\":\"polling\",\"every_seconds\":30},\"desired\":\"stopped\",\"observed\":\"unknown\","
        "\"reason\":null,\"urls\":[\"http://shop.localhost:8080/\"],\"created_at\":"
        "\"2026-01-01T00:00:00.000001Z\",\"updated_at\":\"2026-01-01T00:00:00.000001Z\"}");
    /* What a deployment keeps is read back the same, from text and from the wire. */
    assert_ok(wh_model_snapshot_parse(p, wh_model_snapshot_text(p, &app), &s, &err), &err);
    assert_string_equal(s.slug, "shop");
    assert_int_equal(s.kind, WH_KIND_CONTAINER);
    assert_string_equal(s.repo_branch, "release/1");
    assert_string_equal(s.build_command, "make\nmake install");
    assert_int_equal(s.port, 3000);
    assert_int_equal(s.replicas, 2);
    assert_true(s.spa);
    assert_true(s.clean_urls);
    assert_ok(wh_model_snapshot_decode(p, wh_json_own(p, wh_model_snapshot_json(&s)), &again,
                                       &err), &err);
    assert_string_equal(again.repo_url, "/srv/git/shop.git");
    assert_int_equal(again.pids, 64);
    assert_string_equal(again.place_worker, "w1");
    assert_string_equal(again.place_zone, "");
    assert_string_equal(again.place_labels, "{\"disk\":\"ssd\"}");
    /* Without a placement there is none in the snapshot. */
    app.place_worker = NULL;
    app.place_labels = "{}";
    assert_null(strstr(wh_model_snapshot_text(p, &app), "placement"));
}

static void test_app_refused(void **state)
{
    const struct {
        const char *text;
        const char *code, *pointer;
    } cases[] = {
        {"[]", "body_not_object", ""},
        {"{}", "missing_field", "/slug"},
        {"{\"slug\":\"blog\"}", "missing_field", "/kind"},
        {"{\"slug\":\"blog\",\"kind\":\"static\"}", "missing_field", "/repository/url"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{}}", "missing_field",
         "/repository/url"},
        {"{\"slug\":\"blog\",\"kind\":\"compose\",\"repository\":{\"url\":\"https://h/x\"}}",
         "invalid_value", "/kind"},
        {"{\"slug\":\"Blog\",\"kind\":\"static\"}", "slug_invalid", "/slug"},
        {"{\"slug\":\"www\",\"kind\":\"static\"}", "slug_reserved", "/slug"},
        {"{\"slug\":7,\"kind\":\"static\"}", "wrong_type", "/slug"},
        {NEW ",\"colour\":1}", "unknown_field", "/colour"},
        {NEW ",\"id\":\"x\"}", "unknown_field", "/id"},
        {NEW ",\"run\":{\"privileged\":true}}", "unknown_field", "/run/privileged"},
        {NEW ",\"run\":[]}", "wrong_type", "/run"},
        {NEW ",\"run\":{\"port\":0}}", "out_of_range", "/run/port"},
        {NEW ",\"run\":{\"port\":65536}}", "out_of_range", "/run/port"},
        {NEW ",\"run\":{\"port\":\"80\"}}", "wrong_type", "/run/port"},
        {NEW ",\"run\":{\"port\":80.5}}", "wrong_type", "/run/port"},
        {NEW ",\"run\":{\"replicas\":17}}", "out_of_range", "/run/replicas"},
        {NEW ",\"run\":{\"memory_bytes\":1}}", "out_of_range", "/run/memory_bytes"},
        {NEW ",\"run\":{\"health_path\":\"health\"}}", "invalid_value", "/run/health_path"},
        {NEW ",\"run\":{\"health_path\":\"/a b\"}}", "invalid_value", "/run/health_path"},
        {NEW ",\"build\":{\"dockerfile\":\"../x\"}}", "path_invalid", "/build/dockerfile"},
        {NEW ",\"build\":{\"dockerfile\":\"\"}}", "too_short", "/build/dockerfile"},
        {NEW ",\"build\":{\"output_directory\":\"/etc\"}}", "path_invalid",
         "/build/output_directory"},
        {NEW ",\"name\":\"\"}", "too_short", "/name"},
        {NEW ",\"name\":\"a\\u0007\"}", "bad_characters", "/name"},
        {NEW ",\"name\":\"a\\u202eb\"}", "bad_characters", "/name"},
        {NEW ",\"name\":\"a\\u200b\"}", "bad_characters", "/name"},
        {NEW ",\"placement\":[]}", "wrong_type", "/placement"},
        {NEW ",\"placement\":{\"colour\":1}}", "unknown_field", "/placement/colour"},
        {NEW ",\"placement\":{\"worker\":\"a b\"}}", "invalid_value", "/placement/worker"},
        {NEW ",\"placement\":{\"worker\":\"\"}}", "too_short", "/placement/worker"},
        {NEW ",\"placement\":{\"zone\":\"a\\ufeff\"}}", "bad_characters", "/placement/zone"},
        {NEW ",\"placement\":{\"labels\":{\"a\":1}}}", "invalid_value", "/placement/labels"},
        {NEW ",\"spa\":1}", "wrong_type", "/spa"},
        {NEW ",\"serve\":true}", "wrong_type", "/serve"},
        {NEW ",\"serve\":{\"colour\":1}}", "unknown_field", "/serve/colour"},
        {NEW ",\"serve\":{\"sticky\":1}}", "wrong_type", "/serve/sticky"},
        {NEW ",\"serve\":{\"timeout_seconds\":3601}}", "out_of_range", "/serve/timeout_seconds"},
        {NEW ",\"serve\":{\"hold_seconds\":61}}", "out_of_range", "/serve/hold_seconds"},
        {NEW ",\"serve\":{\"grace_seconds\":-1}}", "out_of_range", "/serve/grace_seconds"},
        {NEW ",\"serve\":{\"previous_assets_seconds\":2592001}}", "out_of_range",
         "/serve/previous_assets_seconds"},
        {NEW ",\"previews\":{\"max\":1001}}", "out_of_range", "/previews/max"},
        {NEW ",\"previews\":{\"ttl_seconds\":3599}}", "out_of_range", "/previews/ttl_seconds"},
        {NEW ",\"previews\":{\"enabled\":true}}", "unknown_field", "/previews/enabled"},
        {NEW ",\"sync\":{\"type\":\"cron\"}}", "invalid_value", "/sync/type"},
        {NEW ",\"sync\":{\"every_seconds\":29}}", "out_of_range", "/sync/every_seconds"},
        {NEW ",\"sync\":{\"every\":60}}", "unknown_field", "/sync/every"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"hub:\"},"
         "\"sync\":{\"type\":\"polling\"}}", "invalid_value", "/sync/type"},
        {"{\"slug\":\"blog\",\"kind\":\"container\",\"image\":\"r.example/a/b\","
         "\"build\":{\"lfs\":true}}", "no_repository", "/build/lfs"},
        {"{\"slug\":\"blog\",\"kind\":\"container\",\"image\":\"r.example/a/b\","
         "\"build\":{\"submodules\":true}}", "no_repository", "/build/submodules"},
        {NEW ",\"desired\":\"paused\"}", "invalid_value", "/desired"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"ext::sh -c id\"}}",
         "repository_refused", "/repository/url"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"--upload-pack=x\"}}",
         "repository_refused", "/repository/url"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"/etc\"}}",
         "repository_refused", "/repository/url"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"https://h/x\","
         "\"branch\":\"-x\"}}", "ref_invalid", "/repository/branch"},
        {"{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"https://h/x\","
         "\"root_directory\":\"a/../..\"}}", "path_invalid", "/repository/root_directory"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_app_t app;

        if (decode(*state, cases[i].text, 0, &app, &err) == APR_SUCCESS ||
            strcmp(err.code, cases[i].code) != 0 || strcmp(err.pointer, cases[i].pointer) != 0)
            fail_msg("%s: %s %s", cases[i].text, err.code, err.pointer);
        assert_int_equal(err.http, 400);
    }
}

static void test_app_patch(void **state)
{
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_app_t app, before;

    assert_ok(decode(p, FULL, 0, &app, &err), &err);
    before = app;
    assert_ok(decode(p, "{}", 1, &app, &err), &err);
    assert_memory_equal(&before, &app, sizeof(app));
    assert_ok(decode(p, "{\"slug\":\"shop\",\"kind\":\"container\",\"run\":{\"port\":4000}}", 1,
                     &app, &err), &err);
    assert_int_equal(app.run_port, 4000);
    assert_int_equal(app.run_replicas, 2);
    assert_ok(decode(p, "{\"run\":{\"port\":null},\"name\":null,\"spa\":null,\"build\":"
                        "{\"build_command\":null}}", 1, &app, &err), &err);
    assert_int_equal(app.run_port, 8080);
    assert_string_equal(app.name, "shop");
    assert_string_equal(app.build_command, "");
    assert_false(app.spa);
    assert_ok(decode(p, "{\"serve\":{\"hold_seconds\":null,\"sticky\":null},\"previews\":"
                        "{\"max\":null}}", 1, &app, &err), &err);
    assert_int_equal(app.serve.hold_s, 10);
    assert_int_equal(app.serve.grace_s, 60);
    assert_false(app.serve.sticky);
    assert_int_equal(app.preview_max, 0);
    assert_int_equal(app.preview_ttl_s, 3600);
    assert_ok(decode(p, "{\"serve\":null,\"previews\":null}", 1, &app, &err), &err);
    assert_false(app.serve.clean_urls);
    assert_int_equal(app.serve.grace_s, 30);
    assert_int_equal(app.preview_ttl_s, 604800);
    assert_code(decode(p, "{\"slug\":\"other\"}", 1, &app, &err), &err, "immutable");
    assert_code(decode(p, "{\"kind\":\"static\"}", 1, &app, &err), &err, "immutable");
    assert_code(decode(p, "{\"repository\":{\"url\":\"http://h/x\"}}", 1, &app, &err), &err,
                "repository_refused");
    assert_code(decode(p, "{\"reason\":\"x\"}", 1, &app, &err), &err, "unknown_field");
    assert_ok(decode(p, "{\"placement\":{\"zone\":\"a\"}}", 1, &app, &err), &err);
    assert_string_equal(app.place_worker, "w1");
    assert_string_equal(app.place_zone, "a");
    assert_ok(decode(p, "{\"placement\":{\"worker\":null,\"labels\":{}}}", 1, &app, &err), &err);
    assert_string_equal(app.place_worker, "");
    assert_string_equal(app.place_labels, "{}");
    assert_ok(decode(p, "{\"placement\":null}", 1, &app, &err), &err);
    assert_false(wh_model_placed(app.place_worker, app.place_zone, app.place_labels));
    /* An app made before the local root was closed can still be changed. */
    app = before;
    assert_ok(wh_model_app_decode(p, load(p, "{\"spa\":false}"),
                                  &(wh_model_app_opt_t){.patch = 1}, &app, &err), &err);
}

/* What the repository says, as its published schema has it: t/guard/wisehost-json.t has the other
 * half. */
static int repo_verdicts(apr_pool_t *p, const char *name, int good)
{
    const char *root = getenv("top_srcdir");
    FILE *f = fopen(apr_pstrcat(p, root != NULL ? root : ".", "/t/data/wisehost-json/", name, NULL),
                    "r");
    char line[4096];
    int n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        wh_snapshot_t s = {.build_command = "", .build_dockerfile = "Dockerfile", .build_output = "",
                           .recipe = {.preset = "", .install = "", .start = "",
                                      .pre_deploy = "", .image = ""},
                           .port = 8080, .health_path = "/"};
        wh_err_t err = WH_ERR_INIT;
        apr_status_t rv = wh_model_snapshot_repo(p, line, strlen(line), &s, &err);

        if ((rv == APR_SUCCESS) != good)
            fail_msg("%s: %s", line, err.text);
        if (!good) {
            assert_string_equal(err.code, "settings_invalid");
            assert_true(strncmp(err.text, "wisehost.json", 13) == 0);
        }
        n++;
    }
    fclose(f);
    return n;
}

static void test_repo_settings(void **state)
{
    apr_pool_t *p = *state;
    static const char text[] =
        "{\"build\":{\"preset\":\"auto\",\"build_command\":\"new\",\"output_directory\":null,"
        "\"timeout_seconds\":60},\"run\":{\"port\":3000}}";
    wh_snapshot_t s = {.kind = WH_KIND_STATIC,
                       .build_command = "old",
                       .build_dockerfile = "D",
                       .build_output = "dist",
                       .recipe = {.preset = "vite", .install = "mine", .image = "", .start = "",
                                  .pre_deploy = ""},
                       .port = 8080,
                       .health_path = "/up"};
    wh_err_t err = WH_ERR_INIT;

    assert_true(repo_verdicts(p, "good.txt", 1) > 10);
    assert_true(repo_verdicts(p, "bad.txt", 0) > 30);
    assert_ok(wh_model_snapshot_repo(p, text, strlen(text), &s, &err), &err);
    assert_string_equal(s.recipe.preset, "");
    assert_string_equal(s.recipe.install, "mine");
    assert_string_equal(s.build_command, "new");
    assert_string_equal(s.build_output, "");
    assert_string_equal(s.build_dockerfile, "D");
    assert_string_equal(s.health_path, "/up");
    assert_int_equal(s.recipe.timeout_s, 60);
    assert_int_equal(s.port, 3000);
    assert_true(wh_model_snapshot_engine(&s));
    s.build_command = s.recipe.install = "";
    assert_false(wh_model_snapshot_engine(&s));
    s.recipe.preset = "static";
    assert_false(wh_model_snapshot_engine(&s));
    s.recipe.preset = "hugo";
    assert_true(wh_model_snapshot_engine(&s));
    s.recipe.preset = "";
    s.kind = WH_KIND_CONTAINER;
    assert_true(wh_model_snapshot_engine(&s));
}

/* Settings of a build: kept by a deployment, named only where they were given. */
static void test_recipe(void **state)
{
    apr_pool_t *p = *state;
    static const char body[] =
        NEW ",\"build\":{\"preset\":\"node\",\"install_command\":\"i\",\"start_command\":\"s\","
            "\"pre_deploy_command\":\"p\",\"runner_image\":\"n:1\",\"timeout_seconds\":60,"
            "\"memory_bytes\":67108864,\"submodules\":true,\"lfs\":true}}";
    wh_err_t err = WH_ERR_INIT;
    wh_snapshot_t s;
    wh_app_t app;

    assert_ok(decode(p, body, 0, &app, &err), &err);
    assert_ok(wh_model_snapshot_parse(p, wh_model_snapshot_text(p, &app), &s, &err), &err);
    assert_string_equal(s.recipe.preset, "node");
    assert_string_equal(s.recipe.install, "i");
    assert_string_equal(s.recipe.start, "s");
    assert_string_equal(s.recipe.pre_deploy, "p");
    assert_string_equal(s.recipe.image, "n:1");
    assert_int_equal(s.recipe.timeout_s, 60);
    assert_int_equal(s.recipe.memory_bytes, 67108864);
    assert_true(s.recipe.submodules && s.recipe.lfs);
    assert_ok(decode(p, "{\"build\":{\"lfs\":null,\"preset\":null,\"timeout_seconds\":null}}", 1, &app, &err),
              &err);
    assert_string_equal(app.recipe.preset, "");
    assert_int_equal(app.recipe.timeout_s, 0);
    assert_true(app.recipe.submodules && !app.recipe.lfs);
    assert_string_equal(app.recipe.install, "i");
    assert_code(decode(p, "{\"build\":{\"preset\":\"x\"}}", 1, &app, &err), &err,
                "invalid_value");
    assert_string_equal(err.pointer, "/build/preset");
    assert_ok(decode(p, NEW "}", 0, &app, &err), &err);
    assert_null(strstr(wh_model_snapshot_text(p, &app), "runner_image"));
}

/* One of a repository and an image; the one that a patch names takes the place of the other. */
static void test_image(void **state)
{
    static const char digest[] =
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;
    wh_deployment_t d = {.image_digest = digest};
    wh_snapshot_t s;
    wh_app_t app;
    const char *text;

    assert_ok(decode(p, "{\"slug\":\"box\",\"kind\":\"container\",\"image\":\"R.example/a/b\"}", 0,
                     &app, &err),
              &err);
    assert_string_equal(app.image, "r.example/a/b:latest");
    assert_string_equal(app.repo_url, "");
    text = wh_model_snapshot_text(p, &app);
    assert_null(strstr(text, "repository"));
    assert_ok(wh_model_snapshot_parse(p, text, &s, &err), &err);
    assert_string_equal(s.image, app.image);
    assert_true(wh_model_snapshot_engine(&s));
    d = (wh_deployment_t){.id = "d", .app_id = "x", .environment = "production",
                          .cause_code = "", .cause_detail = "", .commit_sha = "", .commit_ref = "",
                          .commit_message = "", .commit_author = "", .snapshot = text,
                          .release_id = "", .timings = "{}", .image_digest = digest};
    text = wh_json_text(p, wh_json_own(p, wh_model_deployment_json(
                                              p, &d, &(wh_model_deployment_view_t){.app_slug = "box"})),
                        NULL);
    assert_non_null(strstr(text, apr_pstrcat(p, "\"image\":{\"reference\":\"r.example/a/b:latest\","
                                                "\"digest\":\"", digest, "\"}", NULL)));
    assert_ok(decode(p, "{\"repository\":{\"url\":\"https://h.example/x\"}}", 1, &app, &err), &err);
    assert_string_equal(app.image, "");
    assert_ok(decode(p, "{\"image\":\"r.example/c@sha256:0123456789abcdef0123456789abcdef0123456789abcdef"
                        "0123456789abcdef\"}", 1, &app, &err),
              &err);
    assert_string_equal(app.repo_url, "");
    assert_code(decode(p, "{\"image\":null}", 1, &app, &err), &err, "missing_field");
    assert_code(wh_model_snapshot_parse(p, "{\"slug\":\"box\",\"kind\":\"static\",\"image\":\"r.example/a\"}",
                                        &s, &err),
                &err, "snapshot_invalid");
}

static void test_deployments(void **state)
{
    apr_pool_t *p = *state;
    wh_deployment_t d = {.id = "01hzx0000000000000000000dd", .app_id = "x",
                         .environment = "production", .number = 3,
                         .status = WH_DEPLOYMENT_COMPLETED, .conclusion = WH_CONCLUSION_FAILED,
                         .phase = WH_PHASE_DONE, .cause_code = "not_listening",
                         .cause_detail = "nothing listened on port 8080 within 60 s",
                         .trigger = WH_TRIGGER_PUSH, .commit_sha = "", .commit_ref = "main",
                         .commit_message = "", .commit_author = "", .snapshot = "{}",
                         .release_id = "", .timings = "{\"clone_ms\":12}",
                         .created_at = APR_INT64_C(1767225600000000)};
    wh_model_deployment_view_t view = {.app_slug = "blog", .worker = "w1"};
    json_t *json = wh_json_own(p, wh_model_deployment_json(p, &d, &view));

    assert_string_equal(
        wh_json_text(p, json, NULL),
        "{\"id\":\"01hzx0000000000000000000dd\",\"app\":\"blog\",\"environment\":\"production\","
        "\"number\":3,\"status\":\"completed\",\"conclusion\":\"failed\",\"phase\":\"done\","
        "\"cause\":{\"code\":\"not_listening\",\"detail\":\"nothing listened on port 8080 within "
        "60 s\"},\"trigger\":\"push\",\"commit\":{\"sha\":null,\"ref\":\"main\",\"message\":null,"
        "\"author\":null,\"at\":null},\"image\":null,\"worker\":\"w1\",\"release\":null,\"url\":null,\"urls\":[],\"serving\":\"none\",\"environments\":[],\"retained\":false,\"source\":null,\"approval\":null,"
        "\"timings\":{\"clone_ms\":12},\"created_at\":\"2026-01-01T00:00:00.000000Z\","
        "\"started_at\":null,\"finished_at\":null}");
    d.timings = "not json";
    json = wh_json_own(p, wh_model_deployment_json(p, &d, &view));
    assert_int_equal(json_object_size(json_object_get(json, "timings")), 0);
}

static void test_deploy_requests(void **state)
{
    apr_pool_t *p = *state;
    const char *bad[][2] = {
        {"[]", "body_not_object"},
        {"{\"branch\":\"main\"}", "unknown_field"},
        {"{\"ref\":\"-x\"}", "ref_invalid"},
        {"{\"ref\":\"\"}", "too_short"},
        {"{\"ref\":7}", "wrong_type"},
        {"{\"placement\":{\"worker\":7}}", "wrong_type"},
        {"{\"commit\":\"HEAD\"}", "commit_invalid"},
        {"{\"commit\":\"0000000000000000000000000000000000000000\"}", "commit_invalid"},
        {"{\"environment\":\"a/b\"}", "environment_invalid"},
        {"{\"ref\":\"main\",\"commit\":\"9fceb02d0ae598e95dc970b74767f19372d61af8\"}",
         "both_ref_and_commit"},
        {"{\"uploaded\":true}", "no_commit"},
        {"{\"uploaded\":true,\"ref\":\"main\"}", "no_commit"},
        {"{\"uploaded\":1}", "wrong_type"},
    };
    wh_err_t err = WH_ERR_INIT;
    wh_deploy_request_t r;

    assert_ok(wh_model_deploy_request_decode(p, NULL, &r, &err), &err);
    assert_string_equal(r.environment, "production");
    assert_string_equal(r.ref, "");
    assert_ok(wh_model_deploy_request_decode(p, load(p, "{}"), &r, &err), &err);
    assert_ok(wh_model_deploy_request_decode(
                  p, load(p, "{\"commit\":\"9FCEB02D0AE598E95DC970B74767F19372D61AF8\"}"), &r,
                  &err), &err);
    assert_string_equal(r.commit, "9fceb02d0ae598e95dc970b74767f19372d61af8");
    assert_ok(wh_model_deploy_request_decode(
                  p, load(p, "{\"ref\":\"fix/a\",\"environment\":\"staging\",\"commit\":null}"),
                  &r, &err), &err);
    assert_string_equal(r.ref, "fix/a");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_model_deploy_request_decode(p, load(p, bad[i][0]), &r, &err), &err,
                    bad[i][1]);
}

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define WORKER "{\"name\":\"w-1\",\"api_key\":\"" KEY "\",\"cpu_millis\":4000,\"memory_bytes\":1024"

static void test_workers(void **state)
{
    apr_pool_t *p = *state;
    const char *bad[][2] = {
        {"{}", "missing_field"},
        {WORKER ",\"secret\":1}", "unknown_field"},
        {WORKER ",\"address\":\"a b\"}", "invalid_value"},
        {WORKER ",\"address\":\"1.2.3\"}", "invalid_value"},
        {WORKER ",\"address\":\"w1.example.org\"}", "invalid_value"},
        {WORKER ",\"address\":\"::g\"}", "invalid_value"},
        {WORKER ",\"address\":\"169.254.169.254\"}", "invalid_value"},
        {WORKER ",\"address\":\"0.0.0.0\"}", "invalid_value"},
        {WORKER ",\"address\":\"fe80::1\"}", "invalid_value"},
        {WORKER ",\"zone\":\"a\\u202e\"}", "bad_characters"},
        {WORKER ",\"version\":\"1\\u200b\"}", "bad_characters"},
        {WORKER ",\"labels\":{\"a\":\"\\u2066\"}}", "invalid_value"},
        {"{\"name\":\"ws\",\"api_key\":\"" KEY "\",\"cpu_millis\":1,\"memory_bytes\":1}",
         "invalid_value"},
        {"{\"name\":\"01hzx0000000000000000000aa\",\"api_key\":\"" KEY
         "\",\"cpu_millis\":1,\"memory_bytes\":1}",
         "invalid_value"},
        {"{\"name\":\"w\",\"api_key\":\"" KEY "\",\"cpu_millis\":1,\"memory_bytes\":-1}",
         "out_of_range"},
        {WORKER ",\"labels\":[]}", "invalid_value"},
        {WORKER ",\"labels\":{\"a b\":\"x\"}}", "invalid_value"},
        {WORKER ",\"labels\":{\"a\":1}}", "invalid_value"},
        {"{\"name\":\"../x\",\"api_key\":\"" KEY "\",\"cpu_millis\":1,\"memory_bytes\":1}",
         "invalid_value"},
        {"{\"name\":\"w\",\"api_key\":\"short\",\"cpu_millis\":1,\"memory_bytes\":1}", "too_short"},
        {"{\"name\":\"w\",\"api_key\":\"" KEY "\",\"cpu_millis\":0,\"memory_bytes\":1}",
         "out_of_range"},
    };
    const char *addresses[] = {"127.0.0.1", "::1", "fd00:1::2", "1:2:3:4:5:6:7:8", "::"};
    const char *not_addresses[] = {"", "h", "a.b", "localhost", "1.2.3.256", "1.2.3.4.5", ":1", "1:", "1::2::3", "12345::",
                                   "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "01.2.3.4", "a b", ":::"};
    wh_err_t err = WH_ERR_INIT;
    wh_worker_register_t r;
    wh_worker_t w = {.id = 7, .public_id = "pub", .name = "w", .key_hash = "SECRET", .address = "::1",
                     .zone = "", .labels = "{\"a\":\"b\"}", .engine = "", .version = "1",
                     .refuses = "disk full", .revoked_at = 5, .jobs = 2, .apps = 3};
    char *text;

    assert_ok(wh_model_worker_register_decode(p, load(p, WORKER ",\"labels\":{\"gpu\":\"no\"}}"), &r,
                                              &err), &err);
    assert_string_equal(r.labels, "{\"gpu\":\"no\"}");
    assert_string_equal(r.address, "127.0.0.1");
    assert_string_equal(r.api_key, KEY);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_code(wh_model_worker_register_decode(p, load(p, bad[i][0]), &r, &err), &err,
                    bad[i][1]);
    for (size_t i = 0; i < WH_ARRAY_LEN(addresses); i++)
        assert_true(wh_model_address_ok(addresses[i]));
    for (size_t i = 0; i < WH_ARRAY_LEN(not_addresses); i++) {
        if (wh_model_address_ok(not_addresses[i]))
            fail_msg("\"%s\" passed", not_addresses[i]);
    }
    text = wh_json_text(p, wh_json_own(p, wh_model_worker_json(p, &w)), NULL);
    assert_non_null(text);
    assert_null(strstr(text, "SECRET"));
    assert_non_null(strstr(text, "\"id\":\"pub\""));
    assert_non_null(strstr(text, "\"jobs\":2,\"apps_running\":3"));
    assert_non_null(strstr(text, "\"refuses\":\"disk full\",\"revoked\":true,\"rotating\":false"));
}

static void test_hooks_and_logins(void **state)
{
    apr_pool_t *p = *state;
    wh_hookrow_t hook = {.id = "h", .app_id = "a", .provider = "github", .created_at = 1};
    wh_err_t err = WH_ERR_INIT;
    wh_model_hook_new_t got;
    const char *a, *b;

    assert_ok(wh_model_hook_decode(p, load(p, "{\"app\":\"blog\",\"provider\":\"codeberg\"}"), 1, &got,
                                   &err), &err);
    assert_string_equal(got.app, "blog");
    assert_string_equal(got.provider, "codeberg");
    assert_ok(wh_model_hook_decode(p, load(p, "{\"provider\":\"github\",\"watch\":\"a/**\\nb\"}"), 0,
                                   &got, &err), &err);
    hook.watch = got.watch;
    assert_code(wh_model_hook_decode(p, load(p, "{\"app\":\"blog\",\"provider\":\"github\"}"), 0,
                                     &got, &err), &err, "unknown_field");
    assert_code(wh_model_hook_decode(p, load(p, "{\"provider\":\"svn\"}"), 0, &got, &err), &err,
                "invalid_value");
    assert_code(wh_model_hook_decode(p, load(p, "{\"provider\":\"github\",\"watch\":\"/a\"}"), 0, &got,
                                     &err), &err, "watch_invalid");
    assert_int_equal(json_array_size(json_object_get(
                         wh_json_own(p, wh_model_hook_json(p, &hook, "blog", "u", NULL)), "watch")),
                     2);
    assert_null(json_object_get(wh_json_own(p, wh_model_hook_json(p, &hook, "blog", "u", NULL)),
                                "secret"));
    assert_non_null(json_object_get(wh_json_own(p, wh_model_hook_json(p, &hook, "blog", "u", "s")),
                                    "secret"));
    assert_ok(wh_model_login_decode(p, load(p, "{\"token\":\"t\"}"), &a, &b, &err), &err);
    assert_string_equal(b, "admin");
    assert_code(wh_model_login_decode(p, load(p, "{\"name\":\"t\"}"), &a, &b, &err), &err,
                "missing_field");
}

static void test_snapshot_refused(void **state)
{
    apr_pool_t *p = *state;
    const char *bad[] = {"", "[]", "{}", "{\"slug\":\"blog\",\"kind\":\"static\"}",
                         "{\"slug\":\"blog\",\"kind\":\"odd\",\"repository\":{\"url\":\"x\"}}",
                         "{\"slug\":\"../x\",\"kind\":\"static\",\"repository\":{\"url\":\"x\"}}",
                         ("{\"slug\":\"blog\",\"kind\":\"static\",\"repository\":{\"url\":\"x\","
                          "\"branch\":\"--x\"}}")};
    wh_err_t err = WH_ERR_INIT;
    wh_snapshot_t s;

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        if (wh_model_snapshot_parse(p, bad[i], &s, &err) == APR_SUCCESS)
            fail_msg("passed: %s", bad[i]);
    }
    assert_ok(wh_model_snapshot_parse(p, NEW ",\"newer\":{\"x\":1}}", &s, &err), &err);
    assert_int_equal(s.port, 8080);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F227 F239 how an app is built, kept by its deployments", test_recipe),
        UNIT("F286 wisehost.json: what a repository says of itself", test_repo_settings),
        UNIT("F183 F184 R7 texts of the enumerations, both ways", test_texts),
        UNIT("F119 an app has defaults, port 8080 among them", test_app_defaults),
        UNIT("F227 an app and its snapshot come back as they were", test_app_full),
        UNIT("bad app bodies are refused with code and pointer", test_app_refused),
        UNIT("a patch changes what it names; null is the default", test_app_patch),
        UNIT("an app of an image, its snapshot and its deployment", test_image),
        UNIT("F184 the deployment document", test_deployments),
        UNIT("F214 what may be asked to be deployed", test_deploy_requests),
        UNIT("F54 registration of a worker; its key is never shown", test_workers),
        UNIT("bodies of hooks and logins", test_hooks_and_logins),
        UNIT("F227 a snapshot that is none is refused", test_snapshot_refused),
    };

    return UNIT_RUN(tests);
}
