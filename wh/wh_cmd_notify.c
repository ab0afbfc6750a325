/* wh notify: whom notifications go to. A target holds a token, so it comes in from a prompt or a
 * pipe: what stands on a command line is in the shell's history and in everybody's list of
 * processes. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

#define CHANNELS "/v1/notifications/channels"
#define TEST_TRIES 40 /* half a second apart: no attempt takes longer */

static const char *path_of(wh_cli_t *cli, const char *name, const char *more)
{
    return apr_pstrcat(cli->p, CHANNELS "/", wh_cli_http_escape(cli, name), more, NULL);
}

/* ---- list, events ---- */

static const char *events_of(wh_cli_t *cli, const json_t *one)
{
    const json_t *list = json_object_get(one, "events"), *event;
    const char *text = "";
    size_t i;
    json_array_foreach(list, i, event)
    {
        text = apr_pstrcat(cli->p, text, i > 0 ? "," : "",
                           wh_cli_clean(cli, json_string_value(event)), NULL);
    }
    return *text != '\0' ? text : "all";
}

static const char *app_of(wh_cli_t *cli, const json_t *one)
{
    const char *app = wh_cli_get(cli, one, "app");
    return *app != '\0' ? app : "all";
}

static const char *state_of(wh_cli_t *cli, const json_t *one)
{
    const char *reason = wh_cli_get(cli, one, "reason");
    if (json_is_true(json_object_get(one, "enabled")))
        return "on";
    return *reason != '\0' ? apr_pstrcat(cli->p, "off (", reason, ")", NULL) : "off";
}

static int list(wh_cli_t *cli)
{
    static const wh_cli_column_t columns[] = {
        {"NAME", "name", NULL},      {"TARGET", "target", NULL}, {"APP", NULL, app_of},
        {"EVENTS", NULL, events_of}, {"STATE", NULL, state_of},  {NULL, NULL, NULL},
    };
    int rc = wh_cli_list_word(cli);
    return rc != 0 ? rc : wh_cli_list(cli, CHANNELS, 0, columns);
}

static int events(wh_cli_t *cli)
{
    static const wh_cli_column_t columns[] = {
        {"EVENT", "event", NULL}, {"SAYS", "title", NULL}, {NULL, NULL, NULL}};
    return wh_cli_list(cli, "/v1/notifications/events", 0, columns);
}

/* ---- add, set ---- */

static const char *ask_target(const wh_cli_t *cli)
{
    size_t n = 0;
    const char *target = wh_cli_input_secret(cli, "Target (discord://…, https://…; docs/notifications.md)", 4096, &n);
    if (target != NULL && n == 0)
        wh_cli_error("no target was given: it is read from stdin");
    return n > 0 ? target : NULL;
}

/* "a,b" as a list; "all" and "" are none. */
static json_t *event_list(const wh_cli_t *cli, const char *given)
{
    json_t *out = json_array();
    char *state = NULL, *copy = apr_pstrdup(cli->p, strcmp(given, "all") == 0 ? "" : given);
    for (char *w = apr_strtok(copy, ", ", &state); w; w = apr_strtok(NULL, ", ", &state))
        json_array_append_new(out, json_string(w));
    return out;
}

/* --app and --events into the body; "all" takes an app away. */
static void add_options(const wh_cli_t *cli, json_t *body)
{
    const char *app = wh_cli_opts_get(cli, "app"), *given = wh_cli_opts_get(cli, "events");
    if (app != NULL)
        json_object_set_new(body, "app", strcmp(app, "all") == 0 ? json_null() : json_string(app));
    if (given != NULL)
        json_object_set_new(body, "events", event_list(cli, given));
}

