/* wh apps deploy-key, credentials, known-hosts: what a private repository asks for. Secrets come in
 * by a pipe, a file or a prompt, and never out again. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "libwh/wh_gitauth.h"
#include "libwh/wh_sshkey.h"
#include "wh/wh_cmd.h"

static const char *path_of(wh_cli_t *cli, const char *what)
{
    return apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, cli->args[0]), "/source", what,
                       NULL);
}

static int call(wh_cli_t *cli, const char *method, const char *what, json_t *body,
                wh_cli_reply_t *reply)
{
    int rc = wh_cli_http(cli, method, path_of(cli, what), body, NULL, reply);
    json_decref(body);
    if (rc == 0 && cli->json && reply->body != NULL)
        wh_cli_json(reply->body);
    return rc;
}

static int removed(wh_cli_t *cli, const char *what, const char *done)
{
    wh_cli_reply_t reply;
    int rc = call(cli, "DELETE", what, NULL, &reply);
    if (rc == 0)
        wh_cli_note(cli, "%s\n", done);
    return rc;
}

/* ---- deploy-key ---- */

static void show_key(wh_cli_t *cli, const json_t *source)
{
    const char *until = wh_cli_get(cli, source, "former_key.valid_until");
    if (cli->json)
        return;
    wh_cli_out("%s\n", wh_cli_get(cli, source, "deploy_key.public_key"));
    wh_cli_note(cli, "fingerprint %s, made %s\n", wh_cli_get(cli, source, "deploy_key.fingerprint"),
                wh_cli_when(cli, wh_cli_get(cli, source, "deploy_key.created_at")));
    if (*until != '\0')
        wh_cli_note(cli, "The former one, %s, is offered too until %s.\n",
                    wh_cli_get(cli, source, "former_key.fingerprint"), wh_cli_when(cli, until));
}

static int new_key(wh_cli_t *cli, const char *given)
{
    apr_int64_t overlap = 86400;
    wh_cli_reply_t reply;
    json_t *body;
    int rc = wh_cli_opts_int(cli, "overlap", 0, 2592000, &overlap);
    if (rc != 0)
        return rc;
    body = json_pack("{s:I}", "overlap", (json_int_t)overlap);
    if (given != NULL)
        json_object_set_new(body, "private_key", json_string(given));
    rc = call(cli, "POST", "/deploy-key", body, &reply);
    if (rc != 0)
        return rc;
    show_key(cli, reply.body);
    wh_cli_note(cli, "Give this line to the forge as a deploy key; it need only read.\n");
    return WH_EXIT_OK;
}

