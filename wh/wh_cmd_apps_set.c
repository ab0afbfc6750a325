/* wh apps set: changes what its options name, and nothing else. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

/* Both as they are: nothing that was not named is sent, so nobody's change is undone. */
static int change(wh_cli_t *cli, const char *app, json_t *body, wh_cli_reply_t *reply)
{
    const char *path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), NULL);
    return wh_cli_http(cli, "PATCH", path, body, "*", reply);
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *app = wh_cli_opts_app(cli), *slug;
    int next = 0;
    if (app == NULL)
        return WH_EXIT_USAGE;
    if (wh_cli_opts_get(cli, "kind") != NULL) {
        wh_cli_error("apps set: the kind of an app cannot be changed; make another app of that "
                     "kind: wh apps create NAME --kind …");
        return WH_EXIT_USAGE;
    }
    json_t *body = json_object();
    int rc = wh_cli_app_body(cli, body, &next);
    if (rc == 0 && json_object_size(body) == 0) {
        wh_cli_error("apps set: what? `wh apps set --help` lists it");
        rc = WH_EXIT_USAGE;
    }
    if (rc == 0)
        rc = change(cli, app, body, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    slug = wh_cli_get(cli, reply.body, "slug");
    if (cli->json)
        wh_cli_json(reply.body);
    wh_cli_note(cli, "Set.%s%s\n",
                next ? " It takes effect with the next deployment: wh deploy --wait " : "",
                next ? slug : "");
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"kind", 0, "KIND", "cannot be changed: make another app"},
#include "wh/wh_cli_app_options.h"
    WH_CLI_PLACEMENT,
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_apps_set = {.words = "apps set",
                                      .args = "APP --OPTION=VALUE…",
                                      .max_args = 1,
                                      .run = run,
                                      .options = options,
                                      .doc =
                                          "change an app; an empty value goes back to the default"};