/* Sends body, which it takes over, and says what the channel is now. */
static int send_body(wh_cli_t *cli, const char *method, const char *path, json_t *body)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, method, path, body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json) {
        wh_cli_json(reply.body);
        return WH_EXIT_OK;
    }
    const char *secret = wh_cli_get(cli, reply.body, "secret");
    wh_cli_out("name    %s\ntarget  %s\napp     %s\nevents  %s\nstate   %s\n",
               wh_cli_get(cli, reply.body, "name"), wh_cli_get(cli, reply.body, "target"),
               app_of(cli, reply.body), events_of(cli, reply.body), state_of(cli, reply.body));
    if (*secret != '\0') {
        wh_cli_out("secret  %s\n", secret);
        wh_cli_note(cli, "The secret is not shown again. It signs what is sent: "
                         "docs/notifications.md\n");
    }
    return WH_EXIT_OK;
}

static int add(wh_cli_t *cli)
{
    const char *target = ask_target(cli);
    if (target == NULL)
        return WH_EXIT_USAGE;
    json_t *body = json_pack("{s:s, s:s}", "name", cli->args[0], "target", target);
    if (body == NULL) {
        wh_cli_error("the name or the target is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    add_options(cli, body);
    return send_body(cli, "POST", CHANNELS, body);
}

static int set(wh_cli_t *cli)
{
    json_t *body = json_object();
    add_options(cli, body);
    if (wh_cli_opts_get(cli, "on") != NULL)
        json_object_set_new(body, "enabled", json_true());
    if (wh_cli_opts_get(cli, "off") != NULL)
        json_object_set_new(body, "enabled", json_false());
    if (wh_cli_opts_get(cli, "target") != NULL) {
        const char *target = ask_target(cli);
        if (target == NULL) {
            json_decref(body);
            return WH_EXIT_USAGE;
        }
        json_object_set_new(body, "target", json_string(target));
    }
    return send_body(cli, "PATCH", path_of(cli, cli->args[0], ""), body);
}

static int rotate(wh_cli_t *cli)
{
    return send_body(cli, "POST", path_of(cli, cli->args[0], "/rotate"), json_object());
}

static int remove_channel(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "DELETE", path_of(cli, cli->args[0], ""), NULL, NULL, &reply);
    if (rc == 0)
        wh_cli_note(cli, "%s is told nothing any more\n", wh_cli_clean(cli, cli->args[0]));
    return rc;
}

/* ---- test, log, resend ---- */

/* Waits for the first attempt of a delivery, and says what came of it. */
static int follow(wh_cli_t *cli, const char *id)
{
    const char *path = path_of(cli, cli->args[0],
                               apr_pstrcat(cli->p, "/deliveries/", wh_cli_http_escape(cli, id),
                                           NULL));
    wh_cli_reply_t reply = {.body = NULL};
    for (int i = 0; i < TEST_TRIES && !wh_cli_interrupted; i++) {
        int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
        if (rc != 0)
            return rc;
        if (strcmp(wh_cli_get(cli, reply.body, "status"), "pending") != 0 ||
            *wh_cli_get(cli, reply.body, "cause.code") != '\0')
            break;
        apr_sleep(500000);
    }
    const char *status = wh_cli_get(cli, reply.body, "status");
    int arrived = strcmp(status, "delivered") == 0;
    if (cli->json)
        wh_cli_json(reply.body);
    else if (arrived)
        wh_cli_out("delivered (%s)\n", wh_cli_get(cli, reply.body, "http_status"));
    else
        wh_cli_error("%s: %s", status, wh_cli_get(cli, reply.body, "cause.detail"));
    return arrived ? WH_EXIT_OK : WH_EXIT_FAIL;
}

static int post(wh_cli_t *cli, const char *action)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "POST", path_of(cli, cli->args[0], action), NULL, NULL, &reply);
    return rc != 0 ? rc : follow(cli, wh_cli_get(cli, reply.body, "id"));
}

static int test(wh_cli_t *cli)
{
    return post(cli, "/test");
}

static int resend(wh_cli_t *cli)
{
    return post(cli, apr_pstrcat(cli->p, "/deliveries/", wh_cli_http_escape(cli, cli->args[1]),
                                 "/resend", NULL));
}

