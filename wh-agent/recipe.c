#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_dockerfile_gen.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"
#include "wh-agent/compose.h"
#include "wh-agent/looktree.h"
#include "wh-agent/recipe.h"
#include "wh-agent/release.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* What is decided with. */
typedef struct recipe_t {
    wh_work_t *work;
    const wh_snapshot_t *snap;
    wh_looktree_t *look;
    wh_preset_tree_t tree;
    wh_preset_found_t found;
} recipe_t;

/* ---- the repository's settings ---- */

static apr_status_t use_settings(wh_work_t *work, const char *text, size_t n, wh_err_t *err)
{
    wh_msg_job_t *job = apr_pmemdup(work->p, work->job, sizeof(*job));
    wh_snapshot_t was = job->snapshot;
    apr_status_t rv = wh_model_snapshot_repo(work->p, text, n, &job->snapshot, err);

    if (rv != APR_SUCCESS)
        return rv;
    if (job->snapshot.port != was.port || strcmp(job->snapshot.health_path, was.health_path) != 0)
        work->repo_run =
            wh_json_text(work->p,
                         wh_json_own(work->p, json_pack("{s:{s:I, s:s}}", "run", "port",
                                                        (json_int_t)job->snapshot.port,
                                                        "health_path", job->snapshot.health_path)),
                         NULL);
    work->job = job;
    return APR_SUCCESS;
}

apr_status_t wh_recipe_remember(wh_work_t *work, const char *label, wh_err_t *err)
{
    return label[0] != '\0' ? use_settings(work, label, strlen(label), err) : APR_SUCCESS;
}

static apr_status_t read_settings(recipe_t *r, wh_err_t *err)
{
    const wh_lstree_entry_t *entry = wh_looktree_entry(r->look, WH_REPO_SETTINGS);
    char *buf;
    apr_ssize_t n;

    if (entry == NULL)
        return APR_SUCCESS;
    if (entry->kind != WH_LSTREE_FILE)
        return wh_err_set(err, 422, "settings_invalid", WH_REPO_SETTINGS " is no plain file");
    if (entry->size > (apr_int64_t)WH_REPO_SETTINGS_MAX)
        return wh_err_set(err, 422, "settings_invalid", WH_REPO_SETTINGS " is larger than 64 KiB");
    buf = apr_palloc(r->work->p, WH_REPO_SETTINGS_MAX);
    n = wh_looktree_read(r->look, WH_REPO_SETTINGS, buf, WH_REPO_SETTINGS_MAX);
    if (n < 0) {
        *err = r->look->err;
        return r->look->rv;
    }
    wh_logs_say(r->work->logs, "settings of " WH_REPO_SETTINGS " are used");
    return use_settings(r->work, buf, (size_t)n, err);
}

/* A build may take less time than the server allows, never more. */
static void limit_time(wh_work_t *work)
{
    apr_int64_t own = work->job->snapshot.recipe.timeout_s;

    if (own > 0 && own < work->job->build_s) {
        wh_msg_job_t *job = apr_pmemdup(work->p, work->job, sizeof(*job));

        job->build_s = own;
        work->job = job;
    }
}

/* ---- the choice ---- */

static int is_there(const recipe_t *r, const char *path)
{
    return wh_looktree_entry(r->look, path) != NULL;
}

static void choose(recipe_t *r, const char *name)
{
    wh_preset_settle(r->work->p, &r->tree, wh_preset_by_name(name), &r->found);
    r->found.reason = "it was chosen";
}

static int detect(recipe_t *r, wh_preset_want_e want)
{
    wh_preset_detect(r->work->p, &r->tree, want, &r->found);
    return r->found.preset != NULL;
}

