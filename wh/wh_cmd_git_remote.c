/* wh git-remote */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

/* The address of an app that is there; of one that the first push would make, the server's word on
 * any other would do, but there may be none: then the form that all of them have. */
static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *app = wh_cli_opts_app(cli);
    const char *url;
    if (app == NULL)
        return WH_EXIT_USAGE;
    const char *slug = wh_cli_http_escape(cli, app);
    wh_cli_http_try(cli, "GET", apr_pstrcat(cli->p, "/v1/apps/", slug, NULL), NULL, NULL, &reply);
    if (reply.status == 404) {
        wh_cli_note(cli, "There is no app %s yet: the first push makes it.\n",
                    wh_cli_clean(cli, app));
        wh_cli_out("%s/git/%s.git\n", cli->url, wh_cli_clean(cli, slug));
        return WH_EXIT_OK;
    }
    if (reply.status != 200)
        return wh_cli_http_fail(cli, &reply);
    url = wh_cli_get(cli, reply.body, "push_url");
    if (cli->json) {
        wh_cli_json(json_object_get(reply.body, "push_url"));
        return WH_EXIT_OK;
    }
    if (*url == '\0') {
        wh_cli_error("this server takes no pushes (WiseHostGit is Off)");
        return WH_EXIT_FAIL;
    }
    wh_cli_out("%s\n", url);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_git_remote = {.words = "git-remote",
                                        .args = "APP",
                                        .max_args = 1,
                                        .run = run,
                                        .options = options,
                                        .doc = "print the address that an app is pushed to"};
