#include "mod_wisehost/wh_h_actions.h"

#include <strings.h>
#include <apr_strings.h>

#include "libwh/wh_actions.h"
#include "libwh/wh_oidc.h"
#include "mod_wisehost/wh_mod_rate.h"
#include "whdb/wh_db_issuer.h"

#define KEYS_GOOD apr_time_from_sec(86400) /* who cannot be asked for so long is trusted no more   \
                                            */
#define KEYS_FRESH apr_time_from_sec(60)   /* and nobody is asked more often */

static apr_status_t find_issuer(wh_call_t *c, const char *issuer, wh_db_issuer_t *out)
{
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_issuer_get(c->dbc, c->p, issuer, out, &c->err);
    if (wh_mod_call_lost(c, rv)) {
        rv = wh_mod_call_db(c);
        rv = rv ? rv : wh_db_issuer_get(c->dbc, c->p, issuer, out, &c->err);
    }
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        *out = (wh_db_issuer_t){.issuer = issuer, .keys = "", .error = ""};
        rv = APR_SUCCESS;
    }
    return rv;
}

static apr_status_t ask(wh_call_t *c, const wh_db_issuer_t *issuer)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv
            : wh_db_issuer_ask(c->dbc, c->p, issuer->issuer, c->now, c->now - KEYS_FRESH, &c->err);
    if (!rv) {
        rv = wh_dbc_commit(c->dbc, &c->err);
        wh_mod_poke(c->r);
    } else if (rv == APR_NOTFOUND) {
        wh_dbc_rollback(c->dbc);
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv;
}

/* A key that is not there: the issuer may have a new one. Whoever makes keys up gets it asked once
 * a minute and no more, writes nothing in between, is counted like any other forger, and learns
 * neither whether there is such a hook nor what the issuer's server said. */
static apr_status_t ask_again(wh_call_t *c, const wh_db_issuer_t *issuer)
{
    apr_time_t since = c->now - KEYS_FRESH;
    wh_err_t limit = WH_ERR_INIT;
    apr_status_t rv;

    if (issuer->fetched_at > since || (!c->hook && issuer->fetched_at == 0)) {
        return APR_EGENERAL;
    }
    wh_err_clear(&c->err);
    if (wh_mod_rate_failed(c->r, WH_RATE_DELIVERY, c->param[1], &limit)) {
        c->err = limit;
        return APR_EGENERAL;
    }
    rv = c->hook && issuer->asked_at < since ? ask(c, issuer) : APR_SUCCESS;
    if (rv) {
        return rv;
    }
    if (*issuer->error) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, c->r, "WH0250: hook %s: its issuer's keys: %s",
                      c->param[1], issuer->error);
    }
    return wh_err_set(&c->err, 503, "keys_unknown",
                      "The keys of the token's issuer are being fetched; try again.");
}

apr_status_t wh_h_actions_verify(wh_call_t *c, const char *authorization)
{
    const wh_hookrow_t *h = c->hook ? &c->hook->row : NULL;
    const char *token =
        authorization && !strncasecmp(authorization, "Bearer ", 7) ? authorization + 7 : "";
    wh_oidc_want_t want = {.now = c->now};
    wh_actions_rule_t rule;
    wh_db_issuer_t issuer;
    json_t *claims;
    apr_status_t rv;

    wh_actions_rule_load(c->p, h ? h->token_rule : "", &rule);
    want.issuer = h ? rule.issuer : WH_ACTIONS_ISSUER;
    want.audience = h ? rule.audience : "";
    rv = find_issuer(c, want.issuer, &issuer);
    if (rv) {
        return rv;
    }
    want.keys = issuer.fetched_at > c->now - KEYS_GOOD ? issuer.keys : "";
    rv = wh_oidc_verify(c->p, token, &want, &claims, &c->err);
    if (rv) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, c->r, "WH0250: hook %s: %s", c->param[1],
                      c->err.text);
        return wh_err_is(&c->err, "unknown_key") ? ask_again(c, &issuer) : rv;
    }
    c->raw.data = wh_json_text(c->p, claims, &c->raw.len);
    return c->raw.data ? APR_SUCCESS
                       : wh_err_set(&c->err, 503, "no_memory", "This server has no memory.");
}

apr_status_t wh_h_actions_allows(wh_call_t *c, int *own)
{
    wh_actions_rule_t rule;
    json_t *claims;
    apr_status_t rv = wh_json_load_object(c->p, c->raw.data, c->raw.len, NULL, &claims, &c->err);

    *own = 0;
    if (rv) {
        return rv;
    }
    wh_actions_rule_load(c->p, c->hook->row.token_rule, &rule);
    *own = wh_actions_own(&rule, claims);
    if (!*own) {
        return wh_err_set(&c->err, 403, "token_refused",
                          "The token is not of the repository that this hook is for.");
    }
    return wh_actions_allows(c->p, &rule, claims, &c->err);
}
