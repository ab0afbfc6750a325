#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_jwt.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_time.h"
#include "whdb/wh_db_fleet.h"
#include "whdb/wh_db_token.h"
#include "whdb/wh_db_worker.h"

/* F55-F57: {worker, token, token_expires_at}. */
static apr_status_t reply_token(wh_call_t *c, int status, const wh_worker_t *w, int with_worker)
{
    unsigned char key_sha256[WH_SHA256_LEN];
    wh_jwt_claims_t claims;
    const char *token;
    json_t *body;

    if (wh_sign_unhex(w->key_hash, WH_SHA256_HEX, key_sha256)) {
        return wh_err_set(&c->err, 500, "db_check", "A worker's key hash is not well-formed.");
    }
    if (wh_jwt_claims_make(&claims, w->id, key_sha256, c->now, wh_sys_rand()) ||
        !(token = wh_jwt_mint(c->p, wh_mod_keys()->worker_jwt, &claims))) {
        return wh_mod_call_no_random(c);
    }
    body = json_pack("{s:s, s:s}", "token", token, "token_expires_at",
                     wh_time_rfc3339(c->p, apr_time_from_sec(claims.exp)));
    if (with_worker) {
        json_object_set_new(body, "worker",
                            json_pack("{s:s, s:s}", "id", w->public_id, "name", w->name));
    }
    return wh_mod_call_reply(c, status, body);
}

/* The one-time token is used up in the transaction that registers (R8), and may be for one name. */
static apr_status_t redeem(wh_call_t *c, const wh_worker_t *w)
{
    wh_db_onetime_t token;
    apr_status_t rv;

    if (c->actor.kind != WH_ACTOR_ENROLMENT) {
        return APR_SUCCESS;
    }
    rv = wh_db_token_onetime_redeem(c->dbc, c->p, c->credential_hash, "enrolment", c->now, &token,
                                    &c->err);
    if (rv == APR_NOTFOUND) { /* another request was faster */
        wh_dbc_rollback(c->dbc);
        wh_err_clear(&c->err);
        return wh_mod_auth_refuse(c);
    }
    if (!rv && *token.worker_name && strcmp(token.worker_name, w->name)) {
        return wh_err_set(&c->err, 403, "token_for_another",
                          "This token is for a worker of another name.");
    }
    return rv || !token.replaces
               ? rv
               : wh_db_fleet_take_over(c->dbc, c->p, w->name, w->key_hash, c->now, &c->err);
}

static apr_status_t store_once(wh_call_t *c, const wh_worker_t *w, wh_worker_t **stored)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : redeem(c, w);
    rv = rv ? rv : wh_db_worker_register(c->dbc, c->p, w, c->now, stored, NULL, &c->err);
    return rv ? rv : wh_dbc_commit(c->dbc, &c->err);
}

/* PostgreSQL lets two that register the same worker look at one time; the slower one is stopped by
 * the key and looks again (XD12, XD13). */
static apr_status_t store(wh_call_t *c, const wh_worker_t *w, wh_worker_t **stored)
{
    apr_status_t rv = store_once(c, w, stored);

    if (rv && wh_err_is(&c->err, "conflict")) {
        wh_dbc_rollback(c->dbc);
        wh_err_clear(&c->err);
        rv = store_once(c, w, stored);
    }
    return rv;
}

/* F44, F54: only the hash of the key is stored. */
apr_status_t wh_h_worker_register(wh_call_t *c)
{
    wh_worker_register_t asked;
    wh_worker_t w = {.engine = ""}, *stored;
    apr_status_t rv = wh_model_worker_register_decode(c->p, c->body, &asked, &c->err);

    if (rv) {
        return rv;
    }
    w.public_id = wh_id_make(c->p, c->now, wh_sys_rand());
    if (!w.public_id) {
        return wh_mod_call_no_random(c);
    }
    w.name = asked.name;
    w.key_hash = wh_sign_sha256_hex(c->p, asked.api_key, strlen(asked.api_key));
    w.address = asked.address;
    w.zone = asked.zone;
    w.labels = asked.labels;
    w.version = asked.version;
    w.cpu_millis = asked.cpu_millis;
    w.memory_bytes = asked.memory_bytes;
    rv = wh_mod_address_check(c, asked.address);
    rv = rv ? rv : store(c, &w, &stored);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return reply_token(c, 201, stored, 1);
}

/* F45, F57, R31: the raw key alone, whatever the worker's status. */
apr_status_t wh_h_worker_refresh(wh_call_t *c)
{
    wh_worker_t *w;
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_worker_get(c->dbc, c->p, c->actor.worker_id, &w, &c->err);
    return rv ? rv : reply_token(c, 200, w, 0);
}

/* By compare-and-set on the key that calls. */
static apr_status_t store_key(wh_call_t *c, const char *old_hash, const char *new_hash)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv
            : wh_db_fleet_rotate(c->dbc, c->p, c->actor.worker_id, old_hash, new_hash, c->now,
                                 &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv == APR_NOTFOUND) { /* another rotation was faster, or it was revoked meanwhile */
        wh_dbc_rollback(c->dbc);
        wh_err_clear(&c->err);
        return wh_mod_auth_refuse(c);
    }
    return rv && wh_err_is(&c->err, "conflict")
               ? wh_err_set(&c->err, 409, "conflict", "This key is another worker's.")
               : rv;
}

/* F75, R8: the new key counts at once, the old one and every token of it are dead. Asked again with
 * the new key as credential, because the answer got lost, it is an answer again. */
apr_status_t wh_h_worker_rotate(wh_call_t *c)
{
    const char *key = json_string_value(json_object_get(c->body, "api_key"));
    const char *bearer = wh_mod_req_bearer(c->r);
    const char *old_hash, *new_hash;
    wh_worker_t *w;
    apr_status_t rv = APR_SUCCESS;

    if (!wh_sign_is_hex(key, 2 * WH_SHA256_LEN)) {
        return wh_err_field(&c->err, "/api_key", "invalid_value",
                            "an API key is 64 lower-case hexadecimal digits");
    }
    old_hash = wh_sign_sha256_hex(c->p, bearer, strlen(bearer));
    new_hash = wh_sign_sha256_hex(c->p, key, strlen(key));
    if (strcmp(old_hash, new_hash)) {
        rv = store_key(c, old_hash, new_hash);
        if (!rv) {
            wh_mod_poke(c->r);
        }
    }
    rv = rv ? rv : wh_mod_call_db(c);
    rv = rv ? rv : wh_db_worker_get(c->dbc, c->p, c->actor.worker_id, &w, &c->err);
    return rv ? rv : reply_token(c, 200, w, 0);
}

/* The cursor is the row's number: opaque to clients, and not the id of anything that they can use.
 */
apr_status_t wh_h_worker_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_mod_call_cursor_number);

    rv = rv ? rv : wh_mod_call_db(c);
    rv = rv ? rv
            : wh_db_worker_list(c->dbc, c->p, apr_atoi64(page.after), page.limit + 1, &rows,
                                &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_worker_t *w = APR_ARRAY_IDX(rows, i, wh_worker_t *);

        if (wh_mod_call_page_row(&page, apr_psprintf(c->p, "%" APR_INT64_T_FMT, w->id), 1)) {
            json_array_append_new(page.items, wh_model_worker_json(c->p, w));
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}
