/* wh hooks create: the only time the secret is shown. */
#include "config.h"

#include <string.h>
#include <apr_strings.h>

#include "wh/wh_cmd.h"

/* Commas for people, lines for the server. */
static const char *lines(wh_cli_t *cli, const char *option)
{
    const char *given = wh_cli_opts_get(cli, option);
    char *text = given != NULL ? apr_pstrdup(cli->p, given) : NULL;
    for (char *s = text; s != NULL && *s != '\0'; s++)
        *s = *s == ',' ? '\n' : *s;
    return text;
}

/* NULL when nothing of it was named. */
static json_t *actions(wh_cli_t *cli)
{
    json_t *json = json_pack(
        "{s:s*, s:s*, s:s*, s:s*, s:s*}", "repository", wh_cli_opts_get(cli, "repository"),
        "workflows", lines(cli, "workflow"), "branches", lines(cli, "branch"), "issuer",
        wh_cli_opts_get(cli, "issuer"), "audience", wh_cli_opts_get(cli, "audience"));
    if (json_object_size(json) > 0)
        return json;
    json_decref(json);
    return NULL;
}

/* The first line of standard input. NULL = there is none. */
const char *wh_cmd_hooks_token(const wh_cli_t *cli)
{
    char line[4200];
    if (fgets(line, sizeof(line), stdin) != NULL)
        line[strcspn(line, " \r\n\t")] = '\0';
    else
        line[0] = '\0';
    if (line[0] == '\0')
        wh_cli_error("no token was given on standard input");
    return line[0] != '\0' ? apr_pstrdup(cli->p, line) : NULL;
}

json_t *wh_cmd_hooks_forge(wh_cli_t *cli, const char *token)
{
    return json_pack("{s:s, s:s*, s:s*}", "token", token, "api",
                     wh_cli_opts_get(cli, "forge-api"), "repository",
                     wh_cli_opts_get(cli, "repository"));
}

/* What is to be put into the repository. */
static void show_workflow(wh_cli_t *cli, const json_t *hook)
{
    const json_t *rule = json_object_get(hook, "actions");
    wh_cli_out("id        %s\nurl       %s\naudience  %s\n", wh_cli_get(cli, hook, "id"),
               wh_cli_get(cli, hook, "url"), wh_cli_get(cli, rule, "audience"));
    wh_cli_note(cli,
                "Commit this as .github/workflows/deploy.yml of %s:\n\n"
                "on: push\n"
                "permissions:\n"
                "  id-token: write\n"
                "jobs:\n"
                "  deploy:\n"
                "    runs-on: ubuntu-latest\n"
                "    steps:\n"
                "      - run: |\n"
                "          token=$(curl -fsS -H \"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \\\n"
                "            \"$ACTIONS_ID_TOKEN_REQUEST_URL&audience=%s\" | jq -r .value)\n"
                "          curl -fsS --retry 5 -X POST -H \"Authorization: Bearer $token\" \\\n"
                "            %s\n\n"
                "There is no secret. Step by step: docs/github-actions.md\n",
                wh_cli_get(cli, rule, "repository"), wh_cli_get(cli, rule, "audience"),
                wh_cli_get(cli, hook, "url"));
}

static void show(wh_cli_t *cli, const char *provider, const json_t *hook)
{
    if (json_object_get(hook, "actions") != NULL) {
        show_workflow(cli, hook);
        return;
    }
    wh_cli_out("id      %s\nurl     %s\nsecret  %s\n", wh_cli_get(cli, hook, "id"),
               wh_cli_get(cli, hook, "url"), wh_cli_get(cli, hook, "secret"));
    if (json_object_get(hook, "forge") != NULL) {
        wh_cli_note(cli, "It is being registered at the forge: `wh hooks` says how that stands.\n");
        return;
    }
    wh_cli_note(cli, "%s\nThe secret is not shown again. Step by step: docs/webhooks.md\n",
                strcmp(provider, "generic") == 0
                    ? "A POST to it with \"Authorization: Bearer\" and the secret deploys."
                    : "Give both to the forge (content type application/json, push and pull request "
                      "events).");
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *provider = wh_cli_opts_get(cli, "provider");
    const char *app = wh_cli_opts_app(cli), *token = NULL;
    if (app == NULL)
        return WH_EXIT_USAGE;
    if (wh_cli_opts_get(cli, "forge-token-stdin") != NULL &&
        (token = wh_cmd_hooks_token(cli)) == NULL)
        return WH_EXIT_USAGE;
    provider = provider != NULL ? provider : "github";
    json_t *body = json_pack("{s:s, s:s, s:s*, s:o*}", "app", app, "provider", provider, "watch",
                             lines(cli, "watch"), token != NULL ? "forge" : "actions",
                             token != NULL ? wh_cmd_hooks_forge(cli, token) : actions(cli));
    if (body == NULL) {
        wh_cli_error("the app or the provider is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    int rc = wh_cli_http(cli, "POST", "/v1/hooks", body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        show(cli, provider, reply.body);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"provider", 0, "NAME", "github (unless named), gitea, forgejo, codeberg, gitlab, bitbucket, "
                            "azure, generic, github-actions"},
    {"watch", 0, "PATHS", "only pushes that change one of them: web/**,*.md"},
    {"forge-token-stdin", 0, NULL, "register it with the token that stdin has; statuses and a "
                                   "comment go back"},
    {"forge-api", 0, "URL", "where that API is, if not with the app's repository"},
    {"repository", 0, "OWNER/NAME", "how the forge calls it, or whose runs; the app's unless named"},
    {"workflow", 0, "FILES", "github-actions: of these workflows only: deploy.yml"},
    {"branch", 0, "BRANCHES", "github-actions: of these branches only: main,release/*"},
    {"issuer", 0, "URL", "github-actions: who issues the tokens, if not GitHub"},
    {"audience", 0, "TEXT", "github-actions: whom they are for, if not wisehost-HOOK"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks_create = {.words = "hooks create",
                                          .args = "APP",
                                          .max_args = 1,
                                          .run = run,
                                          .options = options,
                                          .doc = "make a webhook: a push deploys the app"};
