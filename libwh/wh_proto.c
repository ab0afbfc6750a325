/* wh_proto: see wh_proto.h. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_proto.h"
#include "libwh/wh_sign.h"

/* ,"h":"<64 hex>"} */
#define MAC_HEAD ",\"h\":\""
#define MAC_HEAD_LEN (sizeof(MAC_HEAD) - 1)
#define MAC_TAIL "\"}"
#define SUFFIX_LEN (MAC_HEAD_LEN + WH_SHA256_HEX + 2)
#define TYPE_MAX 32

typedef struct type_t {
    const char *name;
    wh_proto_dir_e dir;
} type_t;

static const type_t types[WH_MSG_COUNT] = {
    [WH_MSG_UNKNOWN] = {"unknown", WH_PROTO_BOTH},
#define WH_MSG_DEF(sym, text, way) [WH_MSG_##sym] = {(text), (way)},
#include "libwh/wh_proto_msg.def"
#undef WH_MSG_DEF
};

const char *wh_proto_type_name(wh_msg_e type)
{
    return (unsigned)type < WH_MSG_COUNT ? types[type].name : types[WH_MSG_UNKNOWN].name;
}

wh_msg_e wh_proto_type_of(const char *name, wh_proto_dir_e dir)
{
    int i;

    for (i = WH_MSG_UNKNOWN + 1; i < WH_MSG_COUNT; i++) {
        if (name && strcmp(types[i].name, name) == 0)
            return types[i].dir == dir || types[i].dir == WH_PROTO_BOTH ? (wh_msg_e)i
                                                                        : WH_MSG_UNKNOWN;
    }
    return WH_MSG_UNKNOWN;
}

/* Every part carries its length, so that no two sets of parts give the same bytes (D8). */
static void add_part(wh_sign_ctx_t *ctx, const void *data, size_t n)
{
    unsigned char len[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                            (unsigned char)(n >> 8), (unsigned char)n};

    wh_sign_add(ctx, len, sizeof(len));
    wh_sign_add(ctx, data, n);
}

static void mac_of(apr_pool_t *p, const wh_proto_link_t *link, wh_proto_dir_e dir,
                   const char *body, size_t n, unsigned char mac[WH_SHA256_LEN])
{
    wh_sign_ctx_t *ctx = wh_sign_hmac_begin(p, link->key, sizeof(link->key));
    const char *way = dir == WH_PROTO_A2H ? "a>h" : "h>a";

    add_part(ctx, WH_PROTO_SUBPROTOCOL, sizeof(WH_PROTO_SUBPROTOCOL) - 1);
    add_part(ctx, way, 3);
    add_part(ctx, link->hub_nonce, strlen(link->hub_nonce));
    add_part(ctx, link->agent_nonce, strlen(link->agent_nonce));
    add_part(ctx, body, n);
    wh_sign_end(ctx, mac);
}

static wh_proto_dir_e other(wh_proto_dir_e dir)
{
    return dir == WH_PROTO_A2H ? WH_PROTO_H2A : WH_PROTO_A2H;
}

static int type_ok(const char *type)
{
    size_t n = strlen(type);

    return n >= 1 && n <= TYPE_MAX && strspn(type, "abcdefghijklmnopqrstuvwxyz_") == n;
}

char *wh_proto_seal(apr_pool_t *p, wh_proto_link_t *link, const char *type, const char *id,
                    apr_time_t now, json_t *payload, size_t *len)
{
    unsigned char mac[WH_SHA256_LEN];
    char hex[WH_SHA256_HEX + 1];
    size_t n, body;
    char *text, *head;

    if (!json_is_object(payload) || !type_ok(type) || !wh_sign_is_hex(id, WH_PROTO_ID_HEX) ||
        !wh_sign_is_hex(link->hub_nonce, WH_PROTO_NONCE_HEX) ||
        !wh_sign_is_hex(link->agent_nonce, WH_PROTO_NONCE_HEX) || link->out_seq >= WH_SEQ_MAX)
        return NULL;
    text = wh_json_text(p, payload, &n);
    if (!text || n > WH_PROTO_MAX_BYTES)
        return NULL;
    head = apr_psprintf(p,
                        "{\"t\":\"%s\",\"i\":\"%s\",\"s\":%" APR_UINT64_T_FMT
                        ",\"ts\":%" APR_TIME_T_FMT ",\"p\":",
                        type, id, link->out_seq + 1, now / 1000);
    body = strlen(head) + n;
    if (body + SUFFIX_LEN > WH_PROTO_MAX_BYTES)
        return NULL;
    text = apr_pstrcat(p, head, text, NULL);
    mac_of(p, link, link->out, text, body, mac);
    wh_sign_hex_buf(hex, mac, sizeof(mac));
    text = apr_pstrcat(p, text, MAC_HEAD, hex, MAC_TAIL, NULL);
    link->out_seq++;
    if (len)
        *len = body + SUFFIX_LEN;
    return text;
}

