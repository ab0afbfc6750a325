#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_branch.h"
#include "libwh/wh_log.h"
#include "libwh/wh_text.h"
#include "wh-agent/base.h"
#include "wh-agent/bounds.h"
#include "wh-agent/build.h"
#include "wh-agent/dockerfile.h"
#include "wh-agent/gitsays.h"
#include "wh-agent/hold.h"
#include "wh-agent/layers.h"
#include "wh-agent/made.h"
#include "wh-agent/release.h"
#include "wh-agent/tarfile.h"
#include "wh-agent/vars.h"

#define DOCKERFILE_MAX WH_MIB
#define FILES_MAX 200000
#define BUILD_TRIES 8
#define BUILD_PAUSE_US ((apr_interval_time_t)500000) /* before the second, then doubling */
#define BUILD_PAUSE_MAX_US ((apr_interval_time_t)4000000)

apr_array_header_t *wh_work_labels(const wh_work_t *work)
{
    apr_array_header_t *labels = apr_array_make(work->p, 8, sizeof(wh_engine_label_t));
    const wh_msg_job_t *job = work->job;
    const wh_engine_label_t all[] = {
        {WH_ENGINE_LABEL_AGENT, wh_identity_agent_id(work->identity)},
        {WH_ENGINE_LABEL_APP, job->app},
        {WH_ENGINE_LABEL_SLUG, job->slug},
        {WH_ENGINE_LABEL_DEPLOYMENT, job->deployment},
        {WH_ENGINE_LABEL_ENVIRONMENT, job->environment},
        {WH_ENGINE_LABEL_JOB, job->job},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(all); i++)
        APR_ARRAY_PUSH(labels, wh_engine_label_t) = all[i];
    if (job->image_of != NULL && job->image_of[0] != '\0')
        APR_ARRAY_PUSH(labels, wh_engine_label_t) =
            (wh_engine_label_t){WH_ENGINE_LABEL_SOURCE, job->image_of};
    return labels;
}

const char *wh_work_network(apr_pool_t *p, const char *app_id)
{
    return apr_pstrcat(p, "wisehost-", app_id, NULL);
}

/* Some engines make a layer of every label, a tenth of a second each: an image gets one, and the
 * same one each time, so that a build of what was built before is found whole in the cache. */
apr_array_header_t *wh_work_image_labels(const wh_work_t *work)
{
    apr_array_header_t *labels = apr_array_make(work->p, 2, sizeof(wh_engine_label_t));

    APR_ARRAY_PUSH(labels, wh_engine_label_t) =
        (wh_engine_label_t){.key = WH_ENGINE_LABEL_IMAGE,
                            .value = apr_pstrcat(work->p, wh_identity_agent_id(work->identity), ".",
                                                 work->job->app, NULL)};
    /* A start from the image alone does not see the repository's settings again. */
    if (work->repo_run != NULL)
        APR_ARRAY_PUSH(labels, wh_engine_label_t) =
            (wh_engine_label_t){.key = WH_ENGINE_LABEL_RUN, .value = work->repo_run};
    return labels;
}

/* ---- what must be true of the tree ---- */

/* Engines read these beside the Dockerfile, some of them following links: only plain files will do.
 */
static apr_status_t check_plain(wh_work_t *work, const wh_source_t *source, const char *path,
                                wh_lstree_entry_t *needed, wh_err_t *err)
{
    wh_lstree_entry_t entry;
    apr_status_t rv = wh_source_stat(work->p, source, path, &entry, err);

    if (rv == APR_NOTFOUND && needed == NULL)
        return APR_SUCCESS;
    if (rv == APR_NOTFOUND)
        return wh_err_set(err, 422, "build_failed", "there is no %s in the repository", path);
    if (rv != APR_SUCCESS)
        return rv;
    if (entry.kind != WH_LSTREE_FILE)
        return wh_err_set(err, 422, "build_failed", "%s is not a regular file", path);
    if (entry.size > DOCKERFILE_MAX)
        return wh_err_set(err, 422, "build_failed", "%s is larger than 1 MiB", path);
    if (needed != NULL)
        *needed = entry;
    return APR_SUCCESS;
}

