/* wh version */
#include "config.h"

#include "wh/wh_cmd.h"

static int run(wh_cli_t *cli)
{
    if (cli->json) {
        json_t *out = json_pack("{s:s}", "version", PACKAGE_VERSION);
        wh_cli_json(out);
        json_decref(out);
    } else
        wh_cli_out("wh %s\n", PACKAGE_VERSION);
    return WH_EXIT_OK;
}

const wh_cli_cmd_t wh_cmd_version = {
    .words = "version", .args = "", .run = run, .doc = "say which version this is"};
