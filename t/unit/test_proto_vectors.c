/* The table of vectors at the end of docs/protocol.md: page and code cannot drift apart. */
#include "t/unit/unit.h"

#include <stdio.h>

#include "libwh/wh_json.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_sign.h"

#define API_KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HUB_NONCE "00000000000000000000000000000001"
#define AGENT_NONCE "000102030405060708090a0b0c0d0e0f"
#define NOW (APR_INT64_C(1767225600123) * 1000)

/* Decodes, and encodes again: the text must be the payload's. */
#define CODEC(type)                                                                                \
    static apr_status_t again_##type(apr_pool_t *p, json_t *payload, wh_err_t *err)                \
    {                                                                                              \
        wh_msg_##type##_t m;                                                                       \
        apr_status_t rv = wh_proto_msg_##type##_decode(p, payload, &m, err);                       \
        if (rv == APR_SUCCESS)                                                                     \
            assert_string_equal(                                                                   \
                wh_json_text(p, wh_json_own(p, wh_proto_msg_##type##_encode(&m)), NULL),           \
                wh_json_text(p, payload, NULL));                                                   \
        return rv;                                                                                 \
    }
CODEC(hello)
CODEC(welcome)
CODEC(heartbeat)
CODEC(job)
CODEC(ref)
CODEC(job_ack)
CODEC(job_status)
CODEC(job_result)
CODEC(build_log)
CODEC(log_ack)
CODEC(app_status)
CODEC(app_stats)
CODEC(runtime_log)
CODEC(violation)
CODEC(settings)
CODEC(error)

static apr_status_t again_empty(apr_pool_t *p, json_t *payload, wh_err_t *err)
{
    (void)err;
    assert_string_equal(wh_json_text(p, payload, NULL), "{}");
    return APR_SUCCESS;
}

static apr_status_t (*const codecs[WH_MSG_COUNT])(apr_pool_t *p, json_t *payload, wh_err_t *err) = {
    [WH_MSG_HELLO] = again_hello,
    [WH_MSG_WELCOME] = again_welcome,
    [WH_MSG_HEARTBEAT] = again_heartbeat,
    [WH_MSG_JOB] = again_job,
    [WH_MSG_JOB_ACK] = again_job_ack,
    [WH_MSG_JOB_GO] = again_ref,
    [WH_MSG_JOB_STATUS] = again_job_status,
    [WH_MSG_JOB_CANCEL] = again_ref,
    [WH_MSG_JOB_RESULT] = again_job_result,
    [WH_MSG_RESULT_ACK] = again_ref,
    [WH_MSG_BUILD_LOG] = again_build_log,
    [WH_MSG_LOG_ACK] = again_log_ack,
    [WH_MSG_APP_STATUS] = again_app_status,
    [WH_MSG_APP_STATS] = again_app_stats,
    [WH_MSG_RUNTIME_LOG] = again_runtime_log,
    [WH_MSG_VIOLATION] = again_violation,
    [WH_MSG_SETTINGS] = again_settings,
    [WH_MSG_ROTATE_KEY] = again_empty,
    [WH_MSG_RECONNECT] = again_empty,
    [WH_MSG_ERROR] = again_error};

static int seen[WH_MSG_COUNT];

static const char *judge(apr_pool_t *p, const char *way, const char *type, const char *frame)
{
    wh_proto_dir_e from = strcmp(way, "a>h") == 0 ? WH_PROTO_A2H : WH_PROTO_H2A;
    wh_proto_link_t link = {.out = from == WH_PROTO_A2H ? WH_PROTO_H2A : WH_PROTO_A2H,
                            .hub_nonce = HUB_NONCE,
                            .agent_nonce = AGENT_NONCE};
    unsigned char sum[WH_SHA256_LEN];
    wh_err_t err = WH_ERR_INIT;
    wh_proto_msg_t msg;

    wh_sign_sha256(API_KEY, strlen(API_KEY), sum);
    wh_keys_worker_mac(sum, link.key);
    if (wh_proto_open(p, &link, frame, strlen(frame), NOW, &msg, &err) != APR_SUCCESS)
        return apr_pstrdup(p, err.code);
    assert_string_equal(msg.type_name, type);
    if (msg.type == WH_MSG_UNKNOWN)
        return "unknown_type";
    assert_non_null(codecs[msg.type]);
    if (codecs[msg.type](p, msg.p, &err) != APR_SUCCESS)
        return apr_pstrdup(p, err.code);
    seen[msg.type] = 1;
    return "ok";
}

static void test_vectors(void **state)
{
    apr_pool_t *p = *state;
    const char *top = getenv("top_srcdir");
    FILE *f = fopen(apr_pstrcat(p, top ? top : ".", "/docs/protocol.md", NULL), "r");
    char line[8192], *last = NULL;
    int in = 0, n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        const char *want, *way, *type;

        line[strcspn(line, "\r\n")] = '\0';
        if (!in || strcmp(line, "```") == 0) {
            in = strcmp(line, "vectors") == 0;
            continue;
        }
        want = apr_strtok(line, " ", &last);
        way = apr_strtok(NULL, " ", &last);
        type = apr_strtok(NULL, " ", &last);
        assert_non_null(type);
        if (strcmp(judge(p, way, type, last), want) != 0)
            fail_msg("%s %s %s is judged %s", want, way, type, judge(p, way, type, last));
        n++;
    }
    fclose(f);
    assert_true(n >= 38);
    for (int i = WH_MSG_UNKNOWN + 1; i < WH_MSG_COUNT; i++) {
        if (!seen[i])
            fail_msg("docs/protocol.md has no vector for %s", wh_proto_type_name((wh_msg_e)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F88 F95 a frame of every type, and what is refused, as docs/protocol.md has it",
             test_vectors),
    };

    return UNIT_RUN(tests);
}
