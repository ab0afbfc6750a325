#include "wh-scheduler/sources.h"

#include <string.h>

#include "libwh/wh_giturl.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "whdb/wh_db_source.h"

/* ---- On its way ---- */

static apr_status_t take(wh_core_t *core, apr_pool_t *p, const wh_gitauth_row_t *row,
                         wh_gitauth_t *auth, wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    const char *value = NULL;
    apr_status_t rv = wh_gitauth_open(p, &ring, row, &value, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (strcmp(row->kind, WH_GITAUTH_CREDENTIALS) == 0) {
        auth->site = row->site;
        auth->user = row->shown;
        auth->token = value;
    } else if (auth->n_keys < WH_GITAUTH_KEYS) { /* "deploy_key" comes before "former_key" */
        auth->keys[auth->n_keys++] = value;
    }
    return APR_SUCCESS;
}

apr_status_t wh_sources_of(wh_core_t *core, apr_pool_t *p, const wh_sources_of_t *of,
                           wh_gitauth_t *auth, wh_err_t *err)
{
    wh_giturl_kind_e kind = wh_giturl_kind(of->url);
    apr_array_header_t *rows;
    apr_status_t rv;

    *auth = WH_GITAUTH_NONE;
    auth->own_only = of->own_only;
    if (kind != WH_GITURL_HTTPS && kind != WH_GITURL_SSH && !of->submodules) {
        return APR_SUCCESS;
    }
    rv = wh_db_source_list(core->dbc, p, of->app_id, wh_clock_now(core->clock), &rows, err);
    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts; i++) {
        rv = take(core, p, &APR_ARRAY_IDX(rows, i, wh_gitauth_row_t), auth, err);
    }
    if (rv != APR_SUCCESS || auth->n_keys == 0) {
        return rv;
    }
    return wh_db_source_hosts(core->dbc, p, of->app_id, &auth->known_hosts, err);
}

/* ---- Another key ---- */

static apr_status_t seal_anew(wh_core_t *core, apr_pool_t *p, const wh_gitauth_row_t *old,
                              wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    wh_gitauth_row_t fresh = *old;
    const char *value = NULL;
    apr_status_t rv = wh_gitauth_open(p, &ring, old, &value, err);

    if (rv == APR_SUCCESS) {
        rv = wh_gitauth_seal(p, &ring, core->rand, &fresh, value, err);
        wh_sign_wipe((char *)(uintptr_t)value, strlen(value));
    } else if (wh_err_is(err, "secret_broken")) {
        wh_log(WH_LOG_ERROR, "WH0570", "app %s: its %s does not open: set it anew", old->app_id,
               old->kind);
        wh_err_clear(err);
        fresh.key_id = core->env_key; /* it opens with no key, so it need not be tried again */
        rv = APR_SUCCESS;
    }
    rv = rv == APR_SUCCESS ? wh_db_source_reseal(core->dbc, p, old, &fresh, err) : rv;
    if (rv == APR_NOTFOUND) {
        wh_err_clear(err);
        return APR_SUCCESS; /* its owner was faster */
    }
    return rv;
}

apr_status_t wh_sources_reseal(wh_core_t *core, apr_pool_t *p, int limit, int *n, wh_err_t *err)
{
    apr_array_header_t *rows;
    apr_status_t rv = wh_db_source_stale(core->dbc, p, core->env_key, limit, &rows, err);

    *n = rv == APR_SUCCESS ? rows->nelts : 0;
    if (*n == 0) {
        return rv;
    }
    rv = wh_dbc_begin(core->dbc, p, err);
    for (int i = 0; rv == APR_SUCCESS && i < rows->nelts; i++) {
        rv = seal_anew(core, p, &APR_ARRAY_IDX(rows, i, wh_gitauth_row_t), err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}
