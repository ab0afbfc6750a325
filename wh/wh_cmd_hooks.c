/* wh hooks, wh hooks list */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const wh_cli_column_t columns[] = {
    {"HOOK", "id", NULL}, {"APP", "app", NULL}, {"PROVIDER", "provider", NULL},
    {"URL", "url", NULL}, {NULL, NULL, NULL},
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
