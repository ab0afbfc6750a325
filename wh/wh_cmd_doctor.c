/* wh doctor: what stands between us and a deployment, from the near end to the far one. */
#include "config.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wh/wh_cmd.h"

typedef struct doctor_t {
    wh_cli_t *cli;
    json_t *checks;
    int failures;
} doctor_t;

enum { OK, WARN, FAIL };

/* One finding; fix is the next command to try, or NULL. */
static void say(doctor_t *d, int level, const char *what, const char *found, const char *fix)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    static const char *const colors[] = {"green", "yellow", "red"};
    d->failures += level == FAIL;
    json_array_append_new(d->checks, json_pack("{s:s, s:s, s:s, s:s?}", "check", what, "result",
                                               words[level], "detail", found, "fix", fix));
    if (d->cli->json)
        return;
    wh_cli_out("%s%*s%-10s %s\n", wh_cli_paint(d->cli, colors[level], words[level]),
               6 - (int)strlen(words[level]), "", what, found);
    if (fix != NULL)
        wh_cli_out("      %-10s -> %s\n", "", fix);
}

static void check_conf(doctor_t *d)
{
    struct stat st;
    const char *path = d->cli->conf_path;
    if (path != NULL && stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        say(d, FAIL, "config", apr_pstrcat(d->cli->p, "others can read ", path, NULL),
            apr_pstrcat(d->cli->p, "chmod 600 ", path, NULL));
    if (d->cli->url == NULL)
        say(d, FAIL, "url", "no server is known", "wh login --url URL");
    else
        say(d, OK, "url", apr_pstrcat(d->cli->p, d->cli->url, " (", d->cli->url_from, ")", NULL),
            NULL);
}

static int check_health(doctor_t *d)
{
    wh_cli_reply_t reply;
    wh_cli_http_try(d->cli, "GET", "/health", NULL, NULL, &reply);
    if (reply.status == 0) {
        say(d, FAIL, "health", wh_cli_clean(d->cli, reply.cause),
            "is Apache running there? apachectl configtest");
        return 0;
    }
    const char *status = wh_cli_get(d->cli, reply.body, "status");
    const char *found =
        apr_psprintf(d->cli->p, "%ld%s%s", reply.status, *status ? " " : "", status);
    if (reply.status == 404 || reply.body == NULL) {
        say(d, FAIL, "health",
            apr_pstrcat(d->cli->p, found, ": this is not the API's address", NULL),
            "wh login --url URL");
        return 0;
    }
    say(d, reply.status == 200 ? OK : FAIL, "health", found,
        reply.status == 200 ? NULL : "look into Apache's error log");
    return 1;
}

static void version_say(doctor_t *d, const char *whose, const char *version)
{
    const char *found = apr_pstrcat(d->cli->p, "wh " PACKAGE_VERSION ", ", whose, " ",
                                    *version ? version : "does not say", NULL);
    say(d, strcmp(version, PACKAGE_VERSION) == 0 ? OK : WARN, "version", found, NULL);
}

static void check_version(doctor_t *d)
{
    wh_cli_reply_t reply;
    wh_cli_http_try(d->cli, "GET", "/v1/openapi.json", NULL, NULL, &reply);
    version_say(d, "server", wh_cli_get(d->cli, reply.body, "info.version"));
}

static int check_token(doctor_t *d)
{
    wh_cli_reply_t reply;
    if (d->cli->token == NULL) {
        say(d, FAIL, "token", "none is known", "wh login");
        return 0;
    }
    wh_cli_http_try(d->cli, "GET", "/v1/apps?limit=1", NULL, NULL, &reply);
    if (reply.status == 200)
        say(d, OK, "token", apr_pstrcat(d->cli->p, "accepted (", d->cli->token_from, ")", NULL),
            NULL);
    else
        say(d, FAIL, "token", apr_psprintf(d->cli->p, "refused (%ld)", reply.status), "wh login");
    return reply.status == 200;
}

static void check_workers(doctor_t *d)
{
    wh_cli_reply_t reply;
    int online = 0, engines = 0;
    size_t i;
    json_t *one;
    wh_cli_http_try(d->cli, "GET", "/v1/workers", NULL, NULL, &reply);
    if (reply.status != 200) {
        say(d, FAIL, "workers", apr_psprintf(d->cli->p, "the list is refused (%ld)", reply.status),
            NULL);
        return;
    }
    json_array_foreach(json_object_get(reply.body, "items"), i, one)
    {
        int up = strcmp(wh_cli_get(d->cli, one, "status"), "online") == 0;
        online += up;
        engines += up && *wh_cli_get(d->cli, one, "engine") != '\0';
        const char *version = wh_cli_get(d->cli, one, "version");
        if (up && strcmp(version, PACKAGE_VERSION) != 0)
            version_say(d, wh_cli_get(d->cli, one, "name"), version);
    }
    if (online == 0) {
        say(d, FAIL, "workers", "none is online: deployments wait",
            "start wh-scheduler and wh-agent");
        return;
    }
    say(d, OK, "workers", apr_psprintf(d->cli->p, "%d online", online), NULL);
    say(d, engines > 0 ? OK : WARN, "engine",
        engines > 0 ? apr_psprintf(d->cli->p, "%d with a container engine", engines)
                    : "no worker has a container engine: static apps only",
        NULL);
}

static int run(wh_cli_t *cli)
{
    doctor_t d = {.cli = cli, .checks = json_array()};
    check_conf(&d);
    if (cli->url != NULL && check_health(&d)) {
        check_version(&d);
        if (check_token(&d))
            check_workers(&d);
    }
    if (cli->json) {
        json_t *out = json_pack("{s:b, s:O}", "ok", d.failures == 0, "checks", d.checks);
        wh_cli_json(out);
        json_decref(out);
    }
    json_decref(d.checks);
    return d.failures == 0 ? WH_EXIT_OK : WH_EXIT_FAIL;
}

const wh_cli_cmd_t wh_cmd_doctor = {
    .words = "doctor", .args = "", .run = run, .doc = "find out what is wrong"};
