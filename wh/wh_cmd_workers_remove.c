/* wh workers remove: the server refuses while apps would lose their containers. */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *query = wh_cli_opts_get(cli, "force") != NULL ? "?force=true" : "";
    int rc = wh_cli_http(cli, "DELETE", wh_cli_worker_path(cli, cli->args[0], query), NULL, NULL,
                         &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        json_t *out = json_pack("{s:s}", "removed", cli->args[0]);
        wh_cli_json(out);
        json_decref(out);
    }
    wh_cli_note(cli, "%s is removed\n", wh_cli_clean(cli, cli->args[0]));
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"force", 0, NULL, "although apps have containers there: they count as stopped"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_workers_remove = {.words = "workers remove",
                                            .args = "NAME [--force]",
                                            .min_args = 1,
                                            .max_args = 1,
                                            .run = run,
                                            .options = options,
                                            .doc = "take it out for good"};