typedef struct text_t {
    char *buf;
    size_t n, size;
} text_t;

static int take_dockerfile(void *baton, const wh_catfile_object_t *object, const char *buf,
                           size_t n)
{
    text_t *text = baton;

    if (strcmp(object->type, "blob") != 0 || n > text->size - text->n)
        return 1;
    memcpy(text->buf + text->n, buf, n);
    text->n += n;
    return 0;
}

static apr_status_t check_dockerfile(wh_work_t *work, const wh_source_t *source,
                                     const wh_lstree_entry_t *entry, wh_dockerfile_t *seen,
                                     wh_err_t *err)
{
    const char *oid = entry->oid;
    text_t text = {.size = (size_t)entry->size};
    wh_source_read_t what = {.oids = &oid, .n = 1, .fn = take_dockerfile, .baton = &text};
    int ended = 0;
    apr_status_t rv;

    text.buf = apr_palloc(work->p, text.size + 1);
    rv = wh_source_read(work->p, source, &what, &ended, err);
    if (rv == APR_SUCCESS && ended)
        rv = wh_err_set(err, 422, "clone_failed", "git gave something else than a file");
    return rv == APR_SUCCESS ? wh_dockerfile_check(work->p, text.buf, text.n, seen, err) : rv;
}

/* How much a few small trees that name each other may unfold to: git packs only what was counted
 * before, for it would hold all of it in memory. */
typedef struct count_t {
    wh_work_t *work;
    int files;
    apr_int64_t bytes, bytes_max, file_max;
    const char *large; /* the first file over file_max: what is said of it; NULL = none */
} count_t;

static int take_count(void *baton, const wh_lstree_entry_t *entry)
{
    count_t *count = baton;

    count->bytes += entry->size > 0 ? entry->size : 0;
    if (entry->size > count->file_max)
        count->large = wh_release_too_large(count->work->p, entry, count->file_max);
    return count->large != NULL || ++count->files > FILES_MAX || count->bytes > count->bytes_max;
}

static apr_status_t check_size(wh_work_t *work, const wh_source_t *source, wh_err_t *err)
{
    count_t count = {.work = work,
                     .bytes_max = 2 * source->opts.max_bytes,
                     .file_max = source->opts.max_bytes};
    int ended = 0;
    apr_status_t rv = wh_source_list(work->p, source, work->job->snapshot.repo_root, take_count,
                                     &count, &ended, err);

    if (rv != APR_SUCCESS || !ended)
        return rv;
    if (count.large != NULL)
        return wh_err_set(err, 422, "too_large", "%s", count.large);
    if (count.files > FILES_MAX)
        return wh_err_set(err, 422, "too_many_files", "the files for the build are more than %d",
                          FILES_MAX);
    return wh_err_set(err, 422, "too_large",
                      "the files for the build have more than %" APR_INT64_T_FMT " MiB",
                      count.bytes_max / WH_MIB);
}

/* A made Dockerfile is the only one of its name, and is held to the same rules: what people wrote
 * stands in it. */
static apr_status_t check_made(wh_work_t *work, const wh_source_t *source, const char *path,
                               const char *text, wh_dockerfile_t *seen, wh_err_t *err)
{
    wh_lstree_entry_t entry;
    apr_status_t rv = wh_source_stat(work->p, source, path, &entry, err);

    if (rv == APR_SUCCESS)
        return wh_err_set(err, 422, "build_failed", "the repository may not have a %s", path);
    return rv == APR_NOTFOUND ? wh_dockerfile_check(work->p, text, strlen(text), seen, err) : rv;
}

static const char *name_of(const wh_work_t *work, const wh_recipe_plan_t *plan)
{
    return plan->way == WH_RECIPE_MADE ? WH_RECIPE_FILE : work->job->snapshot.build_dockerfile;
}

