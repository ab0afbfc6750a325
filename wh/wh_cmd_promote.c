/* wh promote: another environment shows a deployment, without a build. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

/* Not by the environment that it was made for: it may have been promoted, or rolled back from. */
static int shows(const json_t *deployment, const char *environment)
{
    const json_t *list = json_object_get(deployment, "environments");
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *name = json_string_value(one);
        if (name != NULL && strcmp(name, environment) == 0)
            return 1;
    }
    return 0;
}

/* The deployment that is named, or what an app's environment shows now. */
static int find(wh_cli_t *cli, const char *what, const char *from, const char **id)
{
    wh_cli_reply_t reply;
    *id = what;
    if (wh_cli_deployment_is_id(what))
        return 0;
    int rc = wh_cli_http(cli, "GET",
                         apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, what),
                                     "/deployments?limit=100", NULL),
                         NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(reply.body, "items"), i, one)
    {
        if (shows(one, from)) {
            *id = wh_cli_get(cli, one, "id");
            return 0;
        }
    }
    wh_cli_error(
        "none of the last 100 deployments of %s is live in %s; name one: wh deployments %s",
        wh_cli_clean(cli, what), wh_cli_clean(cli, from), wh_cli_clean(cli, what));
    return WH_EXIT_NOT_FOUND;
}

static int run(wh_cli_t *cli)
{
    const char *to = wh_cli_opts_get(cli, "to"), *from = wh_cli_opts_get(cli, "from"), *id;
    const char *what = wh_cli_opts_app(cli);
    if (what == NULL)
        return WH_EXIT_USAGE;
    if (to == NULL) {
        wh_cli_error("say which environment is to show it: --to ENV");
        return WH_EXIT_USAGE;
    }
    int rc = find(cli, what, from != NULL ? from : "staging", &id);
    if (rc != 0)
        return rc;
    json_t *body = json_pack("{s:s}", "environment", to);
    rc = wh_cli_switch(cli, apr_pstrcat(cli->p, "/v1/deployments/", id, "/promote", NULL), body);
    json_decref(body);
    return rc;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"to", 0, "ENV", "the environment that is to show it"},
    {"from", 0, "ENV", "with an app: what this environment shows (staging)"},
    WH_CLI_SWITCH,
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_promote = {.words = "promote",
                                     .args = "APP|ID --to ENV",
                                     .max_args = 1,
                                     .run = run,
                                     .options = options,
                                     .doc = "show a deployment in another environment"};
