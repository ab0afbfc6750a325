/* wh environments: which branches an app's environments take. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const char *path_of(wh_cli_t *cli, const char *app, const char *name)
{
    return apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/environments",
                       name != NULL ? "/" : "", name != NULL ? wh_cli_http_escape(cli, name) : "",
                       NULL);
}

static const wh_cli_column_t columns[] = {
    {"ENVIRONMENT", "name", NULL}, {"PATTERN", "pattern", NULL}, {"POSITION", "position", NULL},
    {"URL", "url", NULL},          {NULL, NULL, NULL},
};

static int list(wh_cli_t *cli)
{
    return wh_cli_list(cli, wh_cli_list_path(cli, "environments"), 0, columns);
}

static int set(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    apr_int64_t position = 0;
    int rc = wh_cli_opts_int(cli, "position", 0, 1000000, &position);
    if (rc != 0)
        return rc;
    json_t *body =
        json_pack("{s:s, s:I}", "pattern", cli->args[2], "position", (json_int_t)position);
    if (body == NULL) {
        wh_cli_error("the pattern is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    rc = wh_cli_http(cli, "PUT", path_of(cli, cli->args[0], cli->args[1]), body, NULL, &reply);
    json_decref(body);
    if (rc == 0 && cli->json)
        wh_cli_json(reply.body);
    if (rc == 0)
        wh_cli_note(cli, "Pushes to %s go to %s from now on\n",
                    wh_cli_get(cli, reply.body, "pattern"), wh_cli_get(cli, reply.body, "name"));
    return rc;
}

static int drop(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *path = path_of(cli, cli->args[0], cli->args[1]);
    int rc = wh_cli_http(cli, "DELETE", apr_pstrcat(cli->p, path, "?keep=true", NULL), NULL, NULL,
                         &reply);
    if (rc == 0)
        wh_cli_note(cli, "It takes no branches any more; what it shows stays\n");
    return rc;
}

static int end(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    if (!wh_cli_confirm(cli, "environments delete", cli->args[1]))
        return WH_EXIT_USAGE;
    int rc =
        wh_cli_http(cli, "DELETE", path_of(cli, cli->args[0], cli->args[1]), NULL, NULL, &reply);
    if (rc == 0)
        wh_cli_note(cli, "%s is ended, with its names and containers\n",
                    wh_cli_clean(cli, cli->args[1]));
    return rc;
}

static const wh_cli_option_t list_options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

static const wh_cli_option_t set_options[] = {
    {"position", 0, "N", "of several that match the lowest takes the branch (0)"},
    {NULL, 0, NULL, NULL},
};

static const wh_cli_option_t delete_options[] = {
    {"yes", 'y', NULL, "do not ask"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_environments = {.words = "environments",
                                          .args = "[list] APP",
                                          .max_args = 2,
                                          .run = list,
                                          .options = list_options,
                                          .doc = "list which branches an app's environments take"};
const wh_cli_cmd_t wh_cmd_environments_set = {.words = "environments set",
                                              .args = "APP ENVIRONMENT PATTERN",
                                              .min_args = 3,
                                              .max_args = 3,
                                              .run = set,
                                              .options = set_options,
                                              .doc = "send branches like release/* there"};
const wh_cli_cmd_t wh_cmd_environments_unset = {.words = "environments unset",
                                                .args = "APP ENVIRONMENT",
                                                .min_args = 2,
                                                .max_args = 2,
                                                .run = drop,
                                                .doc = "send no branches there any more"};
const wh_cli_cmd_t wh_cmd_environments_delete = {.words = "environments delete",
                                                 .args = "APP ENVIRONMENT",
                                                 .min_args = 2,
                                                 .max_args = 2,
                                                 .run = end,
                                                 .options = delete_options,
                                                 .doc = "end it: its names, containers, env vars"};
