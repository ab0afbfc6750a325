/* wh git-credential: git's credential helper (gitcredentials(7)), so that a push asks nobody for
 * the token which this program knows already. */
#include "config.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "wh/wh_cmd.h"

#define LINE_BYTES 2048

/* What git asks for, "name=value" a line until an empty one: protocol and host. */
static void read_asked(wh_cli_t *cli, const char **protocol, const char **host)
{
    char line[LINE_BYTES];

    *protocol = *host = "";
    while (fgets(line, sizeof(line), stdin) != NULL && line[0] != '\n') {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, "protocol=", 9) == 0)
            *protocol = apr_pstrdup(cli->p, line + 9);
        else if (strncmp(line, "host=", 5) == 0)
            *host = apr_pstrdup(cli->p, line + 5);
    }
}

/* The token is for the server that it belongs to and for no other. */
static int is_ours(wh_cli_t *cli, const char *protocol, const char *host)
{
    const char *asked = apr_pstrcat(cli->p, protocol, "://", host, NULL);
    size_t n = strlen(asked);

    return *host != '\0' && cli->url != NULL && strncasecmp(cli->url, asked, n) == 0 &&
           (cli->url[n] == '\0' || cli->url[n] == '/');
}

static int run(wh_cli_t *cli)
{
    const char *protocol, *host;
    if (strcmp(cli->args[0], "get") != 0)
        return WH_EXIT_OK; /* store and erase: what wh login kept stays */
    read_asked(cli, &protocol, &host);
    if (cli->token != NULL && is_ours(cli, protocol, host))
        wh_cli_out("username=wisehost\npassword=%s\n", cli->token);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {{NULL, 0, NULL, NULL}};

const wh_cli_cmd_t wh_cmd_git_credential = {.words = "git-credential",
                                            .args = "get",
                                            .min_args = 1,
                                            .max_args = 1,
                                            .run = run,
                                            .options = options,
                                            .doc = "git's credential helper: gives it the token"};
