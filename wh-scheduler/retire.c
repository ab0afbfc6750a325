#include "wh-scheduler/retire.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "libwh/wh_log.h"
#include "whdb/wh_db_gc.h"
#include "wh-scheduler/routes.h"

#define SELF "/proc/self/exe"

static apr_array_header_t *names_of(apr_pool_t *p, const apr_array_header_t *labels)
{
    apr_array_header_t *names = apr_array_make(p, labels->nelts + 1, sizeof(wh_name_t *));

    for (int i = 0; i < labels->nelts; i++) {
        wh_name_t *name = apr_pcalloc(p, sizeof(*name));

        name->label = APR_ARRAY_IDX(labels, i, const char *);
        APR_ARRAY_PUSH(names, wh_name_t *) = name;
    }
    return names;
}

/* The look and what follows from it are one transaction: what the owner asks for meanwhile comes
 * before or after it. */
static apr_status_t one_app(wh_core_t *core, apr_pool_t *p, const wh_db_gc_app_t *app,
                            apr_time_t now, apr_array_header_t *labels, int *retired, wh_err_t *err)
{
    const wh_gc_policy_t policy = {.kept = (int)core->settings->releases_kept,
                                   .kept_us = apr_time_from_sec(core->settings->releases_kept_s)};
    apr_array_header_t *all;
    apr_status_t rv = wh_dbc_begin(core->dbc, p, err);

    rv = rv == APR_SUCCESS ? wh_db_gc_deployments(core->dbc, p, app->id, now, &all, err) : rv;
    if (rv == APR_SUCCESS) {
        wh_gc_deployment_t *d = (wh_gc_deployment_t *)all->elts;

        *retired = wh_gc_retire(d, all->nelts, app->deleted_at, &policy, now);
        for (int i = 0; rv == APR_SUCCESS && i < all->nelts; i++) {
            rv = d[i].retire ? wh_db_gc_retire(core->dbc, p, d[i].id, labels, err) : rv;
        }
    }
    if (rv == APR_SUCCESS && *retired > 0) {
        return wh_dbc_commit(core->dbc, err);
    }
    wh_dbc_rollback(core->dbc);
    return rv;
}

static apr_status_t retire(wh_core_t *core, apr_pool_t *p, const wh_db_gc_app_t *app,
                           apr_time_t now, wh_err_t *err)
{
    apr_array_header_t *labels = apr_array_make(p, 8, sizeof(const char *));
    int retired = 0;
    apr_status_t rv = one_app(core, p, app, now, labels, &retired, err);

    if (rv != APR_SUCCESS || retired == 0) {
        return rv;
    }
    wh_log(WH_LOG_INFO, NULL, "app %s: %d deployments are no longer kept", app->id, retired);
    rv = wh_routes_remove(core, p, names_of(p, labels), NULL, err);
    core->republish |= rv != APR_SUCCESS;
    return rv;
}

apr_status_t wh_retire_look(wh_core_t *core, apr_pool_t *p, wh_mono_t mono, apr_time_t now,
                            wh_err_t *err)
{
    apr_array_header_t *apps;
    apr_pool_t *scratch;
    apr_status_t rv;

    if (!core->retiring && !wh_mono_reached(mono, core->retire_at)) {
        return APR_SUCCESS;
    }
    core->retiring = 1;
    rv = wh_db_gc_apps(core->dbc, p, core->retire_after, WH_RETIRE_APPS, &apps, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_create(&scratch, p);
    for (int i = 0; rv == APR_SUCCESS && i < apps->nelts; i++) {
        const wh_db_gc_app_t *app = &APR_ARRAY_IDX(apps, i, wh_db_gc_app_t);

        apr_pool_clear(scratch);
        rv = wh_core_only(core, retire(core, scratch, app, now, err), app->id, err);
        if (rv == APR_SUCCESS) {
            apr_cpystrn(core->retire_after, app->id, sizeof(core->retire_after));
        }
    }
    apr_pool_destroy(scratch);
    if (rv == APR_SUCCESS && apps->nelts < WH_RETIRE_APPS) {
        core->retiring = 0;
        core->retire_after[0] = '\0';
        core->retire_at = wh_mono_add(mono, WH_RETIRE_EVERY_US);
    }
    return rv;
}

/* ---- The collector ---- */

static void start(wh_core_t *core)
{
    const char *args[] = {SELF, "--config", core->conf, "--gc=due", NULL};
    apr_procattr_t *attr;
    apr_proc_t *proc;
    apr_pool_t *p;

    apr_pool_create(&p, core->pool);
    proc = apr_pcalloc(p, sizeof(*proc));
    if (apr_procattr_create(&attr, p) != APR_SUCCESS ||
        apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV) != APR_SUCCESS ||
        apr_proc_create(proc, SELF, args, NULL, attr, p) != APR_SUCCESS) {
        wh_log(WH_LOG_ERROR, "WH0510", "the collector cannot be started");
        apr_pool_destroy(p);
        return;
    }
    core->collector = proc;
    core->collector_pool = p;
}

void wh_retire_collect(wh_core_t *core, wh_mono_t mono)
{
    apr_exit_why_e why = APR_PROC_EXIT;
    int code = 0;

    if (core->conf == NULL) {
        return; /* a test's own core */
    }
    if (core->collector != NULL &&
        apr_proc_wait(core->collector, &code, &why, APR_NOWAIT) != APR_CHILD_NOTDONE) {
        if (why != APR_PROC_EXIT) {
            wh_log(WH_LOG_WARN, "WH0511", "the collector was ended by signal %d", code);
        }
        apr_pool_destroy(core->collector_pool);
        core->collector = NULL;
    }
    if (core->collect_at.us == 0) {
        core->collect_at = wh_mono_add(mono, WH_RETIRE_FIRST_US);
    } else if (core->collector == NULL && wh_mono_reached(mono, core->collect_at)) {
        core->collect_at = wh_mono_add(mono, WH_RETIRE_EVERY_US);
        start(core);
    }
}
