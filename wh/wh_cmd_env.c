/* wh env: env vars of an app. Values of secrets come in from a pipe, a file or a prompt: what
 * stands on a command line is in the shell's history and in everybody's list of processes. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "libwh/wh_env.h"
#include "wh/wh_cmd.h"

static const char *path_of(wh_cli_t *cli, const char *app, const char *name)
{
    const char *environment = wh_cli_opts_get(cli, "environment");
    const char *path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/env", NULL);
    if (environment != NULL)
        path =
            apr_pstrcat(cli->p, path, "?environment=", wh_cli_http_escape(cli, environment), NULL);
    if (name != NULL)
        path = apr_pstrcat(cli->p, path,
                           environment != NULL ? "&name=" : "?name=", wh_cli_http_escape(cli, name),
                           NULL);
    return path;
}

/* ---- list ---- */

static const char *shown(wh_cli_t *cli, const json_t *one)
{
    if (json_is_true(json_object_get(one, "secret")))
        return "(secret)";
    return json_is_string(json_object_get(one, "value")) ? wh_cli_get(cli, one, "value")
                                                         : "(not shown)";
}

static const char *set_for(wh_cli_t *cli, const json_t *one)
{
    const char *scope = wh_cli_get(cli, one, "environment");
    return *scope != '\0' ? scope : "all";
}

static const char *build(wh_cli_t *cli, const json_t *one)
{
    (void)cli;
    return json_is_true(json_object_get(one, "build")) ? "yes" : "";
}

static const char *changed(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_when(cli, wh_cli_get(cli, one, "updated_at"));
}

static const wh_cli_column_t columns[] = {
    {"NAME", "name", NULL}, {"VALUE", NULL, shown},     {"SET FOR", NULL, set_for},
    {"BUILD", NULL, build}, {"CHANGED", NULL, changed}, {NULL, NULL, NULL},
};

static int list(wh_cli_t *cli)
{
    const char *path = wh_cli_list_path(cli, "env");
    const char *environment = wh_cli_opts_get(cli, "environment");
    if (path != NULL && environment != NULL)
        path =
            apr_pstrcat(cli->p, path, "?environment=", wh_cli_http_escape(cli, environment), NULL);
    return wh_cli_list(cli, path, 0, columns);
}

/* ---- values ---- */

/* From --file as it is; else from stdin, without the line end that commands put behind it. */
static char *value_of(const wh_cli_t *cli, const char *name, size_t *n)
{
    const char *file = wh_cli_opts_get(cli, "file");
    if (file != NULL)
        return wh_cli_input_file(cli, file, WH_ENV_VALUE_MAX, n);
    return wh_cli_input_secret(cli, apr_pstrcat(cli->p, "Value of ", name, NULL), WH_ENV_VALUE_MAX,
                               n);
}

/* ---- set, import ---- */

static json_t *variable(const wh_cli_t *cli, const char *name, const char *value, size_t n)
{
    json_t *one = json_pack("{s:s, s:s%, s:b}", "name", name, "value", value, n, "secret",
                            wh_cli_opts_get(cli, "plain") == NULL);
    if (one != NULL && wh_cli_opts_get(cli, "build") != NULL)
        json_object_set_new(one, "build", json_true());
    return one;
}

/* Sends the list, which it takes over. */
static int send_all(wh_cli_t *cli, const char *app, const char *method, json_t *variables)
{
    const char *environment = wh_cli_opts_get(cli, "environment");
    json_t *body = json_pack("{s:o}", "variables", variables);
    wh_cli_reply_t reply;
    const char *path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/env", NULL);
    if (environment != NULL)
        json_object_set_new(body, "environment", json_string(environment));
    int n = (int)json_array_size(variables);
    int rc = wh_cli_http(cli, method, path, body, NULL, &reply);
    json_decref(body);
    if (rc == 0 && cli->json)
        wh_cli_json(json_object_get(reply.body, "items"));
    if (rc == 0)
        wh_cli_note(cli, "%d set for %s; the next deployment has %s\n", n,
                    environment != NULL ? environment : "all environments", n == 1 ? "it" : "them");
    return rc;
}