static apr_status_t choose_container(recipe_t *r, wh_recipe_way_e *way, wh_err_t *err)
{
    const wh_recipe_t *recipe = &r->snap->recipe;
    int own = strcmp(recipe->preset, WH_RECIPE_DOCKERFILE) == 0 ||
              strcmp(r->snap->build_dockerfile, "Dockerfile") != 0;

    *way = WH_RECIPE_OWN;
    if (recipe->preset[0] == '\0' && (own || is_there(r, r->snap->build_dockerfile)))
        return APR_SUCCESS;
    if (strcmp(recipe->preset, WH_RECIPE_DOCKERFILE) == 0)
        return APR_SUCCESS;
    *way = WH_RECIPE_MADE;
    if (recipe->preset[0] != '\0') {
        choose(r, recipe->preset);
        return APR_SUCCESS;
    }
    if (detect(r, WH_PRESET_SERVER) || (recipe->start[0] != '\0' && detect(r, WH_PRESET_ANY)))
        return APR_SUCCESS;
    if (recipe->start[0] != '\0') {
        choose(r, "static");
        return APR_SUCCESS;
    }
    if (detect(r, WH_PRESET_FILES))
        return wh_err_set(
            err, 422, "build_failed",
            "there is no Dockerfile, and what is here makes files (%s): make a static "
            "app of it, or set a start command",
            r->found.preset->title);
    return wh_err_set(err, 422, "build_failed",
                      "there is no %s in the repository, and no preset fits its files",
                      r->snap->build_dockerfile);
}

/* Served from the repository are files that nothing says how to make, and those of an output
 * directory that is there. */
static apr_status_t choose_static(recipe_t *r, wh_recipe_way_e *way, wh_err_t *err)
{
    const wh_recipe_t *recipe = &r->snap->recipe;
    int commands = r->snap->build_command[0] != '\0' || recipe->install[0] != '\0';

    *way = WH_RECIPE_MADE;
    if (strcmp(recipe->preset, WH_RECIPE_DOCKERFILE) == 0)
        return wh_err_set(err, 422, "settings_invalid",
                          "the preset \"dockerfile\" is for container apps");
    if (recipe->preset[0] != '\0')
        choose(r, recipe->preset);
    else if (!commands && r->snap->build_output[0] != '\0' && is_there(r, r->snap->build_output))
        *way = WH_RECIPE_AS_IS;
    else if (!detect(r, WH_PRESET_FILES) && commands && !detect(r, WH_PRESET_ANY))
        choose(r, "static");
    /* Nobody means to publish the source of a server. */
    if (recipe->preset[0] == '\0' && !commands && r->snap->build_output[0] == '\0' &&
        r->found.preset == NULL && detect(r, WH_PRESET_SERVER))
        return wh_err_set(
            err, 422, "settings_invalid",
            "this is a %s program (%s), and a static app would publish its source: make "
            "a container app of it (wh apps delete, for the kind of this one stays, then wh apps "
            "create --kind container or git push -o kind=container), or choose the preset "
            "\"static\"",
            r->found.preset->title, r->found.reason);
    if (!commands && (r->found.preset == NULL || strcmp(r->found.preset->family, "plain") == 0))
        *way = WH_RECIPE_AS_IS;
    if (*way == WH_RECIPE_AS_IS || r->work->engine != NULL)
        return APR_SUCCESS;
    if (commands)
        return wh_err_set(err, 422, "no_engine",
                          "build commands need a container engine; this worker has none");
    return wh_err_set(err, 422, "no_engine",
                      "this is a %s project, which is built in a container, and this worker has no "
                      "engine; with the preset \"static\" its files are served as they are",
                      r->found.preset->title);
}

/* ---- the Dockerfile ---- */

static void say_dockerfile(wh_work_t *work, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");

        wh_logs_say(work->logs, "| %s", wh_text_clean_line(work->p, text, n, WH_TEXT_LINE_MAX / 2));
        text += n + (text[n] == '\n');
    }
}

/* The names of the variables that are marked for builds. */
static apr_array_header_t *build_vars(const wh_work_t *work)
{
    apr_array_header_t *names = apr_array_make(work->p, 4, sizeof(const char *));

    for (int i = 0; work->job->env != NULL && i < work->job->env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(work->job->env, i, wh_env_pair_t);

        if (e->build && strspn(e->name, NAME_CHARS) == strlen(e->name))
            APR_ARRAY_PUSH(names, const char *) = e->name;
    }
    return names;
}

static const char *vars_mark(const wh_work_t *work)
{
    unsigned char key[32];
    const char *mark;

    wh_identity_mac_key(work->identity, key);
    mark = wh_dockerfile_gen_mark(work->p, key, work->job->env);
    wh_sign_wipe(key, sizeof(key));
    return mark;
}

