#include <stdio.h>
#include <stdlib.h>
#include "t/unit/unit.h"
#include "libwh/wh_json.h"
#include "libwh/wh_keys.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_sign.h"

#define NOW APR_INT64_C(1767225600123000)
#define ID "000102030405060708090a0b0c0d0e0f"
#define HUB_NONCE "11111111111111111111111111111111"
#define AGENT_NONCE "22222222222222222222222222222222"

static wh_proto_link_t end_of(wh_proto_dir_e out)
{
    wh_proto_link_t link = {.out = out, .hub_nonce = HUB_NONCE, .agent_nonce = AGENT_NONCE};

    memset(link.key, 7, sizeof(link.key));
    return link;
}

static char *seal(apr_pool_t *p, wh_proto_link_t *link, const char *type, size_t *n)
{
    json_t *payload = wh_json_own(p, json_pack("{s:s, s:i}", "job", "a\",\"h\":\"b", "epoch", 1));
    char *text = wh_proto_seal(p, link, type, ID, NOW, payload, n);

    assert_non_null(text);
    assert_int_equal(strlen(text), *n);
    return text;
}

/* The other end's opinion of a text, by code; "" = accepted. */
static const char *verdict(apr_pool_t *p, wh_proto_link_t *link, const char *text, size_t n,
                           apr_time_t now)
{
    wh_proto_msg_t msg;
    wh_err_t *err = apr_pcalloc(p, sizeof(*err));

    return wh_proto_open(p, link, text, n, now, &msg, err) == APR_SUCCESS ? "" : err->code;
}

/* A text of this body with the right MAC, made by hand: what a peer with the key could send. */
static char *sign(apr_pool_t *p, const wh_proto_link_t *link, const char *body, size_t *n)
{
    const char *parts[] = {"wisehost.v1", link->out == WH_PROTO_A2H ? "a>h" : "h>a",
                           link->hub_nonce, link->agent_nonce, body};
    wh_sign_ctx_t *ctx = wh_sign_hmac_begin(p, link->key, sizeof(link->key));
    unsigned char mac[WH_SHA256_LEN];
    char *text;

    for (size_t i = 0; i < WH_ARRAY_LEN(parts); i++) {
        size_t len = strlen(parts[i]);
        unsigned char be[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
                               (unsigned char)(len >> 8), (unsigned char)len};

        wh_sign_add(ctx, be, 4);
        wh_sign_add(ctx, parts[i], len);
    }
    wh_sign_end(ctx, mac);
    text = apr_pstrcat(p, body, ",\"h\":\"", wh_sign_hex(p, mac, sizeof(mac)), "\"}", NULL);
    *n = strlen(text);
    return text;
}

static void test_round_trip(void **state)
{
    apr_pool_t *p = *state;
    const wh_proto_dir_e dirs[] = {WH_PROTO_A2H, WH_PROTO_H2A};
    const char *types[] = {"heartbeat", "job"};

    for (int i = 0; i < 2; i++) {
        wh_proto_link_t from = end_of(dirs[i]), to = end_of(dirs[1 - i]);

        for (int s = 1; s <= 3; s++) {
            wh_err_t err = WH_ERR_INIT;
            wh_proto_msg_t msg;
            size_t n;
            char *text = seal(p, &from, types[i], &n);

            assert_ok(wh_proto_open(p, &to, text, n, NOW, &msg, &err), &err);
            assert_int_equal(msg.type, i ? WH_MSG_JOB : WH_MSG_HEARTBEAT);
            assert_string_equal(msg.type_name, types[i]);
            assert_string_equal(msg.id, ID);
            assert_int_equal(msg.seq, s);
            assert_int_equal(msg.ts, NOW);
            assert_string_equal(json_string_value(json_object_get(msg.p, "job")), "a\",\"h\":\"b");
        }
        assert_int_equal(from.out_seq, 3);
        assert_int_equal(to.in.high, 3);
    }
}

