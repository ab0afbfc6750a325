#include "mod_wisehost/wh_mod_api.h"

#include <apr_strings.h>

#include "libwh/wh_actions.h"
#include "libwh/wh_forge.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_id.h"
#include "libwh/wh_sys.h"
#include "whdb/wh_db_forge.h"
#include "whdb/wh_db_hook.h"
#include "whdb/wh_db_issuer.h"

#define OVERLAP_DEFAULT 86400

static const char *address(wh_call_t *c, const wh_hookrow_t *hook)
{
    const char *path = apr_psprintf(c->p, "/v1/webhooks/%s/%s", hook->provider, hook->id);

    return ap_construct_url(c->p, path, c->r);
}

static json_t *document(wh_call_t *c, const wh_hookrow_t *hook, const char *slug,
                        const char *secret)
{
    return wh_model_hook_json(c->p, hook, slug, address(c, hook), secret);
}

/* A hook for tokens has no secret: what it wants of them instead. */
static apr_status_t token_hook(wh_call_t *c, const wh_model_hook_new_t *asked, wh_hookrow_t *hook)
{
    wh_actions_rule_t rule;
    apr_status_t rv = wh_actions_rule_decode(c->p, asked->actions, hook->id, c->app->repo_url,
                                             &rule, &c->err);

    if (!rv) {
        hook->token_issuer = rule.issuer;
        hook->token_rule = wh_actions_rule_text(c->p, &rule);
    }
    return rv;
}

/* ---- the forge's API ------------------------------------------------------------------------ */

static apr_status_t seal(wh_call_t *c, const char *hook_id, const char *token, wh_db_forge_t *f)
{
    wh_secret_ring_t ring = wh_secret_ring(wh_mod_keys());
    wh_secret_for_t what = wh_db_forge_for(&hook_id);

    f->key_id = ring.id;
    return wh_secret_seal(c->p, &ring, wh_sys_rand(), &what,
                          (wh_secret_bytes_t){.at = token, .n = strlen(token)}, &f->sealed,
                          &c->err);
}

/* With what was named, what the hook has, or what the app's repository says. */
static apr_status_t forge_of(wh_call_t *c, wh_hookrow_t *hook, const wh_model_forge_t *asked,
                             wh_db_forge_t *f)
{
    const char *api = "", *repository = "";
    int known = hook->forge_api && *hook->forge_api;
    int named = *asked->api && *asked->repository;
    apr_status_t rv = APR_SUCCESS;

    if (!known && !named) {
        rv = wh_forge_place(c->p, wh_forge_of(hook->provider), c->app->repo_url, &api, &repository,
                            &c->err);
    }
    if (known) {
        api = hook->forge_api;
        repository = hook->forge_repository;
    }
    f->hook_id = hook->id;
    f->api = hook->forge_api = *asked->api ? asked->api : api;
    f->repository = hook->forge_repository = *asked->repository ? asked->repository : repository;
    f->url = address(c, hook);
    hook->forge_id = hook->forge_id ? hook->forge_id : "";
    hook->forge_error = "";
    hook->forge_stopped = 0;
    return rv ? rv : seal(c, hook->id, asked->token, f);
}

/* Another API or another token; the scheduler registers the hook there, or puts it right. In the
 * caller's transaction. */
static apr_status_t tell_forge(wh_call_t *c, const wh_db_forge_t *f)
{
    apr_status_t rv = wh_db_forge_put(c->dbc, c->p, f, &c->err);

    return rv ? rv
              : wh_db_forge_note(c->dbc, c->p, f->hook_id, WH_FORGE_SAY_HOOK, "", &c->err);
}

static int takes_tokens(const char *provider)
{
    return wh_hook_provider(provider)->scheme == WH_HOOK_OIDC;
}

/* The secret follows from the hook's id and its number, so it is never stored; it is shown this
 * once. */
apr_status_t wh_h_hook_create(wh_call_t *c)
{
    wh_hookrow_t hook = {
        .id = wh_id_make(c->p, c->now, wh_sys_rand()), .app_id = c->app->id, .created_at = c->now};
    int need_app = c->route->object == WH_OBJ_BODY_APP;
    wh_db_forge_t forge = {.hook_id = NULL};
    wh_model_hook_new_t asked;
    const char *secret;
    apr_status_t rv = wh_model_hook_decode(c->p, c->body, need_app, &asked, &c->err);

    hook.provider = asked.provider;
    hook.watch = asked.watch;
    hook.token_issuer = hook.token_rule = "";
    if (!rv && !hook.id) {
        rv = wh_mod_call_no_random(c);
    }
    rv = rv || !takes_tokens(hook.provider) ? rv : token_hook(c, &asked, &hook);
    rv = rv || !asked.has_forge ? rv : forge_of(c, &hook, &asked.forge, &forge);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_hook_insert(c->dbc, c->p, &hook, &c->err);
    rv = rv || !*hook.token_issuer
             ? rv
             : wh_db_issuer_add(c->dbc, c->p, hook.token_issuer, &c->err);
    rv = rv || !asked.has_forge ? rv : tell_forge(c, &forge);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    if (*hook.token_issuer || asked.has_forge) {
        wh_mod_poke(c->r); /* its keys are fetched before the first run asks for them */
    }
    secret = *hook.token_issuer ? NULL : wh_keys_hook_secret(c->p, wh_mod_keys(), hook.id, 0);
    wh_mod_req_location(c->r, "/v1/hooks/%s", hook.id);
    return wh_mod_call_reply(c, 201, document(c, &hook, c->app->slug, secret));
}