static int show_log(wh_cli_t *cli)
{
    static const char *const titles[] = {"WHEN", "ID", "EVENT", "STATUS", "TRIES", "WHY"};
    const char *status = wh_cli_opts_get(cli, "status");
    wh_cli_reply_t reply;
    wh_cli_table_t table;
    apr_int64_t limit = 20;
    int rc = wh_cli_opts_int(cli, "limit", 1, 100, &limit);
    if (rc != 0)
        return rc;
    rc = wh_cli_http(cli, "GET",
                     path_of(cli, cli->args[0],
                             apr_psprintf(cli->p, "/deliveries?limit=%" APR_INT64_T_FMT "%s%s",
                                          limit, status != NULL ? "&status=" : "",
                                          status != NULL ? wh_cli_http_escape(cli, status) : "")),
                     NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    json_t *one, *items = json_object_get(reply.body, "items");
    if (cli->json) {
        wh_cli_json(items);
        return WH_EXIT_OK;
    }
    wh_cli_table_begin(cli, &table, 6, titles);
    size_t i;
    json_array_foreach(items, i, one)
    {
        wh_cli_table_add(&table, wh_cli_when(cli, wh_cli_get(cli, one, "created_at")));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "id"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "event"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "status"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "attempts"));
        wh_cli_table_add(&table, wh_cli_get(cli, one, "cause.detail"));
    }
    wh_cli_table_print(&table);
    return WH_EXIT_OK;
}

#define APP_AND_EVENTS                                                                             \
    {"app", 'a', "APP", "of this app alone; all: of every app"},                                   \
    {                                                                                              \
        "events", 'e', "EVENTS", "only these, with commas: deployment.*,app.cpu; all"              \
    }
static const wh_cli_option_t add_options_of[] = {APP_AND_EVENTS, {NULL, 0, NULL, NULL}};
static const wh_cli_option_t set_options_of[] = {
    APP_AND_EVENTS,
    {"on", 0, NULL, "tell it again"},
    {"off", 0, NULL, "tell it nothing for now"},
    {"target", 0, NULL, "another target, read from stdin"},
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t log_options_of[] = {
    {"limit", 'n', "N", "at most so many, the newest (20)"},
    {"status", 0, "STATUS", "only those that are pending, delivered or dead"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_notify = {
    .words = "notify", .args = "[list]", .max_args = 1, .run = list,
    .doc = "list whom notifications go to"};
const wh_cli_cmd_t wh_cmd_notify_events = {
    .words = "notify events", .args = "", .run = events, .doc = "list what can be told of"};
const wh_cli_cmd_t wh_cmd_notify_add = {.words = "notify add",
                                        .args = "NAME",
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = add,
                                        .options = add_options_of,
                                        .doc = "tell a chat, a mailbox or a webhook; its target "
                                               "from a prompt or a pipe"};
const wh_cli_cmd_t wh_cmd_notify_set = {.words = "notify set",
                                        .args = "NAME",
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = set,
                                        .options = set_options_of,
                                        .doc = "change what a channel is told, or its target"};
const wh_cli_cmd_t wh_cmd_notify_rotate = {.words = "notify rotate",
                                           .args = "NAME",
                                           .min_args = 1,
                                           .max_args = 1,
                                           .run = rotate,
                                           .doc = "make a webhook's next secret"};
const wh_cli_cmd_t wh_cmd_notify_remove = {.words = "notify remove",
                                           .args = "NAME",
                                           .min_args = 1,
                                           .max_args = 1,
                                           .run = remove_channel,
                                           .doc = "delete a channel"};
const wh_cli_cmd_t wh_cmd_notify_test = {.words = "notify test",
                                         .args = "NAME",
                                         .min_args = 1,
                                         .max_args = 1,
                                         .run = test,
                                         .doc = "send a test and wait for what comes of it"};
const wh_cli_cmd_t wh_cmd_notify_log = {.words = "notify log",
                                        .args = "NAME",
                                        .min_args = 1,
                                        .max_args = 1,
                                        .run = show_log,
                                        .options = log_options_of,
                                        .doc = "what went to a channel, and what became of it"};
const wh_cli_cmd_t wh_cmd_notify_resend = {.words = "notify resend",
                                           .args = "NAME ID",
                                           .min_args = 2,
                                           .max_args = 2,
                                           .run = resend,
                                           .doc = "send one once more"};
