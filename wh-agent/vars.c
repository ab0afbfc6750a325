#include "wh-agent/vars.h"

#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_json.h"
#include "wh-agent/tarfile.h"

/* ---- for the container ---- */

static const char *text(const char *s)
{
    return s != NULL ? s : "";
}

static void add(apr_array_header_t *vars, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        APR_ARRAY_PUSH(vars, wh_env_pair_t) = (wh_env_pair_t){.name = name, .value = value};
}

apr_array_header_t *wh_vars_run(const wh_work_t *work)
{
    const wh_msg_job_t *job = work->job;
    apr_array_header_t *vars = job->env != NULL ? apr_array_copy(work->p, job->env)
                                                : apr_array_make(work->p, 8, sizeof(wh_env_pair_t));
    const char *sha = text(job->commit_sha), *ref = text(job->commit_ref);

    add(vars, "WISEHOST_GIT_REPO", job->snapshot.repo_url);
    add(vars, "WISEHOST_IMAGE", job->snapshot.image);
    /* A commit that was named without a branch may be on any; an image is of none that we know. */
    if (text(job->snapshot.image)[0] == '\0' && (sha[0] == '\0' || ref[0] != '\0'))
        add(vars, "WISEHOST_BRANCH", ref[0] != '\0' ? ref : job->snapshot.repo_branch);
    add(vars, "WISEHOST_COMMIT_SHA", work->commit != NULL ? work->commit->sha : sha);
    if (work->commit != NULL) {
        add(vars, "WISEHOST_COMMIT_AUTHOR", work->commit->author);
        add(vars, "WISEHOST_COMMIT_MESSAGE", work->commit->message);
    }
    return vars;
}

const wh_mask_t *wh_vars_mask(apr_pool_t *p, const wh_msg_job_t *job)
{
    const char **values =
        apr_pcalloc(p, sizeof(*values) * ((job->env != NULL ? (size_t)job->env->nelts : 0) +
                                          WH_GITAUTH_KEYS + 1));
    int n = 0;

    for (int i = 0; job->env != NULL && i < job->env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(job->env, i, wh_env_pair_t);

        if (e->secret)
            values[n++] = e->value;
    }
    for (int i = 0; i < job->source.n_keys; i++)
        values[n++] = job->source.keys[i];
    if (job->source.token != NULL && job->source.token[0] != '\0')
        values[n++] = job->source.token;
    return n > 0 ? wh_mask_make(p, values, n) : NULL;
}

const char *wh_vars_secrets(apr_pool_t *p, const wh_msg_job_t *job)
{
    apr_array_header_t *names = apr_array_make(p, 4, sizeof(const char *));

    for (int i = 0; job->env != NULL && i < job->env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(job->env, i, wh_env_pair_t);

        if (e->secret)
            APR_ARRAY_PUSH(names, const char *) = e->name;
    }
    return apr_array_pstrcat(p, names, ',');
}

/* Whether NAME of "NAME=VALUE", n bytes, is in the list. */
static int is_named(const char *names, const char *name, size_t n)
{
    while (*names != '\0') {
        size_t len = strcspn(names, ",");

        if (len == n && memcmp(names, name, n) == 0)
            return 1;
        names += names[len] == ',' ? len + 1 : len;
    }
    return 0;
}

const wh_mask_t *wh_vars_mask_named(apr_pool_t *p, const char *names, const apr_array_header_t *env)
{
    const char **values =
        apr_pcalloc(p, sizeof(*values) * (env != NULL ? (size_t)env->nelts + 1 : 1));
    int n = 0;

    for (int i = 0; env != NULL && i < env->nelts; i++) {
        const char *pair = APR_ARRAY_IDX(env, i, const char *);
        size_t len = strcspn(pair, "=");

        if (pair[len] == '=' && is_named(names, pair, len))
            values[n++] = pair + len + 1;
    }
    return n > 0 ? wh_mask_make(p, values, n) : NULL;
}

/* ---- for the build ---- */

static const wh_env_pair_t *find(const wh_msg_job_t *job, const char *name)
{
    for (int i = 0; job->env != NULL && i < job->env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(job->env, i, wh_env_pair_t);

        if (e->build && strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}

/* Engines of other kinds would leave the files in the tree, for the Dockerfile to copy. */
static apr_status_t supported(wh_work_t *work, wh_engine_t *engine, wh_err_t *err)
{
    const char *name = "";
    apr_status_t rv = engine->vt->version(engine, work->p, &name, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (strncmp(name, "podman ", 7) == 0 && name[7] >= '1' && name[7] <= '9' &&
        (name[7] >= '4' || name[8] != '.'))
        return APR_SUCCESS;
    return wh_err_set(err, 422, "build_secrets_unsupported",
                      "the Dockerfile asks for a build secret, which Podman 4 and later can give; "
                      "this worker has %s",
                      name);
}

/* One file each. What git packs goes on behind it, so the archive has no end of its own. */
static apr_status_t pack(wh_work_t *work, const apr_array_header_t *secrets, json_t *param,
                         wh_vars_build_t *out, wh_err_t *err)
{
    wh_tarfile_entry_t *files =
        apr_pcalloc(work->p, sizeof(*files) * ((size_t)secrets->nelts + 1));
    wh_tarfile_t tar;
    apr_status_t rv;

    for (int i = 0; i < secrets->nelts; i++) {
        const wh_env_pair_t *e = APR_ARRAY_IDX(secrets, i, const wh_env_pair_t *);
        const char *random = wh_rand_hex(work->p, work->rnd, 16);

        if (random == NULL)
            return wh_err_set(err, 500, "internal", "the build's secrets cannot be packed");
        files[i] = (wh_tarfile_entry_t){
            .name = apr_pstrcat(work->p, ".wisehost-secret-", random, NULL),
            .bytes = e->value,
            .n = strlen(e->value),
            .mode = 0600};
        json_array_append_new(param, json_sprintf("id=%s,src=%s", e->name, files[i].name));
    }
    rv = wh_tarfile_make(work->p, files, secrets->nelts, 0, &tar, err);
    out->tar = tar.buf;
    out->n = tar.n;
    return rv;
}

apr_status_t wh_vars_build(wh_work_t *work, wh_engine_t *engine, const wh_dockerfile_t *dockerfile,
                           wh_vars_build_t *out, wh_err_t *err)
{
    apr_array_header_t *secrets = apr_array_make(work->p, 4, sizeof(const wh_env_pair_t *));
    json_t *param = wh_json_own(work->p, json_array());
    apr_status_t rv;

    *out = (wh_vars_build_t){.param = ""};
    for (int i = 0; i < dockerfile->secrets->nelts; i++) {
        const char *id = APR_ARRAY_IDX(dockerfile->secrets, i, const char *);
        const wh_env_pair_t *e = find(work->job, id);
        int again = 0;

        for (int j = 0; j < secrets->nelts; j++)
            again |= APR_ARRAY_IDX(secrets, j, const wh_env_pair_t *) == e;
        if (e != NULL && !again)
            APR_ARRAY_PUSH(secrets, const wh_env_pair_t *) = e;
        else if (e == NULL)
            wh_logs_say(work->logs,
                        "the Dockerfile asks for the build secret %s: no variable of this "
                        "deployment that is marked for builds has that name",
                        id);
    }
    if (dockerfile->secrets->nelts == 0)
        return APR_SUCCESS;
    rv = supported(work, engine, err);
    if (rv != APR_SUCCESS || secrets->nelts == 0)
        return rv;
    rv = pack(work, secrets, param, out, err);
    out->param = wh_json_text(work->p, param, NULL);
    return rv;
}