/* The MAC stands at the very end, in one fixed form; anything else is no MAC at all. */
static int mac_ok(apr_pool_t *p, const wh_proto_link_t *link, const char *text, size_t n)
{
    unsigned char want[WH_SHA256_LEN], got[WH_SHA256_LEN];
    const char *suffix;

    if (n < SUFFIX_LEN + 2)
        return 0;
    suffix = text + n - SUFFIX_LEN;
    if (memcmp(suffix, MAC_HEAD, MAC_HEAD_LEN) != 0 ||
        memcmp(text + n - 2, MAC_TAIL, 2) != 0 ||
        wh_sign_unhex(suffix + MAC_HEAD_LEN, WH_SHA256_HEX, got) != 0)
        return 0;
    mac_of(p, link, other(link->out), text, n - SUFFIX_LEN, want);
    return wh_sign_equal(want, got, sizeof(want));
}

static apr_status_t parse(apr_pool_t *p, const char *text, size_t n, wh_proto_msg_t *out,
                          wh_err_t *err)
{
    static const wh_json_limits_t limits = {
        .bytes = WH_PROTO_MAX_BYTES, .depth = WH_JSON_DEPTH_MAX, .values = 100000};
    const char *why = "it is not JSON of our kind";
    json_t *json = NULL;
    wh_json_at_t at;
    wh_json_at_t payload;
    apr_int64_t ms = 0;

    if (wh_json_load_object(p, text, n, &limits, &json, NULL) != APR_SUCCESS)
        goto bad;
    at = wh_json_root(json);
    why = "a member is missing or of the wrong type";
    if (wh_json_str(&at, "t", WH_JSON_REQ(1, TYPE_MAX), &out->type_name, NULL) != APR_SUCCESS ||
        wh_json_str(&at, "i", WH_JSON_REQ(WH_PROTO_ID_HEX, WH_PROTO_ID_HEX), &out->id, NULL) !=
            APR_SUCCESS ||
        wh_json_int(&at, "ts", WH_JSON_REQ(0, WH_SEQ_MAX), &ms, NULL) != APR_SUCCESS ||
        wh_json_obj(&at, "p", WH_JSON_F_REQUIRED, &payload, NULL) != APR_SUCCESS)
        goto bad;
    if (!wh_sign_is_hex(out->id, WH_PROTO_ID_HEX))
        goto bad;
    /* Its range is the window's to judge: a negative number is a sequence at fault. */
    if (!json_is_integer(json_object_get(json, "s")))
        goto bad;
    out->seq = json_integer_value(json_object_get(json, "s"));
    out->ts = ms > INT64_MAX / 1000 ? INT64_MAX : ms * 1000;
    out->p = json_object_get(json, "p");
    return APR_SUCCESS;
bad:
    return wh_err_set(err, 400, "bad_frame", "a signed frame is not usable: %s", why);
}

apr_status_t wh_proto_open(apr_pool_t *p, wh_proto_link_t *link, const char *text, size_t n,
                           apr_time_t now, wh_proto_msg_t *out, wh_err_t *err)
{
    wh_proto_msg_t msg = {.type = WH_MSG_UNKNOWN};
    apr_int64_t apart;
    apr_status_t rv;

    if (n > WH_PROTO_MAX_BYTES)
        return wh_err_set(err, 413, "too_big", "a frame has at most %" APR_SIZE_T_FMT " bytes",
                          WH_PROTO_MAX_BYTES);
    if (!mac_ok(p, link, text, n))
        return wh_err_set(err, 401, "bad_mac", "the signature of a frame is missing or wrong");
    rv = parse(p, text, n, &msg, err);
    if (rv != APR_SUCCESS)
        return rv;
    /* Both in milliseconds, which is the grain of the wire. */
    apart = now / 1000 - msg.ts / 1000;
    if (apart > WH_PROTO_SKEW_US / 1000 || apart < -WH_PROTO_SKEW_US / 1000)
        return wh_err_set(err, 400, "clock_skew",
                          "the clocks of agent and hub are %" APR_INT64_T_FMT
                          " s apart; more than 300 s is refused",
                          (apart < 0 ? -apart : apart) / 1000);
    switch (wh_seq_take(&link->in, msg.seq)) {
    case WH_SEQ_OK:
        break;
    case WH_SEQ_RANGE:
    case WH_SEQ_REPLAY:
    case WH_SEQ_OLD:
    case WH_SEQ_JUMP:
    default:
        return wh_err_set(err, 400, "bad_sequence",
                          "sequence %" APR_INT64_T_FMT " after %" APR_UINT64_T_FMT
                          " is out of order",
                          msg.seq, link->in.high);
    }
    msg.type = wh_proto_type_of(msg.type_name, other(link->out));
    *out = msg;
    return APR_SUCCESS;
}

int wh_proto_close_code(const char *code)
{
    static const struct {
        const char *code;
        int close;
    } closes[] = {
        {"too_big", WH_CLOSE_TOO_BIG},
        {"bad_mac", WH_CLOSE_MAC},
        {"bad_frame", WH_CLOSE_FRAME},
        {"bad_sequence", WH_CLOSE_FRAME},
    };
    size_t i;

    for (i = 0; i < WH_ARRAY_LEN(closes); i++) {
        if (strcmp(code, closes[i].code) == 0)
            return closes[i].close;
    }
    return 0;
}
