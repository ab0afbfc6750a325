/* wh hooks create: the only time the secret is shown. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

/* Commas for people, lines for the server. */
static const char *watch(wh_cli_t *cli)
{
    const char *given = wh_cli_opts_get(cli, "watch");
    char *lines = given != NULL ? apr_pstrdup(cli->p, given) : NULL;
    for (char *s = lines; s != NULL && *s != '\0'; s++)
        *s = *s == ',' ? '\n' : *s;
    return lines;
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *provider = wh_cli_opts_get(cli, "provider");
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL)
        return WH_EXIT_USAGE;
    json_t *body =
        json_pack("{s:s, s:s, s:s*}", "app", app, "provider",
                  provider != NULL ? provider : "github", "watch", watch(cli));
    if (body == NULL) {
        wh_cli_error("the app or the provider is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    int rc = wh_cli_http(cli, "POST", "/v1/hooks", body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    wh_cli_out("id      %s\nurl     %s\nsecret  %s\n", wh_cli_get(cli, reply.body, "id"),
               wh_cli_get(cli, reply.body, "url"), wh_cli_get(cli, reply.body, "secret"));
    wh_cli_note(cli, "%s\nThe secret is not shown again. Step by step: docs/webhooks.md\n",
                provider != NULL && strcmp(provider, "generic") == 0
                    ? "A POST to it with \"Authorization: Bearer\" and the secret deploys."
                    : "Give both to the forge (content type application/json, push and pull request "
                      "events).");
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"provider", 0, "NAME", "github (unless named), gitea, forgejo, codeberg, gitlab, bitbucket, "
                            "azure, generic"},
    {"watch", 0, "PATHS", "only pushes that change one of them: web/**,*.md"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks_create = {.words = "hooks create",
                                          .args = "APP",
                                          .max_args = 1,
                                          .run = run,
                                          .options = options,
                                          .doc = "make a webhook: a push deploys the app"};
