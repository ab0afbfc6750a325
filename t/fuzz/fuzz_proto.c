/* The link between agent and hub. The input is tried as a frame as it is, as the body of a frame
 * with a right MAC (so that all behind the MAC is reached), and as a payload of every type. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_proto_msg.h"
#include "libwh/wh_sign.h"
#include "t/fuzz/fuzz.h"

#define NOW INT64_C(1767225600123000)
#define NONCE "00000000000000000000000000000001"

static void check_frame(apr_pool_t *p, wh_proto_link_t *link, const char *text, size_t n)
{
    uint64_t before = link->in.high;
    wh_err_t err = WH_ERR_INIT;
    wh_proto_msg_t msg;

    if (wh_proto_open(p, link, text, n, NOW, &msg, &err) != APR_SUCCESS) {
        fuzz_must(err.code[0] != '\0' && link->in.high == before);
        return;
    }
    fuzz_must(msg.seq >= 1 && wh_sign_is_hex(msg.id, 32) && json_is_object(msg.p));
    fuzz_must(msg.ts - NOW <= WH_PROTO_SKEW_US && NOW - msg.ts <= WH_PROTO_SKEW_US + 999);
    /* What was taken once is never taken again. */
    fuzz_must(wh_proto_open(p, link, text, n, NOW, &msg, &err) != APR_SUCCESS);
    fuzz_must(strcmp(err.code, "bad_sequence") == 0);
}

static char *with_mac(apr_pool_t *p, const wh_proto_link_t *link, const uint8_t *body, size_t n,
                      size_t *len)
{
    const char *parts[] = {"wisehost.v1", "a>h", link->hub_nonce, link->agent_nonce};
    wh_sign_ctx_t *ctx = wh_sign_hmac_begin(p, link->key, sizeof(link->key));
    unsigned char be[4] = {0, 0, 0, 0}, mac[WH_SHA256_LEN];
    char *text = apr_palloc(p, n + 73);

    for (size_t i = 0; i < WH_ARRAY_LEN(parts); i++) {
        be[3] = (unsigned char)strlen(parts[i]);
        wh_sign_add(ctx, be, 4);
        wh_sign_add(ctx, parts[i], strlen(parts[i]));
    }
    be[1] = (unsigned char)(n >> 16);
    be[2] = (unsigned char)(n >> 8);
    be[3] = (unsigned char)n;
    wh_sign_add(ctx, be, 4);
    wh_sign_add(ctx, body, n);
    wh_sign_end(ctx, mac);
    memcpy(text, body, n);
    memcpy(text + n, ",\"h\":\"", 6);
    wh_sign_hex_buf(text + n + 6, mac, sizeof(mac));
    memcpy(text + n + 70, "\"}", 3);
    *len = n + 72;
    return text;
}

/* What a decoder takes, the encoder writes, and the decoder takes that too. */
#define TRY_TYPE(type)                                                                             \
    do {                                                                                           \
        wh_err_t e = WH_ERR_INIT;                                                                  \
        wh_msg_##type##_t m;                                                                       \
        memset(&m, 0, sizeof(m));                                                                  \
        if (wh_proto_msg_##type##_decode(p, payload, &m, &e) == APR_SUCCESS) {                     \
            json_t *again = wh_json_own(p, wh_proto_msg_##type##_encode(&m));                      \
            fuzz_must(again != NULL);                                                              \
            memset(&m, 0, sizeof(m));                                                              \
            fuzz_must(wh_proto_msg_##type##_decode(p, again, &m, &e) == APR_SUCCESS);              \
        } else {                                                                                   \
            fuzz_must(strcmp(e.code, "bad_payload") == 0);                                         \
        }                                                                                          \
    } while (0)

static void try_payload(apr_pool_t *p, json_t *payload)
{
    TRY_TYPE(hello);
    TRY_TYPE(welcome);
    TRY_TYPE(heartbeat);
    TRY_TYPE(job);
    TRY_TYPE(ref);
    TRY_TYPE(job_ack);
    TRY_TYPE(job_status);
    TRY_TYPE(job_result);
    TRY_TYPE(build_log);
    TRY_TYPE(log_ack);
    TRY_TYPE(app_status);
    TRY_TYPE(app_stats);
    TRY_TYPE(runtime_log);
    TRY_TYPE(violation);
    TRY_TYPE(settings);
    TRY_TYPE(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    wh_proto_link_t hub = {.out = WH_PROTO_H2A, .hub_nonce = NONCE, .agent_nonce = NONCE};
    apr_pool_t *p = fuzz_pool();
    json_t *payload;
    size_t len;
    char *text;

    check_frame(p, &hub, (const char *)data, n);
    text = with_mac(p, &hub, data, n, &len);
    check_frame(p, &hub, text, len);
    if (wh_json_load(p, (const char *)data, n, NULL, &payload, NULL) == APR_SUCCESS) {
        try_payload(p, payload);
        try_payload(p, json_object_get(payload, "p"));
    }
    return 0;
}
