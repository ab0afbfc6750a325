/* wh alerts: what fires, and the rules that it fires by. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

/* ---- alerts ---- */

static const char *fired(wh_cli_t *cli, const json_t *one)
{
    return wh_cli_when(cli, wh_cli_get(cli, one, "fired_at"));
}

/* "active", "resolved", and that its value is not known just now (W9). */
static const char *state(wh_cli_t *cli, const json_t *one)
{
    const char *status = wh_cli_get(cli, one, "status");
    return *wh_cli_get(cli, one, "missing_since") != '\0' && strcmp(status, "resolved") != 0
               ? apr_pstrcat(cli->p, status, ", no figures", NULL)
               : status;
}

static const wh_cli_column_t columns[] = {
    {"ALERT", "id", NULL},          {"APP", "app", NULL},
    {"SINCE", NULL, fired},         {"STATE", NULL, state},
    {"SEVERITY", "severity", NULL}, {"WHAT", "title", NULL},
    {"DETAIL", "message", NULL},    {NULL, NULL, NULL},
};

static int list(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_get(cli, "app");
    int word = cli->n_args > 0 && strcmp(cli->args[0], "list") == 0;
    app = app == NULL && cli->n_args > word ? cli->args[word] : app;
    const char *base = app != NULL ? apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app),
                                                 "/alerts", NULL)
                                   : "/v1/alerts";
    int all = wh_cli_opts_get(cli, "all") != NULL;
    return wh_cli_list(cli, all ? base : apr_pstrcat(cli->p, base, "?status=open", NULL), 0,
                       columns);
}

static int change(wh_cli_t *cli, const char *action, const char *done)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(
        cli, "POST",
        apr_pstrcat(cli->p, "/v1/alerts/", wh_cli_http_escape(cli, cli->args[0]), action, NULL),
        NULL, NULL, &reply);
    if (rc == 0 && cli->json)
        wh_cli_json(reply.body);
    if (rc == 0)
        wh_cli_note(cli, "%s: %s\n", done, wh_cli_get(cli, reply.body, "title"));
    return rc;
}

static int ack(wh_cli_t *cli)
{
    return change(cli, "/acknowledge", "Acknowledged");
}

static int resolve(wh_cli_t *cli)
{
    return change(cli, "/resolve", "Resolved");
}

/* ---- rules ---- */

static const char *app_name(wh_cli_t *cli, const json_t *one)
{
    const char *app = wh_cli_get(cli, one, "app");
    return *app != '\0' ? app : "(every app)";
}

static const char *limit(wh_cli_t *cli, const json_t *one)
{
    const json_t *n = json_object_get(one, "threshold");
    if (!json_is_number(n))
        return "-";
    char number[32];
    snprintf(number, sizeof(number), "%.10g", json_number_value(n));
    return apr_pstrcat(cli->p, number, " ", wh_cli_get(cli, one, "unit"), NULL);
}

static const char *sustain(wh_cli_t *cli, const json_t *one)
{
    return apr_pstrcat(cli->p, wh_cli_get(cli, one, "sustain_minutes"), " min", NULL);
}

static const char *stands(wh_cli_t *cli, const json_t *one)
{
    return json_is_false(json_object_get(one, "enabled")) ? "off"
                                                          : wh_cli_get(cli, one, "state.status");
}

static const wh_cli_column_t rule_columns[] = {
    {"RULE", "id", NULL},    {"APP", NULL, app_name}, {"KIND", "kind", NULL},
    {"ABOVE", NULL, limit},  {"FOR", NULL, sustain},  {"SEVERITY", "severity", NULL},
    {"STATE", NULL, stands}, {NULL, NULL, NULL},
};

static int rules(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_get(cli, "app");
    app = app == NULL && cli->n_args > 0 ? cli->args[0] : app;
    return wh_cli_list(cli,
                       app != NULL ? apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app),
                                                 "/alert-rules", NULL)
                                   : "/v1/alert-rules",
                       0, rule_columns);
}

/* A number as it is typed, into body. Returns 0 or WH_EXIT_USAGE. */
static int threshold(const char *text, json_t *body)
{
    json_t *n = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!json_is_number(n)) {
        json_decref(n);
        wh_cli_error("the threshold is a number: 80, 0.5");
        return WH_EXIT_USAGE;
    }
    json_object_set_new(body, "threshold", n);
    return 0;
}

static int settings(const wh_cli_t *cli, json_t *body)
{
    const char *value = wh_cli_opts_get(cli, "severity");
    apr_int64_t minutes = -1;
    int rc = wh_cli_opts_int(cli, "for", 0, 1440, &minutes);
    if (rc == 0 && minutes >= 0)
        json_object_set_new(body, "sustain_minutes", json_integer((json_int_t)minutes));
    if (rc == 0 && value != NULL)
        json_object_set_new(body, "severity", json_string(value));
    return rc;
}

