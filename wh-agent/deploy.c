#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_giturl.h"
#include "libwh/wh_log.h"
#include "libwh/wh_text.h"
#include "wh-agent/build.h"
#include "wh-agent/cause.h"
#include "wh-agent/deploy.h"
#include "wh-agent/made.h"
#include "wh-agent/output.h"
#include "wh-agent/pull.h"
#include "wh-agent/recipe.h"
#include "wh-agent/release.h"
#include "wh-agent/run.h"

#define STOP_GRACE_S 10
#define UNDO_S 60 /* how long a canceled or failed job waits until the engine has let go of it */

static apr_int64_t ms_since(const wh_work_t *work, wh_mono_t from)
{
    return wh_mono_diff(wh_clock_mono(work->clock), from) / 1000;
}

static wh_mono_t in_s(const wh_work_t *work, apr_int64_t s)
{
    return wh_mono_add(wh_clock_mono(work->clock), apr_time_from_sec(s));
}

/* ---- cloning ---- */

/* What was pushed is fetched from the server itself, as the job and with the worker's own token. */
static apr_status_t from_hub(const wh_work_t *work, wh_source_opts_t *opts, wh_err_t *err)
{
    if (wh_giturl_kind(opts->url) != WH_GITURL_HUB)
        return APR_SUCCESS;
    opts->hub_url = apr_psprintf(work->p, "%s/v1/agent/git/%s/%" APR_INT64_T_FMT,
                                 work->conf->server_url, work->job->job, work->job->epoch);
    return wh_identity_token(work->identity, work->p, 0, &opts->bearer, err);
}

static apr_status_t clone(wh_work_t *work, wh_source_t **source, wh_msg_job_result_t *result,
                          wh_err_t *err)
{
    const wh_msg_job_t *job = work->job;
    const wh_agent_conf_t *conf = work->conf;
    wh_source_opts_t opts = {
        .git = conf->git_program,
        .dir = apr_pstrcat(work->p, conf->state_dir, "/cache/", job->app, NULL),
        .url = job->snapshot.repo_url,
        .local_root = conf->local_repo_root,
        .ca_file = conf->ca_file,
        .auth = &job->source,
        .allow_private = conf->git_private_addresses,
        .sha = job->commit_sha,
        .branch = job->commit_ref[0] != '\0' ? job->commit_ref : job->snapshot.repo_branch,
        .mark = work->mark,
        .max_bytes = conf->clone_max_bytes,
        .deadline = in_s(work, job->clone_s),
        .limit_s = job->clone_s,
        .cancel = work->cancel,
        .clock = work->clock,
    };
    wh_mono_t begin = wh_clock_mono(work->clock);
    apr_status_t rv;

    work->phase(work->phase_baton, WH_PHASE_CLONING, NULL);
    rv = from_hub(work, &opts, err);
    if (rv == APR_SUCCESS)
        rv = wh_source_fetch(work->p, &opts, source, err);
    result->timings.clone_ms = ms_since(work, begin);
    if (rv != APR_SUCCESS)
        return rv;
    result->commit = (wh_msg_commit_t){.present = 1,
                                       .sha = (*source)->sha,
                                       .message = (*source)->message,
                                       .author = (*source)->author,
                                       .at = (*source)->at};
    work->commit = &result->commit;
    wh_logs_say(work->logs, "commit %s: %s", wh_text_short_sha(work->p, (*source)->sha),
                wh_text_first_line(work->p, (*source)->message));
    return APR_SUCCESS;
}

/* ---- images ---- */

static apr_status_t open_engine(wh_work_t *work, const wh_cancel_t *cancel, wh_engine_t **engine,
                                wh_err_t *err)
{
    wh_engine_open_t open = {
        .socket = work->conf->engine_socket, .cancel = cancel, .clock = work->clock};

    if (work->engine == NULL)
        return wh_err_set(err, 422, "no_engine",
                          "containers need a container engine; this worker has none");
    work->in_engine = 1;
    return work->engine(work->p, &open, engine, err);
}

/* The image that an earlier deployment of this app left here. Our own label must be on it: the name
 * alone could be anybody's who may use the engine. */
static apr_status_t find_image(wh_work_t *work, wh_engine_t *engine, const char **id, wh_err_t *err)
{
    const wh_msg_job_t *job = work->job;
    const char *name = wh_made_tag(work->p, job->app, job->image_of);
    const char *own =
        apr_pstrcat(work->p, wh_identity_agent_id(work->identity), ".", job->app, NULL);
    wh_engine_image_t image;
    apr_status_t rv = engine->vt->image(engine, work->p, name, &image, err);

    if (rv == APR_NOTFOUND ||
        (rv == APR_SUCCESS &&
         strcmp(wh_engine_label(image.labels, WH_ENGINE_LABEL_IMAGE), own) != 0))
        return wh_err_set(err, 410, "image_gone",
                          "the image is no longer kept on this worker; deploy its commit again");
    if (rv != APR_SUCCESS)
        return rv;
    *id = image.id;
    rv = wh_recipe_remember(work, wh_engine_label(image.labels, WH_ENGINE_LABEL_RUN), err);
    wh_logs_say(work->logs, "the image of deployment %s is taken up again", job->image_of);
    return rv;
}

