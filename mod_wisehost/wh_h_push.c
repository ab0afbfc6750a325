/* What a push writes: its app, its deployments; and what it tells of them. */
#include "mod_wisehost/wh_mod_push.h"

#include <string.h>

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_json.h"
#include "libwh/wh_text.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_job.h"
#include "whdb/wh_db_name.h"

#define LINES_A_LOOK 200
#define DB_PATIENCE_US (60 * APR_USEC_PER_SEC)

/* A push waits long and often: the connection goes back after each thing. */
static void let_db_go(wh_call_t *c)
{
    wh_mod_db_release(c->r);
    c->dbc = NULL;
}

static apr_status_t end(wh_call_t *c, apr_status_t rv)
{
    if (rv && c->dbc) {
        wh_dbc_rollback(c->dbc);
    }
    let_db_go(c);
    return rv;
}

/* ---- the app --------------------------------------------------------------------------------- */

apr_status_t wh_h_push_app(wh_push_t *push, const char *branch, int dockerfile)
{
    wh_call_t *c = push->c;
    const char *kind = *push->opts.kind ? push->opts.kind
                       : dockerfile     ? wh_model_kind_text(WH_KIND_CONTAINER)
                                        : wh_model_kind_text(WH_KIND_STATIC);
    wh_model_app_opt_t opt = {.patch = 0};
    json_t *body = wh_json_own(push->p, json_pack("{s:s, s:s, s:{s:s, s:s}}", "slug", c->param[0],
                                                  "kind", kind, "repository", "url",
                                                  WH_GITURL_PUSHED, "branch", branch));
    wh_app_t *app = apr_pcalloc(push->p, sizeof(*app));
    apr_status_t rv = wh_model_app_decode(push->p, body, &opt, app, &c->err);

    if (rv) {
        return rv;
    }
    app->id = push->new_id;
    c->now = apr_time_now();
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : wh_h_app_insert(c, app);
    rv = end(c, rv ? rv : wh_dbc_commit(c->dbc, &c->err));
    if (rv) {
        return wh_err_is(&c->err, "conflict")
                   ? wh_err_set(&c->err, 409, "conflict",
                                "Somebody else made %s in this very moment: push again.", app->slug)
                   : rv;
    }
    c->app = app;
    push->made = 1;
    wh_mod_push_say(push, "%s is a new app: %s, deployed from %s", app->slug, kind, branch);
    return APR_SUCCESS;
}

/* ---- where to -------------------------------------------------------------------------------- */

static apr_status_t plan_one(wh_push_t *push, wh_push_ref_t *ref)
{
    wh_call_t *c = push->c;

    if (push->opts.no_deploy) {
        ref->why_not = "as no-deploy asks";
    } else if (wh_commit_skips(ref->commit.message)) {
        ref->why_not = "its message asks for no deployment";
    } else if (*push->opts.environment) {
        ref->environment = push->opts.environment;
    } else if (push->opts.preview) {
        ref->environment = wh_branch_preview(push->p, ref->branch);
    } else {
        apr_status_t rv = wh_h_environment_of(c, c->app, ref->branch, &ref->environment);

        ref->why_not = "no environment takes this branch, and the app has no previews";
        return rv;
    }
    return APR_SUCCESS;
}

apr_status_t wh_h_push_plan(wh_push_t *push)
{
    wh_call_t *c = push->c;
    apr_status_t rv = APR_SUCCESS;

    if (push->opts.preview && c->app->preview_max == 0) {
        return wh_err_set(&c->err, 422, "no_previews",
                          "This app has no previews: set previews.max of it to more than 0.");
    }
    rv = wh_mod_call_db(c);
    for (int i = 0; !rv && i < push->refs->nelts; i++) {
        wh_push_ref_t *ref = &APR_ARRAY_IDX(push->refs, i, wh_push_ref_t);

        rv = ref->gone ? APR_SUCCESS : plan_one(push, ref);
        if (!rv && ref->environment) {
            ref->environment = apr_pstrdup(push->p, ref->environment);
        }
    }
    let_db_go(c);
    return rv;
}

/* ---- deployments ----------------------------------------------------------------------------- */

/* A strict one's objects are lent before anybody can look for them. */
static apr_status_t insert(wh_push_t *push, wh_push_ref_t *ref)
{
    wh_h_deploy_t what = {.environment = ref->environment,
                          .trigger = WH_TRIGGER_GIT,
                          .sha = ref->new,
                          .ref = ref->branch,
                          .message = ref->commit.message,
                          .author = ref->commit.author,
                          .at = ref->commit.at,
                          .repo_url = WH_GITURL_PUSHED};
    apr_status_t rv = wh_h_deployment_insert(push->c, push->c->app->id, &what, &ref->deployment);

    if (!rv && !push->post) {
        rv = wh_mod_git_repo_lend(push->p, &push->repo, ref->deployment,
                                  push->quarantine ? push->quarantine : "", &push->c->err);
    }
    return rv;
}

/* R22: what only this branch showed goes now, not in a week. */
static apr_status_t write_one(wh_push_t *push, wh_push_ref_t *ref)
{
    wh_call_t *c = push->c;

    if (push->post && !ref->taken) {
        ref->environment = NULL;
        return APR_SUCCESS;
    }
    if (ref->gone) {
        return push->post && c->app->preview_max > 0
                   ? wh_db_name_expire(c->dbc, c->p, c->app->id,
                                       wh_branch_preview(c->p, ref->branch), c->now, &c->err)
                   : APR_SUCCESS;
    }
    return ref->environment ? insert(push, ref) : APR_SUCCESS;
}

