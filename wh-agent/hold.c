#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "wh-agent/engine_json.h"
#include "wh-agent/hold.h"
#include "wh-agent/machine.h"
#include "wh-agent/tarfile.h"

#define MEMORY_BYTES (16 * WH_MIB)
#define PIDS 16
#define CGROUP_MAX 8192
#define IMAGE_TIMEOUT_US ((apr_interval_time_t)60 * APR_USEC_PER_SEC)

/* The program of hold_elf.c, as bytes. */
static const unsigned char program[] = {
#include "wh-agent/hold_elf.inc"
};

static const char dockerfile[] = "FROM scratch\nCOPY hold /hold\nCMD [\"/hold\"]\n";

int wh_hold_is(const apr_array_header_t *labels)
{
    return wh_engine_label(labels, WH_ENGINE_LABEL_HOLD)[0] != '\0';
}

/* ---- the image ---- */

static apr_status_t build_image(wh_work_t *work, wh_engine_t *e, const char *tag,
                                const wh_engine_label_t *label, const char **image, wh_err_t *err)
{
    apr_array_header_t *labels = apr_array_make(work->p, 1, sizeof(wh_engine_label_t));
    const wh_tarfile_entry_t files[] = {
        {.name = "hold", .bytes = program, .n = sizeof(program), .mode = 0755},
        {.name = "Dockerfile", .bytes = dockerfile, .n = sizeof(dockerfile) - 1, .mode = 0644}};
    wh_tarfile_t tar;
    int settled;
    wh_engine_build_t build = {.dockerfile = "Dockerfile",
                               .tag = tag,
                               .labels = labels,
                               .memory_bytes = 64 * WH_MIB,
                               .cpu_weight = work->conf->build_cpu_weight,
                               .pid_ns = "",
                               .cgroup = "",
                               .secrets = "",
                               .read = wh_tarfile_read,
                               .read_baton = &tar,
                               .text = wh_engine_no_text,
                               .deadline =
                                   wh_mono_add(wh_clock_mono(work->clock), IMAGE_TIMEOUT_US),
                               .settled = &settled};
    apr_status_t rv = wh_tarfile_make(work->p, files, WH_ARRAY_LEN(files), 1, &tar, err);

    APR_ARRAY_PUSH(labels, wh_engine_label_t) = *label;
    return rv == APR_SUCCESS ? e->vt->build(e, work->p, &build, image, err) : rv;
}

/* By its name, which costs the engine less than a list of all it has. A name without our label is
 * somebody else's: the build takes it over. */
static apr_status_t find_image(wh_work_t *work, wh_engine_t *e, const char **image, wh_err_t *err)
{
    const char *agent = wh_identity_agent_id(work->identity);
    const char *tag = apr_pstrcat(work->p, "localhost/wisehost/hold:", agent, NULL);
    wh_engine_label_t label = {.key = WH_ENGINE_LABEL_IMAGE,
                               .value = apr_pstrcat(work->p, agent, ".hold", NULL)};
    wh_engine_image_t there;
    wh_err_t why = WH_ERR_INIT;
    apr_status_t rv = e->vt->image(e, work->p, tag, &there, &why);

    if (rv == APR_SUCCESS && strcmp(wh_engine_label(there.labels, label.key), label.value) == 0) {
        *image = apr_pstrcat(work->p, "sha256:", wh_engine_hex(there.id), NULL);
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS || rv == APR_NOTFOUND)
        return build_image(work, e, tag, &label, image, err);
    *err = why;
    return rv;
}

/* ---- the container ---- */

/* "8:pids:/libpod_parent/libpod-<id>": the name alone, without ".scope" behind it, is cgroupfs. */
const char *wh_hold_cgroup(apr_pool_t *p, const char *text, const char *id)
{
    const char *at = strstr(text, ":pids:/"), *name = apr_pstrcat(p, "/libpod-", id, NULL);
    size_t n, m = strlen(name);

    if (at == NULL || id[0] == '\0')
        return "";
    at += sizeof(":pids:") - 1;
    n = strcspn(at, "\n");
    if (n < m || memcmp(at + n - m, name, m) != 0)
        return "";
    return apr_pstrcat(p, apr_pstrmemdup(p, at, n), "/build", NULL);
}