static apr_status_t build_image(wh_work_t *work, wh_engine_t *engine, wh_source_t *source,
                                const wh_recipe_plan_t *plan, wh_msg_job_result_t *result,
                                const char **image, wh_err_t *err)
{
    wh_mono_t begin = wh_clock_mono(work->clock);
    apr_status_t rv;

    work->phase(work->phase_baton, WH_PHASE_BUILDING, &result->commit);
    source->opts.deadline = in_s(work, work->job->build_s);
    rv = wh_build_image(work, engine, source, plan, image, err);
    result->timings.build_ms = ms_since(work, begin);
    return rv;
}

/* That of the registry. */
static apr_status_t pull_image(wh_work_t *work, wh_engine_t *engine, wh_msg_job_result_t *result,
                               const char **image, wh_err_t *err)
{
    wh_mono_t begin = wh_clock_mono(work->clock);
    wh_pull_t pulled = {.digest = ""};
    apr_status_t rv;

    work->phase(work->phase_baton, WH_PHASE_BUILDING, NULL);
    rv = wh_pull_image(work, engine, &pulled, err);
    result->timings.build_ms = ms_since(work, begin);
    result->image_digest = pulled.digest;
    *image = pulled.image;
    return rv;
}

/* One that is there already, or, of a registry's, that can be had again. */
static apr_status_t image_again(wh_work_t *work, wh_engine_t *engine, wh_msg_job_result_t *result,
                                const char **image, wh_err_t *err)
{
    apr_status_t rv = find_image(work, engine, image, err);

    result->image_digest = work->job->image_digest;
    if (rv == APR_SUCCESS || !wh_err_is(err, "image_gone") ||
        work->job->image_digest[0] == '\0')
        return rv;
    wh_err_clear(err);
    return pull_image(work, engine, result, image, err);
}

/* ---- static ---- */

/* The image stays in the engine: the next build finds its layers there. */
static apr_status_t build_files(wh_work_t *work, wh_source_t *source, const wh_recipe_plan_t *plan,
                                wh_msg_job_result_t *result, wh_output_t **output, wh_err_t *err)
{
    wh_output_opts_t opts = {.path = plan->output, .spool_dir = source->opts.dir};
    wh_engine_t *engine;
    apr_status_t rv = open_engine(work, work->cancel, &engine, err);

    if (rv == APR_SUCCESS)
        rv = build_image(work, engine, source, plan, result, &opts.image, err);
    opts.deadline = source->opts.deadline;
    return rv == APR_SUCCESS ? wh_output_copy(work, engine, &opts, output, err) : rv;
}

static apr_status_t deploy_static(wh_work_t *work, wh_source_t *source,
                                  const wh_recipe_plan_t *plan, wh_msg_job_result_t *result,
                                  wh_err_t *err)
{
    wh_output_t *output = NULL;
    wh_release_done_t done;
    wh_mono_t begin;
    apr_status_t rv = APR_SUCCESS;

    if (plan->way == WH_RECIPE_MADE)
        rv = build_files(work, source, plan, result, &output, err);
    if (rv != APR_SUCCESS)
        return rv;
    begin = wh_clock_mono(work->clock);
    source->opts.deadline = in_s(work, work->job->build_s);
    rv = wh_release_publish(work, source, output, &done, err);
    result->timings.upload_ms = ms_since(work, begin);
    if (rv != APR_SUCCESS)
        return rv;
    result->release = done.id;
    result->site = 1;
    result->spa = work->job->snapshot.spa;
    result->clean_urls = work->job->snapshot.clean_urls;
    return APR_SUCCESS;
}

/* ---- container ---- */

/* source NULL: nothing was fetched, for there is an image. */
static apr_status_t deploy_container(wh_work_t *work, wh_source_t *source,
                                     const wh_recipe_plan_t *plan, wh_msg_job_result_t *result,
                                     wh_err_t *err)
{
    wh_engine_t *engine;
    const char *image = NULL;
    wh_run_t run = {.container = NULL};
    apr_status_t rv = open_engine(work, work->cancel, &engine, err);

    if (rv == APR_SUCCESS)
        rv = work->job->image_of[0] != '\0' ? image_again(work, engine, result, &image, err)
             : source == NULL               ? pull_image(work, engine, result, &image, err)
                              : build_image(work, engine, source, plan, result, &image, err);
    if (rv != APR_SUCCESS)
        return rv;
    work->phase(work->phase_baton, WH_PHASE_STARTING, source == NULL ? NULL : &result->commit);
    rv = wh_run_container(work, engine, image, &run, err);
    result->timings.start_ms = run.start_ms;
    result->timings.check_ms = run.check_ms;
    if (rv != APR_SUCCESS)
        return rv;
    result->instances = apr_array_make(work->p, 1, sizeof(wh_msg_instance_t));
    APR_ARRAY_PUSH(result->instances, wh_msg_instance_t) =
        (wh_msg_instance_t){.container = run.container, .address = run.address, .port = run.port};
    wh_logs_say(work->logs, "the container answers at %s:%" APR_INT64_T_FMT, run.address, run.port);
    return APR_SUCCESS;
}

