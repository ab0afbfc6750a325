#include "mod_wisehost/wh_mod_api.h"
#include "mod_wisehost/wh_mod_git.h"

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_host.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_trigger.h"
#include "whdb/wh_db_worker.h"

/* ---- documents ------------------------------------------------------------------------------ */

/* What a list looks up once: the worker, which mostly is the same one, and the app's names. */
typedef struct seen_t {
    apr_int64_t worker;
    const char *name;
    int removed;
    apr_array_header_t *names;
} seen_t;

static apr_status_t look_up(wh_call_t *c, apr_int64_t worker, seen_t *seen)
{
    wh_worker_t *w;
    apr_status_t rv = seen->names
                          ? APR_SUCCESS
                          : wh_db_name_list_by_app(c->dbc, c->p, c->app->id, &seen->names, &c->err);

    if (rv || worker == seen->worker) {
        return rv;
    }
    rv = wh_db_worker_get(c->dbc, c->p, worker, &w, &c->err);
    if (rv && rv != APR_NOTFOUND) {
        return rv;
    }
    seen->worker = worker;
    seen->name = rv ? "" : w->name;
    seen->removed = rv || w->admin_state == WH_WORKER_REMOVED;
    return APR_SUCCESS;
}

/* Files are in the release; an image lies on the worker that built it, or in its registry. */
static int retained(const wh_call_t *c, const wh_deployment_t *d, const seen_t *seen)
{
    int image = c->app->kind == WH_KIND_CONTAINER &&
                ((d->worker_id && !seen->removed) || *d->image_digest);

    return d->conclusion == WH_CONCLUSION_SUCCEEDED && (*d->release_id || image);
}

const char *wh_h_deployment_url(wh_call_t *c, const char *slug, const char *environment,
                                const char *ref)
{
    return wh_branch_is_preview(environment) ? wh_h_app_branch_url(c, slug, ref)
                                             : wh_h_app_url(c, slug, environment);
}

static apr_status_t document(wh_call_t *c, const wh_deployment_t *d, int with_urls, seen_t *seen,
                             json_t **out)
{
    apr_array_header_t *urls = NULL;
    wh_model_deployment_view_t view = {
        .app_slug = c->app->slug,
        .url = wh_h_deployment_url(c, c->app->slug, d->environment, d->commit_ref)};
    apr_status_t rv = look_up(c, d->worker_id, seen);

    if (!rv && with_urls) {
        rv = wh_h_app_urls(c, c->app, d->id, &urls);
    }
    if (rv) {
        return rv;
    }
    view.worker = seen->name;
    view.urls = urls;
    view.serving = wh_model_serving(seen->names, d->id);
    view.environments = wh_model_shown_in(c->p, seen->names, d->id);
    view.retained = retained(c, d, seen);
    *out = wh_model_deployment_json(c->p, d, &view);
    return APR_SUCCESS;
}

apr_status_t wh_h_deployment_reply(wh_call_t *c, int status, const char *id)
{
    seen_t none = {.name = ""};
    wh_deployment_t *d;
    json_t *body;
    apr_status_t rv = wh_db_deployment_get(c->dbc, c->p, id, &d, &c->err);

    rv = rv ? rv : document(c, d, 1, &none, &body);
    if (rv) {
        return rv;
    }
    if (status == 202) {
        wh_mod_req_location(c->r, "/v1/deployments/%s", id);
    }
    return wh_mod_call_reply(c, status, body);
}

/* ---- making one ----------------------------------------------------------------------------- */

/* Of what its names will be made. */
static const char *site(wh_call_t *c)
{
    const server_rec *s = c->r->server;
    const char *base = wh_mod_conf_base_domain(s);

    return base ? wh_host_site(c->p, wh_mod_conf_app_scheme(s), base, wh_mod_conf_url_port(s)) : "";
}

apr_status_t wh_h_deployment_insert(wh_call_t *c, const char *app_id, const wh_h_deploy_t *what,
                                    const char **id)
{
    const wh_rand_t *rnd = wh_sys_rand();
    wh_db_trigger_t new = {.id = wh_id_make(c->p, c->now, rnd),
                           .job_id = wh_id_make(c->p, c->now, rnd),
                           .app_id = app_id,
                           .environment = what->environment,
                           .trigger = what->trigger,
                           .sha = what->sha,
                           .ref = what->ref,
                           .message = what->message,
                           .author = what->author,
                           .at = what->at,
                           .untrusted = what->untrusted,
                           .repo_url = what->repo_url,
                           .place = what->place,
                           .site = site(c),
                           .now = c->now};

    *id = new.id;
    return wh_db_trigger(c->dbc, c->p, &new, &c->err);
}

