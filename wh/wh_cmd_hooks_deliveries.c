/* wh hooks deliveries: what came to a webhook, and what became of it. */
#include "config.h"

#include <apr_strings.h>

#include "wh/wh_cmd.h"

static const char *when(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_when(cli, wh_cli_get(cli, one, "received_at"));
}

static const wh_cli_column_t columns[] = {
    {"WHEN", NULL, when},           {"ID", "id", NULL},      {"EVENT", "event", NULL},
    {"REF", "ref", NULL},           {"VERDICT", "verdict", NULL}, {"WHY", "reason", NULL},
    {"DEPLOYMENT", "deployment", NULL}, {NULL, NULL, NULL},
};

static int run(wh_cli_t *cli)
{
    apr_int64_t limit = 20;
    int rc = wh_cli_opts_int(cli, "limit", 1, 100, &limit);
    const char *path = apr_pstrcat(cli->p, "/v1/hooks/", wh_cli_http_escape(cli, cli->args[0]),
                                   "/deliveries", NULL);
    return rc == 0 ? wh_cli_list(cli, path, limit, columns) : rc;
}

static const wh_cli_option_t options[] = {
    {"limit", 'n', "N", "at most so many, the newest (20)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_hooks_deliveries = {.words = "hooks deliveries",
                                              .args = "HOOK",
                                              .min_args = 1,
                                              .max_args = 1,
                                              .run = run,
                                              .options = options,
                                              .doc = "what came to a webhook, and what became of it"};