static int deploy_key(wh_cli_t *cli)
{
    const char *file = wh_cli_opts_get(cli, "file"), *given = NULL;
    wh_cli_reply_t reply;
    size_t n = 0;
    int rc;
    if (wh_cli_opts_get(cli, "remove") != NULL)
        return removed(cli, "/deploy-key", "There is no deploy key any more.");
    if (file != NULL) {
        given = wh_cli_input_file(cli, file, WH_SSHKEY_MAX, &n);
        return given != NULL ? new_key(cli, given) : WH_EXIT_USAGE;
    }
    if (wh_cli_opts_get(cli, "rotate") != NULL)
        return new_key(cli, NULL);
    rc = wh_cli_http(cli, "GET", path_of(cli, ""), NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (!json_is_object(json_object_get(reply.body, "deploy_key")))
        return new_key(cli, NULL);
    if (cli->json)
        wh_cli_json(reply.body);
    show_key(cli, reply.body);
    return WH_EXIT_OK;
}

/* ---- credentials ---- */

static int show_credentials(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = call(cli, "GET", "", NULL, &reply);
    if (rc != 0 || cli->json)
        return rc;
    if (!json_is_object(json_object_get(reply.body, "credentials")))
        wh_cli_note(cli, "There are none.\n");
    else
        wh_cli_out("host      %s\nusername  %s\nset       %s\n",
                   wh_cli_get(cli, reply.body, "credentials.host"),
                   wh_cli_get(cli, reply.body, "credentials.username"),
                   wh_cli_when(cli, wh_cli_get(cli, reply.body, "credentials.created_at")));
    return WH_EXIT_OK;
}

static int credentials(wh_cli_t *cli)
{
    const char *user = wh_cli_opts_get(cli, "username"), *host = wh_cli_opts_get(cli, "host");
    const char *token;
    wh_cli_reply_t reply;
    json_t *body;
    size_t n = 0;
    int rc;
    if (wh_cli_opts_get(cli, "remove") != NULL)
        return removed(cli, "/credentials", "There are no credentials any more.");
    if (wh_cli_opts_get(cli, "show") != NULL)
        return show_credentials(cli);
    token = wh_cli_input_secret(cli, "Token", WH_GITAUTH_TOKEN_MAX, &n);
    if (token == NULL)
        return WH_EXIT_USAGE;
    body = json_pack("{s:s%}", "token", token, n);
    if (user != NULL)
        json_object_set_new(body, "username", json_string(user));
    if (host != NULL)
        json_object_set_new(body, "host", json_string(host));
    rc = call(cli, "PUT", "/credentials", body, &reply);
    if (rc == 0)
        wh_cli_note(cli, "%s gets them, and no other host; they are not shown again.\n",
                    wh_cli_get(cli, reply.body, "credentials.host"));
    return rc;
}

/* ---- known-hosts ---- */

/* Only lines that this server has checked come out; each is clean of what a terminal obeys. */
static void show_hosts(wh_cli_t *cli, const json_t *source)
{
    const char *text = json_string_value(json_object_get(source, "known_hosts"));
    while (!cli->json && text != NULL && *text != '\0') {
        size_t n = strcspn(text, "\n");
        wh_cli_out("%s\n", wh_cli_clean(cli, apr_pstrmemdup(cli->p, text, n)));
        text += n + (text[n] == '\n');
    }
}

static int known_hosts(wh_cli_t *cli)
{
    const char *file = wh_cli_opts_get(cli, "file"), *text = "";
    int change = file != NULL || wh_cli_opts_get(cli, "remove") != NULL;
    wh_cli_reply_t reply;
    size_t n = 0;
    int rc;
    if (file != NULL)
        text = wh_cli_input_file(cli, file, WH_SSHKEY_MAX, &n);
    if (text == NULL)
        return WH_EXIT_USAGE;
    rc = call(cli, change ? "PUT" : "GET", change ? "/known-hosts" : "",
              change ? json_pack("{s:s}", "known_hosts", text) : NULL, &reply);
    if (rc == 0)
        show_hosts(cli, reply.body);
    return rc;
}

static const wh_cli_option_t key_options[] = {
    {"rotate", 0, NULL, "make the next key"},
    {"file", 'f', "FILE", "take this private key (- is stdin) instead of making one"},
    {"overlap", 0, "SECONDS", "how long the former key is offered too (86400, a day)"},
    {"remove", 0, NULL, "remove the keys"},
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t credentials_options[] = {
    {"username", 0, "NAME", "as the forge wants it (git)"},
    {"host", 0, "HOST", "the only one that gets them (the repository's)"},
    {"show", 0, NULL, "show host and user"},
    {"remove", 0, NULL, "remove them"},
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t hosts_options[] = {
    {"file", 'f', "FILE", "take these lines, as ssh-keyscan writes them (- is stdin)"},
    {"remove", 0, NULL, "remove them"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_apps_deploy_key = {.words = "apps deploy-key",
                                             .args = "APP",
                                             .min_args = 1,
                                             .max_args = 1,
                                             .run = deploy_key,
                                             .options = key_options,
                                             .doc = "the key for a repository over ssh: show, make, rotate"};
const wh_cli_cmd_t wh_cmd_apps_credentials = {.words = "apps credentials",
                                              .args = "APP",
                                              .min_args = 1,
                                              .max_args = 1,
                                              .run = credentials,
                                              .options = credentials_options,
                                              .doc = "user and token for https, or for an image's registry"};
const wh_cli_cmd_t wh_cmd_apps_known_hosts = {.words = "apps known-hosts",
                                              .args = "APP",
                                              .min_args = 1,
                                              .max_args = 1,
                                              .run = known_hosts,
                                              .options = hosts_options,
                                              .doc = "which keys the hosts of ssh repositories have"};
