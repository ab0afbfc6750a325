#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"
#include "libwh/wh_time.h"
#include "mod_wisehost/wh_mod_rate.h"
#include "whdb/wh_db_token.h"

#define TOKEN_BYTES 32

/* The one-time token is used up in the transaction that stores the new one: both or none. */
static apr_status_t exchange(wh_call_t *c, const char *onetime, const wh_token_t *token)
{
    const char *hash = wh_sign_sha256_hex(c->p, onetime, strlen(onetime));
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_token_onetime_redeem(c->dbc, c->p, hash, "admin", c->now, NULL, &c->err);
    rv = rv ? rv : wh_db_token_insert(c->dbc, c->p, token, &c->err);
    return rv ? rv : wh_dbc_commit(c->dbc, &c->err);
}

static apr_status_t refused(wh_call_t *c)
{
    apr_status_t rv = wh_mod_rate_failed(c->r, WH_RATE_LOGIN, "", &c->err);

    return rv ? rv
              : wh_err_set(&c->err, 401, "invalid_credentials",
                           "The one-time token is unknown, used or expired. On the server: "
                           "wh-scheduler --admin-token");
}

apr_status_t wh_h_login(wh_call_t *c)
{
    const char *onetime, *name, *secret;
    wh_token_t token = {.scopes = "admin", .apps = "*", .created_at = c->now};
    apr_status_t rv = wh_model_login_decode(c->p, c->body, &onetime, &name, &c->err);

    rv = rv ? rv : wh_mod_rate_room(c->r, WH_RATE_LOGIN, "", &c->err);
    if (rv) {
        return rv;
    }
    token.name = name;
    token.id = wh_id_make(c->p, c->now, wh_sys_rand());
    secret = wh_rand_hex(c->p, wh_sys_rand(), TOKEN_BYTES);
    if (!token.id || !secret) {
        return wh_mod_call_no_random(c);
    }
    secret = apr_pstrcat(c->p, "wh_", secret, NULL);
    token.hash = wh_sign_sha256_hex(c->p, secret, strlen(secret));
    rv = exchange(c, onetime, &token);
    if (rv) {
        return rv == APR_NOTFOUND ? refused(c) : rv;
    }
    return wh_mod_call_reply(c, 201,
                             json_pack("{s:s, s:s, s:s, s:[s], s:s}", "token", secret, "id",
                                       token.id, "name", name, "scopes", "admin", "created_at",
                                       wh_time_rfc3339(c->p, c->now)));
}
