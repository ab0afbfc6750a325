#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "mod_wisehost/wh_mod_rate.h"
#include "whdb/wh_db_audit.h"

/*
 * The audit log. The dispatcher arms it when a call was let in and ends it when the call is over,
 * so no route and no handler can forget it. What a handler commits has its row in the same
 * transaction: it is done if and only if it is written down. What ends otherwise (refused, failed,
 * no transaction of ours) gets its row afterwards.
 *
 * Callers whose credential is not known leave none: they are many, and the error log has them.
 */

/* What was made is named as it will be asked for. */
static const char *object_of(const wh_call_t *c, int done)
{
    const char *made = done ? c->made : NULL;

    return apr_pstrcat(c->p, c->r->method, " ", c->r->uri, made ? "/" : "", made, NULL);
}

static const char *app_of(const wh_call_t *c, int done)
{
    return c->app                ? c->app->id
           : c->alert            ? c->alert->app_id
           : c->alert_rule       ? c->alert_rule->rule.app_id
           : done && c->made_app ? c->made_app
                                 : "";
}

static void fill(wh_call_t *c, wh_db_audit_t *row, const char *outcome, int status,
                 const char *code)
{
    const char *id = wh_id_make(c->p, c->now, wh_sys_rand());
    int done = !strcmp(outcome, "done");

    *row = (wh_db_audit_t){.id = id ? id : wh_id_of(c->p, c->now, outcome),
                           .at = c->now,
                           .actor_kind = wh_authz_kind_text(c->actor.kind),
                           .actor_id = c->actor.id,
                           .action = wh_authz_action_text(c->route->action),
                           .object = object_of(c, done),
                           .app_id = app_of(c, done),
                           .address = c->r->useragent_ip,
                           .request_id = wh_mod_problem_request_id(c->r),
                           .outcome = outcome,
                           .status = status,
                           .code = apr_pstrdup(c->p, code)};
}

/* With the transaction of the handler. */
static apr_status_t in_commit(void *baton, wh_dbc_t *dbc, wh_err_t *err)
{
    wh_call_t *c = baton;
    wh_db_audit_t row;
    apr_status_t rv;

    fill(c, &row, "done", c->route->status, "");
    rv = wh_db_audit_insert(dbc, c->p, &row, err);
    c->audit = rv ? c->audit : WH_API_AUDIT_WRITTEN;
    return rv;
}

void wh_mod_audit_db(wh_call_t *c)
{
    if (c->audit == WH_API_AUDIT_ARMED && c->dbc) {
        wh_dbc_with_commit(c->dbc, in_commit, c);
    }
}

static int due(const wh_call_t *c)
{
    return strcmp(c->route->method, "GET") && wh_authz_privileged(c->route->action);
}

void wh_mod_audit_arm(wh_call_t *c)
{
    if (due(c)) {
        c->audit = WH_API_AUDIT_ARMED;
        wh_mod_audit_db(c);
    }
}

/* Outside of a transaction. When the database will not have it, the error log gets it. */
static void write_row(wh_call_t *c, const char *outcome, int status, const char *code)
{
    wh_err_t kept = c->err;
    wh_db_audit_t row;
    apr_status_t rv;

    fill(c, &row, outcome, status, code);
    c->audit = WH_API_AUDIT_NONE;
    if (c->dbc) {
        wh_dbc_with_commit(c->dbc, NULL, NULL);
        wh_dbc_rollback(c->dbc);
    }
    wh_err_clear(&c->err);
    rv = wh_mod_call_db(c);
    rv = rv ? rv : wh_db_audit_insert(c->dbc, c->p, &row, &c->err);
    if (wh_mod_call_lost(c, rv)) {
        rv = wh_mod_call_db(c);
        rv = rv ? rv : wh_db_audit_insert(c->dbc, c->p, &row, &c->err);
    }
    if (rv) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, c->r,
                      "WH0260: not in the audit log (%s): %s %s, %s %s by %s %s", c->err.text,
                      row.action, row.object, row.outcome, row.code, row.actor_kind, row.actor_id);
    }
    c->err = kept;
}

static int refusal(const wh_call_t *c)
{
    return c->err.http == 401 || c->err.http == 403 || c->err.http == 404;
}

apr_status_t wh_mod_audit_end(wh_call_t *c, apr_status_t rv)
{
    int let_in = c->audit != WH_API_AUDIT_NONE;
    wh_err_t limit = WH_ERR_INIT;

    if (!rv) {
        if (c->audit == WH_API_AUDIT_ARMED) {
            write_row(c, "done", c->r->status, "");
            wh_mod_call_let_go(c);
        }
        return rv;
    }
    if (!due(c) || (!let_in && c->actor.kind == WH_ACTOR_ANON)) {
        return rv;
    }
    /* Who may not, and goes on all the same, must not fill the log. */
    if (!let_in && refusal(c) && wh_mod_rate_failed(c->r, WH_RATE_REFUSED, c->actor.id, &limit)) {
        c->err = limit;
        return rv;
    }
    write_row(c, !let_in && refusal(c) ? "refused" : "failed", c->err.http, c->err.code);
    return rv;
}
