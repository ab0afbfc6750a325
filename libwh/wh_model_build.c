/* wh_model_build: how an app is built, from the API and from the repository's own settings. */
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_dockerfile_gen.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_model.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_preset.h"
#include "libwh/wh_try.h"

static const char *const names[] = {"preset",
                                    "install_command",
                                    "build_command",
                                    "start_command",
                                    "pre_deploy_command",
                                    "dockerfile",
                                    "output_directory",
                                    "runner_image",
                                    "timeout_seconds",
                                    "memory_bytes",
                                    "submodules",
                                    "lfs"};

static apr_status_t command(const wh_json_at_t *at, const char *key, const char **out,
                            wh_err_t *err)
{
    return wh_model_int_strf(at, key, WH_JSON_RULE(WH_JSON_F_LINES, 0, WH_APP_COMMAND_MAX), "", out,
                             err);
}

static apr_status_t path(const wh_json_at_t *at, const char *key, apr_int64_t min, const char *def,
                         const char **out, wh_err_t *err)
{
    TRY(wh_model_int_str(at, key, min, WH_APP_PATH_MAX, def, out, err));
    return wh_model_int_at(at, key, wh_giturl_subdir_check(*out, err), err);
}

static apr_status_t recipe(const wh_json_at_t *at, wh_recipe_t *r, wh_err_t *err)
{
    TRY(wh_model_int_str(at, "preset", 0, 32, "", &r->preset, err));
    if (strcmp(r->preset, WH_RECIPE_AUTO) == 0)
        r->preset = "";
    if (r->preset[0] != '\0' && strcmp(r->preset, WH_RECIPE_DOCKERFILE) != 0 &&
        wh_preset_by_name(r->preset) == NULL)
        return wh_model_int_bad(at, "preset", err, "there is no preset of that name");
    TRY(command(at, "install_command", &r->install, err));
    TRY(command(at, "start_command", &r->start, err));
    TRY(command(at, "pre_deploy_command", &r->pre_deploy, err));
    TRY(wh_model_int_str(at, "runner_image", 0, WH_DOCKERFILE_GEN_IMAGE_MAX, "", &r->image, err));
    if (r->image[0] != '\0' && !wh_dockerfile_gen_image_ok(r->image))
        return wh_model_int_bad(at, "runner_image", err, "that is no name of an image");
    TRY(wh_model_int_num(at, "timeout_seconds", WH_JSON_OPT(WH_APP_BUILD_MIN, WH_APP_BUILD_MAX), 0,
                         &r->timeout_s, err));
    TRY(wh_model_int_num(at, "memory_bytes",
                         WH_JSON_OPT(WH_APP_BUILD_MEMORY_MIN, WH_APP_MEMORY_MAX), 0,
                         &r->memory_bytes, err));
    TRY(wh_model_int_flag(at, "submodules", &r->submodules, err));
    return wh_model_int_flag(at, "lfs", &r->lfs, err);
}