static void test_other_link(void **state)
{
    apr_pool_t *p = *state;
    wh_proto_link_t agent = end_of(WH_PROTO_A2H), hub = end_of(WH_PROTO_H2A), bad;
    size_t n;
    char *text = seal(p, &agent, "heartbeat", &n);

    assert_string_equal(verdict(p, &agent, text, n, NOW), "bad_mac"); /* reflected */
    bad = hub;
    bad.key[31] ^= 1;
    assert_string_equal(verdict(p, &bad, text, n, NOW), "bad_mac");
    bad = hub;
    bad.hub_nonce[0] = '3';
    assert_string_equal(verdict(p, &bad, text, n, NOW), "bad_mac");
    bad = hub;
    bad.agent_nonce[31] = '3';
    assert_string_equal(verdict(p, &bad, text, n, NOW), "bad_mac");
    bad = hub; /* the nonces changed places */
    memcpy(bad.hub_nonce, AGENT_NONCE, 33);
    memcpy(bad.agent_nonce, HUB_NONCE, 33);
    assert_string_equal(verdict(p, &bad, text, n, NOW), "bad_mac");
    assert_string_equal(verdict(p, &hub, text, n, NOW), "");
    assert_string_equal(verdict(p, &hub, text, n, NOW), "bad_sequence"); /* replayed */
    assert_int_equal(wh_proto_close_code("bad_mac"), 4001);
    assert_int_equal(wh_proto_close_code("bad_sequence"), 4002);
    assert_int_equal(wh_proto_close_code("bad_frame"), 4002);
    assert_int_equal(wh_proto_close_code("too_big"), 1009);
    assert_int_equal(wh_proto_close_code("clock_skew"), 0);
}

static void test_every_byte(void **state)
{
    apr_pool_t *p = *state;
    wh_proto_link_t agent = end_of(WH_PROTO_A2H), hub = end_of(WH_PROTO_H2A);
    size_t n;
    char *text = seal(p, &agent, "heartbeat", &n);

    for (size_t i = 0; i < n; i++) {
        char was = text[i];

        text[i] ^= 1;
        assert_string_equal(verdict(p, &hub, text, n, NOW), "bad_mac");
        text[i] = was;
        assert_string_equal(verdict(p, &hub, text, i, NOW), "bad_mac");
    }
    assert_int_equal(hub.in.high, 0);
    assert_string_equal(verdict(p, &hub, text, n, NOW), "");
}

