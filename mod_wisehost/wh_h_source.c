/* What an app's private repository asks for: a deploy key, credentials, known hosts. What is secret
 * of them is sealed before it is stored, and never answered. */
#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_giturl.h"
#include "libwh/wh_imageref.h"
#include "libwh/wh_json.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_sshkey.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_source.h"

#define OVERLAP_DEFAULT 86400
#define USER_DEFAULT "git"

/* ---- what is there -------------------------------------------------------------------------- */

static json_t *key_json(wh_call_t *c, const wh_gitauth_row_t *row)
{
    return json_pack("{s:s, s:s, s:o, s:o}", "public_key", row->shown, "fingerprint",
                     wh_sshkey_fingerprint(c->p, row->shown), "created_at",
                     wh_model_int_time(row->created_at), "valid_until",
                     wh_model_int_time(row->until));
}

static json_t *credentials_json(const wh_gitauth_row_t *row)
{
    return json_pack("{s:s, s:s, s:o}", "host", row->site, "username", row->shown, "created_at",
                     wh_model_int_time(row->created_at));
}

static json_t *document(wh_call_t *c, const apr_array_header_t *rows, const char *hosts)
{
    static const char *const kinds[] = {WH_GITAUTH_DEPLOY_KEY, WH_GITAUTH_FORMER_KEY,
                                        WH_GITAUTH_CREDENTIALS};
    json_t *json = json_pack("{s:o, s:o, s:o}", "repository", wh_model_int_text(c->app->repo_url),
                             "image", wh_model_int_text(c->app->image), "known_hosts",
                             wh_model_int_text(hosts));

    for (size_t i = 0; i < WH_ARRAY_LEN(kinds); i++) {
        json_object_set_new(json, kinds[i], json_null());
    }
    for (int i = 0; i < rows->nelts; i++) {
        const wh_gitauth_row_t *row = &APR_ARRAY_IDX(rows, i, wh_gitauth_row_t);
        int secret = !strcmp(row->kind, WH_GITAUTH_CREDENTIALS);

        json_object_set_new(json, row->kind, secret ? credentials_json(row) : key_json(c, row));
    }
    return json;
}

static apr_status_t reply(wh_call_t *c, int status)
{
    apr_array_header_t *rows = NULL;
    const char *hosts = "";
    apr_status_t rv = wh_db_source_list(c->dbc, c->p, c->app->id, c->now, &rows, &c->err);

    rv = rv ? rv : wh_db_source_hosts(c->dbc, c->p, c->app->id, &hosts, &c->err);
    return rv ? rv : wh_mod_call_reply(c, status, document(c, rows, hosts));
}

apr_status_t wh_h_source_get(wh_call_t *c)
{
    return reply(c, 200);
}

/* Fine when there is none. */
static apr_status_t drop(wh_call_t *c, const char *kind)
{
    apr_status_t rv = wh_db_source_delete(c->dbc, c->p, c->app->id, kind, &c->err);

    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv;
}

static apr_status_t put(wh_call_t *c, wh_gitauth_row_t *row, const char *value)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());
    apr_status_t rv = wh_gitauth_seal(c->p, &ring, wh_sys_rand(), row, value, &c->err);

    return rv ? rv : wh_db_source_put(c->dbc, c->p, row, &c->err);
}

/* ---- the deploy key ------------------------------------------------------------------------- */

typedef struct new_key_t {
    wh_sshkey_t key;
    apr_int64_t overlap;
} new_key_t;

static apr_status_t decode_key(wh_call_t *c, new_key_t *n)
{
    const wh_json_rule_t *text = WH_JSON_RULE(WH_JSON_F_LINES, 0, WH_SSHKEY_MAX);
    wh_json_at_t at = wh_json_root(c->body);
    const char *given = "", *comment = apr_pstrcat(c->p, "wisehost-", c->app->slug, NULL);
    apr_status_t rv = APR_SUCCESS;

    n->overlap = OVERLAP_DEFAULT;
    if (c->body) {
        rv = wh_json_str(&at, "private_key", text, &given, &c->err);
        rv = rv ? rv
                : wh_json_int(&at, "overlap", WH_JSON_OPT(0, 2592000), &n->overlap, &c->err);
    }
    if (rv) {
        return rv;
    }
    return *given ? wh_sshkey_read(c->p, given, comment, &n->key, &c->err)
                  : wh_sshkey_make(c->p, wh_sys_rand(), comment, &n->key, &c->err);
}

/* The key that there was is offered too for a while: so long nobody is shut out who has yet to give
 * the forge the new one. What it is bound to does not change, so it need not be sealed anew. */