static int send_rule(wh_cli_t *cli, const char *method, const char *path, const json_t *body)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, method, path, (json_t *)(apr_uintptr_t)body, NULL, &reply);
    if (rc == 0 && cli->json)
        wh_cli_json(reply.body);
    else if (rc == 0)
        wh_cli_out("%s\n", wh_cli_get(cli, reply.body, "id"));
    return rc;
}

static int add(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_get(cli, "app");
    json_t *body = json_pack("{s:s}", "kind", cli->args[0]);
    int rc = 0;
    if (body == NULL) {
        wh_cli_error("the kind is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    if (cli->n_args > 1)
        rc = threshold(cli->args[1], body);
    rc = rc == 0 ? settings(cli, body) : rc;
    if (rc == 0)
        rc = send_rule(cli, "POST",
                       app != NULL ? apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app),
                                                 "/alert-rules", NULL)
                                   : "/v1/alert-rules",
                       body);
    json_decref(body);
    return rc;
}

static const char *rule_path(wh_cli_t *cli)
{
    return apr_pstrcat(cli->p, "/v1/alert-rules/", wh_cli_http_escape(cli, cli->args[0]), NULL);
}

static int set(wh_cli_t *cli)
{
    const char *above = wh_cli_opts_get(cli, "above");
    const char *enabled = wh_cli_opts_get(cli, "enabled");
    json_t *body = json_object();
    int rc = above != NULL ? threshold(above, body) : 0;
    rc = rc == 0 ? settings(cli, body) : rc;
    if (rc == 0 && enabled != NULL && strcmp(enabled, "on") != 0 && strcmp(enabled, "off") != 0) {
        wh_cli_error("--enabled is on or off");
        rc = WH_EXIT_USAGE;
    }
    if (rc == 0 && enabled != NULL)
        json_object_set_new(body, "enabled", json_boolean(strcmp(enabled, "on") == 0));
    if (rc == 0)
        rc = send_rule(cli, "PATCH", rule_path(cli), body);
    json_decref(body);
    return rc;
}

static int drop(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "DELETE", rule_path(cli), NULL, NULL, &reply);
    if (rc == 0)
        wh_cli_note(cli, "The rule is gone; what it fired is resolved within 30 s\n");
    return rc;
}

#define APP_OPTION                                                                                 \
    {                                                                                              \
        "app", 'a', "APP", "of this app; else of every app"                                        \
    }
#define RULE_OPTIONS                                                                               \
    {"for", 0, "MINUTES", "so long above, and so long not above, before it is told (5)"},          \
    {                                                                                              \
        "severity", 0, "WORD", "info, warning or critical (warning)"                               \
    }

static const wh_cli_option_t list_options[] = {
    APP_OPTION,
    {"all", 0, NULL, "resolved ones too"},
    {NULL, 0, NULL, NULL},
};
static const wh_cli_option_t rules_options[] = {APP_OPTION, {NULL, 0, NULL, NULL}};
static const wh_cli_option_t add_options[] = {APP_OPTION, RULE_OPTIONS, {NULL, 0, NULL, NULL}};
static const wh_cli_option_t set_options[] = {
    {"above", 0, "NUMBER", "the threshold"},
    {"enabled", 0, "on|off", "off: what it fired is resolved"},
    RULE_OPTIONS,
    {NULL, 0, NULL, NULL},
};

#define ON_ONE(what) .args = what, .min_args = 1, .max_args = 1

const wh_cli_cmd_t wh_cmd_alerts = {.words = "alerts",
                                    .args = "[list] [APP]",
                                    .max_args = 2,
                                    .run = list,
                                    .options = list_options,
                                    .doc = "list what fires"};
const wh_cli_cmd_t wh_cmd_alerts_ack = {
    .words = "alerts ack", ON_ONE("ALERT"), .run = ack, .doc = "say that you know of it"};
const wh_cli_cmd_t wh_cmd_alerts_resolve = {
    .words = "alerts resolve", ON_ONE("ALERT"), .run = resolve, .doc = "say that it is over"};
const wh_cli_cmd_t wh_cmd_alerts_rules = {.words = "alerts rules",
                                          .args = "[APP]",
                                          .max_args = 1,
                                          .run = rules,
                                          .options = rules_options,
                                          .doc = "list the rules, and how they stand"};
const wh_cli_cmd_t wh_cmd_alerts_add = {.words = "alerts add",
                                        .args = "KIND [THRESHOLD]",
                                        .min_args = 1,
                                        .max_args = 2,
                                        .run = add,
                                        .options = add_options,
                                        .doc = "make a rule"};
const wh_cli_cmd_t wh_cmd_alerts_set = {.words = "alerts set",
                                        ON_ONE("RULE"),
                                        .run = set,
                                        .options = set_options,
                                        .doc = "change a rule"};
const wh_cli_cmd_t wh_cmd_alerts_remove = {
    .words = "alerts remove", ON_ONE("RULE"), .run = drop, .doc = "delete a rule"};
