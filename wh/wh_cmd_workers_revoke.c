/* wh workers revoke */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    return wh_cli_worker_change(
        cli, "/revoke", "is shut out; wh workers enroll --name NAME --replace lets it back in");
}

const wh_cli_cmd_t wh_cmd_workers_revoke = {.words = "workers revoke",
                                            .args = "NAME",
                                            .min_args = 1,
                                            .max_args = 1,
                                            .run = run,
                                            .doc = "shut it out at once: its key counts no more"};