static apr_status_t check_tree(wh_work_t *work, const wh_source_t *source,
                               const wh_recipe_plan_t *plan, wh_dockerfile_t *seen, wh_err_t *err)
{
    const wh_snapshot_t *snap = &work->job->snapshot;
    const char *dockerfile = wh_release_join(work->p, snap->repo_root, name_of(work, plan));
    const char *const beside[] = {wh_release_join(work->p, snap->repo_root, ".dockerignore"),
                                  wh_release_join(work->p, snap->repo_root, ".containerignore"),
                                  apr_pstrcat(work->p, dockerfile, ".dockerignore", NULL),
                                  apr_pstrcat(work->p, dockerfile, ".containerignore", NULL)};
    wh_lstree_entry_t entry;
    apr_status_t rv;

    if (wh_dockerfile_name_bad(dockerfile))
        return wh_err_set(err, 422, "build_failed", "a Dockerfile may not be called *.in: %s",
                          dockerfile);
    rv = plan->way == WH_RECIPE_MADE
             ? check_made(work, source, dockerfile, plan->dockerfile, seen, err)
             : check_plain(work, source, dockerfile, &entry, err);
    if (rv == APR_SUCCESS && plan->way != WH_RECIPE_MADE)
        rv = check_dockerfile(work, source, &entry, seen, err);
    for (size_t i = 0; i < WH_ARRAY_LEN(beside) && rv == APR_SUCCESS; i++)
        rv = check_plain(work, source, beside[i], NULL, err);
    return rv == APR_SUCCESS ? check_size(work, source, err) : rv;
}

/* ---- the stream ---- */

typedef struct stream_t {
    wh_work_t *work;
    wh_tarfile_t before; /* goes in front of the tree */
    wh_tarfile_t head;   /* and before that */
    int fd;
    wh_mono_t deadline;
    apr_int64_t bytes, bytes_max;
    int too_large;
} stream_t;

static apr_ssize_t read_tar(void *baton, char *buf, size_t n)
{
    stream_t *s = baton;
    ssize_t got;

    if (s->head.at < s->head.n)
        return wh_tarfile_read(&s->head, buf, n);
    if (s->before.at < s->before.n)
        return wh_tarfile_read(&s->before, buf, n);
    for (;;) {
        struct pollfd pfd[2] = {{.fd = s->fd, .events = POLLIN},
                                {.fd = s->work->cancel->fd, .events = POLLIN}};

        (void)poll(pfd, 2, 500);
        if (wh_cancel_is_set(s->work->cancel) ||
            wh_mono_reached(wh_clock_mono(s->work->clock), s->deadline))
            return -1;
        if (pfd[0].revents != 0)
            break;
    }
    do {
        got = read(s->fd, buf, n);
    } while (got < 0 && errno == EINTR);
    s->bytes += got > 0 ? got : 0;
    if (s->bytes > s->bytes_max) {
        s->too_large = 1;
        return -1;
    }
    return got;
}

/* ---- the words ---- */

typedef struct words_t {
    wh_logs_t *logs;
    wh_bounds_t *bounds;
    wh_logs_half_t out, err;
} words_t;

static void take_text(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    words_t *w = baton;

    w->bounds->output += (apr_int64_t)n;
    wh_logs_feed(w->logs, stream, stream == WH_STREAM_ERR ? &w->err : &w->out, buf, n);
}

static apr_status_t outcome(const stream_t *s, const wh_bounds_t *bounds, apr_int64_t limit_s,
                            apr_status_t rv, wh_err_t *err)
{
    if (rv == APR_SUCCESS)
        return APR_SUCCESS;
    if (wh_cancel_is_set(s->work->cancel))
        return wh_err_set(err, 409, "canceled", "the deployment was canceled");
    if (s->too_large)
        return wh_err_set(err, 422, "too_large",
                          "the files for the build have more than %" APR_INT64_T_FMT " MiB",
                          s->bytes_max / WH_MIB);
    if (wh_err_is(err, "over_limit"))
        return wh_err_set(err, 422, "build_failed", "%s", bounds->why);
    if (wh_err_is(err, "deadline"))
        return wh_err_set(err, 422, "build_timeout",
                          "the build was not done within %" APR_INT64_T_FMT " s", limit_s);
    if (wh_err_is(err, "engine_error")) {
        wh_err_t was = *err;

        return wh_err_set(err, 422, "build_failed", "%s", was.text);
    }
    return rv;
}

