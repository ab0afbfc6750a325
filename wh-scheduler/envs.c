#include "wh-scheduler/envs.h"

#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_host.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sign.h"
#include "whdb/wh_db_env.h"
#include "wh-scheduler/sources.h"

/* ---- Into a frame ---- */

static void add(wh_msg_job_t *m, const char *name, const char *value)
{
    if (value[0] != '\0') {
        APR_ARRAY_PUSH(m->env, wh_env_pair_t) = (wh_env_pair_t){.name = name, .value = value};
    }
}

/* A label's URL and host, under both names. */
static void add_name(apr_pool_t *p, wh_msg_job_t *m, const char *site, const char *which,
                     const char *label)
{
    add(m, apr_pstrcat(p, "WISEHOST_URL", which, NULL), wh_host_site_url(p, site, label));
    add(m, apr_pstrcat(p, "WISEHOST_DOMAIN", which, NULL), wh_host_site_host(p, site, label));
}

static void add_names(apr_pool_t *p, wh_msg_job_t *m, const char *site)
{
    const char *env = m->environment;

    add_name(p, m, site, "",
             wh_host_label_deployment(p, m->slug, m->deployment, WH_HOST_ID_DIGITS));
    if (strcmp(env, WH_BRANCH_PRODUCTION) == 0) {
        add_name(p, m, site, "_ENVIRONMENT", wh_host_label_app(p, m->slug));
    } else if (!wh_branch_is_preview(env)) {
        add_name(p, m, site, "_ENVIRONMENT", wh_host_label_env(p, m->slug, env));
    }
    if (m->commit_ref[0] != '\0') {
        add_name(p, m, site, "_BRANCH", wh_host_label_branch(p, m->slug, m->commit_ref));
    }
}

/* What the agent cannot know; it adds the commit (wh-agent/vars.h). */
static void add_system(apr_pool_t *p, wh_msg_job_t *m, const char *site)
{
    add(m, "WISEHOST", "true");
    add_names(p, m, site);
    add(m, "WISEHOST_APP", m->slug);
    add(m, "WISEHOST_APP_ID", m->app);
    add(m, "WISEHOST_ENVIRONMENT", m->environment);
    add(m, "WISEHOST_DEPLOYMENT_ID", m->deployment);
}

static apr_status_t named(const wh_env_var_t *v, apr_status_t rv, wh_err_t *err)
{
    wh_err_t why;

    if (rv == APR_SUCCESS || wh_core_may_retry(err)) {
        return rv;
    }
    why = *err;
    return wh_err_set(err, 500, why.code, "variable %s: %s", v->name, why.text);
}

apr_status_t wh_envs_add(wh_core_t *core, apr_pool_t *p, const wh_envs_of_t *of, wh_msg_job_t *m,
                         size_t *bytes, wh_err_t *err)
{
    apr_array_header_t *vars = NULL;
    wh_secret_ring_t ring = wh_core_ring(core);
    apr_status_t rv =
        of->any ? wh_db_env_of(core->dbc, p, m->deployment, &vars, err) : APR_SUCCESS;

    m->env = apr_array_make(p, 16, sizeof(wh_env_pair_t));
    for (int i = 0; rv == APR_SUCCESS && vars != NULL && i < vars->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(vars, i, wh_env_var_t);
        wh_env_pair_t pair = {.name = v->name, .secret = v->secret, .build = v->build};

        rv = named(v, wh_env_open(p, &ring, v, &pair.value, err), err);
        if (rv == APR_SUCCESS) {
            APR_ARRAY_PUSH(m->env, wh_env_pair_t) = pair;
        }
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    add_system(p, m, of->site);
    for (int i = 0; i < m->env->nelts; i++) {
        const wh_env_pair_t *pair = &APR_ARRAY_IDX(m->env, i, wh_env_pair_t);

        *bytes += strlen(pair->name) + strlen(pair->value) + 32;
    }
    return APR_SUCCESS;
}

/* ---- Another key ---- */

static apr_status_t seal_anew(wh_core_t *core, apr_pool_t *p, const wh_db_env_stale_t *old,
                              wh_err_t *err)
{
    wh_secret_ring_t ring = wh_core_ring(core);
    wh_env_var_t fresh = old->var;
    const char *value = NULL;
    apr_status_t rv = wh_env_open(p, &ring, &old->var, &value, err);

    if (rv == APR_SUCCESS) {
        rv = wh_env_seal(p, &ring, core->rand, &fresh, value, err);
        wh_sign_wipe((char *)(uintptr_t)value, strlen(value));
    } else if (wh_err_is(err, "secret_broken")) {
        wh_log(WH_LOG_ERROR, "WH0520", "app %s: the value of %s (%s) does not open: set it anew",
               old->var.app_id, old->var.name,
               old->deployment_id[0] != '\0' ? old->deployment_id : "its own");
        wh_err_clear(err);
        fresh.key_id = core->env_key; /* it opens with no key, so it need not be tried again */
        rv = APR_SUCCESS;
    }
    rv = rv == APR_SUCCESS ? wh_db_env_reseal(core->dbc, p, old, &fresh, err) : rv;
    if (rv == APR_NOTFOUND) {
        wh_err_clear(err);
        return APR_SUCCESS; /* its owner was faster */
    }
    return rv;
}

static apr_status_t batch(wh_core_t *core, apr_pool_t *p, int *n, wh_err_t *err)
{
    apr_array_header_t *list;
    apr_status_t rv = wh_db_env_stale(core->dbc, p, core->env_key, WH_ENVS_BATCH, &list, err);

    *n = rv == APR_SUCCESS ? list->nelts : 0;
    if (*n == 0) {
        return rv == APR_SUCCESS ? wh_sources_reseal(core, p, WH_ENVS_BATCH, n, err) : rv;
    }
    rv = wh_dbc_begin(core->dbc, p, err);
    for (int i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        rv = seal_anew(core, p, &APR_ARRAY_IDX(list, i, wh_db_env_stale_t), err);
    }
    rv = rv == APR_SUCCESS ? wh_dbc_commit(core->dbc, err) : rv;
    if (rv != APR_SUCCESS) {
        wh_dbc_rollback(core->dbc);
    }
    return rv;
}

apr_status_t wh_envs_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, wh_err_t *err)
{
    apr_int64_t was = core->env_key;
    int n = 0, channels = 0;
    apr_status_t rv;

    if (!wh_mono_reached(mono, core->env_at)) {
        return APR_SUCCESS;
    }
    rv = wh_db_env_key(core->dbc, p, &core->env_key, err);
    if (rv == APR_SUCCESS && was != core->env_key) {
        wh_log(WH_LOG_INFO, NULL, "env vars are sealed with key %" APR_INT64_T_FMT, core->env_key);
    }
    rv = rv == APR_SUCCESS && core->env_key > 1 ? batch(core, p, &n, err) : rv;
    rv = rv == APR_SUCCESS && core->env_key > 1 ? wh_notices_seal_anew(core, p, &channels, err)
                                                : rv;
    core->env_at = wh_mono_add(mono, n == WH_ENVS_BATCH || channels == WH_ENVS_BATCH
                                         ? WH_ENVS_AGAIN_US
                                         : WH_ENVS_EVERY_US);
    if (rv == APR_SUCCESS && n > 0) {
        wh_log(WH_LOG_INFO, NULL, "%d secrets were sealed anew with key %" APR_INT64_T_FMT, n,
               core->env_key);
    }
    return rv;
}
