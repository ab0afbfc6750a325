#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_dockerfile_gen.h"
#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"

#define USER_ID "10001:10001"
#define CODE "settings_invalid"

int wh_dockerfile_gen_image_ok(const char *image)
{
    size_t n = strlen(image);

    if (n == 0 || n > WH_DOCKERFILE_GEN_IMAGE_MAX || !apr_isalnum(image[0]) ||
        strstr(image, "..") != NULL || strcmp(image, "scratch") == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!apr_isalnum(image[i]) && strchr("._/:@-", image[i]) == NULL)
            return 0;
    return 1;
}

/* ---- images ---- */

static apr_status_t load(apr_pool_t *p, const char *overrides, json_t **json, wh_err_t *err)
{
    *json = NULL;
    if (overrides[0] == '\0')
        return APR_SUCCESS;
    return wh_json_load_object(p, overrides, strlen(overrides), NULL, json, err);
}

static int key_ok(const char *key)
{
    const char *dot = strchr(key, '.');
    size_t n = dot != NULL ? (size_t)(dot - key) : strlen(key);

    if (dot != NULL && strcmp(dot, ".build") != 0 && strcmp(dot, ".run") != 0)
        return 0;
    for (size_t i = 0; i < wh_preset_runners_n; i++)
        if (strlen(wh_preset_runners[i].family) == n &&
            strncmp(wh_preset_runners[i].family, key, n) == 0)
            return 1;
    return 0;
}

apr_status_t wh_dockerfile_gen_overrides_check(apr_pool_t *p, const char *overrides, wh_err_t *err)
{
    json_t *json, *value;
    const char *key;
    apr_status_t rv = load(p, overrides, &json, err);

    if (rv != APR_SUCCESS || json == NULL)
        return rv;
    json_object_foreach(json, key, value)
    {
        const char *image = json_string_value(value);

        if (!key_ok(key))
            return wh_err_set(err, 400, "invalid_value", "%s is no family of runner images", key);
        if (image == NULL || !wh_dockerfile_gen_image_ok(image))
            return wh_err_set(err, 400, "invalid_value", "%s does not name an image", key);
    }
    return APR_SUCCESS;
}

static const char *pick(apr_pool_t *p, const json_t *json, const char *family, const char *stage,
                        const char *catalogue)
{
    const char *key = apr_pstrcat(p, family, ".", stage, NULL);
    const char *image = json_string_value(json_object_get(json, key));

    if (image == NULL)
        image = json_string_value(json_object_get(json, family));
    return image != NULL ? image : catalogue;
}

apr_status_t wh_dockerfile_gen_images(apr_pool_t *p, const char *overrides, const char *own,
                                      wh_dockerfile_gen_t *how, wh_err_t *err)
{
    const wh_preset_runner_t *runner = wh_preset_runner(how->found->preset->family);
    json_t *json;
    apr_status_t rv = load(p, overrides, &json, err);

    if (rv != APR_SUCCESS)
        return rv;
    how->image_build = pick(p, json, runner->family, "build", runner->build);
    how->image_run = pick(p, json, runner->family, "run", runner->run);
    if (own[0] != '\0')
        how->image_build = how->image_run = own;
    if (!wh_dockerfile_gen_image_ok(how->image_build) ||
        !wh_dockerfile_gen_image_ok(how->image_run))
        return wh_err_set(err, 422, CODE, "the runner image \"%s\" is no name of an image",
                          own[0] != '\0' ? own : how->image_build);
    return APR_SUCCESS;
}

/* ---- the text ---- */

/* A JSON string that no reader of Dockerfiles takes for more: on one line, without a '<' that could
 * begin a document of its own. */
static const char *quoted(apr_pool_t *p, const char *s)
{
    char *out = apr_palloc(p, 6 * strlen(s) + 3), *to = out;

    *to++ = '"';
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = *s;
        } else if (c == '\n') {
            *to++ = '\\';
            *to++ = 'n';
        } else if (c < ' ' || c == 0x7f || c == '<') {
            to += apr_snprintf(to, 7, "\\u%04x", c);
        } else {
            *to++ = *s;
        }
    }
    *to++ = '"';
    *to = '\0';
    return out;
}

const char *wh_dockerfile_gen_mark(apr_pool_t *p, const unsigned char key[32],
                                   const apr_array_header_t *env)
{
    const char *all = "build variables";
    unsigned char sum[WH_SHA256_LEN];

    for (int i = 0; env != NULL && i < env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(env, i, wh_env_pair_t);

        if (e->build)
            all = apr_pstrcat(p, all, "\n", e->name, "=", e->value, NULL);
    }
    wh_sign_hmac(key, 32, all, strlen(all), sum);
    return wh_sign_hex(p, sum, 4);
}

