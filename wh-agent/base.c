#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "wh-agent/base.h"

#define OURS "wisehost/"

int wh_base_name_foreign(const char *name, const char *app)
{
    size_t n = strlen(app);
    const char *rest = name;

    if (strncasecmp(rest, "localhost/", 10) == 0)
        rest += 10;
    if (strncasecmp(rest, OURS, sizeof(OURS) - 1) != 0)
        return 0;
    rest += sizeof(OURS) - 1;
    return strncmp(rest, app, n) != 0 || (rest[n] != '\0' && rest[n] != ':' && rest[n] != '@');
}

int wh_base_name_bad(const char *name)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@";

    return strspn(name, good) != strlen(name) || name[0] == '-' || name[0] == '/' ||
           strstr(name, "..") != NULL || strstr(name, "//") != NULL || strstr(name, ":/") != NULL ||
           strlen(name) > 512;
}

static apr_status_t refuse_foreign(const char *name, wh_err_t *err)
{
    return wh_err_set(err, 422, "build_failed",
                      "the image %.200s belongs to another app: a build may use its own app's and "
                      "published ones",
                      name);
}

static apr_status_t check_onbuild(wh_work_t *work, const char *name, const wh_engine_image_t *image,
                                  wh_dockerfile_t *dockerfile, wh_err_t *err)
{
    for (int i = 0; i < image->onbuild->nelts; i++) {
        const char *line = APR_ARRAY_IDX(image->onbuild, i, const char *);
        wh_dockerfile_t seen;
        wh_err_t why = WH_ERR_INIT;

        if (wh_dockerfile_check(work->p, line, strlen(line), &seen, &why) != APR_SUCCESS ||
            seen.images->nelts > 0 || seen.stage > 0 || seen.secrets->nelts > 0)
            return wh_err_set(err, 422, "build_failed",
                              "the image %.200s makes builds on it (ONBUILD) do what is not "
                              "allowed here: %.120s",
                              name, line);
        dockerfile->runs |= seen.runs;
    }
    return APR_SUCCESS;
}

static apr_status_t check_one(wh_work_t *work, wh_engine_t *e, const char *name,
                              wh_dockerfile_t *dockerfile, wh_mono_t deadline, wh_err_t *err)
{
    const char *own =
        apr_pstrcat(work->p, wh_identity_agent_id(work->identity), ".", work->job->app, NULL);
    wh_engine_image_t image;
    const char *whose;
    apr_status_t rv;

    if (wh_base_name_bad(name))
        return wh_err_set(err, 422, "build_failed", "%.200s is no name of an image", name);
    if (wh_base_name_foreign(name, work->job->app))
        return refuse_foreign(name, err);
    rv = e->vt->image(e, work->p, name, &image, err);
    if (rv == APR_NOTFOUND) {
        rv = e->vt->pull(e, work->p,
                         &(wh_engine_pull_t){.name = name,
                                             .auth = "",
                                             .text = wh_engine_no_text,
                                             .deadline = deadline},
                         err);
        if (rv == APR_SUCCESS)
            rv = e->vt->image(e, work->p, name, &image, err);
        if (rv == APR_NOTFOUND)
            rv = wh_err_set(err, 422, "build_failed", "the image %.200s cannot be had", name);
    }
    if (rv != APR_SUCCESS)
        return rv;
    /* By another name or by its id: the label tells. */
    whose = wh_engine_label(image.labels, WH_ENGINE_LABEL_IMAGE);
    if (whose[0] != '\0' && strcmp(whose, own) != 0)
        return refuse_foreign(name, err);
    return check_onbuild(work, name, &image, dockerfile, err);
}

apr_status_t wh_base_check(wh_work_t *work, wh_engine_t *e, wh_dockerfile_t *dockerfile,
                           wh_mono_t deadline, wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < dockerfile->images->nelts; i++)
        rv = check_one(work, e, APR_ARRAY_IDX(dockerfile->images, i, const char *), dockerfile,
                       deadline, err);
    return rv;
}
