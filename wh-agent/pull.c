#include "wh-agent/pull.h"

#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_branch.h"
#include "libwh/wh_log.h"
#include "wh-agent/made.h"
#include "wh-agent/netguard.h"
#include "wh-agent/tarfile.h"

#define TRIES 3

/* ---- where from ---- */

static int word_is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

/* 2 = named, 1 = "*" is there, 0 = neither. */
static int listed(const char *registries, const char *registry)
{
    int found = 0;

    for (const char *s = registries; *s != '\0';) {
        size_t n = strcspn(s, " \t,");

        if (word_is(s, n, registry))
            return 2;
        found |= word_is(s, n, "*");
        s += n;
        s += strspn(s, " \t,");
    }
    return found;
}

apr_status_t wh_pull_registry_check(apr_pool_t *p, const char *registries,
                                    const wh_imageref_t *ref, wh_err_t *err)
{
    const char *url = apr_pstrcat(p, "https://", ref->registry, "/", NULL), *pin;
    int how = listed(registries, ref->registry);
    wh_err_t why = WH_ERR_INIT;

    if (how == 2)
        return APR_SUCCESS;
    if (how == 0)
        return wh_err_set(err, 422, "image_refused",
                          "this worker takes no images from %s: its administrator has not named it "
                          "in `registries`",
                          ref->registry);
    if (wh_netguard_pin(p, url, 0, &pin, &why) == APR_SUCCESS)
        return APR_SUCCESS;
    if (wh_err_is(&why, "repository_refused"))
        return wh_err_set(err, 422, "image_refused",
                          "the registry %s has an address that is not public, so this worker's "
                          "administrator has to name it in `registries`",
                          ref->registry);
    return wh_err_set(err, 422, "pull_failed", "the registry %s cannot be found", ref->registry);
}

/* ---- what came ---- */

static int same_name(const char *name, size_t n, const wh_imageref_t *ref)
{
    size_t r = strlen(ref->registry);
    const char *path = ref->path;

    if (n == r + 1 + strlen(path) && memcmp(name, ref->registry, r) == 0 && name[r] == '/' &&
        memcmp(name + r + 1, path, n - r - 1) == 0)
        return 1;
    if (strcmp(ref->registry, "docker.io") != 0)
        return 0;
    return word_is(name, n, path) ||
           (strncmp(path, "library/", 8) == 0 && word_is(name, n, path + 8));
}

const char *wh_pull_digest(const apr_array_header_t *digests, const wh_imageref_t *ref,
                           const char *wanted)
{
    for (int i = 0; i < digests->nelts; i++) {
        const char *one = APR_ARRAY_IDX(digests, i, const char *), *at = strchr(one, '@');

        if (at == NULL || !wh_imageref_digest_ok(at + 1) ||
            !same_name(one, (size_t)(at - one), ref))
            continue;
        if (wanted[0] == '\0' || strcmp(at + 1, wanted) == 0)
            return at + 1;
    }
    return "";
}

typedef struct puller_t {
    wh_work_t *work;
    wh_engine_t *e;
    wh_imageref_t ref;
    const char *wanted; /* digest, "" = any */
    const char *name;   /* what is asked for */
    int was_here;
    wh_mono_t deadline;
    apr_int64_t limit_s;
    wh_logs_half_t out, err;
} puller_t;

static void take_text(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    puller_t *pl = baton;

    wh_logs_feed(pl->work->logs, stream, stream == WH_STREAM_ERR ? &pl->err : &pl->out, buf, n);
}

/* Steps that an image makes a build do are not what whoever runs it expects, and not looked at. */
static apr_status_t check(const puller_t *pl, const wh_engine_image_t *image, const char **digest,
                          wh_err_t *err)
{
    apr_int64_t most = pl->work->conf->image_max_bytes;

    *digest = wh_pull_digest(image->digests, &pl->ref, pl->wanted);
    if ((*digest)[0] == '\0')
        return wh_err_set(err, 422, "digest_mismatch",
                          "what came for %.300s has not the digest that was asked for", pl->name);
    if (most > 0 && image->bytes > most)
        return wh_err_set(err, 422, "too_large",
                          "the image has %" APR_INT64_T_FMT " MiB, more than %" APR_INT64_T_FMT
                          " (image_max_bytes)",
                          image->bytes / WH_MIB, most / WH_MIB);
    if (image->onbuild->nelts > 0)
        return wh_err_set(err, 422, "image_refused",
                          "the image is made to be built upon (ONBUILD), not to be run");
    return APR_SUCCESS;
}

