/* wh workers revoke */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    const char *name; /* it may have been named by its id */
    int rc = wh_cli_worker_change(cli, "/revoke", "is shut out", &name);
    if (rc == WH_EXIT_OK)
        wh_cli_note(cli, "wh workers enroll --name %s --replace lets it back in\n", name);
    return rc;
}

const wh_cli_cmd_t wh_cmd_workers_revoke = {.words = "workers revoke",
                                            .args = "NAME",
                                            .min_args = 1,
                                            .max_args = 1,
                                            .run = run,
                                            .doc = "shut it out at once: its key counts no more"};