static int set(wh_cli_t *cli)
{
    const char *arg = cli->args[1], *equal = strchr(arg, '=');
    const char *name = equal != NULL ? apr_pstrmemdup(cli->p, arg, (size_t)(equal - arg)) : arg;
    const char *value = equal != NULL ? equal + 1 : NULL;
    wh_err_t err = WH_ERR_INIT;
    size_t n = value != NULL ? strlen(value) : 0;
    if (wh_env_name_check(name, &err) != APR_SUCCESS) {
        wh_cli_error("%s: %s", wh_cli_clean(cli, name), err.text);
        return WH_EXIT_USAGE;
    }
    if (equal != NULL && wh_cli_opts_get(cli, "plain") == NULL) {
        wh_cli_error(
            "a secret does not belong on a command line: `wh env set %s %s` asks for it or "
            "reads it from a pipe or --file; with --plain it is no secret",
            wh_cli_clean(cli, cli->args[0]), wh_cli_clean(cli, name));
        return WH_EXIT_USAGE;
    }
    if (value == NULL) {
        value = value_of(cli, name, &n);
        if (value == NULL)
            return WH_EXIT_USAGE;
        if (n == 0 && wh_cli_opts_get(cli, "allow-empty") == NULL) {
            wh_cli_error("the value of %s is empty; if it is to be so, say --allow-empty",
                         wh_cli_clean(cli, name));
            return WH_EXIT_USAGE;
        }
    }
    if (wh_env_value_check(value, n, &err) != APR_SUCCESS) {
        wh_cli_error("%s: %s", wh_cli_clean(cli, name), err.text);
        return WH_EXIT_USAGE;
    }
    return send_all(cli, cli->args[0], "PATCH", json_pack("[o]", variable(cli, name, value, n)));
}

static int import(wh_cli_t *cli)
{
    apr_array_header_t *pairs;
    wh_err_t err = WH_ERR_INIT;
    size_t n = 0;
    char *text = wh_cli_input_file(cli, cli->args[1], WH_ENV_FILE_MAX, &n);
    if (text == NULL)
        return WH_EXIT_USAGE;
    if (wh_env_parse(cli->p, text, n, &pairs, &err) != APR_SUCCESS) {
        wh_cli_error("%s: %s", wh_cli_clean(cli, cli->args[1]), err.text);
        return WH_EXIT_USAGE;
    }
    json_t *variables = json_array();
    for (int i = 0; i < pairs->nelts; i++) {
        const wh_env_pair_t *pair = &APR_ARRAY_IDX(pairs, i, wh_env_pair_t);
        if (pair->cut)
            wh_cli_note(cli,
                        "line %d: the value of %s ends before the '#'; quote it if that belongs to "
                        "it\n",
                        pair->line, pair->name);
        json_array_append_new(variables,
                              variable(cli, pair->name, pair->value, strlen(pair->value)));
    }
    return send_all(cli, cli->args[0], wh_cli_opts_get(cli, "replace") != NULL ? "PUT" : "PATCH",
                    variables);
}

static int unset(wh_cli_t *cli)
{
    const char *environment = wh_cli_opts_get(cli, "environment");
    for (int i = 1; i < cli->n_args; i++) {
        wh_cli_reply_t reply;
        int rc = wh_cli_http(cli, "DELETE", path_of(cli, cli->args[0], cli->args[i]), NULL, NULL,
                             &reply);
        if (rc != 0)
            return rc;
        wh_cli_note(cli, "%s is no longer set for %s\n", wh_cli_clean(cli, cli->args[i]),
                    environment != NULL ? environment : "all environments");
    }
    return WH_EXIT_OK;
}

#define ENVIRONMENT(doc)                                                                           \
    {                                                                                              \
        "environment", 'e', "NAME", doc                                                            \
    }

static const wh_cli_option_t list_options[] = {
    {"app", 'a', "APP", "the app"},
    ENVIRONMENT("what a deployment there gets"),
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t set_options[] = {
    ENVIRONMENT("only there; preview: all previews"),
    {"file", 'f', "FILE", "the value is this file, as it is"},
    {"plain", 0, NULL, "it is no secret: it is shown, and may stand on the command line"},
    {"allow-empty", 0, NULL, "the value may be empty"},
    {"build", 0, NULL, "a build may ask for it, too"},
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t import_options[] = {
    ENVIRONMENT("only there; preview: all previews"),
    {"plain", 0, NULL, "they are no secrets"},
    {"build", 0, NULL, "a build may ask for them, too"},
    {"replace", 0, NULL, "what is set there and is not in the file goes"},
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t unset_options[] = {
    ENVIRONMENT("of this environment"),
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_env = {.words = "env",
                                 .args = "[list] APP",
                                 .max_args = 2,
                                 .run = list,
                                 .options = list_options,
                                 .doc = "list an app's env vars"};
const wh_cli_cmd_t wh_cmd_env_set = {.words = "env set",
                                     .args = "APP NAME[=VALUE]",
                                     .min_args = 2,
                                     .max_args = 2,
                                     .run = set,
                                     .options = set_options,
                                     .doc = "set one; its value from a prompt, a pipe or a file"};
const wh_cli_cmd_t wh_cmd_env_unset = {.words = "env unset",
                                       .args = "APP NAME...",
                                       .min_args = 2,
                                       .max_args = 100,
                                       .run = unset,
                                       .options = unset_options,
                                       .doc = "remove them"};
const wh_cli_cmd_t wh_cmd_env_import = {.words = "env import",
                                        .args = "APP FILE",
                                        .min_args = 2,
                                        .max_args = 2,
                                        .run = import,
                                        .options = import_options,
                                        .doc = "set what a .env file (- = stdin) has"};
