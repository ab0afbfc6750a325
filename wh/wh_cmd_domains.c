/* wh domains: names of an app's own. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "libwh/wh_idn.h"
#include "wh/wh_cmd.h"

/* The paths of the API have the form of DNS; what has none is nobody's, and the server says so. */
static const char *path_of(wh_cli_t *cli, const char *app, const char *host, const char *action)
{
    if (host != NULL && wh_idn_ascii(cli->p, host, &host, NULL) != 0)
        host = "-";
    return apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/domains",
                       host != NULL ? "/" : "", host != NULL ? wh_cli_http_escape(cli, host) : "",
                       action, NULL);
}

/* "bücher.example (xn--bcher-kva.example)": what is read, and what is set in DNS. */
static const char *both_names(const wh_cli_t *cli, const json_t *domain)
{
    const char *host = wh_cli_get(cli, domain, "host");
    const char *read = wh_cli_get(cli, domain, "host_unicode");
    return *read == '\0' || strcmp(read, host) == 0
               ? host
               : apr_pstrcat(cli->p, read, " (", host, ")", NULL);
}

static const char *leads_to(wh_cli_t *cli, const json_t *domain)
{
    const char *to = wh_cli_get(cli, domain, "redirect_to");
    return *to != '\0' ? to : wh_cli_get(cli, domain, "environment");
}

static const char *names(wh_cli_t *cli, const json_t *domain)
{
    return both_names(cli, domain);
}

static const wh_cli_column_t columns[] = {
    {"DOMAIN", NULL, names},    {"STATE", "status", NULL}, {"SHOWS", NULL, leads_to},
    {"REASON", "reason", NULL}, {NULL, NULL, NULL},
};

static int list(wh_cli_t *cli)
{
    return wh_cli_list(cli, wh_cli_list_path(cli, "domains"), 0, columns);
}

/* What is to be set, as one would type it into a zone. */
static void say(const wh_cli_t *cli, const json_t *d)
{
    if (cli->json) {
        wh_cli_json(d);
        return;
    }
    wh_cli_out("%s is %s\n", both_names(cli, d), wh_cli_get(cli, d, "status"));
    if (strcmp(wh_cli_get(cli, d, "status"), "active") == 0)
        return;
    wh_cli_out("  lead it here  %s. CNAME %s.\n", wh_cli_get(cli, d, "host"),
               wh_cli_get(cli, d, "target"));
    wh_cli_out("  prove it      %s. TXT \"%s\"\n", wh_cli_get(cli, d, "proof.dns.name"),
               wh_cli_get(cli, d, "proof.dns.value"));
    wh_cli_out("  or by a file  %s\n                with %s\n",
               wh_cli_get(cli, d, "proof.http.url"), wh_cli_get(cli, d, "proof.http.body"));
    if (*wh_cli_get(cli, d, "reason") != '\0')
        wh_cli_out("  found so far  %s\n", wh_cli_get(cli, d, "reason"));
}

static int add(wh_cli_t *cli)
{
    static const char *const members[][2] = {{"environment", "environment"},
                                             {"redirect-to", "redirect_to"}};
    wh_cli_reply_t reply;
    apr_int64_t code = 0;
    json_t *body = json_pack("{s:s}", "host", cli->args[1]);
    int rc = wh_cli_opts_int(cli, "code", 301, 308, &code);
    if (rc == 0 && body == NULL) {
        wh_cli_error("the domain is no UTF-8 text");
        rc = WH_EXIT_USAGE;
    }
    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++) {
        const char *value = wh_cli_opts_get(cli, members[i][0]);
        if (value != NULL)
            json_object_set_new(body, members[i][1], json_string(value));
    }
    if (rc == 0 && code > 0)
        json_object_set_new(body, "redirect_code", json_integer((json_int_t)code));
    if (rc == 0)
        rc = wh_cli_http(cli, "POST", path_of(cli, cli->args[0], NULL, ""), body, NULL, &reply);
    json_decref(body);
    if (rc == 0)
        say(cli, reply.body);
    return rc;
}

static int info(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc =
        wh_cli_http(cli, "GET", path_of(cli, cli->args[0], cli->args[1], ""), NULL, NULL, &reply);
    if (rc == 0)
        say(cli, reply.body);
    return rc;
}

static int verify(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    const char *path = path_of(cli, cli->args[0], cli->args[1], "");
    int rc = wh_cli_http(cli, "POST", path_of(cli, cli->args[0], cli->args[1], "/verify"), NULL,
                         NULL, &reply);
    const char *before = rc == 0 ? wh_cli_get(cli, reply.body, "checked_at") : "";
    /* A look takes a few seconds; what it found is then in the domain. */
    for (int i = 0; rc == 0 && i < 40 && !wh_cli_interrupted; i++) {
        wh_cli_watch_pause(500);
        rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
        if (rc == 0 && strcmp(wh_cli_get(cli, reply.body, "checked_at"), before) != 0)
            break;
    }
    if (rc != 0)
        return rc;
    say(cli, reply.body);
    return strcmp(wh_cli_get(cli, reply.body, "status"), "active") == 0 ? WH_EXIT_OK : WH_EXIT_FAIL;
}

static int drop(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    int rc = wh_cli_http(cli, "DELETE", path_of(cli, cli->args[0], cli->args[1], ""), NULL, NULL,
                         &reply);
    if (rc == 0)
        wh_cli_note(cli, "The app no longer answers for it\n");
    return rc;
}

static const wh_cli_option_t list_options[] = {
    {"app", 'a', "APP", "the app"},
    {NULL, 0, NULL, NULL},
};

static const wh_cli_option_t add_options[] = {
    {"environment", 'e', "NAME", "what it shows (production)"},
    {"redirect-to", 0, "URL", "leads there instead, path and query kept"},
    {"code", 0, "CODE", "of the redirect: 301, 302, 307 or 308 (308)"},
    {NULL, 0, NULL, NULL},
};

#define ON_ONE .args = "APP DOMAIN", .min_args = 2, .max_args = 2

const wh_cli_cmd_t wh_cmd_domains = {.words = "domains",
                                     .args = "[list] APP",
                                     .max_args = 2,
                                     .run = list,
                                     .options = list_options,
                                     .doc = "list an app's domains"};
const wh_cli_cmd_t wh_cmd_domains_add = {.words = "domains add",
                                         ON_ONE,
                                         .run = add,
                                         .options = add_options,
                                         .doc = "ask for a domain; says what to set"};
const wh_cli_cmd_t wh_cmd_domains_info = {
    .words = "domains info", ON_ONE, .run = info, .doc = "show what a domain waits for"};
const wh_cli_cmd_t wh_cmd_domains_verify = {
    .words = "domains verify", ON_ONE, .run = verify, .doc = "look for a domain's proof now"};
const wh_cli_cmd_t wh_cmd_domains_remove = {
    .words = "domains remove", ON_ONE, .run = drop, .doc = "give a domain up"};