static apr_status_t pull(puller_t *pl, wh_err_t *err)
{
    const wh_gitauth_t *l = &pl->work->job->source;
    int own = wh_gitauth_fits(pl->work->p, l, wh_imageref_url(pl->work->p, &pl->ref));
    wh_engine_pull_t what = {
        .name = pl->name,
        .auth = own ? wh_imageref_auth(pl->work->p, &pl->ref, l->user, l->token) : "",
        .text = take_text,
        .text_baton = pl,
        .max_bytes = pl->work->conf->image_max_bytes,
        .deadline = pl->deadline};
    apr_status_t rv;

    if (what.auth == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    wh_logs_say(pl->work->logs, "pulling %s%s%s", pl->name, own ? " as " : "",
                own ? l->user : "");
    rv = pl->e->vt->pull(pl->e, pl->work->p, &what, err);
    wh_logs_flush(pl->work->logs, WH_STREAM_OUT, &pl->out);
    wh_logs_flush(pl->work->logs, WH_STREAM_ERR, &pl->err);
    if (rv != APR_SUCCESS && wh_err_is(err, "deadline"))
        return wh_err_set(err, 422, "pull_timeout",
                          "the image was not pulled within %" APR_INT64_T_FMT " s", pl->limit_s);
    if (rv != APR_SUCCESS && wh_err_is(err, "build_failed"))
        apr_cpystrn(err->code, "pull_failed", sizeof(err->code));
    return rv;
}

/* The same image with our label on it, under the app's own name: no step, no layer. */
static apr_status_t adopt(puller_t *pl, const char *id, const char **image, wh_err_t *err)
{
    wh_work_t *work = pl->work;
    const wh_msg_job_t *job = work->job;
    const char *text = apr_pstrcat(work->p, "FROM ", wh_engine_hex(id), "\n", NULL);
    wh_tarfile_entry_t file = {
        .name = "Dockerfile", .bytes = text, .n = strlen(text), .mode = 0644};
    wh_tarfile_t tar;
    wh_engine_build_t build = {.dockerfile = "Dockerfile",
                               .tag = wh_made_tag(work->p, job->app, job->deployment),
                               .labels = wh_work_image_labels(work),
                               .memory_bytes = work->conf->build_memory_bytes,
                               .cpu_weight = work->conf->build_cpu_weight,
                               .pid_ns = "",
                               .cgroup = "",
                               .secrets = "",
                               .read = wh_tarfile_read,
                               .read_baton = &tar,
                               .text = wh_engine_no_text,
                               .deadline = pl->deadline,
                               .settled = &work->settled};
    apr_status_t rv = wh_tarfile_make(work->p, &file, 1, 1, &tar, err);

    if (rv == APR_SUCCESS)
        rv = wh_made_note(
            work->p, work->conf->state_dir,
            &(wh_made_t){job->app, job->deployment, wh_branch_is_preview(job->environment)}, err);
    return rv == APR_SUCCESS ? pl->e->vt->build(pl->e, work->p, &build, image, err) : rv;
}

static apr_status_t once(puller_t *pl, wh_pull_t *out, wh_err_t *err)
{
    wh_engine_image_t image;
    apr_status_t rv = pull(pl, err);

    if (rv == APR_SUCCESS)
        rv = pl->e->vt->image(pl->e, pl->work->p, pl->name, &image, err);
    if (rv == APR_SUCCESS)
        rv = check(pl, &image, &out->digest, err);
    return rv == APR_SUCCESS ? adopt(pl, image.id, &out->image, err) : rv;
}

/* By a session of its own: it is tidied up after a cancel, too. */
static void forget_name(const puller_t *pl)
{
    const wh_work_t *work = pl->work;
    wh_engine_open_t open = {.socket = work->conf->engine_socket, .clock = work->clock};
    wh_err_t why = WH_ERR_INIT;
    wh_engine_t *e;
    apr_status_t rv;

    if (pl->was_here)
        return;
    rv = work->engine(work->p, &open, &e, &why);
    if (rv == APR_SUCCESS)
        rv = e->vt->image_remove(e, work->p, pl->name, &why);
    if (rv != APR_SUCCESS)
        wh_log(WH_LOG_WARN, "WH0625", "the name %.200s stays in the engine: %s", pl->name,
               why.text);
}

/* Another app's pull of the same image takes the name, and with it the image, away between two of
 * our calls. */
static int gone(const wh_err_t *err, apr_status_t rv)
{
    return rv == APR_NOTFOUND || strstr(err->text, "image not known") != NULL ||
           strstr(err->text, "no such image") != NULL;
}

static void limits(puller_t *pl)
{
    const wh_msg_job_t *job = pl->work->job;
    apr_int64_t own = job->snapshot.recipe.timeout_s;

    pl->limit_s = own > 0 && own < job->build_s ? own : job->build_s;
    pl->deadline =
        wh_mono_add(wh_clock_mono(pl->work->clock), apr_time_from_sec(pl->limit_s));
}

apr_status_t wh_pull_image(wh_work_t *work, wh_engine_t *e, wh_pull_t *out, wh_err_t *err)
{
    puller_t *pl = apr_pcalloc(work->p, sizeof(*pl));
    const wh_msg_job_t *job = work->job;
    wh_engine_image_t before;
    apr_status_t rv = wh_imageref_parse(work->p, job->snapshot.image, &pl->ref, err);

    pl->work = work;
    pl->e = e;
    if (rv == APR_SUCCESS)
        rv = wh_pull_registry_check(work->p, work->conf->registries, &pl->ref, err);
    if (rv != APR_SUCCESS)
        return rv;
    pl->wanted = job->image_digest[0] != '\0' ? job->image_digest : pl->ref.digest;
    pl->name = pl->wanted[0] != '\0' ? wh_imageref_pinned(work->p, &pl->ref, pl->wanted)
                                     : wh_imageref_text(work->p, &pl->ref);
    limits(pl);
    rv = e->vt->image(e, work->p, pl->name, &before, err);
    pl->was_here = rv == APR_SUCCESS;
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return rv;
    rv = APR_NOTFOUND;
    for (int i = 0; i < TRIES && rv != APR_SUCCESS && (i == 0 || gone(err, rv)); i++) {
        wh_err_clear(err);
        rv = once(pl, out, err);
    }
    if (rv == APR_NOTFOUND)
        rv = wh_err_set(err, 422, "pull_failed", "the image went away while it was pulled");
    forget_name(pl);
    if (rv == APR_SUCCESS)
        wh_logs_say(work->logs, "pulled %s, %s", pl->name, out->digest);
    return rv;
}
