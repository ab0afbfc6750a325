/* wh login: a one-time token into an API token that is kept. */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "wh/wh_cmd.h"

static const char *read_token(wh_cli_t *cli)
{
    char line[512];
    struct termios old, quiet;
    int tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
    if (tty) {
        fputs("One-time token (`wh-scheduler --admin-token` prints one): ", stderr);
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    char *got = fgets(line, sizeof(line), stdin);
    if (tty) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (got == NULL)
        return "";
    line[strcspn(line, " \r\n\t")] = '\0';
    return apr_pstrdup(cli->p, line);
}

/* An API token made elsewhere is taken as it is, once the server has accepted it. */
static int keep_api_token(wh_cli_t *cli, const char *token)
{
    wh_cli_reply_t reply;
    cli->token = token;
    return wh_cli_http(cli, "GET", "/v1/apps?limit=1", NULL, NULL, &reply);
}

static int redeem(wh_cli_t *cli, const char *token)
{
    char host[256] = "";
    wh_cli_reply_t reply;
    const char *name = wh_cli_opts_get(cli, "name");
    if (name == NULL && gethostname(host, sizeof(host) - 1) == 0)
        name = apr_pstrcat(cli->p, "wh on ", host, NULL);
    json_t *body = json_pack("{s:s, s:s}", "token", token, "name", name != NULL ? name : "wh");
    if (body == NULL) {
        wh_cli_error("the token or the name is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    cli->token = NULL;
    int rc = wh_cli_http(cli, "POST", "/v1/login", body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    cli->token = wh_cli_get(cli, reply.body, "token");
    if (*cli->token != '\0')
        return 0;
    wh_cli_error("the server's answer holds no token");
    return WH_EXIT_FAIL;
}

static int run(wh_cli_t *cli)
{
    if (cli->url == NULL) {
        wh_cli_error("which server? usage: wh login --url http://127.0.0.1:8080");
        return WH_EXIT_USAGE;
    }
    const char *token =
        cli->n_args > 0 && strcmp(cli->args[0], "-") != 0 ? cli->args[0] : read_token(cli);
    if (*token == '\0') {
        wh_cli_error("no token was given; on the server, `wh-scheduler --admin-token` prints one");
        return WH_EXIT_USAGE;
    }
    int rc = strncmp(token, "wh_", 3) == 0 ? keep_api_token(cli, token) : redeem(cli, token);
    if (rc == 0)
        rc = wh_cli_conf_save(cli);
    if (rc != 0)
        return rc;
    if (wh_cli_opts_get(cli, "print-token") != NULL)
        wh_cli_out("%s\n", cli->token);
    else if (cli->json) {
        json_t *out = json_pack("{s:s, s:s}", "url", cli->url, "config", cli->conf_path);
        wh_cli_json(out);
        json_decref(out);
    }
    wh_cli_note(cli, "Logged in to %s; the token is in %s\n", cli->url, cli->conf_path);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"name", 0, "NAME", "what the new token is called (wh on HOST)"},
    {"print-token", 0, NULL, "print the new token too, for a script"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_login = {.words = "login",
                                   .args = "[TOKEN]",
                                   .max_args = 1,
                                   .run = run,
                                   .options = options,
                                   .doc =
                                       "log in with a one-time token (argument or standard input)"};