static void tell_one(wh_push_t *push, const wh_push_ref_t *ref)
{
    if (ref->deployment) {
        wh_mod_push_say(push, "%s: %s (%.7s) goes to %s, deployment %s", push->c->app->slug,
                        ref->branch, ref->new, ref->environment, ref->deployment);
    } else if (!ref->gone && ref->why_not && (ref->taken || !push->post)) {
        wh_mod_push_say(push, "%s: %s is not deployed: %s", push->c->app->slug, ref->branch,
                        ref->why_not);
    }
}

apr_status_t wh_h_push_deploy(wh_push_t *push)
{
    wh_call_t *c = push->c;
    apr_status_t rv;

    c->now = apr_time_now();
    rv = wh_mod_call_begin(c);
    for (int i = 0; !rv && i < push->refs->nelts; i++) {
        rv = write_one(push, &APR_ARRAY_IDX(push->refs, i, wh_push_ref_t));
    }
    rv = end(c, rv ? rv : wh_dbc_commit(c->dbc, &c->err));
    for (int i = 0; i < push->refs->nelts; i++) {
        wh_push_ref_t *ref = &APR_ARRAY_IDX(push->refs, i, wh_push_ref_t);

        if (rv && ref->deployment) {
            wh_mod_git_repo_unlend(push->p, &push->repo, ref->deployment);
            ref->deployment = NULL;
        }
        if (!rv) {
            tell_one(push, ref);
        }
    }
    if (!rv) {
        wh_mod_poke(c->r);
    }
    return rv;
}

void wh_h_push_cancel(wh_push_t *push)
{
    wh_call_t *c = push->c;
    apr_status_t rv;

    c->now = apr_time_now();
    wh_err_clear(&c->err);
    rv = wh_mod_call_begin(c);
    for (int i = 0; !rv && i < push->refs->nelts; i++) {
        wh_push_ref_t *ref = &APR_ARRAY_IDX(push->refs, i, wh_push_ref_t);

        if (ref->deployment && !ref->over) {
            rv = wh_db_job_cancel_request(c->dbc, c->p, ref->deployment, c->now, &c->err);
            rv = rv && wh_err_is(&c->err, "already_completed") ? APR_SUCCESS : rv;
        }
    }
    rv = end(c, rv ? rv : wh_dbc_commit(c->dbc, &c->err));
    if (rv) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, c->r,
                      "WH0245: a push was given up, and its deployment goes on: %s", c->err.text);
    } else {
        wh_mod_poke(c->r);
    }
}

/* ---- following ------------------------------------------------------------------------------- */

typedef struct follow_t {
    wh_push_t *push;
    wh_push_ref_t *ref;
    int lines;
} follow_t;

static int tell_line(void *baton, apr_int64_t seq, apr_int64_t at, const char *stream,
                     const char *text)
{
    follow_t *f = baton;

    (void)at;
    (void)stream;
    if (f->lines++ == LINES_A_LOOK) {
        return 1;
    }
    wh_mod_push_say(f->push, "  %s", text);
    f->ref->log_seq = seq;
    return 0;
}

static int tell_log(wh_push_t *push, wh_push_ref_t *ref)
{
    follow_t f = {.push = push, .ref = ref};

    (void)!wh_h_log_each(push->c, push->turn, ref->deployment, ref->log_seq, tell_line, &f);
    return f.lines > LINES_A_LOOK;
}

static void tell_end(wh_push_t *push, wh_push_ref_t *ref, const wh_deployment_t *d)
{
    const char *slug = push->c->app->slug;
    const char *url = wh_h_deployment_url(push->c, slug, d->environment, ref->branch);

    ref->over = 1;
    ref->conclusion = d->conclusion;
    if (d->conclusion == WH_CONCLUSION_SUCCEEDED) {
        wh_mod_push_say(push, "%s is live: %s", slug, url ? url : d->environment);
        return;
    }
    wh_mod_push_say(push, "%s: %s (%s)", wh_model_conclusion_text(d->conclusion), d->cause_detail,
                    d->cause_code);
    if (d->conclusion == WH_CONCLUSION_FAILED) {
        wh_mod_push_say(push, "What was live before goes on serving. The log: wh logs %s", d->id);
    }
}

/* The connection that a look lost is lent anew at the next one. */
static void db_lost(wh_push_t *push, wh_push_ref_t *ref)
{
    apr_time_t now = apr_time_now();

    push->db_lost = push->db_lost ? push->db_lost : now;
    if (now - push->db_lost > DB_PATIENCE_US) {
        ref->over = 1;
        ref->conclusion = WH_CONCLUSION_FAILED;
        wh_mod_push_say(push, "The database does not answer. The deployment goes on: wh status");
    }
}

void wh_h_push_look(wh_push_t *push, wh_push_ref_t *ref)
{
    wh_call_t *c = push->c;
    wh_deployment_t *d = NULL;
    apr_status_t rv = wh_mod_call_db(c);

    rv = rv ? rv : wh_db_deployment_get(c->dbc, push->turn, ref->deployment, &d, &c->err);
    let_db_go(c);
    if (rv) {
        wh_err_clear(&c->err);
        db_lost(push, ref);
        return;
    }
    push->db_lost = 0;
    if (d->phase != ref->phase && d->phase != WH_PHASE_DONE) {
        ref->phase = d->phase;
        wh_mod_push_say(push, "%s", wh_model_phase_text(d->phase));
    }
    if (d->status == WH_DEPLOYMENT_PREPARE && *d->cause_code && !ref->told_cause) {
        ref->told_cause = 1;
        wh_mod_push_say(push, "it waits: %s (%s)", d->cause_detail, d->cause_code);
    }
    if (!tell_log(push, ref) && d->status == WH_DEPLOYMENT_COMPLETED) {
        tell_end(push, ref, d);
    }
}
