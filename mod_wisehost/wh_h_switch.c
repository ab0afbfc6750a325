/* Rollback and promotion: the wish is looked at, stored, and the scheduler is told. */
#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_name.h"
#include "whdb/wh_db_switch.h"

static apr_status_t reply(wh_call_t *c, int status, const wh_switch_t *s)
{
    const char *url = wh_h_app_url(c, c->app->slug, s->environment);

    if (status == 202) {
        wh_mod_req_location(c->r, "/v1/switches/%s", s->id);
    }
    return wh_mod_call_reply(c, status, wh_model_switch_json(s, c->app->slug, url));
}

static apr_status_t shown_now(wh_call_t *c, const char *environment, const wh_name_t **name)
{
    apr_array_header_t *names;
    apr_status_t rv = wh_db_name_list_by_app(c->dbc, c->p, c->app->id, &names, &c->err);

    *name = rv ? NULL : wh_model_name_main(names, environment);
    return rv;
}

/* ---- which one ------------------------------------------------------------------------------ */

/* What the environment showed before. */
static apr_status_t previous(wh_call_t *c, const wh_name_t *name, wh_deployment_t **out)
{
    if (!name || !*name->previous_id) {
        return wh_err_set(&c->err, 409, "no_previous",
                          "The environment showed nothing else before; name a deployment.");
    }
    return wh_db_deployment_get(c->dbc, c->p, name->previous_id, out, &c->err);
}

/* The one that the body names, by id or number: of this app, else it is none. */
static apr_status_t named(wh_call_t *c, const char *to, wh_deployment_t **out)
{
    apr_status_t rv = wh_id_ok(to) ? wh_db_deployment_get(c->dbc, c->p, to, out, &c->err)
                                   : wh_db_deployment_by_number(c->dbc, c->p, c->app->id,
                                                                apr_atoi64(to), out, &c->err);

    if (rv == APR_NOTFOUND || (!rv && strcmp((*out)->app_id, c->app->id))) {
        rv = wh_err_field(&c->err, "/to", "no_such_deployment",
                          "the app has no deployment of this id or number");
        c->err.http = 422;
    }
    return rv;
}

/* A rollback stays in its environment; what came into it by a promotion belongs to it too. */
static apr_status_t check_environment(wh_call_t *c, const wh_switch_t *s, const wh_name_t *name,
                                      const wh_deployment_t *target)
{
    int own = !strcmp(target->environment, s->environment) ||
              (name && !strcmp(name->previous_id, target->id));
    apr_status_t rv = APR_SUCCESS;

    if (s->kind == WH_SWITCH_PROMOTE && wh_branch_is_preview(s->environment)) {
        return wh_err_set(&c->err, 409, "preview_environment",
                          "A preview shows its own branch and nothing else.");
    }
    if (s->kind == WH_SWITCH_PROMOTE) {
        return own && !strcmp(target->environment, s->environment)
                   ? wh_err_set(&c->err, 409, "same_environment",
                                "The deployment is of this environment; roll back to it instead.")
                   : APR_SUCCESS;
    }
    if (!own) {
        rv = wh_db_switch_shown(c->dbc, c->p, s, &own, &c->err);
    }
    if (!rv && !own) {
        return wh_err_set(&c->err, 409, "other_environment",
                          "The deployment is of %s; promote it instead.", target->environment);
    }
    return rv;
}

/* ---- the wish ------------------------------------------------------------------------------- */

/* The same judge as the scheduler's, so that who asks for what cannot be hears it at once. */
static apr_status_t judge(wh_call_t *c, const wh_switch_t *s, const wh_deployment_t *target)
{
    wh_switch_facts_t facts = {.settings = s->settings};
    wh_switch_verdict_t verdict;
    apr_status_t rv =
        wh_db_switch_facts(c->dbc, c->p, c->app, target, s->from_id, &facts, &c->err);

    if (rv) {
        return rv;
    }
    wh_switch_judge(&facts, &verdict);
    return verdict.how == WH_SWITCH_REFUSED
               ? wh_err_set(&c->err, 409, verdict.code, "%s",
                            wh_switch_detail(c->p, &verdict, target->commit_sha))
               : APR_SUCCESS;
}

/* target NULL: the one that asked->to names. */
static apr_status_t store(wh_call_t *c, wh_switch_t *s, const wh_switch_request_t *asked,
                          wh_deployment_t *target)
{
    const wh_name_t *name;
    apr_status_t rv = shown_now(c, s->environment, &name);

    if (!rv && !target) {
        rv = *asked->to ? named(c, asked->to, &target) : previous(c, name, &target);
    }
    if (rv) {
        return rv;
    }
    s->deployment_id = target->id;
    s->from_id = name ? name->deployment_id : "";
    rv = check_environment(c, s, name, target);
    rv = rv ? rv : judge(c, s, target);
    rv = rv ? rv : wh_db_switch_insert(c->dbc, c->p, s, &c->err);
    return rv == APR_NOTFOUND ? wh_err_set(&c->err, 404, "not_found", "The app was deleted.") : rv;
}

static apr_status_t ask(wh_call_t *c, wh_switch_kind_e kind, const char *environment,
                        const wh_switch_request_t *asked)
{
    wh_switch_t s = {.id = wh_id_make(c->p, c->now, wh_sys_rand()),
                     .app_id = c->app->id,
                     .environment = environment,
                     .kind = kind,
                     .settings = asked->settings,
                     .result_id = "",
                     .cause_code = "",
                     .cause_detail = "",
                     .created_at = c->now};
    apr_status_t rv;

    if (!s.id) {
        return wh_mod_call_no_random(c);
    }
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : store(c, &s, asked, c->deployment);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return reply(c, 202, &s);
}

apr_status_t wh_h_switch_to(wh_call_t *c)
{
    wh_switch_request_t asked;
    apr_status_t rv =
        wh_model_switch_decode(c->p, c->body, WH_SWITCH_BODY_TO_THIS, &asked, &c->err);

    return rv ? rv : ask(c, WH_SWITCH_ROLLBACK, c->deployment->environment, &asked);
}

apr_status_t wh_h_switch_app(wh_call_t *c)
{
    wh_switch_request_t asked;
    apr_status_t rv =
        wh_model_switch_decode(c->p, c->body, WH_SWITCH_BODY_OF_APP, &asked, &c->err);

    return rv ? rv : ask(c, WH_SWITCH_ROLLBACK, asked.environment, &asked);
}

apr_status_t wh_h_switch_promote(wh_call_t *c)
{
    wh_switch_request_t asked;
    apr_status_t rv =
        wh_model_switch_decode(c->p, c->body, WH_SWITCH_BODY_PROMOTE, &asked, &c->err);

    return rv ? rv : ask(c, WH_SWITCH_PROMOTE, asked.environment, &asked);
}

apr_status_t wh_h_switch_get(wh_call_t *c)
{
    return reply(c, 200, c->wish);
}
