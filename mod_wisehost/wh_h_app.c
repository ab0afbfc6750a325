#include "mod_wisehost/wh_mod_git.h"

#include <apr_strings.h>

#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_app.h"
#include "whdb/wh_db_sync.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_worker.h"

/* ---- URLs ----------------------------------------------------------------------------------- */

static const char *url_of(wh_call_t *c, const char *label)
{
    const server_rec *s = c->r->server;
    const char *base = wh_mod_conf_base_domain(s);

    return base ? wh_host_url(c->p, wh_mod_conf_app_scheme(s), label, base, wh_mod_conf_url_port(s))
                : NULL;
}

const char *wh_h_app_url(wh_call_t *c, const char *slug, const char *environment)
{
    return url_of(c, strcmp(environment, "production") ? wh_host_label_env(c->p, slug, environment)
                                                       : wh_host_label_app(c->p, slug));
}

const char *wh_h_app_branch_url(wh_call_t *c, const char *slug, const char *branch)
{
    return url_of(c, wh_host_label_branch(c->p, slug, branch));
}

apr_status_t wh_h_app_urls(wh_call_t *c, const wh_app_t *app, const char *deployment_id,
                           apr_array_header_t **urls)
{
    apr_array_header_t *names;
    apr_status_t rv;

    *urls = apr_array_make(c->p, 4, sizeof(const char *));
    if (!wh_mod_conf_base_domain(c->r->server)) {
        return APR_SUCCESS;
    }
    rv = wh_db_name_list_by_app(c->dbc, c->p, app->id, &names, &c->err);
    for (int i = 0; !rv && i < names->nelts; i++) {
        const wh_name_t *name = APR_ARRAY_IDX(names, i, wh_name_t *);
        int wanted = deployment_id ? !strcmp(name->deployment_id, deployment_id)
                                   : name->kind != WH_NAME_DEPLOYMENT;

        if (wanted) {
            APR_ARRAY_PUSH(*urls, const char *) = url_of(c, name->label);
        }
    }
    return rv;
}

/* push_url: where git pushes to, null unless this server takes pushes. */
static json_t *document(wh_call_t *c, const wh_app_t *app, const apr_array_header_t *urls)
{
    const char *push_url = wh_mod_git_url(c, app->slug);
    json_t *doc = wh_model_app_json(c->p, app, urls);

    json_object_set_new(doc, "push_url", push_url ? json_string(push_url) : json_null());
    return doc;
}

/* An app that was never deployed has no names yet: then the one it will have. */
static apr_status_t reply_app(wh_call_t *c, int status, const wh_app_t *app)
{
    apr_array_header_t *urls;
    apr_status_t rv = wh_h_app_urls(c, app, NULL, &urls);

    if (rv) {
        return rv;
    }
    if (!urls->nelts && wh_mod_conf_base_domain(c->r->server)) {
        APR_ARRAY_PUSH(urls, const char *) = wh_h_app_url(c, app->slug, "production");
    }
    rv = wh_h_domain_urls(c, app, NULL, &urls);
    if (rv) {
        return rv;
    }
    wh_mod_req_etag(c->r, app->version);
    return wh_mod_call_reply(c, status, document(c, app, urls));
}

/* ---- list ----------------------------------------------------------------------------------- */

static json_t *list_entry(wh_call_t *c, const wh_app_t *app)
{
    apr_array_header_t *urls = apr_array_make(c->p, 1, sizeof(const char *));
    const char *url = wh_h_app_url(c, app->slug, "production");

    if (url) {
        APR_ARRAY_PUSH(urls, const char *) = url;
    }
    return document(c, app, urls);
}

static int slug_ok(const char *cursor)
{
    return wh_host_slug_check(cursor, NULL) == 0;
}

