#include "libwh/wh_switch.h"

#include <apr_strings.h>

#include "libwh/wh_json.h"

static const wh_switch_verdict_t app_stopped = {
    .code = "app_stopped", .detail = "The app is stopped; start it first."};
static const wh_switch_verdict_t not_succeeded = {
    .code = "not_succeeded", .detail = "Only a deployment that succeeded can serve."};
static const wh_switch_verdict_t already_serving = {
    .code = "already_serving", .detail = "The environment shows this deployment already."};
static const wh_switch_verdict_t release_gone = {
    .code = "release_gone", .detail = "Its files are no longer kept.", .redeploy = 1};
/* By the worker that has the image. */
static const wh_switch_verdict_t unstartable[] = {
    [WH_SWITCH_WORKER_GONE] = {.code = "image_gone",
                               .detail = "The worker that had its image was removed.",
                               .redeploy = 1},
    [WH_SWITCH_WORKER_DRAINING] = {.code = "worker_draining",
                                   .detail = "The worker that has its image is being emptied.",
                                   .redeploy = 1},
    [WH_SWITCH_WORKER_OFFLINE] = {.code = "worker_offline",
                                  .detail = "The worker that has its image is offline.",
                                  .redeploy = 1},
    [WH_SWITCH_WORKER_READY] = {.how = WH_SWITCH_START},
};

static wh_switch_verdict_t site(const wh_switch_facts_t *f)
{
    if (!f->release)
        return release_gone;
    return (wh_switch_verdict_t){.how = f->settings == WH_SWITCH_SETTINGS_OWN
                                            ? WH_SWITCH_AT_ONCE
                                            : WH_SWITCH_TAKE_OVER};
}

/* Containers that are on their way down are not caught any more, and present settings need new
 * ones. */
static wh_switch_verdict_t container(const wh_switch_facts_t *f)
{
    int runs = f->live > 0 && f->fit == f->live && !f->stopping &&
               f->worker == WH_SWITCH_WORKER_READY;

    if (runs && f->settings == WH_SWITCH_SETTINGS_OWN)
        return (wh_switch_verdict_t){.how = WH_SWITCH_AT_ONCE};
    if (f->pulled && f->worker != WH_SWITCH_WORKER_READY)
        return (wh_switch_verdict_t){.how = WH_SWITCH_START, .anywhere = 1};
    return unstartable[f->worker];
}

void wh_switch_judge(const wh_switch_facts_t *f, wh_switch_verdict_t *out)
{
    if (f->app_stopped)
        *out = app_stopped;
    else if (!f->succeeded)
        *out = not_succeeded;
    else if (f->serving && f->settings == WH_SWITCH_SETTINGS_OWN)
        *out = already_serving;
    else
        *out = f->kind == WH_KIND_STATIC ? site(f) : container(f);
}

const char *wh_switch_detail(apr_pool_t *p, const wh_switch_verdict_t *v, const char *commit_sha)
{
    if (!v->redeploy || !*commit_sha)
        return v->detail;
    return apr_psprintf(p, "%s Deploy its commit again instead: %s.", v->detail, commit_sha);
}

apr_status_t wh_switch_snapshot(apr_pool_t *p, const char *source, const wh_app_t *app,
                                const char **out, wh_err_t *err)
{
    wh_snapshot_t s;
    json_t *json;
    apr_status_t rv = wh_model_snapshot_parse(p, source, &s, err);

    if (rv != APR_SUCCESS)
        return rv;
    s.slug = app->slug;
    s.port = app->run_port;
    s.health_path = app->run_health_path;
    s.replicas = app->run_replicas;
    s.cpu_millis = app->run_cpu_millis;
    s.memory_bytes = app->run_memory_bytes;
    s.pids = app->run_pids;
    s.spa = app->spa;
    s.clean_urls = app->serve.clean_urls;
    s.place_worker = app->place_worker;
    s.place_zone = app->place_zone;
    s.place_labels = app->place_labels;
    json = wh_json_own(p, wh_model_snapshot_json(&s));
    *out = wh_json_text(p, json, NULL);
    return *out != NULL ? APR_SUCCESS : wh_err_set(err, 503, "no_memory", "out of memory");
}