/* The variables of a build come as files that are there for this step alone. */
static const char *run_line(apr_pool_t *p, const wh_dockerfile_gen_t *how, const char *command)
{
    const apr_array_header_t *vars = how->vars;
    const char *mounts = "", *names = "";

    if (command[0] == '\0')
        return "";
    for (int i = 0; vars != NULL && i < vars->nelts; i++) {
        const char *name = APR_ARRAY_IDX(vars, i, const char *);

        mounts = apr_pstrcat(p, mounts, "--mount=type=secret,id=", name, " ", NULL);
        names = apr_pstrcat(p, names, " ", name, NULL);
    }
    if (names[0] != '\0')
        command =
            apr_pstrcat(p, ": ", how->vars_mark, "; for v in", names,
                        "; do export \"$v=$(cat \"/run/secrets/$v\")\"; done\n", command, NULL);
    return apr_pstrcat(p, "RUN ", mounts, "[\"/bin/sh\", \"-c\", ", quoted(p, command), "]\n",
                       NULL);
}

static const char *first_of(const char *asked, const char *preset)
{
    return asked[0] != '\0' ? asked : preset;
}

/* Installing again only when those files change is only sound for the preset's own command: what
 * another reads is not known. */
static const char *install_lines(apr_pool_t *p, const wh_dockerfile_gen_t *how)
{
    const wh_preset_found_t *found = how->found;
    const char *files = apr_array_pstrcat(p, found->files, ' ');
    const char *install = first_of(how->install, found->install);

    if (install[0] == '\0' || found->files->nelts == 0 || how->install[0] != '\0')
        return apr_pstrcat(p, "COPY . .\n", run_line(p, how, install), NULL);
    return apr_pstrcat(p, "COPY ", files, " ./\n", run_line(p, how, install), "COPY . .\n", NULL);
}

static const char *build_stage(apr_pool_t *p, const wh_dockerfile_gen_t *how)
{
    const wh_preset_found_t *found = how->found;

    return apr_pstrcat(p, "FROM ", how->image_build, " AS build\nUSER 0:0\nWORKDIR ",
                       WH_DOCKERFILE_GEN_DIR, "\nENV CI=true", found->env[0] != '\0' ? " " : "",
                       found->env, "\n", install_lines(p, how),
                       run_line(p, how, first_of(how->build, found->build)), NULL);
}

/* The command that stays is exec'ed by the preset's own, so that it gets the signals. */
static const char *cmd_line(apr_pool_t *p, const char *pre_deploy, const char *start)
{
    if (pre_deploy[0] == '\0')
        return apr_pstrcat(p, "CMD [\"/bin/sh\", \"-c\", ", quoted(p, start), "]\n", NULL);
    return apr_pstrcat(p, "CMD [\"/bin/sh\", \"-c\", ",
                       quoted(p, "/bin/sh -c \"$1\" && exec /bin/sh -c \"$2\""), ", \"sh\", ",
                       quoted(p, pre_deploy), ", ", quoted(p, start), "]\n", NULL);
}

static const char *run_stage(apr_pool_t *p, const wh_dockerfile_gen_t *how, const char *start)
{
    const wh_preset_found_t *found = how->found;
    const char *port = apr_psprintf(p, "%" APR_INT64_T_FMT, how->port);

    return apr_pstrcat(p, "\nFROM ", how->image_run, "\nWORKDIR ", WH_DOCKERFILE_GEN_DIR,
                       "\nENV HOME=/tmp PORT=", port, found->env[0] != '\0' ? " " : "", found->env,
                       found->run_env[0] != '\0' ? " " : "", found->run_env,
                       "\nCOPY --from=build --chown=" USER_ID " " WH_DOCKERFILE_GEN_DIR
                       " " WH_DOCKERFILE_GEN_DIR "\nUSER " USER_ID "\nEXPOSE ",
                       port, "\nENTRYPOINT []\n", cmd_line(p, how->pre_deploy, start), NULL);
}

apr_status_t wh_dockerfile_gen(apr_pool_t *p, const wh_dockerfile_gen_t *how, const char **text,
                               wh_err_t *err)
{
    const wh_preset_found_t *found = how->found;
    const char *start = first_of(how->start, found->start);
    const char *head = apr_pstrcat(p, "# Made by Wisehost for the preset \"", found->preset->name,
                                   "\".\n", build_stage(p, how), NULL);

    if (how->server && start[0] == '\0')
        return wh_err_set(err, 422, "build_failed",
                          "nothing says how this %s app is started: set a start command",
                          found->preset->title);
    *text = how->server ? apr_pstrcat(p, head, run_stage(p, how, start), NULL)
                        : apr_pstrcat(p, head, "CMD [\"/bin/true\"]\n", NULL);
    return APR_SUCCESS;
}