apr_status_t wh_model_int_build(const wh_json_at_t *at, int strict,
                                const wh_model_int_parts_t *parts, wh_err_t *err)
{
    wh_json_at_t part;

    TRY(wh_json_obj(at, "build", 0, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    if (strict)
        TRY(wh_json_only(&part, names, WH_ARRAY_LEN(names), err));
    TRY(command(&part, "build_command", parts->command, err));
    TRY(path(&part, "dockerfile", 1, "Dockerfile", parts->dockerfile, err));
    TRY(path(&part, "output_directory", 0, "", parts->output, err));
    return recipe(&part, parts->recipe, err);
}

/* ---- and back ---- */

static void put_text(json_t *json, const char *key, const char *text, int all)
{
    if (all || (text != NULL && text[0] != '\0'))
        json_object_set_new(json, key, wh_model_int_text(text != NULL ? text : ""));
}

static void put_number(json_t *json, const char *key, apr_int64_t n, int all)
{
    if (n != 0)
        json_object_set_new(json, key, json_integer((json_int_t)n));
    else if (all)
        json_object_set_new(json, key, json_null());
}

static void put_flag(json_t *json, const char *key, int on, int all)
{
    if (on || all)
        json_object_set_new(json, key, json_boolean(on));
}

json_t *wh_model_int_build_json(const char *build_command, const char *dockerfile,
                                const char *output, const wh_recipe_t *r, int all)
{
    json_t *json = json_object();

    put_text(json, "preset", r->preset, all);
    put_text(json, "install_command", r->install, all);
    put_text(json, "build_command", build_command, 1);
    put_text(json, "start_command", r->start, all);
    put_text(json, "pre_deploy_command", r->pre_deploy, all);
    json_object_set_new(json, "dockerfile", json_string(dockerfile));
    json_object_set_new(json, "output_directory", json_string(output));
    put_text(json, "runner_image", r->image, all);
    put_number(json, "timeout_seconds", r->timeout_s, all);
    put_number(json, "memory_bytes", r->memory_bytes, all);
    put_flag(json, "submodules", r->submodules, all);
    put_flag(json, "lfs", r->lfs, all);
    return json;
}

/* ---- snapshots ---- */

int wh_model_snapshot_engine(const wh_snapshot_t *s)
{
    const wh_preset_t *preset = wh_preset_by_name(s->recipe.preset);

    return s->kind == WH_KIND_CONTAINER || s->build_command[0] != '\0' ||
           s->recipe.install[0] != '\0' ||
           (preset != NULL && strcmp(preset->family, "plain") != 0);
}

/* What a repository may say: how it is built, where it listens and what kind of site it is. What it
 * may use up, and where it is served, is its owner's to say. */
static apr_status_t repo_settings(const wh_json_at_t *at, wh_snapshot_t *s, wh_err_t *err)
{
    static const char *const all[] = {"$schema", "build", "run", "spa", "clean_urls"};
    static const char *const run_names[] = {"port", "health_path"};
    const char *schema = "";
    wh_json_at_t run;
    wh_model_int_parts_t parts = {
        .url = &s->repo_url,
        .branch = &s->repo_branch,
        .root = &s->repo_root,
        .command = &s->build_command,
        .dockerfile = &s->build_dockerfile,
        .output = &s->build_output,
        .recipe = &s->recipe,
        .port = &s->port,
        .replicas = &s->replicas,
        .cpu_millis = &s->cpu_millis,
        .memory_bytes = &s->memory_bytes,
        .pids = &s->pids,
        .health_path = &s->health_path,
    };

    TRY(wh_json_only(at, all, WH_ARRAY_LEN(all), err));
    TRY(wh_json_str(at, "$schema", WH_JSON_OPT(0, 2048), &schema, err));
    TRY(wh_json_bool(at, "spa", WH_JSON_F_NULL, &s->spa, err));
    TRY(wh_json_bool(at, "clean_urls", WH_JSON_F_NULL, &s->clean_urls, err));
    TRY(wh_model_int_build(at, 1, &parts, err));
    TRY(wh_json_obj(at, "run", 0, &run, err));
    if (run.obj)
        TRY(wh_json_only(&run, run_names, WH_ARRAY_LEN(run_names), err));
    return wh_model_int_run(at, 1, &parts, err);
}

apr_status_t wh_model_snapshot_repo(apr_pool_t *p, const char *text, size_t n, wh_snapshot_t *s,
                                    wh_err_t *err)
{
    static const wh_json_limits_t limits = {
        .bytes = WH_REPO_SETTINGS_MAX, .depth = 8, .values = 1000};
    wh_err_t why = WH_ERR_INIT;
    json_t *json;
    apr_status_t rv = wh_json_load_object(p, text, n, &limits, &json, &why);

    if (rv == APR_SUCCESS) {
        wh_json_at_t at = wh_json_root(json);

        rv = repo_settings(&at, s, &why);
    }
    if (rv == APR_SUCCESS)
        return APR_SUCCESS;
    return wh_err_set(err, 422, "settings_invalid", WH_REPO_SETTINGS "%s%s: %s",
                      why.pointer[0] != '\0' ? ", " : "", why.pointer, why.text);
}