static apr_status_t make(recipe_t *r, wh_recipe_plan_t *plan, wh_err_t *err)
{
    const wh_recipe_t *recipe = &r->snap->recipe;
    wh_work_t *work = r->work;
    wh_dockerfile_gen_t how = {.found = &r->found,
                               .server = r->snap->kind == WH_KIND_CONTAINER,
                               .install = recipe->install,
                               .build = r->snap->build_command,
                               .start = recipe->start,
                               .pre_deploy = recipe->pre_deploy,
                               .vars = build_vars(work),
                               .vars_mark = vars_mark(work),
                               .port = r->snap->port};
    const char *output = r->snap->build_output;
    apr_status_t rv =
        wh_dockerfile_gen_images(work->p, work->conf->runner_images, recipe->image, &how, err);

    if (rv == APR_SUCCESS)
        rv = wh_dockerfile_gen(work->p, &how, &plan->dockerfile, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (output[0] == '\0' && r->found.preset->output != NULL)
        output = r->found.preset->output;
    if (!how.server && output[0] == '\0' && r->found.preset->output == NULL)
        return wh_err_set(err, 422, "output_missing",
                          "set the output directory: what a %s project makes is not known",
                          r->found.preset->title);
    plan->output = wh_release_join(work->p, WH_DOCKERFILE_GEN_DIR, output);
    wh_logs_say(work->logs, "preset %s: %s", r->found.preset->name, r->found.reason);
    say_dockerfile(work, plan->dockerfile);
    return APR_SUCCESS;
}

static apr_status_t look_at(recipe_t *r, const wh_source_t *source, const wh_snapshot_t *snap,
                            wh_err_t *err)
{
    apr_array_header_t *paths = wh_preset_paths(r->work->p);

    APR_ARRAY_PUSH(paths, const char *) = WH_REPO_SETTINGS;
    APR_ARRAY_PUSH(paths, const char *) = snap->build_dockerfile;
    if (snap->build_output[0] != '\0')
        APR_ARRAY_PUSH(paths, const char *) = wh_release_join(r->work->p, snap->build_output, "");
    return wh_looktree_open(r->work->p, source, snap->repo_root, paths, &r->look, err);
}

/* The repository may name another Dockerfile or output directory than the app: those two are looked
 * up again then. */
static apr_status_t settings(recipe_t *r, const wh_source_t *source, wh_err_t *err)
{
    const wh_msg_job_t *before = r->work->job;
    apr_status_t rv = look_at(r, source, &before->snapshot, err);

    if (rv == APR_SUCCESS)
        rv = read_settings(r, err);
    if (rv == APR_SUCCESS && r->work->job != before)
        rv = look_at(r, source, &r->work->job->snapshot, err);
    limit_time(r->work);
    return rv;
}

/* What stands for other files in the tree becomes those files; then presets look once more. */
static apr_status_t compose(recipe_t *r, wh_source_t *source, wh_err_t *err)
{
    const wh_msg_job_t *job = r->work->job;
    wh_compose_t c = {.submodules = job->snapshot.recipe.submodules,
                      .lfs = job->snapshot.recipe.lfs,
                      .root = job->snapshot.repo_root,
                      .auth = &job->source};
    apr_status_t rv;

    if (!c.submodules && !c.lfs)
        return APR_SUCCESS;
    rv = wh_compose(r->work->p, source, &c, err);
    if (rv != APR_SUCCESS)
        return rv;
    if (c.submodules)
        wh_logs_say(r->work->logs, "%d submodules", c.n_submodules);
    if (c.lfs)
        wh_logs_say(r->work->logs, "%d files of Git LFS, %" APR_INT64_T_FMT " KiB", c.n_lfs,
                    (c.lfs_bytes + 1023) / 1024);
    return look_at(r, source, &job->snapshot, err);
}

apr_status_t wh_recipe_settle(wh_work_t *work, wh_source_t *source, wh_recipe_plan_t *plan,
                              wh_err_t *err)
{
    recipe_t r = {.work = work};
    apr_status_t rv = settings(&r, source, err);

    if (rv == APR_SUCCESS)
        rv = compose(&r, source, err);

    *plan = (wh_recipe_plan_t){.way = WH_RECIPE_AS_IS, .dockerfile = "", .output = ""};
    if (rv != APR_SUCCESS)
        return rv;
    r.snap = &work->job->snapshot;
    r.tree = wh_looktree_tree(r.look);
    rv = r.snap->kind == WH_KIND_CONTAINER ? choose_container(&r, &plan->way, err)
                                           : choose_static(&r, &plan->way, err);
    if (r.look->rv != APR_SUCCESS) {
        *err = r.look->err;
        return r.look->rv;
    }
    return rv == APR_SUCCESS && plan->way == WH_RECIPE_MADE ? make(&r, plan, err) : rv;
}
