#include "mod_wisehost/wh_mod_api.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_assertion.h"
#include "libwh/wh_sign.h"

#define SUBPROTOCOL "wisehost.v1"
#define NONCE_HEX 32
#define KEY_BASE64 24

static apr_status_t upgrade_required(wh_call_t *c, const char *why)
{
    apr_table_setn(c->r->err_headers_out, "Upgrade", "websocket");
    apr_table_setn(c->r->err_headers_out, "Sec-WebSocket-Protocol", SUBPROTOCOL);
    return wh_err_set(&c->err, 426, "upgrade_required", "%s This server speaks " SUBPROTOCOL ".",
                      why);
}

/* A browser sends Origin; agents do not. So a page can never open a worker's channel. */
static apr_status_t check_handshake(wh_call_t *c)
{
    const apr_table_t *in = c->r->headers_in;
    const char *upgrade = apr_table_get(in, "Upgrade");
    const char *nonce = apr_table_get(in, "X-Wisehost-Nonce");
    const char *version = apr_table_get(in, "Sec-WebSocket-Version");
    const char *key = apr_table_get(in, "Sec-WebSocket-Key");
    const char *offered = apr_table_get(in, "Sec-WebSocket-Protocol");

    if (apr_table_get(in, "Origin")) {
        return wh_err_set(&c->err, 403, "origin_refused", "Browsers cannot open this channel.");
    }
    if (c->r->header_only || c->r->proto_num < HTTP_VERSION(1, 1) || !upgrade ||
        ap_cstr_casecmp(upgrade, "websocket") ||
        !ap_find_token(c->p, apr_table_get(in, "Connection"), "upgrade")) {
        return upgrade_required(c, "This address takes WebSocket upgrades only.");
    }
    if (!offered || !ap_find_list_item(c->p, offered, SUBPROTOCOL)) {
        return upgrade_required(c, "None of the offered subprotocols is known.");
    }
    if (!version || strcmp(version, "13")) {
        apr_table_setn(c->r->err_headers_out, "Sec-WebSocket-Version", "13");
        return upgrade_required(c, "Only version 13 of WebSocket is known.");
    }
    if (!key || strlen(key) != KEY_BASE64) {
        return wh_err_set(&c->err, 400, "bad_handshake",
                          "Sec-WebSocket-Key must be 16 bytes in base64.");
    }
    if (!nonce || strlen(nonce) != NONCE_HEX || !wh_sign_is_hex(nonce, NONCE_HEX)) {
        return wh_err_set(&c->err, 400, "bad_nonce",
                          "X-Wisehost-Nonce must be 32 lower-case hex digits.");
    }
    return APR_SUCCESS;
}

/* The hub believes the assertion alone: what the agent showed us stays here. */
apr_status_t wh_h_ws(wh_call_t *c)
{
    const char *actor = apr_psprintf(c->p, "worker:%" APR_INT64_T_FMT, c->actor.worker_id);
    const char *assertion;
    apr_status_t rv = check_handshake(c);

    if (rv) {
        return rv;
    }
    assertion = wh_assertion_make(c->p, wh_mod_keys()->hub_assertion, actor,
                                  wh_authz_action_text(WH_ACT_WORKER_CONNECT), "hub",
                                  c->now + apr_time_from_sec(WH_ASSERTION_TTL_S));
    if (!assertion) {
        return wh_err_set(&c->err, 500, "no_assertion",
                          "The assertion for the hub could not be made.");
    }
    apr_table_setn(c->r->headers_in, WH_ASSERTION_HEADER, assertion);
    apr_table_unset(c->r->headers_in, "Authorization");
    /* The tunnel lives for days: it must not keep a database connection. */
    wh_mod_db_release(c->r);
    c->dbc = NULL;
    c->rc = wh_mod_proxy_hub(c->r, "/v1/workers/ws");
    return APR_SUCCESS;
}