static apr_status_t deploy(wh_work_t *work, wh_msg_job_result_t *result, wh_err_t *err)
{
    wh_recipe_plan_t plan = {.way = WH_RECIPE_OWN};
    wh_source_t *source = NULL;
    /* There is an image, here or in a registry: nothing is fetched from a repository. */
    int made = work->job->snapshot.kind == WH_KIND_CONTAINER &&
               (work->job->image_of[0] != '\0' || work->job->snapshot.image[0] != '\0');
    apr_status_t rv = made ? APR_SUCCESS : clone(work, &source, result, err);

    if (rv == APR_SUCCESS && !made)
        rv = wh_recipe_settle(work, source, &plan, err);
    if (rv != APR_SUCCESS)
        return rv;
    return work->job->snapshot.kind == WH_KIND_STATIC
               ? deploy_static(work, source, &plan, result, err)
               : deploy_container(work, source, &plan, result, err);
}

/* ---- stop ---- */

static apr_status_t stop(wh_work_t *work, wh_err_t *err)
{
    wh_run_stop_t what = {.agent = wh_identity_agent_id(work->identity),
                          .app = work->job->app,
                          .deployment = work->job->deployment,
                          .grace_s = STOP_GRACE_S,
                          .stopped = work->stopped,
                          .baton = work->stopped_baton};
    wh_engine_t *engine;
    apr_status_t rv;

    if (work->engine == NULL)
        return APR_SUCCESS; /* nothing of ours can run here */
    /* A stop is short and is not taken back: no cancel. */
    rv = open_engine(work, NULL, &engine, err);
    return rv == APR_SUCCESS ? wh_run_stop(engine, work->p, &what, err) : rv;
}

static apr_status_t undo_once(wh_work_t *work, wh_err_t *err)
{
    wh_engine_t *engine;
    apr_pool_t *p;
    apr_status_t rv = apr_pool_create(&p, work->p);

    if (rv != APR_SUCCESS)
        return rv;
    rv = work->engine(
        p, &(wh_engine_open_t){.socket = work->conf->engine_socket, .clock = work->clock}, &engine,
        err);
    if (rv == APR_SUCCESS)
        rv =
            wh_run_remove_job(engine, p, wh_identity_agent_id(work->identity), work->job->job, err);
    apr_pool_destroy(p);
    return rv;
}

/* Whatever the job has in the engine goes, be it the container that came up in the very moment of
 * the cancel: the result waits for it. "" when nothing is left, else what may be. */
static const char *undo(wh_work_t *work)
{
    wh_mono_t end = in_s(work, UNDO_S);
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;

    if (work->engine == NULL || !work->in_engine)
        return "";
    for (;;) {
        rv = undo_once(work, &err);
        if (rv == APR_SUCCESS || wh_mono_reached(wh_clock_mono(work->clock), end))
            break;
        (void)wh_cancel_wait(NULL, APR_USEC_PER_SEC);
    }
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0620", "containers of job %s may be left: %s", work->job->job,
               err.text);
        return "; containers of it may be left, for the engine does not answer";
    }
    return work->settled ? "" : "; the engine did not say that its build ended";
}

void wh_deploy_run(wh_work_t *work, wh_msg_job_result_t *result)
{
    const wh_msg_job_t *job = work->job;
    const char *left = "";
    wh_err_t err = WH_ERR_INIT;
    apr_status_t rv;

    *result = (wh_msg_job_result_t){.job = job->job,
                                    .epoch = job->epoch,
                                    .outcome = WH_OUTCOME_SUCCEEDED,
                                    .cause_code = "",
                                    .cause_detail = "",
                                    .release = "",
                                    .image_digest = "",
                                    .commit = {.sha = "", .message = "", .author = ""}};
    work->settled = 1;
    rv = job->kind == WH_JOB_KIND_STOP ? stop(work, &err) : deploy(work, result, &err);
    if (job->kind == WH_JOB_KIND_DEPLOY && (rv != APR_SUCCESS || wh_cancel_is_set(work->cancel)))
        left = undo(work);
    if (wh_cancel_is_set(work->cancel) && job->kind == WH_JOB_KIND_DEPLOY) {
        rv = wh_err_set(&err, 409, "canceled", "the deployment was canceled%s", left);
        result->outcome = WH_OUTCOME_CANCELED;
    } else if (rv != APR_SUCCESS) {
        result->outcome = WH_OUTCOME_FAILED;
        wh_cause_settle(&err);
    }
    if (rv == APR_SUCCESS)
        return;
    wh_mask_buf(work->mask, err.text, sizeof(err.text));
    result->cause_code = apr_pstrdup(work->p, err.code);
    result->cause_detail = apr_pstrdup(work->p, err.text);
    result->instances = NULL;
}
