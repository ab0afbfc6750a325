/* wh deployments */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

/* Of what it is: a commit, or an image by its digest. */
static const char *short_sha(wh_cli_t *cli, const json_t *deployment)
{
    const char *sha = wh_cli_get(cli, deployment, "commit.sha");
    const char *digest = wh_cli_get(cli, deployment, "image.digest"), *hex = strchr(digest, ':');
    if (*sha == '\0' && hex != NULL)
        sha = hex + 1;
    return strlen(sha) > 7 ? apr_pstrmemdup(cli->p, sha, 7) : sha;
}

/* "live in production, staging" */
static const char *live_in(const wh_cli_t *cli, const json_t *deployment)
{
    const char *text = "live";
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(deployment, "environments"), i, one)
    {
        if (json_is_string(one))
            text = apr_pstrcat(cli->p, text, i == 0 ? " in " : ", ",
                               wh_cli_clean(cli, json_string_value(one)), NULL);
    }
    return text;
}

/* Where it serves, or whether it could again. */
static const char *serving(wh_cli_t *cli, const json_t *deployment)
{
    const char *word = wh_cli_get(cli, deployment, "serving");
    int kept = json_is_true(json_object_get(deployment, "retained"));
    return strcmp(word, "current") == 0 ? live_in(cli, deployment)
           : !kept                      ? "-"
           : strcmp(word, "none") == 0  ? "kept"
                                        : "before";
}

static const char *state(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_deployment_state(cli, one);
}

static const char *created(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_when(cli, wh_cli_get(cli, one, "created_at"));
}

static const char *said(wh_cli_t *cli, const json_t *one)
{
    const char *cause = wh_cli_get(cli, one, "cause.detail");
    const char *image = wh_cli_get(cli, one, "image.reference");
    return *cause != '\0'   ? cause
           : *image != '\0' ? image
                            : wh_cli_get(cli, one, "commit.message");
}

static const wh_cli_column_t columns[] = {
    {"NO", "number", NULL},           {"ID", "id", NULL},          {"STATE", NULL, state},
    {"SERVES", NULL, serving},        {"COMMIT", NULL, short_sha}, {"TRIGGER", "trigger", NULL},
    {"CREATED (UTC)", NULL, created}, {"WHAT", NULL, said},        {NULL, NULL, NULL},
};

static int run(wh_cli_t *cli)
{
    apr_int64_t count = 20;
    const char *path = wh_cli_list_path(cli, "deployments");
    int rc = path != NULL ? wh_cli_opts_int(cli, "number", 1, 100, &count) : WH_EXIT_USAGE;
    return rc == 0 ? wh_cli_list(cli, path, count, columns) : rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"number", 'n', "N", "how many (20)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_deployments = {.words = "deployments",
                                         .args = "[list] APP",
                                         .max_args = 2,
                                         .run = run,
                                         .options = options,
                                         .doc = "list an app's deployments, newest first"};
