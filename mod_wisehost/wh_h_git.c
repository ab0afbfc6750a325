/* The handlers of git's smart protocol: for people, and for the agents that deploy. */
#include "mod_wisehost/wh_mod_push.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"

#define FETCH_S 1800
#define KEPT_US (60 * APR_USEC_PER_SEC)

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
        return wh_mod_call_no_random(c);
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
    } else if (!rv && what.push->post) {
        wh_mod_git_end_answer(c);
        wh_mod_git_repo_tidy(c->p, s, &repo);
    }
    return rv;
}

/* ---- agents ---------------------------------------------------------------------------------- */

/* The dispatcher let this worker in because the job is its own and under way: it gets the
 * repository of that job's app, to read, and what is lent to that job's deployment. */
static apr_status_t serve_agent(wh_call_t *c, const char *path_info, const char *query,
                                wh_git_kept_t *keep)
{
    wh_git_repo_t repo = wh_mod_git_repo(c->p, c->r->server, c->job->app_id);
    wh_git_serve_t what = serve_of(c, &repo);

    if (!wh_mod_git_repo_there(&repo)) {
        return wh_err_set(&c->err, 409, "not_pushed", "Nothing was ever pushed to this app.");
    }
    what.path_info = path_info;
    what.query = query;
    what.any_commit = 1;
    what.keep = keep;
    what.alternates = wh_mod_git_repo_lent(c->p, &repo, c->job->deployment_id);
    return wh_mod_git_serve(c, &what);
}

/* What git can do, in version 2 of its protocol, names no ref: it is the same for every repository
 * here, and asked before each fetch. So it is asked of git once in a while only, by each child. */
static struct {
    apr_thread_mutex_t *mutex;
    apr_time_t at;
    wh_git_kept_t kept;
} abilities;

void wh_h_git_child_init(apr_pool_t *pchild)
{
    abilities.at = 0;
    if (apr_thread_mutex_create(&abilities.mutex, APR_THREAD_MUTEX_DEFAULT, pchild) !=
        APR_SUCCESS) {
        abilities.mutex = NULL;
    }
}

static int recall(wh_git_kept_t *out)
{
    int known = 0;

    if (abilities.mutex != NULL && apr_thread_mutex_lock(abilities.mutex) == APR_SUCCESS) {
        known = apr_time_now() - abilities.at < KEPT_US;
        if (known) {
            *out = abilities.kept;
        }
        apr_thread_mutex_unlock(abilities.mutex);
    }
    return known;
}

static void remember(const wh_git_kept_t *kept)
{
    if (abilities.mutex != NULL && kept->n > 0 && kept->n <= sizeof(kept->data) &&
        apr_thread_mutex_lock(abilities.mutex) == APR_SUCCESS) {
        abilities.kept = *kept;
        abilities.at = apr_time_now();
        apr_thread_mutex_unlock(abilities.mutex);
    }
}

static apr_status_t agent_abilities(wh_call_t *c)
{
    wh_git_kept_t *kept = apr_pcalloc(c->p, sizeof(*kept));
    apr_status_t rv;

    if (recall(kept)) {
        ap_set_content_type(c->r, "application/x-git-upload-pack-advertisement");
        apr_table_setn(c->r->headers_out, "Cache-Control", "no-store");
        ap_rwrite(kept->data, (int)kept->n, c->r);
        c->rc = OK;
        return APR_SUCCESS;
    }
    kept->n = 0;
    rv = serve_agent(c, "/info/refs", "service=git-upload-pack", kept);
    if (!rv && c->r->status == HTTP_OK) {
        remember(kept);
    }
    return rv;
}

apr_status_t wh_h_agent_refs(wh_call_t *c)
{
    const char *protocol = apr_table_get(c->r->headers_in, "Git-Protocol");

    if (strcmp(apr_table_get(c->query, "service"), "git-upload-pack") != 0) {
        return wh_err_set(&c->err, 403, "forbidden", "An agent reads, and nothing else.");
    }
    if (protocol != NULL && strcmp(protocol, "version=2") == 0) {
        return agent_abilities(c);
    }
    return serve_agent(c, "/info/refs", "service=git-upload-pack", NULL);
}

apr_status_t wh_h_agent_source(wh_call_t *c)
{
    return serve_agent(c, "/git-upload-pack", NULL, NULL);
}
