/* wh drains: where the lines of apps go besides the server's own files. A target may hold a
 * password, so it comes in from a prompt or a pipe. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

#define DRAINS "/v1/drains"

static const char *app_of(wh_cli_t *cli, const json_t *one)
{
    const char *app = wh_cli_get(cli, one, "app");
    return *app != '\0' ? app : "all";
}

static const char *state_of(wh_cli_t *cli, const json_t *one)
{
    const char *cause = wh_cli_get(cli, one, "cause");
    if (!json_is_true(json_object_get(one, "enabled")))
        return "off";
    return *cause != '\0' ? cause : "on";
}

static int list(wh_cli_t *cli)
{
    static const wh_cli_column_t columns[] = {
        {"NAME", "name", NULL},       {"TARGET", "target", NULL},   {"APP", NULL, app_of},
        {"SENT", "lines_sent", NULL}, {"LOST", "lines_lost", NULL}, {"STATE", NULL, state_of},
        {NULL, NULL, NULL},
    };
    int rc = wh_cli_list_word(cli);
    return rc != 0 ? rc : wh_cli_list(cli, DRAINS, 0, columns);
}

/* Sends body, which it takes over. */
static int send_body(wh_cli_t *cli, const char *method, const char *path, json_t *body)
{
    const char *app = wh_cli_opts_get(cli, "app");
    const char *gzip = wh_cli_opts_get(cli, "gzip");
    wh_cli_reply_t reply;
    if (gzip != NULL && strcmp(gzip, "on") != 0 && strcmp(gzip, "off") != 0) {
        wh_cli_error("--gzip is on or off");
        json_decref(body);
        return WH_EXIT_USAGE;
    }
    if (gzip != NULL)
        json_object_set_new(body, "gzip", json_boolean(strcmp(gzip, "on") == 0));
    if (app != NULL)
        json_object_set_new(body, "app", strcmp(app, "all") == 0 ? json_null() : json_string(app));
    int rc = wh_cli_http(cli, method, path, body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_out("name    %s\ntarget  %s\napp     %s\nstate   %s\n",
                   wh_cli_get(cli, reply.body, "name"), wh_cli_get(cli, reply.body, "target"),
                   app_of(cli, reply.body), state_of(cli, reply.body));
    return WH_EXIT_OK;
}

static const char *path_of(wh_cli_t *cli)
{
    return apr_pstrcat(cli->p, DRAINS "/", wh_cli_http_escape(cli, cli->args[0]), NULL);
}

static const char *ask_target(const wh_cli_t *cli)
{
    size_t n = 0;
    const char *target = wh_cli_input_secret(cli, "Target (loki+https://…, syslog+tls://…; docs/drains.md)", 4096, &n);
    if (target != NULL && n == 0)
        wh_cli_error("no target was given: it is read from stdin");
    return n > 0 ? target : NULL;
}

static int add(wh_cli_t *cli)
{
    const char *target = ask_target(cli);
    json_t *body = target != NULL
                       ? json_pack("{s:s, s:s}", "name", cli->args[0], "target", target)
                       : NULL;
    return body != NULL ? send_body(cli, "POST", DRAINS, body) : WH_EXIT_USAGE;
}

static int set(wh_cli_t *cli)
{
    json_t *body = json_object();
    if (wh_cli_opts_get(cli, "on") != NULL)
        json_object_set_new(body, "enabled", json_true());
    if (wh_cli_opts_get(cli, "off") != NULL)
        json_object_set_new(body, "enabled", json_false());
    return send_body(cli, "PATCH", path_of(cli), body);
}

static int remove_drain(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "DELETE", path_of(cli), NULL, NULL, &reply);
    if (rc == 0)
        wh_cli_note(cli, "%s gets no lines any more\n", wh_cli_clean(cli, cli->args[0]));
    return rc;
}

#define APP                                                                                        \
    {                                                                                              \
        "app", 'a', "APP", "of this app alone; all: of every app"                                  \
    }
#define GZIP                                                                                       \
    {                                                                                              \
        "gzip", 0, "on|off", "pack bodies, where the target takes that (Loki, HTTP)"               \
    }
static const wh_cli_option_t add_options[] = {APP, GZIP, {NULL, 0, NULL, NULL}};
static const wh_cli_option_t set_options[] = {
    APP,
    GZIP,
    {"on", 0, NULL, "send lines again"},
    {"off", 0, NULL, "send nothing for now"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_drains = {.words = "drains",
                                    .args = "[list]",
                                    .max_args = 1,
                                    .run = list,
                                    .doc = "list where the logs of apps go besides"};
const wh_cli_cmd_t wh_cmd_drains_add = {.words = "drains add",
                                        .args = "NAME",
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = add,
                                        .options = add_options,
                                        .doc = "send logs to Loki, syslog or by HTTP; the target "
                                               "from a prompt or a pipe"};
const wh_cli_cmd_t wh_cmd_drains_set = {.words = "drains set",
                                        .args = "NAME",
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = set,
                                        .options = set_options,
                                        .doc = "change whose lines a drain gets"};
const wh_cli_cmd_t wh_cmd_drains_remove = {.words = "drains remove",
                                           .args = "NAME",
                                           .min_args = 1,
                                           .max_args = 1,
                                           .run = remove_drain,
                                           .doc = "delete a drain"};