static const char *cgroup_of(apr_pool_t *p, apr_int64_t pid, const char *id)
{
    const char *path = apr_psprintf(p, "/proc/%" APR_INT64_T_FMT "/cgroup", pid);
    char text[CGROUP_MAX];

    return wh_machine_text(path, text, sizeof(text)) == 0 ? wh_hold_cgroup(p, text, id) : "";
}

apr_array_header_t *wh_hold_labels(const wh_work_t *work)
{
    apr_array_header_t *labels = apr_array_make(work->p, 4, sizeof(wh_engine_label_t));
    const wh_engine_label_t all[] = {
        {WH_ENGINE_LABEL_AGENT, wh_identity_agent_id(work->identity)},
        {WH_ENGINE_LABEL_APP, work->job->app},
        {WH_ENGINE_LABEL_SLUG, work->job->slug},
        {WH_ENGINE_LABEL_JOB, work->job->job},
        {WH_ENGINE_LABEL_HOLD, "1"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(all); i++)
        APR_ARRAY_PUSH(labels, wh_engine_label_t) = all[i];
    return labels;
}

static apr_status_t start(wh_hold_t *hold, wh_engine_t *e, const wh_engine_spec_t *spec,
                          wh_err_t *err)
{
    apr_pool_t *p = hold->work->p;
    wh_engine_seen_t seen;
    apr_status_t rv = e->vt->remove(e, p, spec->name, err);

    if (rv == APR_SUCCESS)
        rv = e->vt->create(e, p, spec, &hold->id, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->start(e, p, hold->id, hold->work->job->start_s, err);
    if (rv == APR_SUCCESS)
        rv = e->vt->inspect(e, p, hold->id, &seen, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (!seen.running || seen.pid == 0 || seen.forbidden[0] != '\0')
        return wh_err_set(err, 502, "engine_error",
                          "the engine did not make the build's own process namespace");
    hold->pid_ns = apr_psprintf(p, "/proc/%" APR_INT64_T_FMT "/ns/pid", seen.pid);
    hold->cgroup = cgroup_of(p, seen.pid, hold->id);
    return APR_SUCCESS;
}

apr_status_t wh_hold_begin(wh_work_t *work, wh_engine_t *e, apr_int64_t memory_bytes,
                           wh_hold_t *hold, wh_err_t *err)
{
    wh_engine_spec_t spec = {
        .name = apr_pstrcat(work->p, "wisehost-hold-", work->job->job, NULL),
        .network = "",
        .publish_address = "",
        .memory_bytes = memory_bytes + MEMORY_BYTES,
        .pids = work->conf->build_pids + PIDS,
        .cpu_weight = work->conf->build_cpu_weight,
        .labels = wh_hold_labels(work),
    };
    const char *name;
    apr_status_t rv = e->vt->version(e, work->p, &name, err);

    *hold = (wh_hold_t){.work = work, .id = "", .pid_ns = "", .cgroup = ""};
    if (rv != APR_SUCCESS || strncmp(name, "podman", 6) != 0)
        return rv;
    rv = find_image(work, e, &spec.image, err);
    if (rv == APR_SUCCESS)
        rv = start(hold, e, &spec, err);
    if (rv != APR_SUCCESS)
        wh_hold_end(hold);
    return rv;
}

void wh_hold_end(wh_hold_t *hold)
{
    wh_work_t *work = hold->work;
    wh_engine_open_t open = {.socket = work->conf->engine_socket, .clock = work->clock};
    wh_err_t err = WH_ERR_INIT;
    wh_engine_t *e;
    apr_pool_t *p;
    apr_status_t rv;

    if (hold->id[0] == '\0')
        return;
    rv = apr_pool_create(&p, work->p);
    if (rv != APR_SUCCESS)
        return;
    rv = work->engine(p, &open, &e, &err);
    if (rv == APR_SUCCESS)
        rv = e->vt->remove(e, p, hold->id, &err);
    if (rv == APR_SUCCESS)
        hold->id = "";
    else
        wh_log(WH_LOG_WARN, "WH0603", "a build's container of %s stays for now: %s",
               work->job->slug, err.text);
    apr_pool_destroy(p);
}
