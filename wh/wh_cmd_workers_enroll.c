/* wh workers enroll: the only time the token is shown. */
#include "config.h"

#include "wh/wh_cmd.h"

static void next_say(const wh_cli_t *cli, const json_t *made, int replace)
{
    wh_cli_note(
        cli,
        "Good for one use until %s UTC. It is not shown again. On the machine: put it into\n"
        "the file that enrolment_token_file of /etc/wisehost/agent.conf names (mode 0600, the\n"
        "agent's user). ",
        wh_cli_when(cli, wh_cli_get(cli, made, "expires_at")));
    if (replace)
        wh_cli_note(cli, "An agent that runs takes it within a minute; else start it:\n");
    else
        wh_cli_note(cli, "Then start the agent:\n");
    wh_cli_note(cli, "  systemctl start wisehost-agent\n"
                     "or, without systemd, as that user: wh-agent -c /etc/wisehost/agent.conf\n");
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *name = wh_cli_opts_get(cli, "name");
    int replace = wh_cli_opts_get(cli, "replace") != NULL;
    apr_int64_t seconds = 0;
    json_t *body;
    int rc = wh_cli_opts_int(cli, "expires", 60, 2592000, &seconds);
    if (rc != 0)
        return rc;
    if (replace && name == NULL) {
        wh_cli_error("workers enroll: --replace needs --name: whose key?");
        return WH_EXIT_USAGE;
    }
    body = json_object();
    if (name != NULL && json_object_set_new(body, "worker", json_string(name)) != 0) {
        wh_cli_error("--name is no UTF-8 text");
        json_decref(body);
        return WH_EXIT_USAGE;
    }
    if (replace)
        json_object_set_new(body, "replaces", json_true());
    if (seconds > 0)
        json_object_set_new(body, "expires_in", json_integer(seconds));
    rc = wh_cli_http(cli, "POST", "/v1/workers/enrol-tokens", body, NULL, &reply);
    json_decref(body);
    if (rc == WH_EXIT_CONFLICT && !replace)
        wh_cli_error("--replace makes such a token: the worker gets a new key and keeps its apps");
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_out("%s\n", wh_cli_get(cli, reply.body, "token"));
    next_say(cli, reply.body, replace);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"name", 0, "NAME", "it registers a worker of this name and no other"},
    {"replace", 0, NULL, "the worker is there: it gets a new key and keeps its apps"},
    {"expires", 0, "SECONDS", "60 to 2592000 (3600)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_workers_enroll = {.words = "workers enroll",
                                            .args = "[--name NAME]",
                                            .run = run,
                                            .options = options,
                                            .doc = "print a one-time token for a new worker"};