static void test_clock(void **state)
{
    apr_pool_t *p = *state;
    const struct {
        apr_time_t off;
        const char *want;
    } cases[] = {
        {WH_PROTO_SKEW_US, ""},
        {-WH_PROTO_SKEW_US, ""},
        {WH_PROTO_SKEW_US + 1000, "clock_skew"},
        {-WH_PROTO_SKEW_US - 1000, "clock_skew"},
        {APR_INT64_C(3155760000000000), "clock_skew"},
        {-NOW, "clock_skew"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        wh_proto_link_t agent = end_of(WH_PROTO_A2H), hub = end_of(WH_PROTO_H2A);
        size_t n;
        char *text = seal(p, &agent, "heartbeat", &n);

        assert_string_equal(verdict(p, &hub, text, n, NOW + cases[i].off), cases[i].want);
        /* A clock that is set right finds its number not used up. */
        if (*cases[i].want)
            assert_string_equal(verdict(p, &hub, text, n, NOW), "");
    }
}

static void test_order(void **state)
{
    apr_pool_t *p = *state;
    wh_proto_link_t agent = end_of(WH_PROTO_A2H), hub = end_of(WH_PROTO_H2A);
    size_t n, big = WH_PROTO_MAX_BYTES + 1;
    char *huge = apr_palloc(p, big), *text;

    memset(huge, 'x', big);
    assert_string_equal(verdict(p, &hub, huge, big, NOW), "too_big");
    assert_string_equal(verdict(p, &hub, huge, big - 1, NOW), "bad_mac");
    text = seal(p, &agent, "heartbeat", &n);
    assert_string_equal(verdict(p, &hub, text, n, NOW), "");
    /* All three at fault: MAC is told first, then the clock, then the sequence. */
    assert_string_equal(verdict(p, &hub, text, n, NOW + 2 * WH_PROTO_SKEW_US), "clock_skew");
    text[3] = 'x';
    assert_string_equal(verdict(p, &hub, text, n, NOW + 2 * WH_PROTO_SKEW_US), "bad_mac");
}

#define HEAD "{\"t\":\"heartbeat\",\"i\":\"" ID "\","

static void test_signed_nonsense(void **state)
{
    apr_pool_t *p = *state;
    const struct {
        const char *body;
        const char *want;
    } cases[] = {
        {HEAD "\"s\":1,\"ts\":1767225600123,\"p\":{}", ""},
        {HEAD "\"s\":2,\"ts\":1767225600123,\"p\":{},\"new\":[1]", ""},
        {HEAD "\"s\":0,\"ts\":1767225600123,\"p\":{}", "bad_sequence"},
        {HEAD "\"s\":-1,\"ts\":1767225600123,\"p\":{}", "bad_sequence"},
        {HEAD "\"s\":9007199254740992,\"ts\":1767225600123,\"p\":{}", "bad_sequence"},
        {HEAD "\"s\":1027,\"ts\":1767225600123,\"p\":{}", "bad_sequence"},
        {HEAD "\"s\":1026,\"ts\":1767225600123,\"p\":{}", ""},
        {HEAD "\"s\":769,\"ts\":1767225600123,\"p\":{}", "bad_sequence"},
        {HEAD "\"s\":770,\"ts\":1767225600123,\"p\":{}", ""},
        {HEAD "\"s\":1.0,\"ts\":1767225600123,\"p\":{}", "bad_frame"},
        {HEAD "\"s\":\"3\",\"ts\":1767225600123,\"p\":{}", "bad_frame"},
        {HEAD "\"ts\":1767225600123,\"p\":{}", "bad_frame"},
        {HEAD "\"s\":3,\"p\":{}", "bad_frame"},
        {HEAD "\"s\":3,\"ts\":1767225600123.5,\"p\":{}", "bad_frame"},
        {HEAD "\"s\":3,\"ts\":-5,\"p\":{}", "bad_frame"},
        {HEAD "\"s\":3,\"ts\":9007199254740991,\"p\":{}", "clock_skew"},
        {HEAD "\"s\":3,\"ts\":1767225600123,\"p\":[]", "bad_frame"},
        {HEAD "\"s\":3,\"ts\":1767225600123", "bad_frame"},
        {HEAD "\"s\":3,\"s\":4,\"ts\":1767225600123,\"p\":{}", "bad_frame"},
        {HEAD "\"s\":3,\"ts\":1767225600123,\"p\":{},\"h\":\"twice\"", "bad_frame"},
        {"{\"t\":7,\"i\":\"" ID "\",\"s\":3,\"ts\":1767225600123,\"p\":{}", "bad_frame"},
        {"{\"t\":\"heartbeat\",\"i\":\"xyz\",\"s\":3,\"ts\":1767225600123,\"p\":{}", "bad_frame"},
        {"[1", "bad_frame"},
        {"", "bad_frame"},
    };
    wh_proto_link_t agent = end_of(WH_PROTO_A2H), hub = end_of(WH_PROTO_H2A);

    for (size_t i = 0; i < WH_ARRAY_LEN(cases); i++) {
        size_t n;
        char *text = sign(p, &agent, cases[i].body, &n);
        const char *got = verdict(p, &hub, text, n, NOW);

        /* Too short to be a frame at all is no MAC. */
        if (!*cases[i].body)
            assert_string_equal(got, "bad_mac");
        else if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: %s, not %s", cases[i].body, got, cases[i].want);
    }
}

static void test_types(void **state)
{
    apr_pool_t *p = *state;
    wh_proto_link_t agent = end_of(WH_PROTO_A2H), hub = end_of(WH_PROTO_H2A);
    const char *names[] = {"bogus", "job", "welcome"};

    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_proto_msg_t msg;
        size_t n;
        char *text = seal(p, &agent, names[i], &n);

        assert_ok(wh_proto_open(p, &hub, text, n, NOW, &msg, &err), &err);
        assert_int_equal(msg.type, WH_MSG_UNKNOWN);
        assert_string_equal(msg.type_name, names[i]);
    }
    assert_int_equal(wh_proto_type_of("error", WH_PROTO_A2H), WH_MSG_ERROR);
    assert_int_equal(wh_proto_type_of("error", WH_PROTO_H2A), WH_MSG_ERROR);
    assert_int_equal(wh_proto_type_of("unknown", WH_PROTO_H2A), WH_MSG_UNKNOWN);
    assert_string_equal(wh_proto_type_name(WH_MSG_JOB_RESULT), "job_result");
    assert_string_equal(wh_proto_type_name((wh_msg_e)999), "unknown");
}