static void end_hold(void *baton)
{
    wh_hold_end(baton);
}

/* Pack the tree and build it. */
static apr_status_t stream_and_build(wh_work_t *work, wh_engine_t *engine,
                                     const wh_source_t *source, const wh_engine_build_t *build,
                                     const char **image, wh_err_t *err)
{
    stream_t *stream = build->read_baton;
    words_t *words = build->text_baton;
    wh_proc_result_t result;
    wh_proc_t proc;
    apr_status_t rv = wh_source_archive(work->p, source, work->job->snapshot.repo_root, &proc, err);

    if (rv != APR_SUCCESS)
        return rv;
    stream->fd = proc.out_fd;
    stream->bytes = 0;
    stream->head.at = stream->before.at = 0;
    rv = engine->vt->build(engine, work->p, build, image, err);
    wh_proc_end(work->p, &proc, rv != APR_SUCCESS, &result);
    wh_logs_flush(work->logs, WH_STREAM_OUT, &words->out);
    wh_logs_flush(work->logs, WH_STREAM_ERR, &words->err);
    if (rv == APR_SUCCESS && (result.end != WH_PROC_EXITED || result.status != 0))
        rv = wh_err_set(err, 422, "build_failed", "git could not pack the files: %s",
                        wh_gitsays_line(work->p, result.errors));
    return rv;
}

static apr_status_t build_once(wh_work_t *work, wh_engine_t *engine, const wh_source_t *source,
                               const wh_engine_build_t *build, int runs, const char **image,
                               wh_err_t *err)
{
    wh_engine_build_t once = *build;
    words_t *words = build->text_baton;
    wh_hold_t hold = {.work = work, .id = "", .pid_ns = "", .cgroup = ""};
    apr_status_t rv =
        runs ? wh_hold_begin(work, engine, build->memory_bytes, &hold, err) : APR_SUCCESS;

    once.pid_ns = hold.pid_ns;
    once.cgroup = hold.cgroup;
    once.over_baton = &hold;
    wh_bounds_begin(words->bounds, work, work->engine_root != NULL ? work->engine_root : "");
    if (rv == APR_SUCCESS)
        rv = stream_and_build(work, engine, source, &once, image, err);
    wh_bounds_end(words->bounds);
    wh_hold_end(&hold);
    return rv;
}

/* Two stumbles of Podman, where nothing was wrong with the build. Looking among its images for
 * layers that it could use again, it gives up when one of them is removed at that very moment
 * (buildah 5615, 5674). And before 4.6 a step dies with the thread that began it, which the Go
 * runtime may end whenever another container is started beside it (podman 17918): its error then
 * speaks of the runtime's own end, not of the step's. */
static int stumbled(const wh_work_t *work, const wh_err_t *err)
{
    static const char *const words[] = {"layer not known", "image not known",
                                        "locating item named \"manifest\"",
                                        "while running runtime: signal: killed"};

    if (wh_cancel_is_set(work->cancel))
        return 0;
    for (size_t i = 0; i < WH_ARRAY_LEN(words); i++)
        if (strstr(err->text, words[i]) != NULL)
            return 1;
    return 0;
}

/* Whoever removes images removes several in a row. 0 = there is no time for another try. */
static int pause_before(const wh_work_t *work, int n, wh_mono_t deadline)
{
    apr_interval_time_t wait = BUILD_PAUSE_US << (n - 1);

    wait = wait < BUILD_PAUSE_MAX_US ? wait : BUILD_PAUSE_MAX_US;
    return wh_mono_diff(deadline, wh_clock_mono(work->clock)) > wait &&
           !wh_cancel_wait(work->cancel, wait);
}

