#include "mod_wisehost/wh_mod_api.h"

#include "libwh/wh_giturl.h"
#include "libwh/wh_sync.h"
#include "whdb/wh_db_deployment.h"
#include "whdb/wh_db_sync.h"

#define EVENTS 20

static apr_status_t newest(wh_call_t *c, const wh_sync_t *s, wh_deployment_t **out)
{
    const char *ref = *s->commit_ref ? s->commit_ref : c->app->repo_branch;
    const char *environment = NULL;
    apr_status_t rv = wh_h_environment_of(c, c->app, ref, &environment);

    *out = NULL;
    rv = rv || !environment
             ? rv
             : wh_db_deployment_newest(c->dbc, c->p, c->app->id, environment, out, &c->err);
    if (rv == APR_NOTFOUND) {
        wh_err_clear(&c->err);
        rv = APR_SUCCESS;
    }
    return rv;
}

static apr_status_t reply(wh_call_t *c, int status)
{
    wh_sync_t s;
    wh_deployment_t *last = NULL;
    apr_array_header_t *events;
    apr_status_t rv = wh_db_sync_get(c->dbc, c->p, c->app->id, &s, &c->err);

    rv = rv ? rv : newest(c, &s, &last);
    rv = rv ? rv : wh_db_sync_events(c->dbc, c->p, c->app->id, EVENTS, &events, &c->err);
    return rv ? rv
              : wh_mod_call_reply(c, status,
                                  wh_sync_json(c->p, &s, c->app, wh_sync_app(&s, last), events));
}

apr_status_t wh_h_sync_get(wh_call_t *c)
{
    return reply(c, 200);
}

/* F251: by hand, on the same way as all others: only the wish is written here; the scheduler looks
 * up what the branch points at (F253). */
apr_status_t wh_h_sync_ask(wh_call_t *c)
{
    apr_status_t rv;

    if (*c->app->image) {
        return wh_err_set(&c->err, 409, "nothing_to_sync",
                          "This app has no repository: a deployment pulls its image anew.");
    }
    if (wh_giturl_kind(c->app->repo_url) == WH_GITURL_HUB) {
        return wh_err_set(&c->err, 409, "nothing_to_sync",
                          "What is pushed to this server itself is deployed as it comes.");
    }
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_sync_ask(c->dbc, c->p, c->app->id, c->now, &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    wh_mod_poke(c->r);
    return reply(c, 202);
}