/* Is there what is to be deployed? Known at once of an image and of what is pushed here. */
static apr_status_t source_check(wh_call_t *c, const wh_deploy_request_t *asked)
{
    wh_git_repo_t repo;

    if (asked->uploaded) {
        return APR_SUCCESS;
    }
    if (*c->app->image) {
        return *asked->ref || *asked->commit
                   ? wh_err_set(&c->err, 422, "no_repository",
                                "This app runs an image, which has no branches and no commits.")
                   : APR_SUCCESS;
    }
    if (wh_giturl_kind(c->app->repo_url) != WH_GITURL_HUB || !wh_mod_conf_git(c->r->server)) {
        return APR_SUCCESS;
    }
    repo = wh_mod_git_repo(c->p, c->r->server, c->app->id);
    return wh_mod_git_repo_there(&repo)
               ? APR_SUCCESS
               : wh_err_set(&c->err, 409, "not_pushed",
                            "Nothing was pushed or uploaded to this app yet: git push %s, or "
                            "wh deploy --upload.",
                            wh_mod_git_url(c, c->app->slug));
}

/* F214: from the request to a record and a job that waits. */
apr_status_t wh_h_deployment_create(wh_call_t *c)
{
    wh_deploy_request_t asked;
    wh_h_deploy_t what = {.trigger = WH_TRIGGER_API, .message = "", .author = ""};
    const char *id;
    apr_status_t rv = wh_model_deploy_request_decode(c->p, c->body, &asked, &c->err);

    if (rv) {
        return rv;
    }
    what.environment = asked.environment;
    what.sha = asked.commit;
    what.ref = asked.ref;
    what.place = asked.placed ? &asked : NULL;
    what.repo_url = asked.uploaded ? WH_GITURL_PUSHED : NULL;
    rv = source_check(c, &asked);
    rv = rv ? rv : wh_mod_call_begin(c);
    if (!rv && *asked.ref && !asked.environment_named) {
        rv = wh_h_environment_of(c, c->app, asked.ref, &what.environment);
        what.environment = what.environment ? what.environment : asked.environment;
    }
    rv = rv ? rv : wh_h_deployment_insert(c, c->app->id, &what, &id);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return wh_h_deployment_reply(c, 202, id);
}

/* ---- list, get, cancel ---------------------------------------------------------------------- */

/* The cursor is the number of the last deployment shown. */
apr_status_t wh_h_deployment_list(wh_call_t *c)
{
    seen_t last = {.name = ""};
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_mod_call_cursor_number);

    rv = rv ? rv
            : wh_db_deployment_list_by_app(c->dbc, c->p, c->app->id, apr_atoi64(page.after),
                                           page.limit + 1, &rows, &c->err);
    for (int i = 0; !rv && i < rows->nelts; i++) {
        const wh_deployment_t *d = APR_ARRAY_IDX(rows, i, wh_deployment_t *);
        json_t *body = NULL;

        if (!wh_mod_call_page_row(&page, apr_psprintf(c->p, "%" APR_INT64_T_FMT, d->number), 1)) {
            continue;
        }
        rv = document(c, d, 0, &last, &body);
        if (!rv) {
            json_array_append_new(page.items, body);
        }
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

apr_status_t wh_h_deployment_get(wh_call_t *c)
{
    return wh_h_deployment_reply(c, 200, c->deployment->id);
}

/* Only the wish is written; the scheduler and the agent carry it out (states.md, 6). */
apr_status_t wh_h_deployment_cancel(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_job_cancel_request(c->dbc, c->p, c->deployment->id, c->now, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return wh_h_deployment_reply(c, 202, c->deployment->id);
}

/* Of somebody else's code: it is built as it stands, without secrets. */
apr_status_t wh_h_deployment_approve(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv
            : wh_db_deployment_approve(c->dbc, c->p, c->deployment->id, c->now, &c->err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 409, "no_approval_needed",
                          "This deployment does not wait for an approval.");
    }
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return wh_h_deployment_reply(c, 202, c->deployment->id);
}
