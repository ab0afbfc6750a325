#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
#include "mod_wisehost/wh_h_actions.h"
#include "mod_wisehost/wh_h_delivery.h"
#include "mod_wisehost/wh_mod_rate.h"

/*
 * A delivery: length, raw body, signature, and only then its content (D6). The secrets follow from
 * the id in the path and from how often they were changed, which is all that the database is asked
 * before the signature is known. An unknown hook, a deleted one, another forge's path and a wrong
 * signature take the same way to the same 401.
 */

static const char *header(wh_call_t *c, const char *name)
{
    return name ? apr_table_get(c->r->headers_in, name) : NULL;
}

/* Counted for hook and address; an id that is none has one bucket for all of them. */
static apr_status_t refuse(wh_call_t *c)
{
    wh_err_t limit = WH_ERR_INIT;

    (void)!wh_err_set(&c->err, 401, "bad_signature", "The signature is missing or wrong.");
    if (wh_mod_rate_failed(c->r, WH_RATE_DELIVERY, wh_id_ok(c->param[1]) ? c->param[1] : "",
                           &limit)) {
        c->err = limit;
    }
    return APR_EGENERAL;
}

static apr_status_t look_up(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_db(c);

    return rv ? rv : wh_db_hook_get(c->dbc, c->p, c->param[1], &c->hook, &c->err);
}

/* c->hook, NULL when there is none that this path can mean. */
static apr_status_t find_hook(wh_call_t *c)
{
    apr_status_t rv;

    if (!wh_id_ok(c->param[1])) {
        return APR_SUCCESS;
    }
    rv = look_up(c);
    if (wh_mod_call_lost(c, rv)) {
        rv = look_up(c);
    }
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        c->hook = NULL;
        rv = APR_SUCCESS;
    }
    if (!rv && c->hook && strcmp(c->hook->row.provider, c->param[0])) {
        c->hook = NULL;
    }
    return rv;
}

/* Always two secrets, so that it takes the same time whether the former one still counts or not. */
static apr_status_t verify(wh_call_t *c, const wh_hook_provider_t *provider)
{
    const wh_hookrow_t *h = c->hook ? &c->hook->row : NULL;
    apr_int64_t n = h ? h->secret_n : 0;
    int former = n > 0 && h->previous_until > c->now;
    const char *const secrets[] = {
        wh_keys_hook_secret(c->p, wh_mod_keys(), c->param[1], n),
        wh_keys_hook_secret(c->p, wh_mod_keys(), c->param[1], former ? n - 1 : n)};

    return wh_hook_verify(provider, header(c, provider->signature), c->raw.data, c->raw.len,
                          secrets, 2, &c->err);
}

apr_status_t wh_h_webhook_signature(wh_call_t *c)
{
    const wh_hook_provider_t *provider = wh_hook_provider(c->param[0]);
    const wh_hook_provider_t *any = provider ? provider : wh_hook_provider_at(0);
    int bare = (any->flags & WH_HOOK_NO_BODY) && !ap_request_has_body(c->r);
    apr_status_t rv = wh_mod_req_body(c->r, WH_HOOK_BODY_MAX, !bare, &c->raw, &c->err);

    rv = rv ? rv : find_hook(c);
    if (rv) {
        return rv;
    }
    rv = any->scheme == WH_HOOK_OIDC ? wh_h_actions_verify(c, header(c, any->signature))
                                     : verify(c, any);
    if (rv && c->err.http == 503) {
        return rv;
    }
    if (rv || !c->hook || !provider) {
        return refuse(c);
    }
    c->actor.kind = WH_ACTOR_HOOK;
    c->actor.id = c->param[1];
    return APR_SUCCESS;
}

/* The forge's id of the delivery; one of our own where it may have none. */
static apr_status_t delivery_id(wh_call_t *c, const wh_hook_provider_t *provider,
                                const wh_hook_decoded_t *what, const char **id)
{
    *id = header(c, provider->delivery[0]);
    *id = *id ? *id : header(c, provider->delivery[1]);
    *id = *id ? *id : what->delivery;
    if (!*id && (provider->flags & WH_HOOK_NO_ID)) {
        *id = wh_id_make(c->p, c->now, wh_sys_rand());
    }
    if (!*id || !wh_hook_delivery_ok(*id)) {
        *id = "";
        return wh_err_set(&c->err, 422, "payload_invalid", "The delivery has no usable id.");
    }
    return APR_SUCCESS;
}

/* What the content is good for: 422 when it is signed but says nothing usable. Only what would
 * start something has to have an id. */
static apr_status_t read_delivery(wh_call_t *c, const wh_hook_provider_t *provider,
                                  wh_hook_decoded_t *what, const char **id)
{
    const wh_hook_event_t *first;
    int body = c->raw.len && provider->scheme != WH_HOOK_OIDC;
    apr_status_t rv = body ? wh_mod_req_is_json(c->r, &c->err) : APR_SUCCESS;

    rv = rv ? rv
            : wh_hook_decode(c->p, provider, header(c, provider->event), c->raw.data, c->raw.len,
                             what, &c->err);
    if (rv) {
        return rv;
    }
    rv = delivery_id(c, provider, what, id);
    first = &APR_ARRAY_IDX(what->events, 0, wh_hook_event_t);
    if (rv && (first->kind == WH_HOOK_OTHER || first->kind == WH_HOOK_PING)) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv;
}

/* What a token allows. A stranger's is counted like a wrong signature. */
static apr_status_t allowed(wh_call_t *c, int *own)
{
    wh_err_t limit = WH_ERR_INIT;
    apr_status_t rv = wh_h_actions_allows(c, own);

    if (rv && !*own && wh_mod_rate_failed(c->r, WH_RATE_DELIVERY, c->param[1], &limit)) {
        c->err = limit;
    }
    return rv;
}

/* F15-F18, F213, F253, R22. */
apr_status_t wh_h_webhook_deliver(wh_call_t *c)
{
    const wh_hook_provider_t *provider = wh_hook_provider(c->hook->row.provider);
    wh_hook_decoded_t what = {.event = ""};
    wh_h_delivery_t in = {.delivery_id = "",
                          .same_body_counts = !(provider->flags & WH_HOOK_SAME_BODY)};
    int own = 1; /* of strangers nothing is written down */
    apr_status_t refused = provider->scheme == WH_HOOK_OIDC ? allowed(c, &own) : APR_SUCCESS, rv;
    wh_err_t why = c->err;
    json_t *headers = wh_json_own(c->p, wh_hook_headers_json(c->p, c->r->headers_in));

    if (!own) {
        return refused;
    }
    rv = read_delivery(c, provider, &what, &in.delivery_id);
    if (refused) {
        rv = refused;
        c->err = why;
    }
    in.event = what.event ? what.event : "";
    in.events = what.events;
    in.headers = wh_json_text(c->p, headers, NULL);
    in.body_sha256 = wh_sign_sha256_hex(c->p, c->raw.data, c->raw.len);
    if (rv) {
        return c->err.http == 422 || refused ? wh_h_delivery_reject(c, &in) : rv;
    }
    return wh_h_delivery_take(c, &in);
}
