/* wh workers rotate-key */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    return wh_cli_worker_change(
        cli, "/rotate-key", "is told to change its key; wh workers info says rotating until it has",
        NULL);
}

const wh_cli_cmd_t wh_cmd_workers_rotate_key = {.words = "workers rotate-key",
                                                .args = "NAME",
                                                .min_args = 1,
                                                .max_args = 1,
                                                .run = run,
                                                .doc = "have it change its key"};
