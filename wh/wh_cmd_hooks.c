/* wh hooks, wh hooks list */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

/* How its forge stands to it: "-" where no token was given. */
static const char *forge(wh_cli_t *cli, const json_t *hook)
{
    const json_t *at = json_object_get(hook, "forge");
    const char *state = wh_cli_get(cli, at, "state"), *error = wh_cli_get(cli, at, "error");
    if (at == NULL)
        return "-";
    return json_is_string(json_object_get(at, "error"))
               ? apr_pstrcat(cli->p, state, ": ", error, NULL)
               : state;
}

static const wh_cli_column_t columns[] = {
    {"HOOK", "id", NULL}, {"APP", "app", NULL},    {"PROVIDER", "provider", NULL},
    {"URL", "url", NULL}, {"FORGE", NULL, forge}, {NULL, NULL, NULL},
};

/* Of one app, or of all. */
static int run(wh_cli_t *cli)
{
    int all = wh_cli_opts_get(cli, "app") == NULL &&
              (cli->n_args == 0 || (cli->n_args == 1 && strcmp(cli->args[0], "list") == 0));
    return wh_cli_list(cli, all ? "/v1/hooks" : wh_cli_list_path(cli, "hooks"), 0, columns);
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "of one app only"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks = {.words = "hooks",
                                   .args = "[list] [APP]",
                                   .max_args = 2,
                                   .run = run,
                                   .options = options,
                                   .doc = "list the webhooks"};
