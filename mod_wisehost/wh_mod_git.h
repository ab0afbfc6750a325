/*
 * wh_mod_git: repositories that people push to, by git's smart protocol over HTTP.
 *
 * /git/{slug}.git/ of an API host is answered by git's own http-backend, which this module starts
 * itself: httpd's authentication comes before it, wh_authz (in the dispatcher of the API) decides
 * who may, and of git's paths only the three of the smart protocol exist. One bare repository an
 * app lies at <state>/git/<app id>.git. No configuration and no hook of a repository counts: what
 * holds is in the environment (GIT_CONFIG_*), and core.hooksPath leads to wh-git-hook.
 *
 * That program speaks with the request that started it over descriptor 3 (wh_mod_push.h), so it has
 * no credential and no rights of its own: the push does what its caller may.
 */
#ifndef WH_MOD_GIT_H
#define WH_MOD_GIT_H

#include "mod_wisehost/wh_mod_api.h"
#include "mod_wisehost/wh_mod_spawn.h"

/* ---- requests: wh_mod_git.c ------------------------------------------------------------------ */

/* True when s has WiseHostGit On and the path is /git or below it. */
int wh_mod_git_path(const server_rec *s, const char *uri);

/* Finds the route of c->r among those of git. 404, 405; 403 for the dumb protocol. */
apr_status_t wh_mod_git_route(wh_call_t *c) WH_MUST_CHECK;

/* Answers err in a form that git shows to people: text, and a challenge for 401. */
int wh_mod_git_problem(request_rec *r, const wh_err_t *err);

/* The address that the repository of an app is pushed to; NULL without WiseHostGit. */
const char *wh_mod_git_url(wh_call_t *c, const char *slug);

/* ---- who calls: wh_mod_git_auth.c ------------------------------------------------------------ */

/* Registers the provider "wisehost" of AuthBasicProvider. */
void wh_mod_git_auth_register(apr_pool_t *p);

/* Who calls, for a route of git: who the provider let in, whom another module let in and
 * WiseHostGitUser knows, or the password of Basic authentication, a token. 401, 403, 429, 503. */
apr_status_t wh_mod_git_auth(wh_call_t *c) WH_MUST_CHECK;

/* ---- the repositories: wh_mod_git_repo.c ----------------------------------------------------- */

typedef struct wh_git_repo_t {
    const char *root; /* <state>/git */
    const char *name; /* "<app id>.git" */
    const char *path; /* both */
} wh_git_repo_t;

wh_git_repo_t wh_mod_git_repo(apr_pool_t *p, const server_rec *s, const char *app_id);
int wh_mod_git_repo_there(const wh_git_repo_t *repo);
/* Makes it, whole or not at all, if it is not there; branch is what a clone gets. Codes:
 * git_failed, storage_error. */
apr_status_t wh_mod_git_repo_make(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo,
                                  const char *branch, wh_err_t *err) WH_MUST_CHECK;
/* The one without anything in it that stands for those which are not made yet. */
apr_status_t wh_mod_git_repo_empty(apr_pool_t *p, const server_rec *s, wh_git_repo_t *repo,
                                   wh_err_t *err) WH_MUST_CHECK;
/* What a clone gets from now on; nothing is done when it is so. Failure is logged: it is a
 * convenience. */
void wh_mod_git_repo_head(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo,
                          const char *branch);
/* Lets git pack what has become much, which it decides itself; it goes on by itself when it does.
 */
void wh_mod_git_repo_tidy(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo);
/* Takes it away with all that is in it; what is not there is gone already. */
void wh_mod_git_repo_remove(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo);

/* The lock that a push holds from its check to its end. 0 = somebody else has it, try again; < 0 =
 * it cannot be had. *fd belongs to the caller. */
int wh_mod_git_repo_lock(const wh_git_repo_t *repo, apr_pool_t *p, int *fd);

/* A strict push is deployed before anything of it is kept: its objects lie apart, in a directory of
 * git's own making ("quarantine"), and the job of this deployment is shown them too. ok: "" or what
 * is wrong with the directory that was named. */
apr_status_t wh_mod_git_repo_lend(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment,
                                  const char *quarantine, wh_err_t *err) WH_MUST_CHECK;
void wh_mod_git_repo_unlend(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment);
/* The directory lent to a deployment, NULL when none is. */
const char *wh_mod_git_repo_lent(apr_pool_t *p, const wh_git_repo_t *repo, const char *deployment);

/* ---- git itself: wh_mod_git_env.c -------------------------------------------------------------
 */

/* The environment of every git that runs on a repository. In p, NULL-terminated; more (may be NULL)
 * is added. */
const char *const *wh_mod_git_env(apr_pool_t *p, const server_rec *s, const wh_git_repo_t *repo,
                                  const char *const *more);
/* Path of one of git's own programs. */
const char *wh_mod_git_program(apr_pool_t *p, const server_rec *s, const char *name);

/* ---- http-backend: wh_mod_git_run.c ---------------------------------------------------------- */

/* A short answer; n is more than there is room for when it was a long one. */
typedef struct wh_git_kept_t {
    apr_size_t n;
    char data[4096];
} wh_git_kept_t;

typedef struct wh_git_serve_t {
    const wh_git_repo_t *repo;
    const char *path_info;  /* "/info/refs" …, behind the repository's name */
    const char *query;      /* "service=…" or NULL */
    const char *alternates; /* more objects, NULL = none */
    int pushes;             /* it may take what is sent */
    int any_commit;         /* any commit may be asked for, not only what a branch names */
    apr_off_t body_max;     /* bytes */
    apr_time_t until;
    struct wh_push_t *push;     /* speaks with the hook; NULL = nobody does */
    struct wh_git_kept_t *keep; /* a copy of the answer, NULL = none */
} wh_git_serve_t;

/* Runs it between the request's body and its answer. Sets c->rc. Errors before an answer began:
 * git_failed, too_large, timeout. */
apr_status_t wh_mod_git_serve(wh_call_t *c, const wh_git_serve_t *what) WH_MUST_CHECK;

/* Sends the answer's end now: what follows is nothing that its reader waits for. */
void wh_mod_git_end_answer(wh_call_t *c);

/* A place among the pushes, clones and uploads of this child: false when there is none. Agents need
 * none. Who got one leaves it. */
int wh_mod_git_enter(const wh_call_t *c);
void wh_mod_git_leave(const wh_call_t *c);

/* Sets the number of those that may run in this child; child_init. */
void wh_mod_git_child_init(server_rec *s);

/* ---- handlers: wh_h_git.c -------------------------------------------------------------------- */

/* Makes this child's memory of what git can do; child_init. */
void wh_h_git_child_init(apr_pool_t *pchild);

apr_status_t wh_h_git_refs(wh_call_t *c);
apr_status_t wh_h_git_fetch(wh_call_t *c);
apr_status_t wh_h_git_push(wh_call_t *c);

#endif
