/* wh apps info */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const struct {
    const char *title, *path;
} lines[] = {
    {"kind", "kind"},          {"state", "observed"},          {"reason", "reason"},
    {"wanted", "desired"},     {"worker", "placement.worker"}, {"zone", "placement.zone"},
    {"push to", "push_url"},
    {"created", "created_at"},
};

static void line_say(wh_cli_t *cli, const json_t *app, const char *title, const char *path)
{
    const char *value = strcmp(path, "observed") == 0 ? wh_cli_deployment_observed(cli, app)
                                                      : wh_cli_get(cli, app, path);
    if (*value != '\0')
        wh_cli_out(WH_CLI_APP_LINE, title, value);
}

/* What else belongs to the app; a server that cannot tell costs these lines only. */
static void others_say(wh_cli_t *cli, const char *path, const char *what, const char *const m[2])
{
    wh_cli_reply_t reply;
    json_t *one;
    size_t i;
    wh_cli_http_try(cli, "GET", apr_pstrcat(cli->p, path, "/", what, NULL), NULL, NULL, &reply);
    if (reply.status != 200)
        return;
    json_array_foreach(json_object_get(reply.body, "items"), i, one)
        wh_cli_out("  %-15s %s (%s)\n", i == 0 ? what : "", wh_cli_get(cli, one, m[0]),
                   wh_cli_get(cli, one, m[1]));
}

/* "success (synced), 1a2b3c4", and why when it failed. */
static void sync_say(wh_cli_t *cli, const char *path)
{
    wh_cli_reply_t reply;
    wh_cli_http_try(cli, "GET", apr_pstrcat(cli->p, path, "/sync", NULL), NULL, NULL, &reply);
    if (reply.status != 200)
        return;
    const char *sha = wh_cli_get(cli, reply.body, "commit");
    const char *why = wh_cli_get(cli, reply.body, "cause.detail");
    wh_cli_out(WH_CLI_APP_LINE, "synced",
               apr_psprintf(cli->p, "%s (%s)%s%.7s", wh_cli_get(cli, reply.body, "status"),
                            wh_cli_get(cli, reply.body, "app_status"), *sha ? ", " : "", sha));
    if (*why != '\0')
        wh_cli_out(WH_CLI_APP_LINE, "", why);
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL)
        return WH_EXIT_USAGE;
    const char *path = apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), NULL);
    int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    wh_cli_out("%s\n", wh_cli_get(cli, reply.body, "slug"));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        line_say(cli, reply.body, lines[i].title, lines[i].path);
    const char *labels = wh_cli_worker_labels(
        cli, json_object_get(json_object_get(reply.body, "placement"), "labels"));
    if (*labels != '\0')
        wh_cli_out(WH_CLI_APP_LINE, "labels", labels);
    wh_cli_app_lines(cli, reply.body);
    sync_say(cli, path);
    size_t i;
    json_t *url;
    json_array_foreach(json_object_get(reply.body, "urls"), i, url) if (json_is_string(url))
        wh_cli_out(WH_CLI_APP_LINE, i == 0 ? "urls" : "",
                   wh_cli_clean(cli, json_string_value(url)));
    others_say(cli, path, "domains", (const char *const[]){"host_unicode", "status"});
    others_say(cli, path, "environments", (const char *const[]){"name", "pattern"});
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_apps_info = {.words = "apps info",
                                       .args = "APP",
                                       .max_args = 1,
                                       .run = run,
                                       .options = options,
                                       .doc = "show one app"};