apr_status_t wh_h_hook_get(wh_call_t *c)
{
    return wh_mod_call_reply(c, 200, document(c, &c->hook->row, c->hook->slug, NULL));
}

/* Of one app, or of all that the caller may see; pages are filled as in the list of apps. */
apr_status_t wh_h_hook_list(wh_call_t *c)
{
    apr_array_header_t *rows;
    wh_call_page_t page;
    apr_status_t rv = wh_mod_call_page(c, &page, wh_id_ok);

    rv = rv ? rv : wh_mod_call_db(c);
    while (!rv && page.more) {
        rv = wh_db_hook_list(c->dbc, c->p, c->app ? c->app->id : NULL, page.after, page.limit + 1,
                             &rows, &c->err);
        for (int i = 0; !rv && i < rows->nelts; i++) {
            const wh_db_hook_t *hook = APR_ARRAY_IDX(rows, i, wh_db_hook_t *);

            if (wh_mod_call_page_row(&page, hook->row.id,
                                     wh_authz_sees_app(&c->actor, hook->row.app_id))) {
                json_array_append_new(page.items, document(c, &hook->row, hook->slug, NULL));
            }
        }
        wh_mod_call_page_read(&page, rv ? 0 : rows->nelts);
    }
    return rv ? rv : wh_mod_call_page_reply(c, &page);
}

/* Its forge is told by the scheduler, which then forgets the token. */
apr_status_t wh_h_hook_delete(wh_call_t *c)
{
    apr_status_t rv = wh_mod_call_begin(c);

    rv = rv ? rv : wh_db_hook_delete(c->dbc, c->p, c->hook->row.id, c->now, &c->err);
    rv = rv ? rv
            : wh_db_forge_note(c->dbc, c->p, c->hook->row.id, WH_FORGE_SAY_UNHOOK, "", &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (!rv && *c->hook->row.forge_api) {
        wh_mod_poke(c->r);
    }
    return rv ? rv : wh_mod_call_empty(c, 204);
}

apr_status_t wh_h_hook_patch(wh_call_t *c)
{
    const char *watch = json_string_value(json_object_get(c->body, "watch"));
    wh_hookrow_t *hook = &c->hook->row;
    wh_db_forge_t forge;
    wh_model_forge_t asked;
    apr_array_header_t *patterns;
    int tell;
    apr_status_t rv =
        wh_model_forge_decode(c->p, c->body, hook->provider, &asked, &tell, &c->err);

    rv = rv || !watch ? rv : wh_hook_watch_parse(c->p, watch, &patterns, &c->err);
    rv = rv || !tell ? rv : forge_of(c, hook, &asked, &forge);
    rv = rv ? rv : wh_mod_call_begin(c);
    rv = rv || !watch ? rv : wh_db_hook_watch(c->dbc, c->p, hook->id, watch, &c->err);
    rv = rv || !tell ? rv : tell_forge(c, &forge);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    if (tell) {
        wh_mod_poke(c->r);
    }
    hook->watch = watch ? watch : hook->watch;
    return wh_h_hook_get(c);
}

/* The present secret is taken for a while beside the new one, so that no delivery is lost between
 * here and the forge's settings. */
apr_status_t wh_h_hook_rotate(wh_call_t *c)
{
    const json_t *asked = c->body ? json_object_get(c->body, "overlap") : NULL;
    apr_int64_t overlap = json_is_integer(asked) ? json_integer_value(asked) : OVERLAP_DEFAULT;
    wh_hookrow_t *hook = &c->hook->row;
    apr_time_t until = overlap ? c->now + apr_time_from_sec(overlap) : 0;
    apr_status_t rv;

    if (*hook->token_issuer) {
        return wh_err_set(&c->err, 409, "no_secret", "A hook for tokens has no secret.");
    }
    rv = wh_mod_call_begin(c);
    rv = rv ? rv : wh_db_hook_rotate(c->dbc, c->p, hook, until, &c->err);
    if (rv == APR_NOTFOUND) {
        return wh_err_set(&c->err, 409, "conflict", "Its secret was changed at the same time.");
    }
    rv = rv ? rv : wh_db_forge_note(c->dbc, c->p, hook->id, WH_FORGE_SAY_HOOK, "", &c->err);
    rv = rv ? rv : wh_dbc_commit(c->dbc, &c->err);
    if (rv) {
        return rv;
    }
    if (*hook->forge_api) {
        wh_mod_poke(c->r);
    }
    hook->secret_n++;
    hook->previous_until = until;
    return wh_mod_call_reply(
        c, 200,
        document(c, hook, c->hook->slug,
                 wh_keys_hook_secret(c->p, wh_mod_keys(), hook->id, hook->secret_n)));
}
