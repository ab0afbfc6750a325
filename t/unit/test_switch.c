/* What becomes of a wish to roll back or promote, and what an environment shows. */
#include "t/unit/unit.h"

#include <apr_strings.h>

#include "libwh/wh_switch.h"

#define READY WH_SWITCH_WORKER_READY
#define CURRENT WH_SWITCH_SETTINGS_CURRENT

static void test_judge(void **state)
{
    static const struct {
        wh_switch_facts_t facts;
        wh_switch_how_e how;
        const char *code;
        int redeploy;
    } cases[] = {
        {{.succeeded = 1, .release = 1}, WH_SWITCH_AT_ONCE, NULL, 0},
        {{.succeeded = 1, .release = 1, .settings = CURRENT}, WH_SWITCH_TAKE_OVER, NULL, 0},
        {{.succeeded = 1, .release = 1, .serving = 1, .settings = CURRENT},
         WH_SWITCH_TAKE_OVER,
         NULL,
         0},
        {{.succeeded = 1, .release = 1, .serving = 1}, WH_SWITCH_REFUSED, "already_serving", 0},
        {{.succeeded = 1}, WH_SWITCH_REFUSED, "release_gone", 1},
        {{.release = 1}, WH_SWITCH_REFUSED, "not_succeeded", 0},
        {{.succeeded = 1, .release = 1, .app_stopped = 1}, WH_SWITCH_REFUSED, "app_stopped", 0},
        {{.succeeded = 1, .kind = WH_KIND_CONTAINER, .live = 2, .fit = 2, .worker = READY},
         WH_SWITCH_AT_ONCE,
         NULL,
         0},
        {{.succeeded = 1, .kind = WH_KIND_CONTAINER, .live = 2, .fit = 1, .worker = READY},
         WH_SWITCH_START,
         NULL,
         0},
        {{.succeeded = 1, .kind = WH_KIND_CONTAINER, .worker = READY}, WH_SWITCH_START, NULL, 0},
        {{.succeeded = 1,
          .kind = WH_KIND_CONTAINER,
          .live = 1,
          .fit = 1,
          .stopping = 1,
          .worker = READY},
         WH_SWITCH_START,
         NULL,
         0},
        {{.succeeded = 1,
          .kind = WH_KIND_CONTAINER,
          .live = 1,
          .fit = 1,
          .worker = READY,
          .settings = CURRENT},
         WH_SWITCH_START,
         NULL,
         0},
        {{.succeeded = 1, .kind = WH_KIND_CONTAINER, .worker = WH_SWITCH_WORKER_GONE},
         WH_SWITCH_REFUSED,
         "image_gone",
         1},
        {{.succeeded = 1,
          .kind = WH_KIND_CONTAINER,
          .live = 1,
          .fit = 1,
          .worker = WH_SWITCH_WORKER_DRAINING},
         WH_SWITCH_REFUSED,
         "worker_draining",
         1},
        {{.succeeded = 1,
          .kind = WH_KIND_CONTAINER,
          .live = 1,
          .fit = 1,
          .worker = WH_SWITCH_WORKER_OFFLINE},
         WH_SWITCH_REFUSED,
         "worker_offline",
         1},
        {{.succeeded = 1, .kind = WH_KIND_CONTAINER, .pulled = 1, .worker = WH_SWITCH_WORKER_GONE},
         WH_SWITCH_START,
         NULL,
         0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wh_switch_verdict_t v;

        wh_switch_judge(&cases[i].facts, &v);
        if (v.how != cases[i].how || v.redeploy != cases[i].redeploy)
            fail_msg("case %d: how %d, redeploy %d", (int)i, (int)v.how, v.redeploy);
        if (cases[i].code != NULL) {
            assert_string_equal(v.code, cases[i].code);
            assert_int_equal(strstr(wh_switch_detail(*state, &v, "abc123"), "abc123") != NULL,
                             v.redeploy);
        }
    }
}

static void test_shown(void **state)
{
    apr_pool_t *p = *state;
    wh_name_t names[] = {
        {.label = "a", .environment = "production", .kind = WH_NAME_PRODUCTION,
         .deployment_id = "d2",
         .previous_id = "d1"},
        {.label = "a-branch-b", .environment = "production", .kind = WH_NAME_BRANCH,
         .deployment_id = "d3", .previous_id = ""},
        {.label = "a-branch-c", .environment = "preview-c", .kind = WH_NAME_BRANCH,
         .deployment_id = "d4", .previous_id = "d5"},
        {.label = "a-id-1", .environment = "production", .kind = WH_NAME_DEPLOYMENT,
         .deployment_id = "d6", .previous_id = ""},
    };
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(wh_name_t *));

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        APR_ARRAY_PUSH(list, wh_name_t *) = &names[i];
    assert_ptr_equal(wh_model_name_main(list, "production"), &names[0]);
    assert_ptr_equal(wh_model_name_main(list, "preview-c"), &names[2]);
    assert_null(wh_model_name_main(list, "staging"));
    assert_int_equal(wh_model_serving(list, "d2"), WH_SERVING_CURRENT);
    assert_int_equal(wh_model_serving(list, "d1"), WH_SERVING_PREVIOUS);
    assert_int_equal(wh_model_serving(list, "d3"), WH_SERVING_NONE);
    assert_int_equal(wh_model_serving(list, "d4"), WH_SERVING_CURRENT);
    assert_int_equal(wh_model_serving(list, "d5"), WH_SERVING_PREVIOUS);
    assert_int_equal(wh_model_serving(list, "d6"), WH_SERVING_NONE);
    /* What was promoted is shown by two. */
    names[2].deployment_id = "d2";
    apr_array_header_t *in = wh_model_shown_in(p, list, "d2");
    assert_int_equal(in->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(in, 0, const char *), "production");
    assert_string_equal(APR_ARRAY_IDX(in, 1, const char *), "preview-c");
    assert_int_equal(wh_model_shown_in(p, list, "d3")->nelts, 0);
    assert_int_equal(wh_model_shown_in(p, list, "d6")->nelts, 0);
}

static void test_settings(void **state)
{
    apr_pool_t *p = *state;
    wh_app_t app = {.slug = "xy", .kind = WH_KIND_STATIC, .repo_url = "https://h/new",
                    .repo_branch = "main", .repo_root = "", .image = "", .build_command = "new",
                    .build_dockerfile = "Dockerfile", .build_output = "", .run_port = 9090,
                    .run_health_path = "/ok", .run_replicas = 1, .run_cpu_millis = 100,
                    .run_memory_bytes = 67108864, .run_pids = 64, .spa = 1, .place_worker = "",
                    .place_zone = "", .place_labels = "{}"};
    static const char then[] = "{\"slug\":\"xy\",\"kind\":\"static\",\"repository\":{\"url\":"
                               "\"https://h/old\",\"branch\":\"b\"},\"run\":{\"port\":80}}";
    const char *text;
    wh_snapshot_t s;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_switch_snapshot(p, then, &app, &text, &err), &err);
    assert_ok(wh_model_snapshot_parse(p, text, &s, &err), &err);
    assert_string_equal(s.repo_url, "https://h/old");
    assert_string_equal(s.build_command, "");
    assert_int_equal(s.port, 9090);
    assert_string_equal(s.health_path, "/ok");
    assert_true(s.spa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("R16 what becomes of a wish to switch, by all that bears on it", test_judge),
        UNIT("F228 F296 R28 what an environment shows, and what it showed before", test_shown),
        UNIT("R16 the settings of today over the content of then", test_settings),
    };

    return UNIT_RUN(tests);
}
