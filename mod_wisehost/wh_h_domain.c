#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_domain.h"
#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_domain.h"

#define AGAIN_US apr_time_from_sec(5) /* two looks that were asked for are so far apart */

/* The name that the domain's own record should lead to: the app's in that environment. */
static const char *target_of(wh_call_t *c, const wh_domain_t *d)
{
    const char *base = wh_mod_conf_base_domain(c->r->server);
    const char *slug = c->app->slug;

    if (!base) {
        return NULL;
    }
    return apr_pstrcat(c->p,
                       strcmp(d->environment, "production")
                           ? wh_host_label_env(c->p, slug, d->environment)
                           : wh_host_label_app(c->p, slug),
                       ".", base, NULL);
}

static apr_status_t reply(wh_call_t *c, int status, const wh_domain_t *d)
{
    return wh_mod_call_reply(c, status, wh_domain_json(c->p, d, c->app->slug, target_of(c, d)));
}

/* By id or host, among those of the app. */
static apr_status_t find(wh_call_t *c, wh_domain_t **out)
{
    apr_array_header_t *list;
    apr_status_t rv = wh_db_domain_list(c->dbc, c->p, c->app->id, &list, &c->err);

    for (int i = 0; !rv && i < list->nelts; i++) {
        wh_domain_t *d = APR_ARRAY_IDX(list, i, wh_domain_t *);

        if (!strcmp(d->id, c->param[1]) || !strcmp(d->host, c->param[1])) {
            *out = d;
            return APR_SUCCESS;
        }
    }
    return rv ? rv : wh_err_set(&c->err, 404, "not_found", "There is no such domain.");
}

/* One page: there are at most WH_DOMAINS_MAX of an app. */
apr_status_t wh_h_domain_list(wh_call_t *c)
{
    apr_array_header_t *list;
    json_t *items;
    apr_status_t rv = wh_db_domain_list(c->dbc, c->p, c->app->id, &list, &c->err);

    if (rv) {
        return rv;
    }
    items = json_array();
    for (int i = 0; i < list->nelts; i++) {
        const wh_domain_t *d = APR_ARRAY_IDX(list, i, wh_domain_t *);

        json_array_append_new(items, wh_domain_json(c->p, d, c->app->slug, target_of(c, d)));
    }
    return wh_mod_call_reply(c, 200, wh_mod_call_list(items, NULL));
}

apr_status_t wh_h_domain_get(wh_call_t *c)
{
    wh_domain_t *d;
    apr_status_t rv = find(c, &d);

    return rv ? rv : reply(c, 200, d);
}

/* ---- asking for one ------------------------------------------------------------------------- */

static apr_status_t fill(wh_call_t *c, wh_domain_t *d)
{
    apr_status_t rv = wh_domain_decode(c->p, c->body, wh_mod_conf_base_domain(c->r->server), 0, d,
                                       &c->err);

    if (rv) {
        return rv;
    }
    if (wh_mod_host_is_api(d->host)) {
        return wh_err_field(&c->err, "/host", "domain_reserved",
                            "this name is the server's own, the API answers there");
    }
    d->id = wh_id_make(c->p, c->now, wh_sys_rand());
    d->app_id = c->app->id;
    d->status = WH_DOMAIN_STATUS_PENDING;
    d->challenge = wh_keys_domain_proof(c->p, wh_mod_keys(), d->host, c->app->id);
    d->reason = "";
    d->next_at = d->asked_at = d->created_at = d->updated_at = c->now;
    return d->id ? APR_SUCCESS : wh_mod_call_no_random(c);
}

static apr_status_t room(wh_call_t *c)
{
    apr_array_header_t *list;
    apr_status_t rv = wh_db_domain_list(c->dbc, c->p, c->app->id, &list, &c->err);

    return !rv && list->nelts >= WH_DOMAINS_MAX
               ? wh_err_set(&c->err, 409, "too_many", "An app has at most %d domains.",
                            WH_DOMAINS_MAX)
               : rv;
}

apr_status_t wh_h_domain_create(wh_call_t *c)
{
    wh_domain_t d = {.id = ""};
    apr_status_t rv = fill(c, &d);

    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : room(c);
    rv = rv ? rv : wh_db_domain_insert(c->dbc, c->p, &d, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    wh_mod_req_location(c->r, "/v1/apps/%s/domains/%s", c->app->slug, d.id);
    return reply(c, 201, &d);
}

/* ---- changing one --------------------------------------------------------------------------- */

/* What an owner did shows at once where the domain is live. */
static apr_status_t show(wh_call_t *c, apr_status_t rv)
{
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 404, "not_found", "There is no such domain.");
    }
    return rv ? rv : wh_db_app_republish(c->dbc, c->p, c->app->id, &c->err);
}

apr_status_t wh_h_domain_patch(wh_call_t *c)
{
    wh_domain_t *d;
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : find(c, &d);
    rv = rv ? rv : wh_domain_decode(c->p, c->body, NULL, 1, d, &c->err);
    if (rv) {
        return rv;
    }
    d->updated_at = c->now;
    rv = show(c, wh_db_domain_change(c->dbc, c->p, d, c->now, &c->err));
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return reply(c, 200, d);
}

/* A look goes to other people's machines: not more often than every few seconds. */
apr_status_t wh_h_domain_verify(wh_call_t *c)
{
    wh_domain_t *d;
    apr_time_t at;
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : find(c, &d);
    if (rv) {
        return rv;
    }
    at = d->checked_at + AGAIN_US > c->now ? d->checked_at + AGAIN_US : c->now;
    rv = wh_db_domain_ask(c->dbc, c->p, d->id, at, &c->err);
    rv = rv ? rv : wh_db_domain_get(c->dbc, c->p, d->id, &d, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    wh_mod_req_location(c->r, "/v1/apps/%s/domains/%s", c->app->slug, d->id);
    return reply(c, 202, d);
}

apr_status_t wh_h_domain_delete(wh_call_t *c)
{
    wh_domain_t *d;
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : find(c, &d);
    if (rv) {
        return rv;
    }
    rv = show(c, wh_db_domain_remove(c->dbc, c->p, d->id, c->now, &c->err));
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return wh_mod_call_empty(c, 204);
}

/* ---- in other documents --------------------------------------------------------------------- */

apr_status_t wh_h_domain_urls(wh_call_t *c, const wh_app_t *app, const char *environment,
                              apr_array_header_t **urls)
{
    const server_rec *s = c->r->server;
    apr_array_header_t *list, *all;
    apr_status_t rv = wh_db_domain_list(c->dbc, c->p, app->id, &list, &c->err);

    if (rv) {
        return rv;
    }
    all = apr_array_make(c->p, list->nelts + (*urls)->nelts + 1, sizeof(const char *));
    for (int i = 0; i < list->nelts; i++) {
        const wh_domain_t *d = APR_ARRAY_IDX(list, i, wh_domain_t *);

        if (d->status == WH_DOMAIN_STATUS_ACTIVE && !*d->redirect_to &&
            (!environment || !strcmp(d->environment, environment))) {
            APR_ARRAY_PUSH(all, const char *) = wh_host_url_of(
                c->p, wh_mod_conf_app_scheme(s), d->host, wh_mod_conf_url_port(s));
        }
    }
    apr_array_cat(all, *urls);
    *urls = all;
    return APR_SUCCESS;
}
