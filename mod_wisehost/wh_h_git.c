/* The handlers of git's smart protocol: for people, and for the agents that deploy. */
#include "mod_wisehost/wh_mod_push.h"

#include <string.h>

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"

#define FETCH_S 1800

static wh_git_serve_t serve_of(wh_call_t *c, const wh_git_repo_t *repo)
{
    const server_rec *s = c->r->server;

    return (wh_git_serve_t){.repo = repo,
                            .body_max = (apr_off_t)wh_mod_conf_git_max_size(s) << 20,
                            .until = apr_time_now() + apr_time_from_sec(FETCH_S)};
}

/* A repository is made by the first push, not by asking for it. */
static apr_status_t repo_or_empty(wh_call_t *c, wh_git_repo_t *repo)
{
    if (c->app != NULL) {
        *repo = wh_mod_git_repo(c->p, c->r->server, c->app->id);
        if (wh_mod_git_repo_there(repo)) {
            return APR_SUCCESS;
        }
    }
    return wh_mod_git_repo_empty(c->p, c->r->server, repo, &c->err);
}

apr_status_t wh_h_git_refs(wh_call_t *c)
{
    const char *service = apr_table_get(c->query, "service");
    wh_git_repo_t repo;
    wh_git_serve_t what;
    apr_status_t rv = repo_or_empty(c, &repo);

    if (rv) {
        return rv;
    }
    what = serve_of(c, &repo);
    what.path_info = "/info/refs";
    what.query = apr_pstrcat(c->p, "service=", service, NULL);
    what.pushes = strcmp(service, "git-receive-pack") == 0;
    return wh_mod_git_serve(c, &what);
}

apr_status_t wh_h_git_fetch(wh_call_t *c)
{
    wh_git_repo_t repo;
    wh_git_serve_t what;
    apr_status_t rv = repo_or_empty(c, &repo);

    if (rv) {
        return rv;
    }
    what = serve_of(c, &repo);
    what.path_info = "/git-upload-pack";
    return wh_mod_git_serve(c, &what);
}

/* The app of a first push is made when its hook has looked at it; until then its repository is one
 * that nobody knows, and goes when nothing comes of it. */
apr_status_t wh_h_git_push(wh_call_t *c)
{
    const server_rec *s = c->r->server;
    const char *new_id = c->app != NULL ? NULL : wh_id_make(c->p, apr_time_now(), wh_sys_rand());
    const char *branch = c->app != NULL ? c->app->repo_branch : "main";
    wh_git_repo_t repo;
    wh_git_serve_t what;
    apr_status_t rv;

    if (c->app == NULL && new_id == NULL) {
        return wh_err_set(&c->err, 503, "no_random", "This server has no random numbers.");
    }
    repo = wh_mod_git_repo(c->p, s, c->app != NULL ? c->app->id : new_id);
    rv = wh_mod_git_repo_make(c->p, s, &repo, branch, &c->err);
    if (rv) {
        return rv;
    }
    what = serve_of(c, &repo);
    what.until = apr_time_now() + apr_time_from_sec(wh_mod_conf_git_timeout(s));
    what.path_info = "/git-receive-pack";
    what.pushes = 1;
    what.push = wh_mod_push_make(c, &repo, new_id);
    rv = wh_mod_git_serve(c, &what);
    if (new_id != NULL && !what.push->made) {
        wh_mod_git_repo_remove(c->p, s, &repo);
    }
    return rv;
}

/* ---- agents ---------------------------------------------------------------------------------- */

/* The dispatcher let this worker in because the job is its own and under way: it gets the
 * repository of that job's app, to read, and what is lent to that job's deployment. */
static apr_status_t serve_agent(wh_call_t *c, const char *path_info, const char *query)
{
    wh_git_repo_t repo = wh_mod_git_repo(c->p, c->r->server, c->job->app_id);
    wh_git_serve_t what = serve_of(c, &repo);

    if (!wh_mod_git_repo_there(&repo)) {
        return wh_err_set(&c->err, 409, "not_pushed", "Nothing was ever pushed to this app.");
    }
    what.path_info = path_info;
    what.query = query;
    what.any_commit = 1;
    what.alternates = wh_mod_git_repo_lent(c->p, &repo, c->job->deployment_id);
    return wh_mod_git_serve(c, &what);
}

apr_status_t wh_h_agent_refs(wh_call_t *c)
{
    if (strcmp(apr_table_get(c->query, "service"), "git-upload-pack") != 0) {
        return wh_err_set(&c->err, 403, "forbidden", "An agent reads, and nothing else.");
    }
    return serve_agent(c, "/info/refs", "service=git-upload-pack");
}

apr_status_t wh_h_agent_source(wh_call_t *c)
{
    return serve_agent(c, "/git-upload-pack", NULL);
}