static apr_int64_t memory_of(const wh_work_t *work)
{
    apr_int64_t own = work->job->snapshot.recipe.memory_bytes;

    return own > 0 && own < work->conf->build_memory_bytes ? own : work->conf->build_memory_bytes;
}

apr_status_t wh_build_image(wh_work_t *work, wh_engine_t *engine, const wh_source_t *source,
                            const wh_recipe_plan_t *plan, const char **image, wh_err_t *err)
{
    const wh_msg_job_t *job = work->job;
    wh_bounds_t bounds = {.why = ""};
    words_t *words = apr_pcalloc(work->p, sizeof(*words));
    wh_vars_build_t secrets = {.n = 0};
    stream_t stream = {.work = work,
                       .deadline = source->opts.deadline,
                       .bytes_max = 2 * source->opts.max_bytes};
    wh_engine_build_t build = {.dockerfile = name_of(work, plan),
                               .tag = wh_made_tag(work->p, job->app, job->deployment),
                               .secrets = "",
                               .labels = wh_work_image_labels(work),
                               .memory_bytes = memory_of(work),
                               .cpu_weight = work->conf->build_cpu_weight,
                               .cgroup = "",
                               .file_max_bytes = work->conf->build_disk_bytes,
                               .watch = wh_bounds_over,
                               .watch_baton = &bounds,
                               .read = read_tar,
                               .read_baton = &stream,
                               .text = take_text,
                               .text_baton = words,
                               .deadline = source->opts.deadline,
                               .over = end_hold,
                               .layers = apr_palloc(work->p, sizeof(wh_layers_t)),
                               .settled = &work->settled};
    apr_time_t begun = wh_clock_now(work->clock);
    wh_dockerfile_t dockerfile;
    apr_status_t rv = check_tree(work, source, plan, &dockerfile, err);

    words->logs = work->logs;
    words->bounds = &bounds;
    wh_layers_init(work->p, build.layers);
    if (rv == APR_SUCCESS)
        rv = wh_base_check(work, engine, &dockerfile, build.deadline, err);
    if (rv == APR_SUCCESS)
        rv = wh_vars_build(work, engine, &dockerfile, &secrets, err);
    if (rv == APR_SUCCESS) {
        build.secrets = secrets.param;
        stream.before = (wh_tarfile_t){.buf = secrets.tar, .n = secrets.n};
    }
    if (rv == APR_SUCCESS && plan->way == WH_RECIPE_MADE)
        rv = wh_tarfile_make(work->p,
                             &(wh_tarfile_entry_t){.name = WH_RECIPE_FILE,
                                                   .bytes = plan->dockerfile,
                                                   .n = strlen(plan->dockerfile),
                                                   .mode = 0644},
                             1, 0, &stream.head, err);
    /* What was refused is never built, whatever words of the tenant's the refusal repeats. */
    if (rv != APR_SUCCESS)
        return outcome(&stream, &bounds, job->build_s, rv, err);
    rv = wh_made_note(
        work->p, work->conf->state_dir,
        &(wh_made_t){job->app, job->deployment, wh_branch_is_preview(job->environment)}, err);
    if (rv == APR_SUCCESS)
        rv = build_once(work, engine, source, &build, dockerfile.runs, image, err);
    for (int n = 1; rv != APR_SUCCESS && n < BUILD_TRIES && stumbled(work, err); n++) {
        if (!pause_before(work, n, build.deadline))
            break;
        wh_logs_say(work->logs, "the engine stumbled, not the build; again: %s", err->text);
        wh_err_clear(err);
        rv = build_once(work, engine, source, &build, dockerfile.runs, image, err);
    }
    if (rv != APR_SUCCESS)
        wh_layers_remove(work, build.layers, begun);
    return outcome(&stream, &bounds, job->build_s, rv, err);
}