static apr_status_t keep_former(wh_call_t *c, const new_key_t *n)
{
    apr_array_header_t *rows = NULL;
    apr_status_t rv = wh_db_source_list(c->dbc, c->p, c->app->id, c->now, &rows, &c->err);

    for (int i = 0; !rv && i < rows->nelts; i++) {
        wh_gitauth_row_t row = APR_ARRAY_IDX(rows, i, wh_gitauth_row_t);

        if (strcmp(row.kind, WH_GITAUTH_DEPLOY_KEY) || !strcmp(row.shown, n->key.public_text)) {
            continue;
        }
        if (!n->overlap) {
            return drop(c, WH_GITAUTH_FORMER_KEY);
        }
        row.kind = WH_GITAUTH_FORMER_KEY;
        row.until = c->now + apr_time_from_sec(n->overlap);
        return wh_db_source_put(c->dbc, c->p, &row, &c->err);
    }
    return rv;
}

apr_status_t wh_h_source_key(wh_call_t *c)
{
    new_key_t n;
    wh_gitauth_row_t row = {.app_id = c->app->id,
                            .kind = WH_GITAUTH_DEPLOY_KEY,
                            .site = "",
                            .created_at = c->now};
    apr_status_t rv;

    if (*c->app->image) {
        return wh_err_set(&c->err, 422, "no_repository",
                          "This app runs an image: there is no repository that a deploy key opens. "
                          "For its registry: wh apps credentials %s",
                          c->app->slug);
    }
    rv = decode_key(c, &n);
    row.shown = n.key.public_text;
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_source_expire(c->dbc, c->p, c->now, &c->err);
    rv = rv ? rv : keep_former(c, &n);
    rv = rv ? rv : put(c, &row, n.key.private_text);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 201);
}

static apr_status_t remove_kinds(wh_call_t *c, const char *kind, const char *other)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : drop(c, kind);
    rv = rv || !other ? rv : drop(c, other);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : wh_mod_call_empty(c, 204);
}

apr_status_t wh_h_source_key_delete(wh_call_t *c)
{
    return remove_kinds(c, WH_GITAUTH_DEPLOY_KEY, WH_GITAUTH_FORMER_KEY);
}

/* ---- credentials ---------------------------------------------------------------------------- */

static apr_status_t site_named(wh_call_t *c, const char *host, const char **site)
{
    const char *url = *host ? apr_pstrcat(c->p, "https://", host, "/x", NULL) : c->app->repo_url;

    if (*host && (strchr(host, '/') || wh_giturl_check(c->p, url, NULL, NULL))) {
        return wh_err_field(&c->err, "/host", "invalid_value", "a host is \"name\" or \"name:port\"");
    }
    if (wh_giturl_kind(url) != WH_GITURL_HTTPS) {
        return wh_err_field(&c->err, "/host", "missing_field",
                            "the app's repository is not one over https: name the host");
    }
    *site = wh_giturl_site(c->p, url);
    return APR_SUCCESS;
}

/* Of a host that is named, or of the app's own repository, or of its image's registry. */
static apr_status_t site_of(wh_call_t *c, const char *host, const char **site)
{
    wh_imageref_t ref;

    if (!*host && *c->app->image) {
        apr_status_t rv = wh_imageref_parse(c->p, c->app->image, &ref, &c->err);

        *site = rv ? "" : wh_giturl_site(c->p, wh_imageref_url(c->p, &ref));
        return rv;
    }
    return site_named(c, host, site);
}

apr_status_t wh_h_source_credentials(wh_call_t *c)
{
    wh_json_at_t at = wh_json_root(c->body);
    const char *host = "", *user = USER_DEFAULT, *token = NULL;
    wh_gitauth_row_t row = {.app_id = c->app->id,
                            .kind = WH_GITAUTH_CREDENTIALS,
                            .created_at = c->now};
    apr_status_t rv =
        wh_json_str(&at, "token", WH_JSON_REQ(1, WH_GITAUTH_TOKEN_MAX), &token, &c->err);

    rv = rv ? rv
            : wh_json_str(&at, "username", WH_JSON_OPT(1, WH_GITAUTH_USER_MAX), &user, &c->err);
    rv = rv ? rv : wh_json_str(&at, "host", WH_JSON_OPT(0, 300), &host, &c->err);
    rv = rv ? rv : site_of(c, host, &row.site);
    row.shown = user;
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : put(c, &row, token);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 200);
}

apr_status_t wh_h_source_credentials_delete(wh_call_t *c)
{
    return remove_kinds(c, WH_GITAUTH_CREDENTIALS, NULL);
}

/* ---- known hosts ---------------------------------------------------------------------------- */

apr_status_t wh_h_source_hosts(wh_call_t *c)
{
    wh_json_at_t at = wh_json_root(c->body);
    const char *text = "", *clean = "";
    apr_status_t rv = wh_json_str(
        &at, "known_hosts",
        WH_JSON_RULE(WH_JSON_F_REQUIRED | WH_JSON_F_LINES, 0, WH_SSHKEY_MAX), &text, &c->err);

    rv = rv ? rv : wh_sshkey_hosts(c->p, text, &clean, &c->err);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv
            : wh_db_source_hosts_put(c->dbc, c->p, c->app->id, clean, c->now, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    return rv ? rv : reply(c, 200);
}
