/* wh apps create: the options are the members of the API's app, one for one. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "libwh/wh_giturl.h"
#include "wh/wh_cmd.h"

static int body_make(wh_cli_t *cli, json_t *body)
{
    const char *kind = wh_cli_opts_get(cli, "kind");
    const char *repo = wh_cli_opts_get(cli, "repo"), *image = wh_cli_opts_get(cli, "image");
    int next;
    if ((repo == NULL) == (image == NULL)) {
        wh_cli_error("apps create: of what? give --repo URL or --image IMAGE");
        return WH_EXIT_USAGE;
    }
    if (kind == NULL)
        kind = image != NULL ? "container" : "static";
    if (json_object_set_new(body, "slug", json_string(cli->args[0])) != 0 ||
        json_object_set_new(body, "kind", json_string(kind)) != 0) {
        wh_cli_error("the app's name or kind is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    return wh_cli_app_body(cli, body, &next);
}

/* There is nothing to deploy before something was sent to an app that has no other source. */
static void next_say(wh_cli_t *cli, const json_t *app)
{
    const char *slug = wh_cli_get(cli, app, "slug"), *push = wh_cli_get(cli, app, "push_url");
    if (strcmp(wh_cli_get(cli, app, "repository.url"), WH_GITURL_PUSHED) != 0)
        wh_cli_note(cli, "Created. Next: wh deploy --wait %s\n", slug);
    else if (*push != '\0')
        wh_cli_note(cli, "Created. Next: git push %s %s, or wh deploy --wait --upload DIR %s\n",
                    push, wh_cli_get(cli, app, "repository.branch"), slug);
    else
        wh_cli_note(cli,
                    "Created, but this server takes no pushes and uploads: WiseHostGit is off\n");
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    json_t *body = json_object();
    int rc = body_make(cli, body);
    if (rc == 0)
        rc = wh_cli_http(cli, "POST", "/v1/apps", body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_out("%s\n", wh_cli_get(cli, reply.body, "slug"));
    next_say(cli, reply.body);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"kind", 0, "KIND", "static (what is in the repository is served) or container (of an image)"},
#include "wh/wh_cli_app_options.h"
    WH_CLI_PLACEMENT,
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_apps_create = {.words = "apps create",
                                         .args = "NAME --repo URL|--image IMAGE",
                                         .min_args = 1,
                                         .max_args = 1,
                                         .run = run,
                                         .options = options,
                                         .doc = "make an app of a git repository or an image"};