static void test_seal_refuses(void **state)
{
    apr_pool_t *p = *state;
    wh_proto_link_t link = end_of(WH_PROTO_A2H), bad;
    json_t *empty = wh_json_own(p, json_object()), *list = wh_json_own(p, json_array()), *huge;
    char *text = apr_palloc(p, WH_PROTO_MAX_BYTES);

    memset(text, 'a', WH_PROTO_MAX_BYTES);
    huge = wh_json_own(p, json_pack("{s:s%}", "x", text, (size_t)WH_PROTO_MAX_BYTES - 20));
    assert_null(wh_proto_seal(p, &link, "heartbeat", ID, NOW, list, NULL));
    assert_null(wh_proto_seal(p, &link, "heartbeat", ID, NOW, huge, NULL));
    assert_null(wh_proto_seal(p, &link, "heartbeat", "short", NOW, empty, NULL));
    assert_null(wh_proto_seal(p, &link, "he\"art", ID, NOW, empty, NULL));
    assert_null(wh_proto_seal(p, &link, "", ID, NOW, empty, NULL));
    bad = link;
    bad.hub_nonce[0] = '\0';
    assert_null(wh_proto_seal(p, &bad, "heartbeat", ID, NOW, empty, NULL));
    assert_int_equal(link.out_seq, 0);
    assert_non_null(wh_proto_seal(p, &link, "heartbeat", ID, NOW, empty, NULL));
    assert_int_equal(link.out_seq, 1);
}

/* The value of "name = value" in the block of test vectors of docs/protocol.md. */
static const char *vector(apr_pool_t *p, const char *name)
{
    const char *top = getenv("top_srcdir");
    FILE *f = fopen(apr_pstrcat(p, top ? top : ".", "/docs/protocol.md", NULL), "r");
    const char *found = NULL;
    char line[4096];

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        size_t n = strlen(name);

        if (strncmp(line, name, n) == 0 && strncmp(line + n, " = ", 3) == 0) {
            line[strcspn(line, "\r\n")] = '\0';
            found = apr_pstrdup(p, line + n + 3);
        }
    }
    fclose(f);
    if (!found)
        fail_msg("docs/protocol.md has no vector %s", name);
    return found;
}

static void test_document(void **state)
{
    apr_pool_t *p = *state;
    wh_proto_link_t agent = {.out = WH_PROTO_A2H}, hub = {.out = WH_PROTO_H2A};
    const char *api_key = vector(p, "api_key"), *frame = vector(p, "frame_a2h");
    const char *back = vector(p, "frame_h2a");
    unsigned char sum[WH_SHA256_LEN];
    apr_time_t now = apr_atoi64(vector(p, "now_ms")) * 1000;
    wh_err_t err = WH_ERR_INIT;
    wh_proto_msg_t msg;
    json_t *payload;

    wh_sign_sha256(api_key, strlen(api_key), sum);
    wh_keys_worker_mac(sum, agent.key);
    assert_string_equal(wh_sign_hex(p, agent.key, 32), vector(p, "mac_key"));
    apr_cpystrn(agent.hub_nonce, vector(p, "hub_nonce"), sizeof(agent.hub_nonce));
    apr_cpystrn(agent.agent_nonce, vector(p, "agent_nonce"), sizeof(agent.agent_nonce));
    hub = agent;
    hub.out = WH_PROTO_H2A;
    assert_ok(wh_json_load(p, vector(p, "payload_a2h"), strlen(vector(p, "payload_a2h")), NULL,
                           &payload, &err), &err);
    assert_string_equal(wh_proto_seal(p, &agent, "job_ack", vector(p, "id_a2h"), now, payload,
                                      NULL), frame);
    assert_ok(wh_proto_open(p, &hub, frame, strlen(frame), now, &msg, &err), &err);
    assert_int_equal(msg.type, WH_MSG_JOB_ACK);
    assert_ok(wh_json_load(p, vector(p, "payload_h2a"), strlen(vector(p, "payload_h2a")), NULL,
                           &payload, &err), &err);
    assert_string_equal(wh_proto_seal(p, &hub, "job_go", vector(p, "id_h2a"), now, payload, NULL),
                        back);
    assert_ok(wh_proto_open(p, &agent, back, strlen(back), now, &msg, &err), &err);
    assert_int_equal(msg.type, WH_MSG_JOB_GO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F88 a sealed frame opens at the other end, in both directions", test_round_trip),
        UNIT("F85 R4 no frame of another direction, connection or key, and none twice",
             test_other_link),
        UNIT("F85 a change of any byte, and any cut, breaks the MAC", test_every_byte),
        UNIT("F85 a clock five minutes off is fine, a millisecond more is not", test_clock),
        UNIT("F85 size, MAC, clock, sequence: in this order", test_order),
        UNIT("F85 signed nonsense is refused, sequence edges hold", test_signed_nonsense),
        UNIT("F95 a type that is unknown or of the other direction is told apart", test_types),
        UNIT("F88 what is no frame is not sealed, and takes no number", test_seal_refuses),
        UNIT("F88 the vectors of docs/protocol.md are what the code makes", test_document),
    };

    return UNIT_RUN(tests);
}