/* Reads on until the page is full: what the caller may not see is left out, not counted. */
apr_status_t wh_h_app_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, slug_ok);

    rv = rv ? rv : wh_mod_call_db(c);
    while (!rv && page.more) {
        rv = wh_db_app_list(c->dbc, c->p, page.after, page.limit + 1, &rows, &c->err);
        for (int i = 0; !rv && i < rows->nelts; i++) {
            const wh_app_t *app = APR_ARRAY_IDX(rows, i, wh_app_t *);

            if (wh_mod_call_page_row(&page, app->slug, wh_authz_sees_app(&c->actor, app->id))) {
                json_array_append_new(page.items, list_entry(c, app));
            }
        }
        wh_mod_call_page_read(&page, rv ? 0 : rows->nelts);
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

/* The worker that a placement names has to be there; one that is as it was is not judged again. */
static apr_status_t placement_ok(wh_call_t *c, const wh_app_t *app)
{
    wh_worker_t *w;
    apr_status_t rv;

    if (!*app->place_worker || (c->app && !strcmp(c->app->place_worker, app->place_worker))) {
        return APR_SUCCESS;
    }
    rv = wh_db_worker_find(c->dbc, c->p, app->place_worker, &w, &c->err);
    return rv == APR_NOTFOUND ? wh_mod_call_no_worker(c, "/placement/worker", app->place_worker)
                              : rv;
}

/* ---- create, get, change, delete ------------------------------------------------------------ */

apr_status_t wh_h_app_insert(wh_call_t *c, wh_app_t *app)
{
    apr_status_t rv;

    app->version = 1;
    app->created_at = app->updated_at = c->now;
    app->deleted_at = 0;
    if (!app->id) {
        return wh_mod_call_no_random(c);
    }
    rv = wh_db_app_insert(c->dbc, c->p, app, &c->err);
    c->made_app = app->id;
    return rv && wh_err_is(&c->err, "conflict")
               ? wh_err_set(&c->err, 409, "conflict", "There is an app with this slug already.")
               : rv;
}

apr_status_t wh_h_app_create(wh_call_t *c)
{
    wh_model_app_opt_t opt = {.patch = 0,
                              .local_repo_root = wh_mod_conf_local_repo_root(c->r->server)};
    wh_app_t app;
    apr_status_t rv = wh_model_app_decode(c->p, c->body, &opt, &app, &c->err);

    if (rv) {
        return rv;
    }
    app.id = wh_id_make(c->p, c->now, wh_sys_rand());
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : placement_ok(c, &app);
    rv = rv ? rv : wh_h_app_insert(c, &app);
    c->made = app.slug;
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_req_location(c->r, "/v1/apps/%s", app.slug);
    return reply_app(c, 201, &app);
}

apr_status_t wh_h_app_get(wh_call_t *c)
{
    return reply_app(c, 200, c->app);
}

/* A version that moved between reading and writing is the same to the client as one that moved
 * before. */
static apr_status_t moved(wh_call_t *c, apr_status_t rv)
{
    return rv == APR_NOTFOUND ? wh_err_set(&c->err, 412, "precondition_failed",
                                           "It has changed since you read it.")
                              : rv;
}

/* What the route table says of its names comes from here too. */
static int served_otherwise(const wh_app_t *a, const wh_app_t *b)
{
    const wh_serve_t *s = &a->serve, *t = &b->serve;

    return s->sticky != t->sticky || s->maintenance != t->maintenance ||
           s->timeout_s != t->timeout_s || s->hold_s != t->hold_s ||
           s->previous_s != t->previous_s;
}

/* What is looked up, or how often: the next look need not wait. */
static int followed_otherwise(const wh_app_t *a, const wh_app_t *b)
{
    return a->sync_kind != b->sync_kind || a->sync_every_s != b->sync_every_s ||
           strcmp(a->repo_url, b->repo_url) || strcmp(a->repo_branch, b->repo_branch);
}

static apr_status_t after_patch(wh_call_t *c, const wh_app_t *app)
{
    apr_status_t rv = APR_SUCCESS;

    if (served_otherwise(app, c->app)) {
        rv = wh_db_app_republish(c->dbc, c->p, app->id, &c->err);
    }
    if (!rv && followed_otherwise(app, c->app)) {
        rv = wh_db_sync_again(c->dbc, c->p, app->id, &c->err);
    }
    return rv;
}

apr_status_t wh_h_app_patch(wh_call_t *c)
{
    wh_model_app_opt_t opt = {.patch = 1,
                              .local_repo_root = wh_mod_conf_local_repo_root(c->r->server)};
    wh_app_t app = *c->app;
    apr_status_t rv = wh_mod_req_if_match(c->r, app.version, &c->err);

    rv = rv ? rv : wh_model_app_decode(c->p, c->body, &opt, &app, &c->err);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : placement_ok(c, &app);
    rv = rv ? rv : moved(c, wh_db_app_update(c->dbc, c->p, &app, c->now, &c->err));
    rv = rv ? rv : after_patch(c, &app);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    if (app.desired != c->app->desired || served_otherwise(&app, c->app) ||
        followed_otherwise(&app, c->app)) {
        wh_mod_poke(c->r);
    }
    return reply_app(c, 200, &app);
}

apr_status_t wh_h_app_delete(wh_call_t *c)
{
    wh_git_repo_t repo;
    apr_status_t rv = wh_mod_req_if_match(c->r, c->app->version, &c->err);

    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv
            : moved(c, wh_db_app_mark_deleted(c->dbc, c->p, c->app->id, c->app->version, c->now,
                                              &c->err));
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    repo = wh_mod_git_repo(c->p, c->r->server, c->app->id);
    wh_mod_git_repo_remove(c->p, c->r->server, &repo);
    return wh_mod_call_empty(c, 204);
}
