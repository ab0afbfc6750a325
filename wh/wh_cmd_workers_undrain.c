/* wh workers undrain */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    return wh_cli_worker_change(cli, "/undrain", "takes jobs again", NULL);
}

const wh_cli_cmd_t wh_cmd_workers_undrain = {.words = "workers undrain",
                                             .args = "NAME",
                                             .min_args = 1,
                                             .max_args = 1,
                                             .run = run,
                                             .doc = "let it take jobs again"};
